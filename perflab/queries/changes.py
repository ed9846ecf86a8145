"""Whether something between two reads could have changed what they return: the stretches of a unit without such a change."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from perflab.queries.nouns import bare
from perflab.queries.shape import Shape
from perflab.queries.statements import Statements
from perflab.queries.tokens import tokens
from perflab.queries.values import key_values, values_in

Ints = npt.NDArray[np.int64]

_ANYTHING = re.compile(
    r"(?:call|execute|exec|do|rollback|load|import|lock) ?\b|select .*\b(?:pg_sleep|sleep|dblink\w*|lo_\w+) ?\(", re.I
)
_WRITES_WITHIN = re.compile(r"\b(?:insert into|update|delete from|merge into) ")
_NAMED_TABLE = re.compile(
    r"(?:truncate(?: table)?|copy|refresh materialized view(?: concurrently)?|drop table|alter table)"
    r"(?: if exists)? (?:only )?([\w.\"`\[\]]+)"
)


def stretches(prepared: Statements, places: Ints) -> Ints:
    """For each of these reads how many changes to what it reads came before it (within its fingerprint and value).

    A write to another row (both keys known) and an INSERT of another row change nothing for a read by its key.
    """
    fp = prepared.frame["fp"].to_numpy()
    by_table, anything = changers(prepared)
    found = np.zeros(len(places), dtype="int64")
    for code in np.unique(fp[places]).tolist():
        shape = prepared.shapes[code]
        mine = np.flatnonzero(fp[places] == code)
        writes = sorted({w for table in shape.tables for w in by_table.get(table, ()) if w != code})
        if not writes and not anything:
            continue
        keyed = [w for w in writes if one_key(shape, prepared.shapes[w])]
        rest = np.flatnonzero(np.isin(fp, [w for w in writes if w not in keyed] + anything))
        found[mine] = np.searchsorted(rest, places[mine])
        if keyed:
            found[mine] += _of_same_row(prepared, shape, places[mine], np.flatnonzero(np.isin(fp, keyed)))
    return found


def ever_changed(prepared: Statements) -> set[int]:
    """The fingerprints that read a table which anything in the log writes to."""
    by_table, anything = changers(prepared)
    return {
        code
        for code, shape in enumerate(prepared.shapes)
        if anything or any(w != code for table in shape.tables for w in by_table.get(table, ()))
    }


def changers(prepared: Statements) -> tuple[dict[str, list[int]], list[int]]:
    """Fingerprints that write, by table, and those that may change anything."""
    by_table: dict[str, list[int]] = {}
    anything = []
    for code, (shape, text) in enumerate(zip(prepared.shapes, prepared.fingerprints, strict=True)):
        named = _NAMED_TABLE.match(text)
        if named is not None and not text.startswith("copy("):
            by_table.setdefault(bare(named[1].rpartition(".")[2]), []).append(code)
        elif shape.kind == "function" or _ANYTHING.match(text):
            anything.append(code)
        elif shape.kind == "write" or (text.startswith("with ") and _WRITES_WITHIN.search(text)):
            for table in shape.tables:
                by_table.setdefault(table, []).append(code)
    return by_table, anything


def one_key(read: Shape, write: Shape) -> bool:
    """Whether both name one row of one table by the same key, so that their values can be compared."""
    if len(read.tables) != 1 or len(write.tables) != 1 or len(read.keys) != 1 or len(read.key_slots) != 1:
        return False
    return write.verb == "insert" or read.keys[0] in write.keys[:1]


def _of_same_row(prepared: Statements, shape: Shape, places: Ints, writes: Ints) -> Ints:
    """How many of the writes before each read were to its row, or to one that is not known."""
    values: dict[str, int] = {}

    def code(value: str | None) -> int:
        return -1 if value is None else values.setdefault(value, len(values))

    asked = np.array([code(value_read(prepared, shape, p)) for p in places.tolist()])
    changed = np.array([code(value_written(prepared, shape, p)) for p in writes.tolist()])
    unknown = writes[changed < 0]
    count = np.searchsorted(unknown, places)
    for value in np.unique(changed[changed >= 0]).tolist():
        same = (asked == value) | (asked < 0)
        count[same] += np.searchsorted(writes[changed == value], places[same])
    return count


def value_read(prepared: Statements, shape: Shape, place: int) -> str | None:
    """The key that the read at this place looks up; None where it is not known."""
    row = prepared.frame.iloc[place]
    found = key_values(row["sql"], row["parameters"], shape.key_slots, prepared.dialect)
    return found[0] if found else None


def value_written(prepared: Statements, shape: Shape, place: int) -> str | None:
    """The key, as in a read of this shape, of the row that the write at this place changes; None where it is not known."""
    row = prepared.frame.iloc[place]
    write = prepared.shapes[int(row["fp"])]
    if write.verb == "insert":
        return _inserted(row["sql"], row["parameters"], shape.keys[0], prepared.dialect)
    found = key_values(row["sql"], row["parameters"], write.key_slots, prepared.dialect)
    return found[write.keys.index(shape.keys[0])] if found else None


def _inserted(sql: str, parameters: object, key: str, dialect: str) -> str | None:
    """The value that a single-row INSERT gives the key; None where that is not known."""
    words = list(tokens(sql, dialect))
    texts = [bare(text) for _, text in words]
    if "values" not in texts or texts.count("(") != 2 or "select" in texts:
        return None
    columns = [t for t in texts[texts.index("(") + 1 : texts.index(")")] if t != ","]
    values = values_in(sql, parameters, dialect)
    return values[columns.index(key)] if key in columns and len(values) == len(columns) else None
