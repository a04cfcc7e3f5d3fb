"""What the cat says."""
