"""Calls made one after another that could overlap: what shows it, what it saves, and the fix as code.

Other tools go by the form alone (three calls of half a second each); whether the calls need each other's answers is what their
users dispute. Here each pair of neighbours has evidence over all traces (`steps`, `independence`): a value that only an earlier
answer can have given, other orders and overlaps in other traces, writes, time between them. Assumptions of independence drop
at a counter-example, as in Chow et al. (2014), The Mystery Machine, OSDI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.metrics import quantile
from perflab.notes import Note, Remedy
from perflab.results import Findings, count, findings
from perflab.traces import span_notes
from perflab.traces.independence import CANT_TELL, CLAIMS, DEPENDS, EVIDENCE, LEAST_UNITS, REASONS, WRITES, judged
from perflab.traces.overlap_code import fix
from perflab.traces.pieces import whole_calls
from perflab.traces.replay import replayed
from perflab.traces.steps import Seen, Site, Step, Unit, in_a_row, seen_in
from perflab.traces.trees import Array, Ints, Trees, sampled, spans_of, trees_of
from perflab.units import format_fraction, format_ms, parse_duration

COLUMNS = (
    "route", "service", "parent", "calls", "evidence", "reason", "traces", "traces_fraction", "at_once", "time_ms",
    "saved_mean_ms", "saved_p50_ms", "saved_fraction", "condition", "suggestion", "example_trace", "operations",
)  # fmt: skip
FOR_PEOPLE = (
    "route", "calls", "evidence", "reason", "traces", "traces_fraction", "saved_mean_ms", "saved_p50_ms", "condition",
)  # fmt: skip
_MOST_TRACES = 2_000
"""So many traces of a route show which calls follow each other."""


@dataclass
class _Group:
    """Calls in a row of one unit, of one kind of evidence; ``reasons`` are codes."""

    unit: Unit
    steps: list[Step]
    evidence: str
    reasons: list[str]


def find_sequential(spans: pd.DataFrame | Measurements, least: str | float = "1ms") -> Findings:
    """Find calls (HTTP, SQL, caches) that run one after another and could overlap, and what that would save.

    Parameters
    ----------
    spans : DataFrame or Measurements
        A ``spans`` table, or measurements that hold one: of perflab's request recorder, OpenTelemetry, Jaeger or Zipkin. With
        the traces of both arms, what one arm does at once counts as evidence for the other.
    least : str or float
        What a group must save on average to be listed (a dependent one: take), as "1ms" or a number of seconds.

    Returns
    -------
    Findings
        Groups, those that can overlap first: route, service, parent (the span that makes the calls), calls, evidence, reason,
        traces, traces_fraction (of the route's), at_once (calls that would run together), time_ms (of the calls, per trace
        with the group), saved_mean_ms and saved_p50_ms (of the mean and the median of the route's traces), saved_fraction (of
        the mean), condition, suggestion (code), example_trace, and operations, which `what_if` takes as ``parallel``.

    ``evidence`` is "can overlap" (they do in other traces, or their order differs), "likely" (five or more traces, all reads,
    no value of a call is new in the next, nothing is computed between them), "can't tell", "depends" (a value only an earlier
    answer can have given; a retry) or "writes". Only the first two claim anything, and a write is never suggested. What
    a call needs without a value in its address, statement, header or body (a condition, a lock) is not in traces: read the code
    before the change.

    Raises
    ------
    ValueError
        Columns are missing, or there is no root.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> page = [("page", None, "server", 0, 50), ("price", "page", "client", 2, 20), ("stock", "page", "client", 22, 25)]
    >>> rows = [(n, f"{name} {n}", above and f"{above} {n}", kind, f"GET /{name}", at, took, f"http://shop/{name}/{n}")
    ...         for n in range(5) for name, above, kind, at, took in page]
    >>> spans = pd.DataFrame(rows, columns=["trace", "span", "parent", "kind", "name", "start", "duration_ms", "url"])
    >>> spans["start"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(spans["start"], unit="ms")
    >>> spans["attributes"] = [{"url.full": url} for url in spans.pop("url")]
    >>> lab.find_sequential(spans)[["evidence", "saved_mean_ms"]].values.tolist()
    [['likely', 20.0]]
    """
    least_ms = parse_duration(least, parameter="least")
    table = spans_of(spans)
    chosen = sampled(table, _MOST_TRACES)
    trees = trees_of(whole_calls(table if chosen is None else table[chosen]))
    seen = seen_in(trees)
    groups = [group for unit in seen.units for group in _groups(seen, unit)]
    found = _table(trees, seen, groups, least_ms)
    notes = [*trees.notes, *_cautions(trees, seen, found)]
    if chosen is not None:
        notes.append(span_notes.SAMPLED(most=_MOST_TRACES))
    return findings(found, _sentence(found), notes, shown=FOR_PEOPLE)


def _groups(seen: Seen, unit: Unit) -> Iterator[_Group]:
    """The calls of a unit in rows of one kind of evidence."""
    now: _Group | None = None
    busy_until = 0
    for one, other in zip(unit.steps, unit.steps[1:], strict=False):
        alone = in_a_row(one, other) and other.first >= busy_until - (one.last - one.first) // 20
        busy_until = max(busy_until, one.last)
        if not alone:
            if now:
                yield now
            now = None
            continue
        evidence, reason = judged(seen, unit, one, other)
        goes_on = now is not None and now.steps[-1] is one and _kind(now.evidence) == _kind(evidence)
        if goes_on and now and evidence not in (DEPENDS, WRITES):
            now.steps.append(other)
            now.evidence = max(now.evidence, evidence, key=EVIDENCE.index)
            now.reasons.append(reason)
            continue
        if now:
            yield now
        now = _Group(unit, [one, other], evidence, [reason])
    if now:
        yield now


def _kind(evidence: str) -> str:
    return "claim" if evidence in CLAIMS else evidence


def _table(trees: Trees, seen: Seen, groups: Sequence[_Group], least_ms: float) -> pd.DataFrame:
    before = (trees.last - trees.first)[trees.roots] / 1e6
    routes = trees.routes
    found: dict[tuple[Site, tuple[str, ...], str], list[_Group]] = {}
    for group in groups:
        # In whatever order they come, they are the same calls.
        key = (group.unit.site, tuple(sorted(_counted(group.steps))), group.evidence)
        found.setdefault(key, []).append(group)
    rows = []
    for (site, _, evidence), part in found.items():
        own = routes == site[0]
        # As far as other evidence of the same calls goes the weakest holds; only these traces are replayed.
        after = _overlapped(trees, part) / 1e6 if evidence not in (DEPENDS, WRITES) else before
        mean, middle = _saved(before[own], after[own])
        time_ms = sum(s.last - s.first for g in part for s in g.steps) / len({g.unit.root for g in part}) / 1e6
        if (time_ms if evidence in (DEPENDS, WRITES) else mean) < least_ms:
            continue
        order = Counter(tuple(_counted(group.steps)) for group in part).most_common(1)[0][0]
        labels = list(dict.fromkeys(label for group in part for label in (s.what.label for s in group.steps)))
        labels.sort(key=lambda label: next((i for i, o in enumerate(order) if o.startswith(label)), 99))
        roots = {group.unit.root for group in part}
        traces = trees.frame["trace"].astype("str")
        took = {str(traces.iloc[g.unit.root]): sum(s.last - s.first for s in g.steps) for g in part}
        at_once = max(len(group.steps) for group in part)
        code = Counter(reason for group in part for reason in group.reasons).most_common(1)[0][0]
        database = any(step.what.stores for step in part[0].steps)
        recorded = any(root in seen.loops for root in roots)
        known = recorded or any(step.strand >= 0 for step in part[0].steps)
        rows.append(
            {
                "route": site[0], "service": site[1], "parent": site[2], "calls": "; ".join(order), "evidence": evidence,
                "reason": REASONS[code], "traces": len(roots), "traces_fraction": len(roots) / max(int(own.sum()), 1),
                "at_once": at_once, "time_ms": time_ms,
                "saved_mean_ms": mean, "saved_p50_ms": middle, "saved_fraction": mean / max(float(before[own].mean()), 1e-9),
                "condition": _condition(part[0].steps, at_once) if evidence not in (DEPENDS, WRITES) else "",
                "suggestion": fix(_each(order), loop=recorded if known else None, database=database)
                if evidence in CLAIMS
                else "",
                "example_trace": max(took, key=lambda trace: (took[trace], trace)), "operations": tuple(labels),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("traces", "at_once"), "int64")
    numbers |= {c: "float64" for c in COLUMNS if c.endswith(("_ms", "_fraction"))}
    table = table.astype(numbers)
    rank = table["evidence"].map({name: _rank(place) for place, name in enumerate(EVIDENCE)}).astype("int64")
    order_of = np.lexsort([-table["time_ms"], -table["saved_mean_ms"], rank])
    return table.iloc[order_of].reset_index(drop=True)


def _rank(place: int) -> int:
    return max(place, 1)


def _counted(steps: Sequence[Step]) -> list[str]:
    """The labels in order, a loop as one with its mark."""
    found: list[str] = []
    for step in steps:
        label = step.what.label
        if found and found[-1].removesuffix(" × n") == label:
            found[-1] = f"{label} × n"
        else:
            found.append(label)
    return found


def _each(order: Sequence[str]) -> list[str]:
    return [label.removesuffix(" × n") for label in order]


def _overlapped(trees: Trees, groups: Sequence[_Group]) -> Array:
    """How long each root takes where the calls of each group overlap, in ns."""
    number: Ints = np.full(len(trees.parent), -1, dtype="int64")
    for place, group in enumerate(groups):
        number[[step.place for step in group.steps]] = place
    return replayed(trees, number, {})


def _saved(before: Array, after: Array) -> tuple[float, float]:
    middle = [float(quantile(values.astype("float64"), [0.5])[0]) for values in (before, after)]
    return float(before.mean() - after.mean()), middle[0] - middle[1]


def _condition(steps: Sequence[Step], at_once: int) -> str:
    """``if shop:80 handles 3 calls at once``; of several hosts each one its share."""
    hosts = Counter("the database" if step.what.stores else _host(step.what.label) for step in steps)
    if len(hosts) == 1 and at_once > len(steps):
        hosts = Counter({next(iter(hosts)): at_once})
    listed = [f"{host or 'each service called'} handles {number} calls" for host, number in hosts.most_common(3)]
    many = [text for text, (_, number) in zip(listed, hosts.most_common(3), strict=True) if number > 1]
    return f"if {' and '.join(many)} at once" if many else "if each handles its call while the others run"


def _host(label: str) -> str:
    """``GET shop:80/items/{}`` goes to shop:80."""
    return label.partition(" ")[2].partition("/")[0]


def _cautions(trees: Trees, seen: Seen, table: pd.DataFrame) -> list[Note]:
    notes = []
    claimed = table[table["evidence"].isin(CLAIMS)]
    if len(claimed):
        notes.append(span_notes.CAPACITY(most=int(claimed["at_once"].max())))
        routes = dict(zip(trees.roots.tolist(), trees.routes, strict=True))
        if {routes[root] for root in seen.loops} & set(claimed["route"]):
            notes.append(span_notes.ONE_LOOP())
        notes.append(span_notes.CODE())
    undecided = table[table["evidence"] == CANT_TELL]
    if (undecided["reason"] == REASONS["few"]).any():
        most = int(pd.Series(trees.routes).value_counts().max())
        notes.append(span_notes.FEW_TRACES(traces=most, needed=LEAST_UNITS))
    unseen = sum(s.what.values is None for unit in seen.units for s in unit.steps)
    if unseen and (undecided["reason"] == REASONS["unseen"]).any():
        notes.append(span_notes.NO_VALUES(calls=unseen))
    if (table["reason"] == REASONS["loop"]).any():
        notes.append(span_notes.LOOPS(Remedy("find_n_plus_one", {}, given="measurements")))
    return notes


def _sentence(table: pd.DataFrame) -> str:
    claimed = table[table["evidence"].isin(CLAIMS)]
    if not len(claimed):
        open_ = int((table["evidence"] == CANT_TELL).sum())
        more = f"; of {count(open_, 'group')} the traces don't show whether they could" if open_ else ""
        return f"no calls in a row that could overlap{more}"
    top = claimed.iloc[0]
    certainly = "can" if top["evidence"] == CLAIMS[0] else "can most likely"
    more = f"; {count(len(claimed) - 1, 'further group')}" if len(claimed) > 1 else ""
    return (
        f"{count(int(top['at_once']), 'call')} in a row of {top['route']} {certainly} overlap, in "
        f"{format_fraction(float(top['traces_fraction']))} of its traces: {format_ms(float(top['saved_mean_ms']))} "
        f"({format_fraction(float(top['saved_fraction']))}) less on average, {top['condition']}{more}"
    )
