"""A pilot: how much runs differ, and how much of that comes from within a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError
from perflab.metrics import Floats, Metric
from perflab.notes import Note, count
from perflab.stats import doubts, intervals, replications
from perflab.stats.distributions import chi2_ppf, t_cdf
from perflab.stats.estimates import evidence_of, of_endpoint, streamed, without_warmup
from perflab.stats.mix import on_a_mix

LEAST_RUNS = 3
SURE = 0.8
_LONGEST_GAP_S = 900.0
_FEWEST, _FAR = 5, math.log(1.3)


@dataclass(frozen=True)
class Pilot:
    """The variance of a pilot's runs, on the scale of logarithms (0.05: runs differ by 5 %).

    ``sd`` is of single runs, ``sd_pairs`` of the difference of two adjacent runs (which drift does not affect);
    ``sd_upper`` and ``sd_pairs_upper`` are their upper 80 % limits; ``degrees`` those of the pairs. ``within`` and
    ``between`` split ``sd``: longer runs shrink the first, only more runs the second; ``design_effect`` is how many
    times larger the variance within is than if requests were independent. ``seconds`` is the length of a run,
    ``overhead`` the seconds between two, ``least_seconds`` the shortest run with enough requests for the metric.
    ``values`` has a row for each run: run, arm, pair, start, count, value.
    """

    metric: str
    endpoint: str
    count: int
    values: pd.DataFrame
    sd: float
    sd_upper: float
    sd_pairs: float
    sd_pairs_upper: float
    degrees: float
    within: float
    between: float
    design_effect: float
    seconds: float
    overhead: float
    least_seconds: float
    warnings: tuple[Note, ...] = ()


def read(
    pilot: Measurements | pd.DataFrame | Sequence[Measurements | pd.DataFrame],
    *,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    warmup: float | str | None = None,
    overhead: float | None = None,
) -> Pilot:
    """The variance of a pilot of three or more runs: of one arm, or (before, after)."""
    wanted = Metric.of(metric)
    if not wanted.relative:
        raise ValueError("metric must be one that changes by a ratio: runs for a share cannot be planned from an sd")
    sides = [
        evidence_of(side, wanted)
        for side in ([pilot] if isinstance(pilot, (Measurements, pd.DataFrame)) else list(pilot))
    ]
    if not 1 <= len(sides) <= 2:
        raise ValueError(f"pilot must be runs of one arm, or (before, after); got {len(sides)} of them")
    warnings = [w for side in sides for w in replications.refusals(side.runs, call="")]
    runs = pd.concat([side.runs for side in sides], ignore_index=True)
    cut = replications.warmup_of(runs, warmup)
    values, notes = _values(sides, wanted, endpoint, cut)
    warnings += notes + _outlying(values)
    sd, sd_degrees = _spread([np.log(v["value"].to_numpy()) for _, v in values.groupby("side")])
    sd_pairs, degrees = _pairs(values) if len(sides) == 2 else _neighbours(np.log(values["value"].to_numpy()))
    within, effect = _within(sides, wanted, endpoint, cut)
    seconds = float(runs["duration_ms"].median()) / 1e3
    return Pilot(
        metric,
        endpoint,
        len(values),
        values.drop(columns="side").reset_index(drop=True),
        sd,
        sd * _upper(sd_degrees),
        sd_pairs,
        sd_pairs * _upper(degrees),
        degrees,
        within,
        math.sqrt(max(0.0, sd**2 - within**2)) if within == within else math.nan,
        effect,
        seconds,
        _gap(runs) if overhead is None else overhead,
        seconds * wanted.rows_needed / max(1.0, float(values["count"].min())),
        tuple(warnings),
    )


def _values(sides: list[Measurements], metric: Metric, endpoint: str, warmup: float) -> tuple[pd.DataFrame, list[Note]]:
    parts, notes = [], []
    for number, side in enumerate(sides):
        found, note = on_a_mix(side, metric, warmup, endpoint)
        notes += [note] if note else []
        chosen = of_endpoint(found, endpoint)
        runs = side.runs.set_index("run").reindex(chosen["run"])
        columns = {c: runs[c].to_numpy() if c in runs.columns else pd.NA for c in ("arm", "pair", "experiment")}
        part = pd.DataFrame({"run": chosen["run"].to_numpy(), **columns, "start": runs["start"].array})
        parts.append(part.assign(count=chosen["count"].to_numpy(), value=chosen[metric.name].to_numpy(), side=number))
    values = pd.concat(parts, ignore_index=True).sort_values("start", kind="stable", na_position="last")
    if len(values) < LEAST_RUNS or (len(sides) == 2 and values["side"].value_counts().min() < 2):
        raise ComparisonError(
            f"a pilot needs {LEAST_RUNS} runs or more of an arm, or two pairs; got {count(len(values), 'run')}"
        )
    if not (np.isfinite(values["value"]) & (values["value"] > 0)).all():
        raise ComparisonError(doubts.NO_RATIO(metric=metric.label))
    return values, notes


def _outlying(values: pd.DataFrame) -> list[Note]:
    """A note on the run that makes most of the variance, if one lies far off the others."""
    for _, own in values.groupby("side"):
        logs = np.log(own["value"].to_numpy(dtype="float64"))
        off = logs - np.median(logs)
        place = int(np.abs(off).argmax())
        others = np.delete(logs, place)
        if len(logs) >= _FEWEST and abs(off[place]) > max(_FAR, 6 * 1.4826 * float(np.median(np.abs(off)))):
            times = f"{math.exp(float(off[place])):.2g}"
            run = str(own["run"].iloc[place])
            return [doubts.BROKEN_PILOT(run=run, times=times, sd_fraction=float(others.std(ddof=1)))]
    return []


def _spread(sides: list[Floats]) -> tuple[float, int]:
    """Standard deviation within arms, and its degrees of freedom."""
    degrees = sum(len(side) - 1 for side in sides)
    sd = math.sqrt(sum(float(((side - side.mean()) ** 2).sum()) for side in sides) / degrees)
    if sd < 1e-12:
        raise ComparisonError(doubts.NO_VARIANCE())
    return sd, degrees


def _pairs(values: pd.DataFrame) -> tuple[float, float]:
    """The standard deviation of the differences within pairs; of independent runs where there are no pairs."""
    first, second = (values[values["side"] == side] for side in (0, 1))
    keys = ["experiment", "pair"]
    complete = first["pair"].notna().any() and second["pair"].notna().any()
    both = first.assign(experiment=first["experiment"].fillna("")).merge(
        second.assign(experiment=second["experiment"].fillna("")), on=keys, suffixes=("", "_after")
    ) if complete else first.iloc[:0]  # fmt: skip
    if len(both) < LEAST_RUNS:
        sd, degrees = _spread([np.log(side["value"].to_numpy()) for side in (first, second)])
        return sd * math.sqrt(2), degrees
    differences = np.log(both["value_after"].to_numpy(dtype="float64")) - np.log(
        both["value"].to_numpy(dtype="float64")
    )
    sd, degrees = _spread([differences])
    return sd, float(degrees)


def _neighbours(logs: Floats) -> tuple[float, float]:
    """The standard deviation of the difference of two successive runs, with its approximate degrees of freedom.

    Von Neumann (1941), Distribution of the ratio of the mean square successive difference to the variance, Annals of
    Mathematical Statistics 12: hardly affected by slow drift. Overlapping differences are worth (3n - 4) / 2 (n - 1)^2.
    """
    count = len(logs)
    mean_square = float((np.diff(logs) ** 2).mean())
    return math.sqrt(mean_square), 2 * (count - 1) ** 2 / (3 * count - 4)


def _upper(degrees: float) -> float:
    """The factor to the upper 80 % limit of a standard deviation."""
    return math.sqrt(degrees / float(chi2_ppf(1 - SURE, degrees)))


def _within(sides: list[Measurements], metric: Metric, endpoint: str, warmup: float) -> tuple[float, float]:
    """The part of a run's standard deviation that comes from within it (by batch means), and the design effect."""
    variances, effects = [], []
    for side in sides:
        for latencies in _in_order(side, endpoint, warmup):
            if len(latencies) < 2 * intervals.BATCHES or not metric.is_latency:
                return math.nan, math.nan
            found = _one_standard_error(latencies, metric.share)
            variances.append(found[0] ** 2)
            effects.append(found[1])
    return math.sqrt(float(np.mean(variances))), float(np.mean(effects))


def _in_order(side: Measurements, endpoint: str, warmup: float) -> Iterator[Floats]:
    """The latencies of each run after the warm-up, in the order of their starts."""
    for held in (side.where(run=run) for run in streamed(side).runs) if side.lazy else (side,):
        requests = without_warmup(held, warmup)
        chosen = requests if endpoint == AGGREGATED else requests[requests["endpoint"] == endpoint]
        for _, part in chosen.sort_values("start", kind="stable").groupby("run", sort=False):
            yield part["latency_ms"].to_numpy(dtype="float64")


def _one_standard_error(latencies: Floats, share: float | None) -> tuple[float, float]:
    """The standard error of ln of a run's value from within it, and the design effect."""
    one = float(2 * t_cdf(1, intervals.BATCHES - 1) - 1)
    if share is None:
        estimate, low, high = intervals.mean_within(latencies, confidence=one)
        independent = float(latencies.std(ddof=1)) / math.sqrt(len(latencies))
        return (high - low) / 2 / estimate, ((high - low) / 2 / independent) ** 2 if independent else 1.0
    estimate, low, high = intervals.quantile_within(latencies, share, confidence=one)
    effect = intervals.design_effect((latencies > estimate).astype("float64"))
    return (math.log(high / low) / 2 if low > 0 else math.nan), max(1.0, effect)


def _gap(runs: pd.DataFrame) -> float:
    """The median seconds between the end of a run and the start of the next; 0 where unknown."""
    known = runs.dropna(subset="start").sort_values("start", kind="stable")
    ends = known["start"] + pd.to_timedelta(known["duration_ms"], unit="ms")
    gaps = (known["start"].iloc[1:].reset_index(drop=True) - ends.iloc[:-1].reset_index(drop=True)).dt.total_seconds()
    plausible = gaps[(gaps >= 0) & (gaps <= _LONGEST_GAP_S)]
    return float(plausible.median()) if len(plausible) else 0.0
