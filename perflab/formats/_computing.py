"""An empty DuckDB database in memory, to compute with: it reads no file by itself and keeps nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_SMALL = 64 << 20


@cache
def _database(process: int, ordered: bool) -> Any:
    """An empty database in memory to compute with; to make one costs more than to read a small log.

    It is for this process only: a forked child must not share its parent's, nor close it (as a cache that evicts would), for
    its threads are not there. ``ordered`` keeps the order of rows; without, big results take less memory.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET preserve_insertion_order = {ordered}")
    connection.execute("SET threads = least(4, greatest(1, current_setting('threads')::INT))")
    return connection


@contextmanager
def computing(size: int, *, ordered: bool) -> Iterator[Any]:
    """A connection for so many bytes: the shared database for a few, one that gives its memory back for many."""
    if size < _SMALL:
        with _database(os.getpid(), ordered).cursor() as connection:
            yield connection
    else:
        with _database.__wrapped__(0, ordered) as connection:
            yield connection
