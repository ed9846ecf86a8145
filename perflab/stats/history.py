"""`change_points`: where a metric changed for good in a history of runs, and the experiment to confirm it."""

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
from perflab.stats import doubts, replications
from perflab.stats.divisive import LEAST_CHANGE, LEAST_RUNS, P_VALUE, Demand, p_value, residues, segments, steps_in
from perflab.stats.estimates import evidence_of, of_endpoint, whose
from perflab.stats.mix import on_a_mix
from perflab.stats.planning import MOST, pairs_for
from perflab.units import format_fraction, format_p, format_value, parse_fraction

_ALIKE = 0.2
COLUMNS = ("run", "start", "before", "after", "change", "p_value")


@dataclass(frozen=True, repr=False)
class ChangePoints(Result):
    """The result of `change_points`.

    ``table`` has a row for each change: run and start of the first run after it, before and after (typical values of
    the segments on both sides), change (relative), p_value, and last_before (the run before it). ``values`` is the
    history: run, start, value, segment. ``pairs`` is how many pairs would confirm each change. ``drift`` is the change a
    run where a line fits better than steps, else NaN. ``minimum`` is the smallest change that was looked for.
    """

    table: pd.DataFrame
    values: pd.DataFrame
    metric: str
    endpoint: str
    unit: str
    pairs: tuple[int, ...]
    warnings: tuple[Note, ...] = ()
    drift: float = math.nan
    minimum: float = LEAST_CHANGE

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        what = self.metric
        if self.endpoint:
            metric = Metric.of(self.metric)
            what = f"{metric.label} of {whose(self.endpoint, metric)}"
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
        """The confirming experiment for each change, the method, and the warnings."""
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
            doubts.CHANGES_DECIDED(level=f"{P_VALUE:g}", least_fraction=self.minimum),
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
    """Find where a metric changed for good over many runs.

    Parameters
    ----------
    history : Measurements or DataFrame
        Many runs (``load("runs", arm="nightly")``), or a DataFrame with run, start and value.
    metric, endpoint, warmup : optional
        What to take from Measurements; for a DataFrame ``metric`` only names its values.
    minimum : float or str
        The smallest relative change to report; it must also exceed one standard deviation of the runs.
    allow : str or collection of str
        What to combine anyway: any of "invalid", "generator", "plan", "arms".

    Returns
    -------
    ChangePoints
        Its ``table`` has run, start, before, after, change, p_value. A history shows when something changed, not why:
        anything that changed at the same time looks the same. So each change comes with the experiment to confirm it.

        The candidates come from E-divisive, Matteson and James (2014), A nonparametric approach for multiple change point
        analysis of multivariate data, JASA 109; each must pass Student's t-test of the segments on both sides at p < 0.0001
        (so small because the place was chosen after seeing the data), and the exact rank test (with too few runs to reach
        that level: no overlap), which is robust to skew and heavy tails. Where runs are autocorrelated, errors are widened.
        In simulations fewer than 0.5 % of stable histories of 100 runs show a change (with an autocorrelation of 0.4
        between runs: 5 %), and 10 % shifts at a run-to-run sd of 5 % are found in more than
        94 % (datasets/calibration/histories.csv).

    Raises
    ------
    ComparisonError
        Invalid runs, several plans, generators or arms, unless allowed.
    ValueError
        A history without run, start and value, with missing values, or with naive timestamps.

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
    if isinstance(history, Measurements) or {"latency_ms", "visit"} & set(history.columns):
        values, warnings = _measured(history, metric, endpoint, warmup, allow)
        unit = Metric.of(metric).unit
    else:
        values, warnings, endpoint, unit = _given(history), [], "", _unit(metric)
    numbers = values["value"].to_numpy(dtype="float64")
    scaled, relative = (np.log(numbers), True) if (numbers > 0).all() else (numbers, False)
    steps = steps_in(scaled, least, relative=relative)
    found, demand, drift = list(steps.places), steps.demand, steps.drift
    edges = [0, *found, len(numbers)]
    segment = segments(found, len(numbers))
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
        least,
    )


def _measured(
    history: Any, metric: str, endpoint: str, warmup: float | str | None, allow: str | Collection[str]
) -> tuple[pd.DataFrame, list[Note]]:
    held = evidence_of(history, Metric.of(metric))
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
    """The unit of values from elsewhere, where their name is that of a metric."""
    try:
        return Metric.of(metric).unit
    except ValueError:
        return ""


def _given(history: pd.DataFrame) -> pd.DataFrame:
    """run, start, value of a frame, in start order; ValueError for invalid ones."""
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


def _row(values: pd.DataFrame, scaled: Floats, demand: Demand, begin: int, place: int, end: int) -> dict[str, Any]:
    before, after = float(scaled[begin:place].mean()), float(scaled[place:end].mean())
    change = math.expm1(after - before) if demand.relative else ((after - before) / abs(before) if before else math.inf)
    return {
        "run": values["run"].iloc[place],
        "start": values["start"].iloc[place],
        "before": math.exp(before) if demand.relative else before,
        "after": math.exp(after) if demand.relative else after,
        "change": change,
        "p_value": p_value(scaled[begin:place], scaled[place:end], demand.widened),
        "last_before": values["run"].iloc[place - 1],
    }


def _confirming(scaled: Floats, segment: npt.NDArray[np.intp], change: float) -> int:
    """Pairs to detect half of the change with power .8: a change selected from data is overestimated."""
    left = residues(scaled, segment)
    sd = math.sqrt(2 * float(left @ left) / max(1, len(scaled) - segment.max() - 1))
    gain = 1 - math.exp(-abs(math.log1p(max(-0.999, min(change, 1e6)))) / 2)
    return max(6, pairs_for(gain, max(sd, 1e-6), 0.8)) if gain > 0 else MOST


def _doubts(scaled: Floats, segment: npt.NDArray[np.intp], widened: float) -> list[Note]:
    found = []
    if len(scaled) < LEAST_RUNS:
        found.append(doubts.SHORT_HISTORY(runs=len(scaled), least=LEAST_RUNS))
    left = residues(scaled, segment)
    power = float(left @ left)
    autocorrelation = float(left[1:] @ left[:-1]) / power if power > 0 else 0.0
    if len(scaled) >= 20 and autocorrelation > _ALIKE:
        found.append(doubts.ALIKE(autocorrelation=f"{autocorrelation:.2f}"))
    if widened > 1.05:
        found.append(doubts.WIDENED(factor=f"{widened:.1f}"))
    return found
