"""The command line and the launcher, and what every process needs: settings, logs, metrics."""
