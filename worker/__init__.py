"""Take one doorbell, give every waiting text its reply."""
