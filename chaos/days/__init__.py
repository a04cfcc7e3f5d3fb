"""Whole days of texts in one process: the real worker on simulated machines, and one seed."""
