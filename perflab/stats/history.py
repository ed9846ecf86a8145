"""`change_points`: where a metric changed for good in a long history of runs, and the experiment that would confirm it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Floats, Metric
from perflab.notes import PYTHON, Note, Remedy, count, notes_of, written
from perflab.results import Result, Shown
from perflab.stats import doubts, ranks, replications
from perflab.stats.distributions import t_sf
from perflab.stats.estimates import of_endpoint, requests_of, whose
from perflab.stats.mix import on_a_mix
from perflab.stats.planning import MOST, pairs_for
from perflab.units import format_fraction, format_p, format_value, parse_fraction

P_VALUE = 0.0001
LEAST_CHANGE = 0.03
LEAST_SDS = 1.0
LEAST_SEGMENT = 3
LEAST_RUNS = 10
_WIDEST = 1_000
"""Longer stretches are searched without the free right end: that table grows with the square of the length."""
_ALIKE = 0.2
_MOST_ALIKE = 0.9
_SHORT = 40
COLUMNS = ("run", "start", "before", "after", "change", "p_value")


@dataclass(frozen=True)
class Demand:
    """What a change must be: at least so large (relative, for logarithms), against errors so many times as wide."""

    least: float
    relative: bool
    widened: float = 1.0


@dataclass(frozen=True, repr=False)
class ChangePoints(Result):
    """The result of `change_points`.

    ``table`` has a row for each change: run and start of the first run after it, before and after (typical values of
    the stretches on both sides), change (relative), p_value, and last_before (the run before it). ``values`` is the
    history behind it: run, start, value, segment. ``pairs`` says for each change how many pairs would confirm it. ``drift`` is
    the change a run where a line fits better than steps do, else NaN.
    """

    table: pd.DataFrame
    values: pd.DataFrame
    metric: str
    endpoint: str
    unit: str
    pairs: tuple[int, ...]
    warnings: tuple[Note, ...] = ()
    drift: float = math.nan

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        what = self.metric if not self.endpoint else f"{self.metric} of {whose(self.endpoint)}"
        runs = count(len(self.values), "run")
        if self.drift == self.drift:
            size = format_fraction(abs(self.drift)) if (self.values["value"] > 0).all() else f"{abs(self.drift):.3g}"
            return f"{what} {'rises' if self.drift > 0 else 'falls'} by {size} a run over {runs}: a drift, not a step"
        if self.table.empty:
            return f"{what}: no lasting change in {runs}"
        first = "; ".join(
            f"{'up' if r.change > 0 else 'down'} {format_fraction(abs(r.change))} from run {r.run} on"
            for r in self.table.head(3).itertuples()
        )
        more = f" and {len(self.table) - 3} more" if len(self.table) > 3 else ""
        return f"{what} changed {_times(len(self.table))} in {runs}: {first}{more}"

    @property
    def notes(self) -> tuple[Note, ...]:
        """The confirming experiment for each change, how it was decided, and the warnings."""
        confirm = [
            doubts.CONFIRM(
                Remedy("run_pairs", {"pairs": needed}, given="plan, before, after"),
                before=r.last_before,
                after=r.run,
                pairs=needed,
            )
            for r, needed in zip(self.table.itertuples(), self.pairs, strict=True)
        ]
        return (
            *confirm,
            doubts.CHANGES_DECIDED(level=f"{P_VALUE:g}", least_fraction=LEAST_CHANGE),
            *self.warnings,
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the changes and the notes for a surface."""
        table, write = self.table, Metric.of(self.metric).format if self.unit else partial(format_value, "")
        shown = pd.DataFrame(
            {
                "from_run": table["run"],
                "start": table["start"],
                "before": list(map(write, table["before"])),
                "after": list(map(write, table["after"])),
                "change": [f"{'+' if v > 0 else ''}{format_fraction(v)}" for v in table["change"]],
                "p": list(map(format_p, table["p_value"])),
            }
        )
        return Shown(self.sentence, None if table.empty else shown, written(self.notes, surface), ours=True)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def change_points(
    history: Measurements | pd.DataFrame,
    *,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    minimum: float | str = LEAST_CHANGE,
    warmup: float | str | None = None,
    allow: str | Collection[str] = (),
) -> ChangePoints:
    """Where a metric changed for good over many runs.

    Parameters
    ----------
    history : Measurements or DataFrame
        Many runs (``load("runs", arm="nightly")``), or a DataFrame with run, start and value.
    metric, endpoint, warmup : optional
        What to take from Measurements; for a DataFrame ``metric`` is only the name of its values.
    minimum : float or str
        The smallest relative change to report; one standard deviation of the runs is demanded besides.
    allow : str or collection of str
        Of "invalid", "generator", "plan", "arms", what to take together anyway.

    Returns
    -------
    ChangePoints
        Its ``table`` has run, start, before, after, change, p_value. A history says when something changed, not why: whatever
        else changed with it looks the same. So each change comes with the experiment that confirms it.

        The candidates come from E-divisive, Matteson and James (2014), A nonparametric approach for multiple change point
        analysis of multivariate data, JASA 109; each must pass Student's t-test of the stretches on both sides at p < 0.0001
        (as small as that because the place was chosen after seeing the data), and the exact test of their ranks (of so few
        runs that it can't get there: no overlap), which skewed and heavy-tailed histories do not fool. Where runs resemble
        their neighbours, errors are taken wider. In simulations fewer than 0.5 % of stable histories of 100 runs show a change
        (with an autocorrelation of 0.4 between runs: 5 %), and 10 % shifts at a run-to-run sd of 5 % are found in more than
        94 % (datasets/calibration/histories.csv).

    Raises
    ------
    ComparisonError
        Invalid runs, several plans, generators or arms, unless allowed.
    ValueError
        A history without run, start and value, or with missing or naive ones.

    >>> start = pd.date_range("2026-01-01", periods=60, freq="D", tz="UTC")
    >>> noise = np.random.default_rng(1).normal(0, 0.05, 60)
    >>> value = 100 * np.exp(noise) * np.where(np.arange(60) < 40, 1.0, 1.2)
    >>> found = lab.change_points(pd.DataFrame({"run": range(60), "start": start, "value": value}))
    >>> found.table.run.to_list()
    ['40']
    """
    least = parse_fraction(minimum, parameter="minimum")
    if not 0 <= least < 1:
        raise ValueError(f"minimum must be between 0 and 1 (3% or 0.03); got {minimum!r}")
    if isinstance(history, Measurements) or "latency_ms" in history.columns:
        values, warnings = _measured(history, metric, endpoint, warmup, allow)
        unit = Metric.of(metric).unit
    else:
        values, warnings, endpoint, unit = _given(history), [], "", _unit(metric)
    numbers = values["value"].to_numpy(dtype="float64")
    scaled, relative = (np.log(numbers), True) if (numbers > 0).all() else (numbers, False)
    demand = Demand(least, relative, _widened(scaled))
    if len(scaled) < _SHORT:
        # In a short history a large step looks like autocorrelation: that of what a first pass leaves counts.
        first = Demand(least, relative)
        steps = _kept(scaled, _candidates(scaled, first), first)
        demand = Demand(least, relative, _widened(_residues(scaled, _segments(steps, len(scaled)))))
    found = _kept(scaled, _candidates(scaled, demand), demand)
    drift = _drift(scaled, found) if found else None
    found = [] if drift is not None else found
    edges = [0, *found, len(numbers)]
    segment = _segments(found, len(numbers))
    rows = [_row(values, scaled, demand, *edges[i : i + 3]) for i in range(len(found))]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "last_before"])
    pairs = tuple(_confirming(scaled, segment, float(change)) for change in table["change"])
    return ChangePoints(
        table,
        values.assign(segment=segment),
        metric,
        endpoint,
        unit,
        pairs,
        notes_of(warnings + _doubts(scaled, segment, demand.widened)),
        math.nan if drift is None else (math.expm1(drift) if relative else drift),
    )


def _measured(
    history: Any, metric: str, endpoint: str, warmup: float | str | None, allow: str | Collection[str]
) -> tuple[pd.DataFrame, list[Note]]:
    Metric.of(metric)
    held = requests_of(history)
    warnings = replications.refusals(held.runs, allow, call="change_points")
    found, note = on_a_mix(held, Metric.of(metric), replications.warmup_of(held.runs, warmup), endpoint)
    warnings += [note] if note else []
    chosen = of_endpoint(found, endpoint)
    start = chosen["run"].map(held.runs.set_index("run")["start"])
    values = pd.DataFrame({"run": chosen["run"], "start": start, "value": chosen[metric]}).dropna(subset="value")
    if values["start"].isna().any():
        warnings.append(doubts.START_UNKNOWN())
        return values.reset_index(drop=True), warnings
    return values.sort_values("start", kind="stable").reset_index(drop=True), warnings


def _unit(metric: str) -> str:
    """The unit of values that somebody else measured, where their name is that of a metric."""
    try:
        return Metric.of(metric).unit
    except ValueError:
        return ""


def _given(history: pd.DataFrame) -> pd.DataFrame:
    """run, start, value of a frame, in order of start; ValueError with what is wrong with it."""
    missing = [c for c in ("run", "start", "value") if c not in history.columns]
    if missing:
        raise ValueError(f"history must have the columns run, start and value; {', '.join(missing)} missing")
    frame = history[["run", "start", "value"]].reset_index(drop=True)
    if getattr(frame["start"].dtype, "tz", None) is None:
        raise ValueError("history: start must hold instants with a time zone; use .dt.tz_localize('UTC')")
    values = pd.to_numeric(frame["value"], errors="coerce").astype("float64")
    bad = ~np.isfinite(values) | frame["start"].isna() | frame["run"].isna()
    if bad.any():
        raise ValueError(
            f"history: {int(bad.sum())} of {len(frame)} rows are incomplete, the first in row {int(bad.argmax())}"
        )
    if frame["run"].duplicated().any():
        raise ValueError(f"history: run {frame.loc[frame['run'].duplicated(), 'run'].iloc[0]!r} appears more than once")
    return frame.assign(run=frame["run"].astype("str"), value=values).sort_values(
        "start", kind="stable", ignore_index=True
    )


def energy(values: Floats) -> Floats:
    """E-divisive's statistic for a split of the series before each of its places: how unlike the two sides are.

    mn / (m + n) times twice the mean distance between the sides less the mean distances within them; -inf where a side
    has fewer than three values.

    >>> energy(np.array([1.0, 1.1, 0.9, 5.0, 5.1, 4.9])).argmax()
    3
    """
    count = len(values)
    left, right = np.empty(count), np.empty(count)
    for begin in range(0, count, 512):
        rows = np.arange(begin, min(begin + 512, count))
        distance = np.abs(values[rows, None] - values[None, :])
        earlier = np.arange(count)[None, :] < rows[:, None]
        left[rows], right[rows] = (distance * earlier).sum(axis=1), (distance * ~earlier).sum(axis=1)
    first = np.arange(count, dtype="float64")
    within = np.concatenate([[0.0], np.cumsum(left)[:-1]])
    after = np.concatenate([np.cumsum(right[::-1])[::-1]])
    return _scaled_energy(first, count - first, within, after, left.sum() - within - after)


def _scaled_energy(m: Floats, n: Floats, within: Floats, after: Floats, between: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        unlike = 2 * between / (m * n) - 2 * within / (m * (m - 1)) - 2 * after / (n * (n - 1))
        found = m * n / (m + n) * unlike
    return np.where((m >= LEAST_SEGMENT) & (n >= LEAST_SEGMENT), found, -np.inf)


def _best_split(values: Floats) -> tuple[int, int]:
    """Where to split a stretch, and where the right side may end: a change that was undone later must not hide."""
    count = len(values)
    if count > _WIDEST:
        return int(energy(values).argmax()), count
    table = np.zeros((count + 1, count + 1))
    table[1:, 1:] = np.abs(values[:, None] - values[None, :]).cumsum(axis=0).cumsum(axis=1)
    own = np.diagonal(table)
    split, end = np.arange(count + 1, dtype="float64")[:, None], np.arange(count + 1, dtype="float64")[None, :]
    after = (own[None, :] - 2 * table + own[:, None]) / 2
    found = _scaled_energy(split, end - split, own[:, None] / 2, after, table - own[:, None])
    place = int(np.argmax(found))
    return place // (count + 1), place % (count + 1)


def _candidates(values: Floats, demand: Demand) -> list[int]:
    """Places of change, by dividing as long as a division passes the test."""
    found, open_stretches = [], [(0, len(values))]
    while open_stretches:
        begin, end = open_stretches.pop()
        if end - begin < 2 * LEAST_SEGMENT:
            continue
        stretch = values[begin:end]
        split, until = _best_split(stretch)
        if _passes(stretch[:split], stretch[split:until], demand):
            found.append(begin + split)
            open_stretches += [(begin, begin + split), (begin + split, end)]
    return sorted(found)


def _kept(values: Floats, places: list[int], demand: Demand) -> list[int]:
    """Those that still pass between their final neighbours; the weakest goes first."""
    kept = list(places)
    while kept:
        edges = [0, *kept, len(values)]
        sides = [(values[a:b], values[b:c]) for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)]
        failing = [(_p_value(*side, demand.widened), i) for i, side in enumerate(sides) if not _passes(*side, demand)]
        if not failing:
            break
        kept.pop(max(failing)[1])
    return kept


def _passes(before: Floats, after: Floats, demand: Demand) -> bool:
    if min(len(before), len(after)) < LEAST_SEGMENT:
        return False
    size = abs(float(after.mean() - before.mean()))
    floor = math.log1p(demand.least) if demand.relative else demand.least * abs(float(before.mean()))
    # A few slow runs in a row, as skewed histories have them, impress the t-test more than their ranks.
    large = size >= max(floor, LEAST_SDS * _pooled(before, after))
    return large and _p_value(before, after, demand.widened) < P_VALUE and ranks.apart(before, after, P_VALUE)


def _pooled(before: Floats, after: Floats) -> float:
    squares = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    return math.sqrt(float(squares) / (len(before) + len(after) - 2))


def _p_value(before: Floats, after: Floats, widened: float) -> float:
    error = widened * _pooled(before, after) * math.sqrt(1 / len(before) + 1 / len(after))
    size = abs(float(after.mean() - before.mean()))
    if error <= 1e-12 * max(1.0, abs(float(before.mean()))):
        return 1.0 if size <= 1e-12 else 0.0
    return float(2 * t_sf(size / error, len(before) + len(after) - 2))


def _row(values: pd.DataFrame, scaled: Floats, demand: Demand, begin: int, place: int, end: int) -> dict[str, Any]:
    before, after = float(scaled[begin:place].mean()), float(scaled[place:end].mean())
    change = math.expm1(after - before) if demand.relative else ((after - before) / abs(before) if before else math.inf)
    return {
        "run": values["run"].iloc[place],
        "start": values["start"].iloc[place],
        "before": math.exp(before) if demand.relative else before,
        "after": math.exp(after) if demand.relative else after,
        "change": change,
        "p_value": _p_value(scaled[begin:place], scaled[place:end], demand.widened),
        "last_before": values["run"].iloc[place - 1],
    }


def _widened(scaled: Floats) -> float:
    """How many times as wide the error of a mean is because runs resemble their neighbours; 1 where they need not.

    A few runs in a row that are slow together look like a change. How alike neighbours are shows in the steps from run
    to run and over two, which changes for good hardly alter (Hall and Van Keilegom (2003), Using difference-based methods for
    inference in nonparametric regression with time series errors, JRSS B 65): the largest, which may be changes, are left
    out, and what chance alone gives (one standard error) is forgiven. What it does to a mean: Bayley and Hammersley (1946),
    The "effective" number of independent observations in an autocorrelated time series, JRSS Supplement 8.
    """
    if len(scaled) < LEAST_RUNS:
        return 1.0
    one, two = (np.sort((scaled[by:] - scaled[:-by]) ** 2) for by in (1, 2))
    one, two = (steps[: len(steps) - max(1, len(steps) // 20)].mean() for steps in (one, two))
    alike = float(two / one - 1 - 1 / math.sqrt(len(scaled))) if one > 0 else 0.0
    alike = min(max(alike, 0.0), _MOST_ALIKE)
    return math.sqrt((1 + alike) / (1 - alike))


def _segments(places: list[int], count: int) -> npt.NDArray[np.intp]:
    """The stretch of each run."""
    edges = [0, *places, count]
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))


def _drift(scaled: Floats, places: list[int]) -> float | None:
    """The slope a run, where a straight line explains the history better than the steps at these places do.

    By Schwarz's criterion (1978), Estimating the dimension of a model, Annals of Statistics 6; a step costs two parameters,
    its place and its size.
    """
    count = len(scaled)
    at = np.arange(count) - (count - 1) / 2
    slope = float(at @ scaled / (at @ at))
    left = scaled - scaled.mean() - slope * at
    steps = _residues(scaled, _segments(places, count))
    line, stepped = (
        count * math.log(max(float(r @ r), 1e-300) / count) + math.log(count) * cost
        for r, cost in ((left, 2), (steps, 1 + 2 * len(places)))
    )
    return slope if line < stepped else None


def _residues(scaled: Floats, segment: npt.NDArray[np.intp]) -> Floats:
    means = np.bincount(segment, weights=scaled) / np.bincount(segment)
    residues: Floats = scaled - means[segment]
    return residues


def _confirming(scaled: Floats, segment: npt.NDArray[np.intp], change: float) -> int:
    """Pairs that see half of the change with power .8: what was found by looking is larger than what is there."""
    residues = _residues(scaled, segment)
    sd = math.sqrt(2 * float(residues @ residues) / max(1, len(scaled) - segment.max() - 1))
    gain = 1 - math.exp(-abs(math.log1p(max(-0.999, min(change, 1e6)))) / 2)
    return max(6, pairs_for(gain, max(sd, 1e-6), 0.8)) if gain > 0 else MOST


def _doubts(scaled: Floats, segment: npt.NDArray[np.intp], widened: float) -> list[Note]:
    found = []
    if len(scaled) < LEAST_RUNS:
        found.append(doubts.SHORT_HISTORY(runs=len(scaled), least=LEAST_RUNS))
    residues = _residues(scaled, segment)
    power = float(residues @ residues)
    alike = float(residues[1:] @ residues[:-1]) / power if power > 0 else 0.0
    if len(scaled) >= 20 and alike > _ALIKE:
        found.append(doubts.ALIKE(alike=f"{alike:.2f}"))
    if widened > 1.05:
        found.append(doubts.WIDENED(factor=f"{widened:.1f}"))
    return found
