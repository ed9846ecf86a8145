"""Joins that multiply rows: two collections of one row joined side by side, so that each pair of them comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.conditions import aliases
from perflab.queries.nouns import OWN_KEYS, bare, points_elsewhere, same_noun, stem
from perflab.queries.statements import statements
from perflab.queries.tokens import Token, tokens
from perflab.results import Findings, count, findings
from perflab.units import format_number

COLUMNS = (
    "statement", "joined", "route", "units", "calls", "rows_per_call", "time_ms", "unit_time_fraction", "suggestion",
    "example_unit", "source",
)  # fmt: skip
_FEW_ROWS = 20.0
_CLAUSES = frozenset(
    {"where", "group", "order", "having", "limit", "offset", "fetch", "union", "for", "window", "returning"}
)
_JOINS = frozenset({"left", "right", "full", "inner", "outer", "cross", "join", "natural"})


class _Join(NamedTuple):
    """A table that is joined, by its alias, and the pairs of columns that its ON compares: (alias, column) each."""

    table: str
    alias: str
    pairs: tuple[tuple[tuple[str, str], tuple[str, str]], ...]


def find_multiplying_joins(queries: pd.DataFrame | Measurements, *, dialect: str | None = None) -> Findings:
    """Statements that join several collections of the same rows: with m of the one and n of the other, m x n rows come back.

    Eager loading by JOIN does that (SQLAlchemy's joinedload of two collections, Hibernate's JOIN FETCH of two bags, a
    Rails eager_load). A collection is a table whose foreign key is compared with the key of a table before it. Statements
    that are known to return few rows (less than 20 on average) are left out, as are those that aggregate.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        Most time first: statement (fingerprint), joined (the collections), route, units, calls, rows_per_call (mean; missing
        where the log has no rows), time_ms, unit_time_fraction, suggestion, example_unit, source.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = (
    ...     "SELECT a.id, b.id, c.id FROM author a LEFT JOIN book b ON b.author_id = a.id "
    ...     "LEFT JOIN award c ON c.author_id = a.id WHERE a.id = 7"
    ... )
    >>> queries = pd.DataFrame({"sql": [sql], "duration_ms": [9.0], "rows": [600], "unit": "request 1"})
    >>> lab.queries.find_multiplying_joins(queries)[["joined", "rows_per_call"]].values.tolist()
    [['book x award', 600.0]]
    """
    prepared = statements(queries, dialect=dialect)
    frame = prepared.frame
    unit_time = frame.groupby("unit")["duration_ms"].sum()
    rows = []
    for code, text in enumerate(prepared.fingerprints):
        collections = multiplied(text) if prepared.shapes[code].verb == "select" and text.count(" join ") > 1 else ()
        part = frame[frame["fp"] == code] if collections else frame.iloc[:0]
        mean = float(part["rows"].mean()) if part["rows"].notna().any() else np.nan
        if not collections or mean < _FEW_ROWS:
            continue
        units, slowest = part["unit"].unique(), int(part["duration_ms"].argmax())
        rows.append(
            {
                "statement": text, "joined": " x ".join(collections), "route": part["route"].iloc[slowest] or None,
                "units": len(units), "calls": len(part), "rows_per_call": mean, "time_ms": float(part["duration_ms"].sum()),
                "unit_time_fraction": float(part["duration_ms"].sum() / (unit_time.reindex(units).sum() or 1.0)),
                "suggestion": f"Load {collections[-1]} with a query of its own (SQLAlchemy: selectinload; Django: "
                "prefetch_related; Rails: preload; Hibernate: @BatchSize), or aggregate it in a subquery.",
                "example_unit": str(prepared.units.names[int(part["unit"].iloc[slowest])]),
                "source": part["source"].iloc[slowest],
            }
        )  # fmt: skip
    texts, counts = ("statement", "joined", "route", "suggestion", "example_unit", "source"), ("units", "calls")
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {c: "str" if c in texts else "int64" if c in counts else "float64" for c in COLUMNS}
    )
    most = float(table["rows_per_call"].max()) if len(table) else np.nan
    larger = f", up to {format_number(most)} rows a call" if most == most else ""
    sentence = (
        f"{count(len(table), 'statement')} with joins that multiply rows{larger}" if rows else "no join multiplies rows"
    )
    return findings(table.sort_values("time_ms", ascending=False, kind="stable"), sentence, prepared.units.notes)


def multiplied(fingerprint: str) -> tuple[str, ...]:
    """The collections of one row that a SELECT joins side by side; none where it is fewer than two, or it aggregates.

    >>> multiplied("select * from a join b on b.a_id = a.id join c on c.b_id = b.id")
    ()
    """
    words = list(tokens(fingerprint))
    if any(kind == "word" and text in ("group", "distinct", "count", "sum", "avg", "exists") for kind, text in words):
        return ()
    by_owner: dict[str, list[str]] = {}
    tables = aliases(fingerprint, "generic")
    for join in _joins(words):
        if (owner := _owner(join, tables)) is not None:
            by_owner.setdefault(owner, []).append(join.table)
    return next((tuple(found) for found in by_owner.values() if len(found) > 1), ())


def _joins(words: list[Token]) -> Iterator[_Join]:
    """The joins of the outermost FROM with their conditions."""
    depth, place = 0, 0
    while place < len(words):
        kind, text = words[place]
        depth += (text == "(") - (text == ")")
        if kind != "word" or text != "join" or depth:
            place += 1
            continue
        at, names = place + 1, []
        while at < len(words) and words[at][0] in ("word", "name") and words[at][1] not in ("on", "using"):
            names.append(bare(words[at][1]))
            at += 1
            if at < len(words) and words[at][1] == ".":
                names.pop()
                at += 1
        end = at
        while end < len(words) and words[end][1] not in _CLAUSES | _JOINS:
            end += 1
        plain = [name for name in names if name != "as"]
        if plain:
            yield _Join(plain[0], plain[-1], tuple(_pairs(words[at:end])))
        place = max(end, place + 1)


def _pairs(words: list[Token]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """The equalities of two columns: ``a.x = b.y``."""
    texts = [bare(text) if kind in ("word", "name") else text for kind, text in words]
    for at in range(3, len(texts) - 3):
        if texts[at] == "=" and texts[at - 2] == texts[at + 2] == ".":
            yield (texts[at - 3], texts[at - 1]), (texts[at + 1], texts[at + 3])


def _owner(join: _Join, tables: Mapping[str, str]) -> str | None:
    """The alias whose own key the joined table's foreign key is compared with: then there may be several rows for each."""
    for pair in join.pairs:
        mine = next((column for alias, column in pair if alias == join.alias), None)
        other = next(((alias, column) for alias, column in pair if alias != join.alias), None)
        if mine is None or other is None or not points_elsewhere(mine):
            continue
        own = other[1] in OWN_KEYS or (
            other[1] == mine and same_noun(stem(mine), stem(bare(tables.get(other[0], other[0]))))
        )
        if own and not same_noun(stem(mine), stem(join.table)):
            return other[0]
    return None
