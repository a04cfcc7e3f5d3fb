"""Servers that `dadacat up` starts on a machine that has none."""
