"""The front door (command line, launcher) and the ground floor (settings, logs, metrics)."""
