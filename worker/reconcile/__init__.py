"""Find what no visit found: lost wake-up tasks, unfinished work, messages that only the carrier knows."""
