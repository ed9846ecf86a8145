"""perflab in a test suite: the pytest plugin."""
