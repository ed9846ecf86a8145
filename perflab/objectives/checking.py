"""`check`: whether objectives hold, fail or can't be told, from an interval over runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from perflab import rendering
from perflab.data.tables import AGGREGATED, Measurements
from perflab.notes import Note, notes_of
from perflab.objectives.cells import Evidence, Flags, Part
from perflab.objectives.grammar import objective_of
from perflab.objectives.objective import EXTREMES, SHARES, Objective, Objectives
from perflab.stats import intervals, replications
from perflab.stats.doubts import NO_FAILURES
from perflab.stats.estimates import Floats, quantile, requests_of
from perflab.units import format_fraction

VERDICTS = ("holds", "fails", "inconclusive")
_COLUMNS = ("objective", "endpoint", "measured", "low", "high", "unit", "runs", "interval", "verdict", "reason")
OVER_RUNS, THIS_RUN = "over runs", "this run only"


@dataclass(frozen=True, repr=False)
class Checked:
    """The result of `check`.

    ``verdict`` is "holds" when every objective does, "fails" when any fails, "inconclusive" otherwise. ``table`` has
    a row for each: objective, endpoint, measured, low, high (95 % interval), unit, runs, interval, verdict, reason.
    ``goals`` are the objectives in the table's order.
    """

    verdict: str
    table: pd.DataFrame
    goals: tuple[Objective, ...]
    warmup: float
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        counts = {word: int((self.table["verdict"] == word).sum()) for word in VERDICTS}
        if len(self.table) == 1:
            row = self.table.iloc[0]
            return f"{row['objective']}: {row['verdict']}: {self._measured(0)}"
        parts = [f"{n} {_verb(word, n)}" for word, n in counts.items() if n]
        worst = self.table.index[self.table["verdict"] == "fails"]
        first = f": {self.table['objective'][worst[0]]}, but {self._measured(int(worst[0]))}" if len(worst) else ""
        return f"Of {len(self.table)} objectives {', '.join(parts)}{first}"

    def _measured(self, position: int) -> str:
        row, goal = self.table.iloc[position], self.goals[position]
        if row["measured"] != row["measured"]:
            return str(row["reason"])
        what = f"measured {goal.written(row['measured'])}"
        if row["low"] != row["low"]:
            return f"{what}; {row['reason']}"
        how = f"{row['runs']} runs" if row["interval"] == OVER_RUNS else THIS_RUN
        return f"{what} (95 % interval {goal.written(row['low'])} to {goal.written(row['high'])}; {how})"

    @property
    def notes(self) -> tuple[object, ...]:
        """How it was decided, and the warnings."""
        cut = (
            f"after the first {format_fraction(self.warmup)} of each run (warm-up)" if self.warmup else "of whole runs"
        )
        return (f"decided by the 95 % interval {cut}: an objective holds or fails when all of it does", *self.warnings)

    def _shown(self) -> pd.DataFrame:
        rows = zip(self.goals, self.table.itertuples(), strict=True)
        texts = [[g.written(v) for v in (r.measured, r.low, r.high)] for g, r in rows]
        interval = [f"{low} to {high}" if low != "–" else "–" for _, low, high in texts]
        shown = {"measured": [t[0] for t in texts], "95 % interval": interval}
        return pd.concat(
            [self.table[["objective", "verdict"]], pd.DataFrame(shown), self.table[["interval", "reason"]]],
            axis="columns",
        )

    def __repr__(self) -> str:
        return rendering.text(self.sentence, self._shown(), self.notes)

    def _repr_html_(self) -> str:
        return rendering.html(self.sentence, self._shown(), self.notes)


def _verb(word: str, count: int) -> str:
    if word == "inconclusive":
        return "can't be told"
    return word if count == 1 else {"holds": "hold", "fails": "fail"}[word]


def check(
    measured: Measurements | pd.DataFrame,
    goals: Objectives | Iterable[Objective | str] | Objective | str,
    *,
    warmup: float | str | None = None,
    allow: str | Collection[str] = (),
) -> Checked:
    """Whether objectives hold, fail, or can't be told from these runs.

    Parameters
    ----------
    measured : the runs of one arm (or a requests table); several runs say more than one.
    goals : objectives, from `read_objectives` or a list; a text such as "p95 of GET /orders < 200ms" is one too.
    warmup : the share of each run to leave out; the plan's, or 10 %, if not given.
    allow : of "invalid", "generator", "plan", "arms", what to take together all the same, with a warning.

    Returns
    -------
    Checked. An objective holds when all of its 95 % interval does, fails when none of it does, and is inconclusive
    otherwise. The run is the unit of replication: Student's interval of the runs' logarithms for latencies and
    throughput, an exact binomial one that counts how runs differ for shares. With one run the interval is from within
    that run, by batch means, and says so. A maximum is refuted by one request and proven by none.

    Every objective is judged at its own 95 %: that all of them hold needs no correction (Berger 1982, an
    intersection-union test).

    Raises
    ------
    ComparisonError : no requests, invalid runs, runs of several arms, plans or generators, unless allowed.
    MissingTableError : no requests table. ValueError : bad arguments, or no objective.

    >>> runs = lab.load("datasets/shop_runs", arm="eager")
    >>> checked = lab.check(runs, [lab.Objective("p95", "<", "2s"), "error rate < 1%", "p95 of GET /orders < 1ms"])
    >>> checked.table.verdict.to_list(), checked.verdict
    (['holds', 'holds', 'fails'], 'fails')
    """
    wanted = objectives_of(goals)
    held = requests_of(measured)
    warnings: list[object] = [*held.warnings, *replications.refusals(held.runs, allow)]
    cut = replications.warmup_of(held.runs, warmup)
    data = Evidence(held, cut)
    rows = [_row(goal, data) for goal in wanted]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    if isinstance(goals, Objectives):
        warnings += goals.notes
    if (table["interval"] == THIS_RUN).any():
        warnings.append("one run: the interval covers this run only, and others may differ; repeat it (3 runs or more)")
    words = table["verdict"].to_list()
    overall = "fails" if "fails" in words else "inconclusive" if "inconclusive" in words else "holds"
    return Checked(overall, table, wanted, cut, notes_of(warnings))


def objectives_of(goals: Any) -> tuple[Objective, ...]:
    """Objectives from one or several, or from texts; ValueError for none or for a text that is none."""
    many = [goals] if isinstance(goals, (Objective, str)) else list(goals)
    wanted = tuple(objective_of(g) if isinstance(g, str) else g for g in many)
    if not wanted:
        raise ValueError("goals must hold at least one objective; got none")
    for goal in wanted:
        if not isinstance(goal, Objective):
            raise ValueError(f'goals must be objectives or texts like "p95 < 200ms"; got {goal!r}')
    return wanted


def _row(goal: Objective, data: Evidence) -> dict[str, Any]:
    row: dict[str, Any] = {"objective": str(goal), "endpoint": goal.endpoint, "unit": goal.unit, "runs": 0}
    row |= dict.fromkeys(("measured", "low", "high"), math.nan) | {"interval": "–", "verdict": "inconclusive"}
    endpoint = goal.endpoint
    if endpoint != AGGREGATED:
        named = data.named(endpoint)
        if len(named) != 1:
            meant = named or data.endpoints
            what = "may mean several endpoints" if named else "has no requests here; there are"
            return row | {"reason": f"{endpoint} {what}: {', '.join(meant[:8])}"}
        endpoint = named[0]
    found = _measure(goal, data, endpoint)
    return row | found | {"endpoint": endpoint}


def _measure(goal: Objective, data: Evidence, endpoint: str) -> dict[str, Any]:
    """measured, low, high, runs, interval, verdict, reason of one objective."""
    if goal.metric == "check_fraction":
        return _events(goal, data.checks(endpoint))
    parts = data.parts(endpoint, only_ok=goal.only_ok, whole=goal.metric == "count")
    if goal.metric in ("throughput_per_s", "count"):
        return _rates(goal, [parts.get(run) for run in data.runs], [data.seconds[run] for run in data.runs])
    if not parts:
        return {"reason": "no requests are left after the warm-up"}
    if goal.metric == "error_fraction" and not data.told:
        return {"reason": str(NO_FAILURES())}
    if goal.metric == "error_fraction":
        return _events(goal, [~part.ok for part in parts.values()])
    return _latencies(goal, [part.latency for part in parts.values()])


def _latencies(goal: Objective, values: list[Floats]) -> dict[str, Any]:
    share, fewest = goal.share, min(map(len, values))
    if goal.metric in EXTREMES:
        return _extremes(goal, values)
    each = np.array([_value(goal, v) for v in values])
    needed = 10 / min(share, 1 - share) if share is not None else 30
    if fewest < round(needed, 6):
        wanted = f"{math.ceil(round(needed, 6)):,} requests in each run after warm-up"
        reason = f"{goal.metric} needs {wanted}; the smallest has {fewest:,}: run longer"
        return {"measured": float(np.exp(np.log(each).mean())) if (each > 0).all() else float(each.mean()),
                "runs": len(values), "reason": reason}  # fmt: skip
    if len(values) > 1:
        return _judged(goal, intervals.over_runs(each), len(values), OVER_RUNS, each)
    if share is None:
        return _judged(goal, intervals.mean_within(values[0]), 1, THIS_RUN, each)
    return _judged(goal, intervals.quantile_within(values[0], share, rank=float(each[0])), 1, THIS_RUN, each)


def _value(goal: Objective, values: Floats) -> float:
    if goal.share is None:
        return float(values.mean())
    if goal.method == "linear":
        return float(np.quantile(values, goal.share))
    return float(quantile(values, [goal.share])[0])


def _extremes(goal: Objective, values: list[Floats]) -> dict[str, Any]:
    """A limit on every request: one that breaks it refutes it, and none can prove it."""
    whole = np.concatenate(values)
    extreme = float(whole.max() if goal.metric == "max" else whole.min())
    found = {"measured": extreme, "runs": len(values)}
    if not goal.met_by(extreme):
        return found | {"verdict": "fails", "reason": f"one of {len(whole):,} requests is enough to refute it"}
    never = "no request broke it, but that proves nothing about the next"
    return found | {"reason": f"{never}: state a quantile, such as p99.9, to have it tested"}


def _rates(goal: Objective, parts: list[Part | None], seconds: list[float]) -> dict[str, Any]:
    counts = np.array([float(len(p)) if p is not None else 0.0 for p in parts])
    if goal.metric == "count":
        return _judged(goal, intervals.over_runs(counts), len(counts), OVER_RUNS, counts) if len(counts) > 1 else (
            _judged(goal, (counts[0], counts[0], counts[0]), 1, THIS_RUN, counts))  # fmt: skip
    if min(seconds) <= 0:
        return {"reason": "the length of a run is unknown, so it has no throughput"}
    rates = counts / np.array(seconds)
    if len(rates) > 1:
        return _judged(goal, intervals.over_runs(rates), len(rates), OVER_RUNS, rates)
    if counts[0] < 2 * intervals.BATCHES or parts[0] is None:
        return {
            "measured": float(rates[0]),
            "runs": 1,
            "reason": "too few requests to tell how steady the throughput is",
        }
    at = parts[0].at
    edges = np.linspace(0, at.max(), intervals.BATCHES + 1)
    each = np.histogram(at, edges)[0] / (edges[1] - edges[0])
    _, low, high = intervals.mean_within(each)
    half = (high - low) / 2
    return _judged(goal, (float(rates[0]), float(rates[0]) - half, float(rates[0]) + half), 1, THIS_RUN, rates)


def _events(goal: Objective, by_run: list[Flags]) -> dict[str, Any]:
    """A share of events by run, or by stretch of the only run."""
    if len(by_run) == 1:
        return _shares(goal, *_stretches(by_run[0]), 1)
    counts = np.array([float(len(events)) for events in by_run])
    return _shares(goal, np.array([float(events.sum()) for events in by_run]), counts, len(by_run))


def _stretches(events: Flags) -> tuple[Floats, Floats]:
    """Events and requests in each stretch of one run."""
    pieces = np.array_split(events, min(intervals.BATCHES, len(events)))
    return np.array([float(p.sum()) for p in pieces]), np.array([float(len(p)) for p in pieces])


def _shares(goal: Objective, events: Floats, counts: Floats, runs: int) -> dict[str, Any]:
    if not counts.sum():
        return {"reason": "nothing was recorded that it could be judged by"}
    each = events / counts
    return _judged(goal, intervals.share(events, counts), runs, OVER_RUNS if runs > 1 else THIS_RUN, each)


def _judged(goal: Objective, found: intervals.Interval, runs: int, interval: str, each: Floats) -> dict[str, Any]:
    measured, low, high = found
    word = verdict(goal, low, high)
    # A floor on what can't go below it: a rate or share has no negative part.
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


def _reason(goal: Objective, word: str, found: intervals.Interval, runs: int, each: Floats) -> str:
    measured, low, high = found
    broken = sum(not goal.met_by(float(v)) for v in each)
    if word != "inconclusive":
        odd = broken if word == "holds" else len(each) - broken
        unlike = f"{odd} of {runs} runs {'broke' if word == 'holds' else 'met'} it" if odd and runs > 1 else ""
        return unlike or f"all of the interval {'meets' if word == 'holds' else 'breaks'} the limit"
    if goal.metric in SHARES and goal.bound in (0.0, 1.0):
        reached = goal.written(high if goal.bound == 0 else low)
        return f"the interval reaches {reached}: {goal.written(goal.bound)} can be refuted, not proven"
    gap = abs(measured - goal.bound)
    half = max(measured - low, high - measured)
    if gap <= half / 10:
        return "the interval holds the limit: the system is as good as at its limit"
    # Without a single event the upper limit shrinks with the number of requests, not with its root.
    power = 1 if goal.metric in SHARES and measured in (0.0, 1.0) else 2
    more = math.ceil(runs * (half / gap) ** power) - runs + 1
    return f"the interval holds the limit; about {more} more run{'s' if more != 1 else ''} would decide"
