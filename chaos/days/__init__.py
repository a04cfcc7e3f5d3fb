"""Whole days of texts in one process: the real worker, simulated machines, and one seed that decides everything."""
