"""Whose time a statement's duration is: what the server took to execute it, or what the client waited, round trip included."""

from __future__ import annotations

import pandas as pd

from perflab.data.tables import Measurements

SERVER, CLIENT, UNKNOWN = "server execution", "client wall", ""
_SERVERS = frozenset({"postgresql", "mysql", "mariadb", "pg_stat_statements"})
_PHRASES = {
    SERVER: "{} of server execution, without the round trips",
    CLIENT: "{} of client wall time, round trips included",
    UNKNOWN: "{} of statement time",
}


def clock_of(queries: pd.DataFrame | Measurements) -> str:
    """`SERVER`, `CLIENT`, or `UNKNOWN` for a table without the tool that wrote it."""
    tool = queries.meta.get("tool") if isinstance(queries, Measurements) else None
    if not isinstance(tool, str):
        return UNKNOWN
    return SERVER if tool in _SERVERS else CLIENT


def timed(text: str, clock: str) -> str:
    """The time with whose it is: ``907 ms of server execution, without the round trips``."""
    return _PHRASES[clock].format(text)
