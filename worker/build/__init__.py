"""Factories that put a worker together from the settings, one module for each subject.

A command imports only the subjects that it needs.
"""
