"""Statistics with the run as the unit of replication."""
