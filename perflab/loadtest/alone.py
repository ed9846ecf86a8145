"""One run at a time in a process: two would disturb each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from perflab.errors import LoadTestError

_ALONE = threading.RLock()
"""Held by the thread of an experiment from its first run to its last."""


@contextmanager
def alone() -> Iterator[None]:
    """Hold the only run of this process; LoadTestError while another thread does."""
    if not _ALONE.acquire(blocking=False):
        raise LoadTestError(
            "another run is in progress in this process and the two would disturb each other; stop it or wait"
        )
    try:
        yield
    finally:
        _ALONE.release()
