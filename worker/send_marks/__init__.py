"""What a process writes down before a request leaves, so that its death leaves no doubt."""
