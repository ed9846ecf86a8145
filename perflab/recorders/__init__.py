"""Recorders for users' own applications: light, standard library plus the framework they hook, nothing of perflab."""
