"""The command line: one module for each group of commands, and the terminal helpers they share."""
