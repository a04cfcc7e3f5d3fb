"""The engines that write replies, one module each."""
