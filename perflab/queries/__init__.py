"""Query logs: fingerprints, units of work, N+1 and other patterns, before and after."""
