"""`check`: whether objectives hold, fail or are inconclusive, from an interval over runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import COUNT, RATE, SHARE, VITALS
from perflab.notes import PYTHON, Note, Remedy, notes_of, written
from perflab.objectives import cautions
from perflab.objectives.cautions import DECIDED, DECIDED_WHOLE
from perflab.objectives.cells import Evidence, Flags, Part, Reduced
from perflab.objectives.grammar import objective_of
from perflab.objectives.objective import Objective, Objectives
from perflab.objectives.offered import as_far_as_offered, load_is_known, under_its_load
from perflab.objectives.pages_answered import pages_answered
from perflab.results import Result, Shown, count
from perflab.stats import intervals, replications, visits
from perflab.stats.estimates import Floats, by_run, quantile, requests_of
from perflab.units import format_fraction

VERDICTS = ("holds", "fails", "inconclusive")
_COLUMNS = ("objective", "endpoint", "measured", "low", "high", "unit", "runs", "interval", "verdict", "reason")
OVER_RUNS, THIS_RUN = "over runs", "this run only"


@dataclass(frozen=True, repr=False)
class Checked(Result):
    """The result of `check`.

    ``verdict`` is "holds" when every objective does, "fails" when any fails, "inconclusive" otherwise. ``table`` has
    a row for each: objective, endpoint, measured, low, high (95 % interval), unit, runs, interval, verdict, reason.
    ``goals`` are the objectives in the table's order, ``reasons`` the notes behind its last column. ``unread`` lines of a
    document look like requirements and were not understood: each counts as an inconclusive objective.
    """

    verdict: str
    table: pd.DataFrame
    goals: tuple[Objective, ...]
    warmup: float
    reasons: tuple[Note, ...]
    warnings: tuple[Note, ...] = ()
    unread: int = 0

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        return self._sentence(PYTHON)

    @property
    def notes(self) -> tuple[Note, ...]:
        """How it was decided, and the warnings."""
        return (DECIDED(cut=format_fraction(self.warmup)) if self.warmup else DECIDED_WHOLE(), *self.warnings)

    def show(self, surface: str = PYTHON) -> Shown:
        """The answer, a row for each objective, and how it was decided."""
        rows = zip(self.goals, self.table.itertuples(), strict=True)
        texts = [[g.written(v) for v in (r.measured, r.low, r.high)] for g, r in rows]
        columns = {
            "measured": [t[0] for t in texts],
            "95 % interval": ["–" if low == "–" else f"{low} to {high}" for _, low, high in texts],
            "covers": self.table["interval"],
            "reason": list(written(self.reasons, surface)),
        }
        table = self.table[["objective", "verdict"]].assign(**columns)
        return Shown(self._sentence(surface), table, written(self.notes, surface), ours=True)

    def _sentence(self, surface: str) -> str:
        if len(self.table) == 1 and not self.unread:
            row = self.table.iloc[0]
            return f"{row['objective']}: {row['verdict']}: {self.said(0, surface)}"
        counts = {word: int((self.table["verdict"] == word).sum()) for word in VERDICTS}
        counts["inconclusive"] += self.unread
        parts = [f"{n} {_verb(word, n)}" for word, n in counts.items() if n]
        worst = self.table.index[self.table["verdict"] == "fails"]
        first = f": {self.table['objective'][worst[0]]}, but {self.said(int(worst[0]), surface)}" if len(worst) else ""
        unread = f" ({count(self.unread, 'line')} not understood)" if self.unread else ""
        return f"Of {len(self.table) + self.unread} objectives, {', '.join(parts)}{unread}{first}"

    def said(self, position: int, surface: str = PYTHON) -> str:
        """What was measured for the objective in a row of the table, or why it is inconclusive."""
        row, goal, reason = self.table.iloc[position], self.goals[position], self.reasons[position].written(surface)
        if row["measured"] != row["measured"]:
            return reason
        what = f"measured {goal.written(row['measured'])}"
        if row["low"] != row["low"]:
            return f"{what}; {reason}"
        how = f"{row['runs']} runs" if row["interval"] == OVER_RUNS else THIS_RUN
        return f"{what} (95 % interval {goal.written(row['low'])} to {goal.written(row['high'])}; {how})"


def _verb(word: str, number: int) -> str:
    if word == "inconclusive":
        return "is inconclusive" if number == 1 else "are inconclusive"
    return word if number == 1 else {"holds": "hold", "fails": "fail"}[word]


def check(
    measured: Measurements | pd.DataFrame,
    goals: Objectives | Iterable[Objectives | Objective | str] | Objective | str,
    *,
    warmup: float | str | None = None,
    allow: str | Collection[str] = (),
) -> Checked:
    """Whether objectives hold, fail or are inconclusive in these runs.

    Parameters
    ----------
    measured : Measurements or DataFrame
        The runs of one arm (or a requests table); several runs say more than one.
    goals : objectives
        From `read_objectives`, or a list; a text such as "p95 of GET /orders < 200ms" is one too.
    warmup : float or str
        The share of each run to leave out; the plan's, or 10 %, if not given.
    allow : str or collection of str
        Of "invalid", "generator", "plan", "arms": check these runs anyway, with a warning.

    Returns
    -------
    Checked
        An objective holds when all of its 95 % interval does, fails when none of it does, and is inconclusive
        otherwise. The run is the unit of replication: Student's interval of the runs' logarithms for latencies and
        throughput, an exact binomial interval that allows for run-to-run differences for shares. With one run the
        interval covers that run only (batch means), and says so. One request refutes a maximum; none can prove it. An
        objective that names its load ("at 200 users") holds under that load or more, and fails under it or less.

    Objectives on pages ("LCP < 2.5 s") are decided by the visits of `run_pages`, each run by the median of its visits.

    Each objective is tested at its own 95 %: that all of them hold needs no correction (Berger 1982, an
    intersection-union test).

    Raises
    ------
    ComparisonError
        No requests, invalid runs, runs of several arms, plans or generators, unless allowed.
    MissingTableError
        Neither requests nor vitals.
    ValueError
        Bad arguments, or no objective.

    >>> runs = lab.load("datasets/shop_runs", arm="eager")
    >>> checked = lab.check(runs, [lab.Objective("p95", "<", "2s"), "error rate < 1%", "p95 of GET /orders < 1ms"])
    >>> checked.table.verdict.to_list(), checked.verdict
    (['holds', 'holds', 'fails'], 'fails')
    """
    given = [goals] if isinstance(goals, (Objectives, Objective, str)) else list(goals)
    wanted = objectives_of(given)
    loaded, pages = _evidence(measured)
    held = loaded or pages
    assert held is not None
    warnings: list[object] = [*held.warnings]
    for side in filter(None, (loaded, pages)):
        warnings += replications.refusals(side.runs, allow)
    cut = replications.warmup_of(held.runs, warmup) if loaded else 0.0
    data = Evidence(loaded, cut) if loaded else None, Evidence(pages, 0.0) if pages else None
    rows: list[dict[str, Any]] = [{}] * len(wanted)
    for pages_asked, own in enumerate(data):
        places = [place for place, goal in enumerate(wanted) if (goal.measure.table == VITALS) == bool(pages_asked)]
        for place, row in zip(places, _rows([wanted[place] for place in places], own), strict=True):
            rows[place] = row
    reasons = tuple(row["reason"] for row in rows)
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).assign(reason=list(map(str, reasons)))
    documents = [part for part in given if isinstance(part, Objectives)]
    warnings += [note for part in documents for note in part.notes] + pages_answered(documents, held)
    warnings += [cautions.CONDITION(condition=g.load, objective=str(g)) for g in wanted if not load_is_known(g, held)]
    if (table["interval"] == THIS_RUN).any():
        warnings.append(cautions.ONE_RUN())
    unread = sum(len(part.not_understood) for part in documents)
    words = [*table["verdict"], *["inconclusive"] * min(1, unread)]
    overall = "fails" if "fails" in words else "inconclusive" if "inconclusive" in words else "holds"
    return Checked(overall, table, wanted, cut, reasons, notes_of(warnings), unread)


def _evidence(measured: Measurements | pd.DataFrame) -> tuple[Measurements | None, Measurements | None]:
    """The runs under load and those of pages, either of which may be missing."""
    if not isinstance(measured, Measurements) or VITALS not in measured.tables:
        return requests_of(measured), None
    runs, visited = measured.runs["run"], set(measured.vitals["run"])
    pages = visits.as_requests(measured.where(run=[run for run in runs if run in visited]))
    if "requests" not in measured.tables:
        return None, pages
    sent = set(measured.requests["run"])
    return requests_of(measured.where(run=[run for run in runs if run in sent or run not in visited])), pages


def objectives_of(goals: Any) -> tuple[Objective, ...]:
    """Objectives from one or several, from texts or documents; ValueError for none or for a text that is not one."""
    many = [goals] if isinstance(goals, (Objective, str)) else list(goals)
    flat = [one for part in many for one in (part if isinstance(part, Objectives) else [part])]
    wanted = tuple(objective_of(g) if isinstance(g, str) else g for g in flat)
    if not wanted:
        raise ValueError("goals must hold at least one objective; got none")
    for goal in wanted:
        if not isinstance(goal, Objective):
            raise ValueError(f'goals must be objectives or texts like "p95 < 200ms"; got {goal!r}')
    return wanted


def _rows(goals: Sequence[Objective], data: Evidence | None) -> list[dict[str, Any]]:
    """A row for each objective; the runs are read once for all of them."""
    if data is None:
        return [_row(goal, [], None, {}) for goal in goals]
    names = [[goal.endpoint] if goal.endpoint == AGGREGATED else data.named(goal.endpoint) for goal in goals]
    wanted = [(g, n[0]) for g, n in zip(goals, names, strict=True) if len(n) == 1 and _of_requests(g)]
    asked = [(n, g.only_ok, g.measure.kind == COUNT, partial(_value_of, g)) for g, n in wanted]
    found = dict(zip(((id(goal), name) for goal, name in wanted), data.reduced(asked), strict=True))
    return [_row(goal, own, data, found) for goal, own in zip(goals, names, strict=True)]


Found = Mapping[tuple[int, str], Mapping[str, Reduced]]


def _of_requests(goal: Objective) -> bool:
    """Whether it is computed from single requests."""
    metric = goal.measure
    return metric.table not in ("checks", "cached") and (metric.is_latency or metric.kind in (RATE, COUNT, SHARE))


def _row(goal: Objective, named: list[str], data: Evidence | None, reduced: Found) -> dict[str, Any]:
    row: dict[str, Any] = {"objective": str(goal), "endpoint": goal.endpoint, "unit": goal.unit, "runs": 0}
    row |= dict.fromkeys(("measured", "low", "high"), math.nan) | {"interval": "–", "verdict": "inconclusive"}
    endpoint = goal.endpoint
    if data is None:
        call = "run_pages" if goal.measure.table == VITALS else "run"
        return row | {"reason": cautions.OTHER_EVIDENCE(Remedy(call, given="plan, target"), metric=goal.measure.label)}
    if endpoint != AGGREGATED:
        if len(named) != 1:
            kind = cautions.AMBIGUOUS if named else cautions.NO_SUCH_ENDPOINT
            return row | {"reason": kind(endpoint=endpoint, endpoints=named or data.endpoints)}
        endpoint = named[0]
    found = under_its_load(goal, _measure(goal, data, endpoint, reduced), data.measured)
    return row | found | {"endpoint": endpoint}


def _measure(goal: Objective, data: Evidence, endpoint: str, reduced: Found) -> dict[str, Any]:
    """measured, low, high, runs, interval, verdict, reason of one objective."""
    metric = goal.measure
    if metric.table == "checks":
        return _events(goal, data.checks(endpoint))
    if metric.table == "cached":
        outcomes = data.cached(endpoint)
        return _events(goal, outcomes) if outcomes else {"reason": cautions.NOT_RECORDED(metric=metric.label)}
    if not _of_requests(goal):
        return _by_run(goal, data, endpoint)
    parts = reduced[id(goal), endpoint]
    if metric.kind in (RATE, COUNT):
        found = _rates(goal, [parts.get(run) for run in data.runs], [data.seconds[run] for run in data.runs])
        return as_far_as_offered(goal, found, data.measured.runs) if metric.kind == RATE else found
    if not parts:
        return {"reason": cautions.NO_REQUESTS()}
    if metric.kind == SHARE and not data.knows_failures:
        return {"reason": cautions.NO_FAILURES_KNOWN()}
    if metric.kind == SHARE:
        only = next(iter(parts.values())).part if len(parts) == 1 else None
        if only is not None:
            return _shares(goal, *_stretches(~only.ok), 1)
        return _shares(
            goal, _floats(p.failed for p in parts.values()), _floats(p.requests for p in parts.values()), len(parts)
        )
    return _latencies(goal, list(parts.values()))


def _floats(values: Iterable[float]) -> Floats:
    return np.array([float(value) for value in values])


def _by_run(goal: Objective, data: Evidence, endpoint: str) -> dict[str, Any]:
    """A metric of which a run has one value: sizes, CPU, memory, I/O."""
    metric = goal.measure
    if endpoint != AGGREGATED and not metric.has_endpoints:
        return {"reason": cautions.WHOLE_RUN(metric=metric.label)}
    table = by_run(data.measured, [metric], warmup=data.warmup)
    each = table.loc[table["endpoint"] == endpoint, metric.name].dropna().to_numpy(dtype="float64")
    if not len(each):
        return {"reason": cautions.NOT_RECORDED(metric=metric.label)}
    if len(each) == 1:
        return {"measured": float(each[0]), "runs": 1, "reason": cautions.ONE_VALUE(metric=metric.label)}
    return _judged(goal, intervals.over_runs(each, relative=metric.relative), len(each), OVER_RUNS, each)


def _latencies(goal: Objective, values: list[Reduced]) -> dict[str, Any]:
    share, fewest = goal.share, min(one.requests for one in values)
    if goal.is_extreme:
        return _extremes(goal, values)
    each = _floats(one.value for one in values)
    metric = goal.measure
    if fewest < metric.rows_needed:
        reason = cautions.TOO_FEW(metric=metric.label, needed=metric.rows_needed, found=fewest)
        return {"measured": metric.typical(each), "runs": len(values), "reason": reason}
    only = values[0].part
    if only is None:
        return _judged(goal, intervals.over_runs(each), len(values), OVER_RUNS, each)
    if share is None:
        return _judged(goal, intervals.mean_within(only.latency), 1, THIS_RUN, each)
    return _judged(goal, intervals.quantile_within(only.latency, share, rank=float(each[0])), 1, THIS_RUN, each)


def _value_of(goal: Objective, part: Part) -> float:
    """The value of one run, where the objective limits a latency."""
    values = part.latency
    if not goal.measure.is_latency:
        return math.nan
    if goal.is_extreme:
        return float(values.max() if goal.measure.is_maximum else values.min())
    if goal.share is None:
        return float(values.mean())
    if goal.method == "linear":
        return float(np.quantile(values, goal.share))
    return float(quantile(values, [goal.share])[0])


def _extremes(goal: Objective, values: list[Reduced]) -> dict[str, Any]:
    """A limit on every request: one that breaks it refutes it, and none can prove it."""
    extreme = (max if goal.measure.is_maximum else min)(one.value for one in values)
    found = {"measured": extreme, "runs": len(values)}
    if not goal.met_by(extreme):
        return found | {"verdict": "fails", "reason": cautions.REFUTED(requests=sum(one.requests for one in values))}
    return found | {"reason": cautions.NOT_PROVABLE()}


def _rates(goal: Objective, parts: list[Reduced | None], seconds: list[float]) -> dict[str, Any]:
    counts = _floats(p.requests if p is not None else 0 for p in parts)
    if goal.measure.kind == COUNT:
        return _judged(goal, intervals.over_runs(counts), len(counts), OVER_RUNS, counts) if len(counts) > 1 else (
            _judged(goal, (counts[0], counts[0], counts[0]), 1, THIS_RUN, counts))  # fmt: skip
    if min(seconds) <= 0:
        return {"reason": cautions.NO_LENGTH()}
    rates = counts / np.array(seconds)
    if len(rates) > 1:
        return _judged(goal, intervals.over_runs(rates), len(rates), OVER_RUNS, rates)
    if counts[0] < 2 * intervals.BATCHES or parts[0] is None or parts[0].part is None:
        return {"measured": float(rates[0]), "runs": 1, "reason": cautions.TOO_FEW_FOR_RATE()}
    at = parts[0].part.at
    edges = np.linspace(0, at.max(), intervals.BATCHES + 1)
    each = np.histogram(at, edges)[0] / (edges[1] - edges[0])
    _, low, high = intervals.mean_within(each)
    half = (high - low) / 2
    return _judged(goal, (float(rates[0]), float(rates[0]) - half, float(rates[0]) + half), 1, THIS_RUN, rates)


def _events(goal: Objective, by_run: list[Flags]) -> dict[str, Any]:
    """A share of events by run, or by batch of the only run."""
    if len(by_run) == 1:
        return _shares(goal, *_stretches(by_run[0]), 1)
    counts = np.array([float(len(events)) for events in by_run])
    return _shares(goal, np.array([float(events.sum()) for events in by_run]), counts, len(by_run))


def _stretches(events: Flags) -> tuple[Floats, Floats]:
    """Events and requests in each batch of one run."""
    pieces = np.array_split(events, min(intervals.BATCHES, len(events)))
    return np.array([float(p.sum()) for p in pieces]), np.array([float(len(p)) for p in pieces])


def _shares(goal: Objective, events: Floats, counts: Floats, runs: int) -> dict[str, Any]:
    if not counts.sum():
        return {"reason": cautions.NO_EVENTS()}
    each = events / counts
    return _judged(goal, intervals.share(events, counts), runs, OVER_RUNS if runs > 1 else THIS_RUN, each)


def _judged(goal: Objective, found: intervals.Interval, runs: int, interval: str, each: Floats) -> dict[str, Any]:
    measured, low, high = found
    word = verdict(goal, low, high)
    # No interval reaches below zero.
    row = {
        "measured": measured,
        "low": max(0.0, low),
        "high": high,
        "runs": runs,
        "interval": interval,
        "verdict": word,
    }
    return row | {"reason": _reason(goal, word, found, runs, each)}


def verdict(goal: Objective, low: float, high: float) -> str:
    """The verdict on one objective: a small function over an interval and a limit.

    >>> verdict(Objective("p95", "<", 200), 180.0, 195.0), verdict(Objective("p95", "<", 200), 190.0, 210.0)
    ('holds', 'inconclusive')
    """
    bound = goal.bound
    if goal.operator in ("==", "!="):
        same, apart = low == high == bound, not low <= bound <= high
        word = "holds" if same else "fails" if apart else "inconclusive"
        return word if goal.operator == "==" else {"holds": "fails", "fails": "holds"}.get(word, word)
    ends = (goal.met_by(low), goal.met_by(high))
    return "holds" if all(ends) else "inconclusive" if any(ends) else "fails"


def _reason(goal: Objective, word: str, found: intervals.Interval, runs: int, each: Floats) -> Note:
    measured, low, high = found
    broken = sum(not goal.met_by(float(v)) for v in each)
    if word != "inconclusive":
        holds = word == "holds"
        odd = broken if holds else len(each) - broken
        if odd and runs > 1:
            return (cautions.SOME_BREAK if holds else cautions.SOME_MEET)(odd=odd, runs=runs)
        return (cautions.MEETS if holds else cautions.BREAKS)()
    is_share = goal.measure.kind == SHARE
    if is_share and goal.bound in (0.0, 1.0):
        reached = goal.written(high if goal.bound == 0 else low)
        return cautions.NOT_PROVABLE_SHARE(reached=reached, limit=goal.written(goal.bound))
    gap = abs(measured - goal.bound)
    half = max(measured - low, high - measured)
    if gap <= half / 10:
        return cautions.AT_LIMIT()
    # Without a single event the upper limit shrinks with the number of requests, not with its root.
    power = 1 if is_share and measured in (0.0, 1.0) else 2
    return cautions.MORE_RUNS(more=math.ceil(runs * (half / gap) ** power) - runs + 1)
