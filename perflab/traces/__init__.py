"""Spans: what a latency consists of, the critical path, and what another order of calls would give."""
