"""Servers that `dadacat up` brings along, for a laptop without any."""
