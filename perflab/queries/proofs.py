"""Whether an index that was advised helps: it is created and used in a transaction that is always rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from perflab.notes import Note
from perflab.queries import plan_postgresql, plan_sqlite
from perflab.queries.findings_notes import PROOF_STOPPED
from perflab.queries.plan_advice import Index

_RUNS = 2
_LOCK_MS = 1_000
_STOPPED = {
    "55P03": "another transaction holds a lock on the table",
    "57014": "it took longer than the timeout",
    "25006": "the connection may only read",
    "42501": "the user may not create an index",
    "SQLITE_BUSY": "another connection writes to the database",
    "SQLITE_INTERRUPT": "it took longer than the timeout",
    "SQLITE_READONLY": "the connection may only read",
}


@dataclass(frozen=True)
class Proof:
    """Milliseconds of the statement without and with the advised indexes, and whether the database used one of them."""

    before_ms: float
    after_ms: float
    used: bool


def proved(
    connection: Any,
    driver: str,
    sql: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    indexes: Sequence[Index],
    timeout_ms: float,
) -> Proof | Note:
    """The proof, or a note that says why it was stopped. The faster of two runs counts on each side."""
    module = plan_sqlite if driver == "sqlite" else plan_postgresql
    try:
        with _rolled_back(connection, driver, timeout_ms) as execute:
            before = [
                module.plan(connection, sql, parameters, analyze=True, timeout_ms=timeout_ms) for _ in range(_RUNS)
            ]
            for index in indexes:
                execute(index.statement)
            after = [
                module.plan(connection, sql, parameters, analyze=True, timeout_ms=timeout_ms) for _ in range(_RUNS)
            ]
    except Exception as error:
        if (why := _STOPPED.get(_code(error))) is None:
            raise
        return PROOF_STOPPED(why=why)
    names = {index.name for index in indexes}
    used = any(step.index in names for step in after[0].steps)
    return Proof(min(a.time_ms for a in before), min(a.time_ms for a in after), used)


def _code(error: Exception) -> str:
    """The error's SQLSTATE, or SQLite's name of it."""
    found = (getattr(error, name, None) for name in ("sqlstate", "pgcode", "sqlite_errorname"))
    return next((code for code in found if isinstance(code, str)), "")


@contextmanager
def _rolled_back(connection: Any, driver: str, timeout_ms: float) -> Iterator[Any]:
    """Runs statements in a transaction of their own, with limits on locks and time, that is rolled back whatever happens."""
    trial = plan_sqlite.trial if driver == "sqlite" else plan_postgresql.trial
    with trial(connection, timeout_ms, _LOCK_MS) as execute:
        yield execute
