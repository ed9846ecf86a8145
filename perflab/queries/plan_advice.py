"""What both databases' plans share: steps, indexes, and the checks that keep a statement from being run by accident."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perflab.notes import Note
from perflab.queries.fingerprint import of_text
from perflab.queries.shape import shape
from perflab.queries.tokens import tokens

DIALECT = {"sqlite": "sqlite", "postgresql": "postgresql"}
_EXPLAINED = ("select", "insert", "update", "delete", "merge", "replace")

MANY_TIMES = 100
"""A scan that is repeated less often, or reads no more than the square of this in all, is not named."""

FEW_ROWS = 10.0
"""With fewer rows left, a further column in an index saves next to nothing."""


@dataclass(frozen=True)
class Step:
    """A step of a plan. ``condition`` has its values as ``?``; ``sought`` are the columns of its table that it fixes and
    bounds. ``reads`` and ``keeps`` are rows, of all loops; NaN where nothing is known."""

    step: int
    parent: int | None
    operation: str
    table: str | None = None
    index: str | None = None
    condition: str | None = None
    reads: float = math.nan
    keeps: float = math.nan
    loops: float = math.nan
    time_ms: float = math.nan
    full_scan: bool = False
    schema: str | None = None
    equal: tuple[str, ...] = ()
    bounded: tuple[str, ...] = ()


@dataclass(frozen=True)
class InnerLoop:
    """What is read from end to end once for each row of something else: ``outer_rows`` at most, ``inner_rows`` each time."""

    inner: str
    outer: str
    outer_rows: float
    inner_rows: float = math.nan

    @property
    def matters(self) -> bool:
        """Not where it is small, as far as is known."""
        few = self.outer_rows < MANY_TIMES
        return not few and not self.outer_rows * self.inner_rows < MANY_TIMES**2


@dataclass(frozen=True)
class Answer:
    """A database's answer: the steps of its plan, how long the statement took where it ran, and what limits that."""

    steps: tuple[Step, ...]
    time_ms: float = math.nan
    notes: tuple[Note, ...] = ()
    loops: tuple[InnerLoop, ...] = ()


@dataclass(frozen=True)
class Index:
    """An index that would serve: its table, its columns in order, and the SQL that creates it, every name quoted."""

    table: str
    columns: tuple[str, ...]
    schema: str | None = None

    @property
    def name(self) -> str:
        return re.sub(r"\W+", "_", f"ix_{self.table}_{'_'.join(self.columns)}")[:60]

    @property
    def statement(self) -> str:
        where = f"{quoted(self.schema)}." if self.schema else ""
        return (
            f"CREATE INDEX {quoted(self.name)} ON {where}{quoted(self.table)} ({', '.join(map(quoted, self.columns))})"
        )


def quoted(name: str | None) -> str:
    """A name in double quotes, which both databases take."""
    return '"' + str(name).replace("\0", "").replace('"', '""') + '"'


def driver_of(connection: Any) -> tuple[str, Any]:
    """ "sqlite" or "postgresql", and the driver's own connection."""
    raw = connection
    if hasattr(connection, "exec_driver_sql"):
        raw = connection.connection.driver_connection
    elif hasattr(connection, "_connection") and type(connection).__module__.startswith("perflab."):
        raw = connection._connection
    home = {cls.__module__.split(".")[0] for cls in type(raw).__mro__}
    if "sqlite3" in home:
        return "sqlite", raw
    if home & {"psycopg", "psycopg2"}:
        return "postgresql", raw
    raise ValueError(
        "connection must be an open one of sqlite3, psycopg or psycopg2, or SQLAlchemy's around one; "
        f"got {type(connection).__name__}"
    )


def checked(sql: str, driver: str, *, run: bool) -> None:
    """ValueError for what must not be sent: several statements, an EXPLAIN of its own, a write that would be run."""
    if not isinstance(sql, str) or not sql.strip():
        raise ValueError(f"sql must be one statement; got {sql!r}")
    if "\0" in sql:
        raise ValueError("sql must be one statement; got one with a NUL character")
    words = [text for _, text in tokens(sql, DIALECT[driver])]
    ended = next((i for i, text in enumerate(words) if text == ";"), len(words))
    if any(text != ";" for text in words[ended:]):
        raise ValueError("sql must be one statement; got several, separated by ';'")
    verb = shape(of_text(sql, DIALECT[driver])).verb
    if verb not in _EXPLAINED or words[0].lower() == "explain":
        raise ValueError(
            f"sql must be a SELECT, INSERT, UPDATE or DELETE, without EXPLAIN; got one that begins with {words[0][:20]!r}"
        )
    if run and (verb != "select" or any(w.lower() in ("into",) for w in words)):
        raise ValueError(f"analyze=True runs the statement, and only a SELECT is run; got {verb.upper()}")


def condition_of(text: str, driver: str) -> str:
    """A condition with its values as ``?``."""
    return of_text(text, DIALECT[driver])


def numbered(sql: str, driver: str) -> tuple[str, int]:
    """The statement with each placeholder as ``$1``, ``$2`` ..., and how many there are."""
    parts: list[str] = []
    position, names = 0, dict[str, int]()
    for kind, text in tokens(sql, DIALECT[driver]):
        start = _after_space(sql, position)
        start = start if sql.startswith(text, start) else sql.index(text, start)
        if kind == "placeholder":
            key = text if text not in ("?", "%s") else f"{text}{len(names)}"
            number = int(text[1:]) if text[:1] == "$" and text[1:].isdigit() else names.setdefault(key, len(names) + 1)
            names.setdefault(key, number)
            parts += [sql[position:start], f"${number}"]
        else:
            parts.append(sql[position : start + len(text)])
        position = start + len(text)
    parts.append(sql[position:])
    return "".join(parts), max(names.values(), default=0)


_SPACE = re.compile(r"(?:\s++|--[^\n]*+|/\*(?s:.*?)\*/)++")


def _after_space(sql: str, position: int) -> int:
    match = _SPACE.match(sql, position)
    return match.end() if match else position


def bound(parameters: Sequence[Any] | Mapping[str, Any] | None) -> Sequence[Any] | Mapping[str, Any]:
    return () if parameters is None else parameters
