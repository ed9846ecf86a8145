"""Reads in a row none of which needs the answer of another: what running them side by side would save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.queries.questions import questions
from perflab.queries.statements import Statements, statements
from perflab.queries.units_of_work import instants
from perflab.queries.values import values_in
from perflab.results import Findings, count, findings
from perflab.units import format_ms, parse_duration

COLUMNS = (
    "statements", "route", "units", "calls", "time_ms", "time_saved_ms", "unit_time_fraction", "example_unit", "suggestion",
)  # fmt: skip
_FEWEST, _UNITS_ALIKE = 2, 3
_SUGGESTION = "Run them side by side, each on a connection of its own (asyncio.gather, a thread pool)."

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class _Run(NamedTuple):
    """Statements of a unit in a row: their places, all their milliseconds, and those of the longest."""

    unit: int
    places: tuple[int, ...]
    time_ms: float
    longest_ms: float


def find_consecutive(
    queries: pd.DataFrame | Measurements, least: str | float = "10ms", *, dialect: str | None = None
) -> Findings:
    """Independent reads that run one after the other in a unit of work, and the time that running them side by side would save.

    A read depends on the ones before it when it has a value that the unit had not used before them (their answer may hold
    it), or one that is not known. Reads of one kind are loops, which `find_n_plus_one` judges; a write ends a row of reads,
    and so does a transaction that writes, since its statements have one connection.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    least : str or float
        What it must save in a unit to count, as "10ms" or a number of seconds.
    dialect : str, optional
        Of the SQL; from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        The largest saving first: statements (their fingerprints in order), route, units, calls, time_ms, time_saved_ms (all
        but the longest of each row), unit_time_fraction (share of those units' time), example_unit, suggestion. It is the
        most that can be saved: the database may not run them side by side as fast.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = ["SELECT name FROM category", "SELECT count(*) FROM product", "SELECT text FROM news LIMIT 3"]
    >>> queries = pd.DataFrame({"sql": sql, "duration_ms": [40.0, 90.0, 30.0], "unit": "request 1"})
    >>> lab.queries.find_consecutive(queries)["time_saved_ms"].tolist()
    [70.0]
    """
    least_ms = parse_duration(least, parameter="least")
    prepared = statements(queries, dialect=dialect)
    runs = [run for run in _runs(prepared, least_ms) if run.time_ms - run.longest_ms >= least_ms]
    table = _table(prepared, runs)
    saved = float(table["time_saved_ms"].sum())
    units = len({run.unit for run in runs})
    sentence = (
        f"{count(int(table['calls'].sum()), 'independent read')} one after the other in {count(units, 'unit')}: running them "
        f"side by side would save at most {format_ms(saved)}"
        if len(table)
        else "no independent reads one after the other"
    )
    return findings(table, sentence, prepared.units.notes)


class _Columns(NamedTuple):
    """Columns of the statements, and which kinds are reads."""

    fp: Ints
    unit: Ints
    took: Floats
    ended: Floats | None
    started: Floats | None
    reads: npt.NDArray[np.bool_]


def _runs(prepared: Statements, least_ms: float) -> Iterator[_Run]:
    """The rows of independent reads of each unit whose borders are known."""
    frame, shapes = prepared.frame, prepared.shapes
    fp, unit, took = (frame[c].to_numpy() for c in ("fp", "unit", "duration_ms"))
    if not len(fp):
        return
    reads = np.array([s.kind in ("lookup", "batch", "scan", "function") for s in shapes], dtype=bool)
    writes = np.array([s.kind == "write" for s in shapes], dtype=bool)
    timed = not frame["start"].isna().any()
    started = instants(frame) / 1e3 if timed else None
    columns = _Columns(fp, unit, took, started + took if started is not None else None, started, reads)
    constant = _constants(prepared, reads)
    edges = np.flatnonzero(np.append(True, unit[1:] != unit[:-1]))
    for first, last in zip(edges.tolist(), [*edges[1:].tolist(), len(unit)], strict=True):
        mine = first + np.flatnonzero(reads[fp[first:last]])
        little = len(mine) < _FEWEST or took[mine].sum() - took[mine].max() < least_ms
        if not little and not prepared.units.low[unit[first]] and not writes[fp[first:last]].any():
            yield from _of_unit(prepared, columns, range(first, last), constant)


def _constants(prepared: Statements, reads: npt.NDArray[np.bool_]) -> set[int]:
    """The kinds of reads that ask for the same in every unit."""
    first = prepared.frame.groupby(["fp", "unit"], sort=False).head(1)
    codes = questions(first, prepared.dialect)
    kinds = pd.DataFrame({"fp": first["fp"].to_numpy(), "code": codes})[codes >= 0].groupby("fp")["code"]
    same = (kinds.nunique() == 1) & (kinds.size() >= _UNITS_ALIKE)
    return {int(code) for code in same.index[same] if reads[code]}


def _of_unit(prepared: Statements, columns: _Columns, places: range, constant: set[int]) -> Iterator[_Run]:
    frame, fp = prepared.frame, columns.fp
    part = frame[["sql", "parameters"]].iloc[places.start : places.stop]
    times = np.bincount(fp[places.start : places.stop])
    seen: set[str | None] = set()
    known: set[str | None] = set()
    now: list[int] = []
    for place, sql, parameters in zip(places, part["sql"], part["parameters"], strict=True):
        values = _sought(prepared, int(fp[place]), sql, parameters)
        needed = set() if int(fp[place]) in constant else values
        alone = columns.reads[fp[place]] and times[fp[place]] == 1 and None not in needed
        if columns.reads[fp[place]]:
            if alone and not (now and (_overlap(columns, now[-1], place) or not needed <= known)):
                known = known if now else seen | values
                now.append(place)
            else:
                yield from _closed(columns, now)
                now, known = ([place] if alone else []), seen | values
        seen |= values
    yield from _closed(columns, now)


def _sought(prepared: Statements, code: int, sql: str, parameters: object) -> set[str | None]:
    """The values of a statement but for how many rows it may return; None for one that is not known."""
    values = values_in(sql, parameters, prepared.dialect)
    limit = prepared.shapes[code].limit_slot
    if limit is not None and -len(values) <= limit < len(values):
        del values[limit]
    return set(values)


def _overlap(columns: _Columns, one: int, other: int) -> bool:
    """Whether they ran side by side already, as far as the clock tells."""
    if columns.started is None or columns.ended is None:
        return False
    return bool(
        columns.started[other] > columns.started[one]
        and columns.ended[one] - columns.started[other] > columns.took[one] / 2
    )


def _closed(columns: _Columns, now: Sequence[int]) -> Iterator[_Run]:
    if len(now) >= _FEWEST:
        mine = columns.took[list(now)]
        yield _Run(int(columns.unit[now[0]]), tuple(now), float(mine.sum()), float(mine.max()))


def _table(prepared: Statements, runs: Sequence[_Run]) -> pd.DataFrame:
    frame = prepared.frame
    unit_time = frame.groupby("unit")["duration_ms"].sum()
    fp, routes = frame["fp"].to_numpy(), frame["route"].to_numpy(dtype=object)
    groups: dict[tuple[object, ...], list[_Run]] = {}
    for run in runs:
        groups.setdefault((routes[run.places[0]], *(fp[p] for p in run.places)), []).append(run)
    rows = []
    for (route, *kinds), part in groups.items():
        units = sorted({run.unit for run in part})
        whole, time = float(unit_time.reindex(units).sum()), sum(run.time_ms for run in part)
        worst = max(part, key=lambda run: run.time_ms - run.longest_ms)
        rows.append(
            {
                "statements": "; ".join(prepared.fingerprints[int(str(kind))] for kind in kinds), "route": route or None,
                "units": len(units), "calls": sum(len(run.places) for run in part), "time_ms": time,
                "time_saved_ms": time - sum(run.longest_ms for run in part),
                "unit_time_fraction": time / whole if whole else 0.0,
                "example_unit": str(prepared.units.names[worst.unit]), "suggestion": _SUGGESTION,
            }
        )  # fmt: skip
    texts, counts = ("statements", "route", "example_unit", "suggestion"), ("units", "calls")
    kinds_of = {c: "str" if c in texts else "int64" if c in counts else "float64" for c in COLUMNS}
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds_of)
    return table.sort_values("time_saved_ms", ascending=False, kind="stable")
