"""What the webhook writes and the worker opens."""
