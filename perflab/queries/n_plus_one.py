"""N+1: one query for a list, then one more for each of its rows. Found by structure, confirmed by growth.

A child is a lookup repeated in a unit of work with different values; its parent is an earlier SELECT that could have
handed out those values. Whether the calls grow with the parent's rows, over units, separates an N+1 from a fixed fan-out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import one_of
from perflab.queries import claims, suggestions
from perflab.queries.growth import LIMIT, growth
from perflab.queries.repeats import Repeats, repeats
from perflab.queries.scaling import Scaling
from perflab.queries.statements import Statements, statements
from perflab.results import count, findings
from perflab.units import format_ms

UNIT_COLUMNS = ("unit", "parent", "child", "calls", "distinct_parameters", "time_ms", "evidence")
PATTERN_COLUMNS = (
    "parent", "child", "route", "units", "calls", "calls_per_unit", "time_ms", "slope", "slope_low", "slope_high",
    "p_value", "evidence", "suggestion", "example_unit", "calls_saved", "time_saved_ms", "unit_time_fraction",
    "unit_p95_ms", "source",
)  # fmt: skip

FOR_PEOPLE = (
    "route",
    "evidence",
    "calls_per_unit",
    "slope",
    "time_ms",
    "unit_time_fraction",
    "parent",
    "child",
    "suggestion",
)
"""What people read of a pattern; the rest is for those who go on computing."""

_LOOK_BACK = 8
_NEAREST, _LINKED, _ROWS_MATCH = 1.0, 10.0, 12.0


def find_n_plus_one(
    queries: pd.DataFrame | Measurements, threshold: int = 5, by: str = "pattern", *, dialect: str | None = None
) -> pd.DataFrame:
    """Find N+1 patterns, how certain each is, what it costs and how to fix it.

    Parameters
    ----------
    queries : DataFrame or Measurements
        The queries table, or Measurements that hold one.
    threshold : int
        A statement must be repeated at least this often in a unit of work to count.
    by : str
        "pattern" (a row for each parent, child and route) or "unit" (a row for each unit of work it occurred in).
    dialect : str, optional
        Of the SQL; taken from the table's ``dialect`` column, or "generic", when not given.

    Returns
    -------
    DataFrame
        Worst first. by="pattern": parent, child, route, units, calls, calls_per_unit, time_ms, slope (calls for each row of
        the parent; where the log has no rows, for each row that its LIMIT allows, or for each time that a nested parent
        ran) with its 95 % interval and permutation p, evidence, suggestion, example_unit, then what fixing it would save:
        calls_saved, time_saved_ms, the share of the units' time, and the units' p95. by="unit": unit, parent, child, calls,
        distinct_parameters, time_ms, evidence.

    ``evidence`` is "confirmed" (the calls grow with the parent's rows), "likely" (too few units to test that),
    "constant fan-out", "duplicate", "loop without parent" or "write loop"; only the first two claim an N+1.
    ``attrs["sentence"]`` sums it up, ``attrs["warnings"]`` says what limits it. Statements appear as fingerprints, so
    that no user's data is shown.

    Raises
    ------
    ValueError
        Unknown ``by``, a threshold below 2.
    SchemaError
        No sql or duration_ms column.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> sql = ["SELECT id, name FROM author LIMIT 20"] + [f"SELECT * FROM book WHERE author_id = {i}" for i in range(20)]
    >>> start = pd.date_range("2026-01-01", periods=21, freq="ms", tz="UTC")
    >>> queries = pd.DataFrame({"run": "r", "start": start, "sql": sql, "duration_ms": 0.2, "unit": "request 1"})
    >>> lab.find_n_plus_one(queries)[["child", "calls", "evidence"]].values.tolist()
    [['select * from book where author_id = ?', 20, 'likely']]
    """
    if by not in ("pattern", "unit"):
        raise one_of("by", by, ("pattern", "unit"))
    if isinstance(threshold, bool) or not isinstance(threshold, int) or threshold < 2:
        raise ValueError(f"threshold must be a whole number of at least 2; got {threshold!r}")
    found = repeats(statements(queries, dialect=dialect), threshold)
    prepared = found.prepared
    occurrences = _with_parents(prepared, found)
    patterns = _patterns(prepared, found, occurrences)
    sentence = _sentence(prepared, patterns)
    if by == "unit":
        return findings(_by_unit(prepared, found, occurrences, patterns), sentence, prepared.units.notes)
    claimed_first = patterns.assign(_rank=patterns["_rank"].where(~patterns["evidence"].isin(claims.CLAIMS), -1))
    shown = claimed_first.sort_values(["_rank", "time_ms"], ascending=[True, False], kind="stable")[
        list(PATTERN_COLUMNS)
    ]
    return findings(shown, sentence, prepared.units.notes, shown=FOR_PEOPLE)


def _with_parents(prepared: Statements, found: Repeats) -> pd.DataFrame:
    """Each repeated group with the group that is its parent (a position in ``groups``, or -1).

    The parent ran before the first call. Only where nothing did that could be it, before the second: a request often
    asks once for the same kind of thing (the user who is logged in) before its loop begins.
    """
    groups, children = found.groups, found.repeated
    parent, linked = _nearest(found, children, groups.first[children])
    orphans = np.flatnonzero((parent < 0) & (groups.calls[children] > found.threshold))
    later, strength = _nearest(found, children[orphans], groups.second[children[orphans]], fewer=True)
    parent[orphans], linked[orphans] = later, strength
    parent = _of_sibling(found, children, parent)
    return pd.DataFrame({"group": children, "parent": parent, "linked": np.where(parent >= 0, linked, 0)})


def _nearest(
    found: Repeats, children: npt.NDArray[np.int64], before: npt.NDArray[np.int64], *, fewer: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The likeliest parent among the SELECTs that first ran before these places, and how clearly names link it."""
    groups, order = found.groups, found.selects  # positions of SELECT groups, by unit and first appearance
    parent = np.full(len(children), -1, dtype="int64")
    linked = np.zeros(len(children), dtype="int64")
    best = np.full(len(children), -np.inf)
    place = np.searchsorted(found.select_keys, before)
    for back in range(1, _LOOK_BACK + 1):
        at = place - back
        candidate = order[np.clip(at, 0, None)] if len(order) else np.zeros(len(children), dtype="int64")
        here = (at >= 0) & (groups.unit[candidate] == groups.unit[children]) & (candidate != children)
        if fewer:
            here &= groups.calls[candidate] * 2 < groups.calls[children]
        if not (at >= 0).any():
            break
        strength = found.links(candidate, children, here)
        score = np.where(
            here & found.could_hand_out(candidate, children, strength),
            _LINKED * strength - _NEAREST * back + _ROWS_MATCH * found.rows_match(candidate, children),
            -np.inf,
        )
        better = score > best
        parent, best = np.where(better, candidate, parent), np.where(better, score, best)
        linked = np.where(better, strength, linked)
    return parent, linked


def _of_sibling(
    found: Repeats, children: npt.NDArray[np.int64], parent: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """A statement that ran as often as the child is no parent: it is in the same loop.

    Its own parent is the child's then. Without one (a queue worker that takes the next job again and again) the loop has
    no parent.
    """
    groups = found.groups
    mine = np.full(len(groups), -1, dtype="int64")
    mine[children] = parent
    beside = (parent >= 0) & (groups.calls[parent] >= groups.calls[children])
    beside &= ~(groups.rows[parent] > 1.5 * groups.calls[parent])
    return np.where(beside, mine[parent], parent)


@dataclass(frozen=True)
class _Pattern:
    parent: int
    child: int
    route: str


def _patterns(prepared: Statements, found: Repeats, occurrences: pd.DataFrame) -> pd.DataFrame:
    """A row for each (parent, child, route), with the columns of the result and ``_rank``; the index is its number."""
    groups = found.groups
    table = pd.DataFrame(
        {
            "parent": np.where(occurrences["parent"] >= 0, groups.fp[occurrences["parent"]], -1),
            "child": groups.fp[occurrences["group"]],
            "route": found.route_of(occurrences["group"].to_numpy()),
            "same": found.same_question(occurrences["group"].to_numpy()),
        }
    )
    numbers = table.groupby(["parent", "child", "route", "same"], sort=False)
    occurrences["pattern"] = numbers.ngroup().to_numpy() if len(table) else np.zeros(0, dtype="int64")
    rows = [
        _row(prepared, found, part, _Pattern(int(key[0]), int(key[1]), str(key[2])))
        for key, part in ((k, occurrences.loc[i]) for k, i in numbers.groups.items())
    ]
    if not rows:
        return _no_patterns()
    patterns = pd.DataFrame(rows)
    for column in ("parent", "route", "suggestion", "example_unit", "source"):
        patterns[column] = patterns[column].astype("str")
    return patterns


def _no_patterns() -> pd.DataFrame:
    texts = ("parent", "child", "route", "evidence", "suggestion", "example_unit", "source")
    counts = ("units", "calls", "calls_saved")
    kinds = {c: "str" if c in texts else "int64" if c in counts else "float64" for c in PATTERN_COLUMNS}
    return pd.DataFrame(
        {c: pd.Series([], dtype=kind) for c, kind in kinds.items()} | {"_rank": pd.Series([], dtype="int64")}
    )


def _row(prepared: Statements, found: Repeats, part: pd.DataFrame, key: _Pattern) -> dict[str, object]:
    members = part["group"].to_numpy()
    groups = found.groups
    grown = growth(found, key.parent, key.child, key.route, members) if key.parent >= 0 else None
    fitted = grown.scaling if grown is not None and grown.speaks else Scaling()
    bounded = grown is not None and grown.measure == LIMIT and grown.scaling.tested
    facts = claims.Facts(
        shape=prepared.shapes[key.child],
        parent=key.parent >= 0,
        linked=int(part["linked"].max()),
        calls=groups.calls[members],
        parent_rows=found.rows_of(part["parent"].to_numpy()),
        variety=found.variety(members),
        grown=fitted,
        bounded=bounded,
        interrupted=found.interrupted(members),
        everywhere=found.everywhere(key.parent, key.child),
        sure=not found.unsure(members),
    )
    level = claims.level(facts)
    calls = int(groups.calls[members].sum())
    time = float(groups.time_ms[members].sum())
    unit_time = found.unit_time(members)
    parent = prepared.fingerprints[key.parent] if key.parent >= 0 else None
    pages = facts.shape.kind == "lookup" and claims.turns_pages(facts)
    saved = calls - len(members) if level in claims.MENDABLE and not pages else 0
    return {
        "parent": parent,
        "child": prepared.fingerprints[key.child],
        "route": key.route or None,
        "units": len(members),
        "calls": calls,
        "calls_per_unit": calls / len(members),
        "time_ms": time,
        "slope": fitted.slope,
        "slope_low": fitted.low,
        "slope_high": fitted.high,
        "p_value": fitted.p_value,
        "evidence": level,
        "suggestion": suggestions.PAGES
        if pages
        else suggestions.suggestion(parent, prepared.fingerprints[key.child], level, found.moving[key.child]),
        "example_unit": found.example(members),
        "calls_saved": saved,
        "time_saved_ms": time * saved / calls,
        "unit_time_fraction": time / unit_time.sum() if unit_time.sum() else 0.0,
        "unit_p95_ms": float(np.quantile(unit_time, 0.95, method="median_unbiased")),
        "source": found.source(members),
        "_rank": claims.LEVELS.index(level),
    }


def _by_unit(prepared: Statements, found: Repeats, occurrences: pd.DataFrame, patterns: pd.DataFrame) -> pd.DataFrame:
    groups = found.groups
    members = occurrences["group"].to_numpy()
    numbers = occurrences["pattern"].to_numpy()
    level = patterns["evidence"].to_numpy(dtype=object)[numbers]
    table = pd.DataFrame(
        {
            "unit": prepared.units.names.array[groups.unit[members]],
            "parent": patterns["parent"].array.take(numbers),
            "child": patterns["child"].array.take(numbers),
            "calls": groups.calls[members],
            "distinct_parameters": pd.array(groups.distinct[members], dtype="Float64").astype("Int64"),
            "time_ms": groups.time_ms[members],
            "evidence": pd.array(level, dtype="str"),
        }
    )
    rank = patterns["_rank"].to_numpy()[numbers]
    return table.iloc[np.lexsort((-table["time_ms"].to_numpy(), rank))]


def _sentence(prepared: Statements, patterns: pd.DataFrame) -> str:
    where = f"{count(len(prepared.frame), 'statement')} of {count(len(prepared.working_units()), 'unit')}"
    claimed = patterns[patterns["evidence"].isin(claims.CLAIMS)]
    other = len(patterns) - len(claimed)
    also = f"; {count(other, 'other repetition')} that {'is' if other == 1 else 'are'} none" if other else ""
    if not len(claimed):
        return f"no N+1 found in {where}{also}"
    saved, time = int(claimed["calls_saved"].sum()), float(claimed["time_saved_ms"].sum())
    sure = int((claimed["evidence"] == "confirmed").sum())
    kinds = f"{sure} confirmed, {len(claimed) - sure} likely"
    return (
        f"{len(claimed)} N+1 ({kinds}) in {where}: fixing {'it' if len(claimed) == 1 else 'them'} saves "
        f"{count(saved, 'call')} and at most {format_ms(time)} of database time{also}"
    )
