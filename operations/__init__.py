"""What an operator does, without a terminal or a page: command line and console both use it."""
