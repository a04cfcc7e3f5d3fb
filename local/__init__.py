"""Everything on one machine: the process tree and the embedded servers."""
