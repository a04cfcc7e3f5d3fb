"""The inbox between webhook and workers: waiting texts, leases, delivery reports, limits and budget."""
