"""From one number a run to an effect on each endpoint: gates, scale, least variance, and the design's test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.stats import one_run, tests
from perflab.stats.arms import SAME, Design
from perflab.stats.estimates import UNTOLD, Requests, unit_of
from perflab.stats.tests import Effect, Floats
from perflab.stats.warmup import Warmup

HIGHER_IS_BETTER = ("throughput_per_s",)
DIFFERENCES = ("error_fraction",)
"""Metrics whose change is a difference; of all others it is a ratio."""


@dataclass(frozen=True)
class Judged:
    """One metric of one endpoint before the correction for many.

    ``values`` are the metric of each run, ``scaled`` the same on the scale of the analysis (ln, or as they are), ``floor``
    the least variance of the mean difference. ``obstacle`` stands in the way of any verdict, ``undirected`` of one with a
    direction. ``limits`` is the 95 % interval of the effect, on its scale.
    """

    endpoint: str
    metric: str
    values: tuple[Floats, Floats]
    scaled: tuple[Floats, Floats]
    floor: float
    effect: Effect | None
    limits: tuple[float, float]
    margin: float
    obstacle: str
    undirected: str = ""

    @property
    def relative(self) -> bool:
        """Whether the change is a ratio."""
        return self.metric not in DIFFERENCES

    @property
    def better(self) -> int:
        """The sign of a good change."""
        return 1 if self.metric in HIGHER_IS_BETTER else -1

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return unit_of(self.metric)

    @property
    def testable(self) -> bool:
        """Whether it belongs to the family that is corrected: what can't get a verdict costs the others nothing."""
        return self.effect is not None and not self.obstacle

    def out(self, value: float) -> float:
        """From the scale of the analysis to a change; shares can't differ by more than the whole."""
        return math.expm1(value) if self.relative else float(np.clip(value, -1.0, 1.0))


def method_of(design: Design) -> str:
    """The name of the test that the design calls for."""
    if design.kind == "one against one":
        return "no test (block bootstrap within each of the two runs)"
    names = {
        "pairs": "paired t-test",
        "few pairs": "least squares with a trend (few runs)",
        "unpaired": "Welch's t-test",
    }
    name = names.get(design.kind, "prediction interval" if design.kind == "history" else "no test")
    return f"{name}, {design.counted}"


def judge(
    values: tuple[pd.DataFrame, pd.DataFrame],
    requests: tuple[Requests, Requests],
    metric: str,
    design: Design,
    warmup: Warmup,
    margins: tuple[float, float],
) -> list[Judged]:
    """Every endpoint's effect on one metric; ``values`` are `by_run` of the arms, ``margins`` of ratios and differences."""
    endpoints = list(dict.fromkeys([*values[0]["endpoint"], *values[1]["endpoint"]]))
    names = (design.baseline, design.candidate)
    wide = [_wide(v, metric, endpoints, runs) for v, runs in zip(values, names, strict=True)]
    counts = [np.nan_to_num(_wide(v, "count", endpoints, runs)) for v, runs in zip(values, names, strict=True)]
    relative = metric not in DIFFERENCES
    margin = math.log1p(margins[0]) if relative else margins[1]
    scaled = [_logarithms(w) if relative else w for w in wide]
    tick = _tick(requests) if unit_of(metric) == "ms" else 0.0
    floors = _floors(metric, wide, counts, tick)
    effect = _effect(scaled[0], scaled[1], floors, design)
    judged = []
    for i, endpoint in enumerate(endpoints):
        pair = (scaled[0][i], scaled[1][i])
        own = _at(effect, i) if effect and np.isfinite(pair[0]).all() and np.isfinite(pair[1]).all() else None
        obstacle = design.obstacle or _gate(metric, (counts[0][i], counts[1][i])) or _degenerate(metric, pair, own)
        limits = _limits(own, requests, endpoint, metric, design, warmup, pair)
        raw = (wide[0][i], wide[1][i])
        judged.append(
            Judged(
                endpoint,
                metric,
                raw,
                pair,
                float(floors[i]),
                own,
                limits,
                margin,
                obstacle,
                _ticked(raw, 0.0 if metric == "mean" else tick),
            )
        )
    return judged


def _wide(values: pd.DataFrame, column: str, endpoints: Sequence[str], runs: Sequence[str]) -> Floats:
    """endpoints x runs, NaN where a run has none."""
    found: Floats = (
        values.pivot(index="endpoint", columns="run", values=column)
        .reindex(index=list(endpoints), columns=list(runs))
        .to_numpy(dtype="float64")
    )
    return found


def _logarithms(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(np.where(values > 0, values, np.nan))
    return found


def _effect(baseline: Floats, candidate: Floats, floors: Floats, design: Design) -> Effect | None:
    """The test that the design calls for, of all endpoints at once."""
    sizes = baseline.shape[-1], candidate.shape[-1]
    if design.kind == SAME:
        return None
    if design.kind == "pairs":
        return tests.paired(baseline, candidate, floors)
    if design.kind == "few pairs":
        slots = [np.broadcast_to(s, baseline.shape) for s in design.slots]
        return tests.few_pairs(baseline, candidate, slots[0], slots[1], floors)
    if design.kind == "history":
        return tests.against_history(baseline, candidate[..., 0], floors)
    return tests.welch(baseline, candidate, floors) if min(sizes) >= 2 else None


def _at(effect: Effect, place: int) -> Effect:
    return Effect(effect.difference[place], effect.error[place], effect.degrees[place])


def _gate(metric: str, counts: tuple[Floats, Floats]) -> str:
    """Why the runs have too few requests for this metric; empty when they have enough."""
    empty = [int((c == 0).sum()) for c in counts]
    for arm, own, c in zip(("baseline", "candidate"), empty, counts, strict=True):
        if own == len(c):
            return f"the {arm} has no requests to this endpoint"
    if sum(empty):
        have = "have" if sum(empty) > 1 else "has"
        return f"{sum(empty)} of {sum(map(len, counts))} runs {have} no requests to this endpoint"
    return one_run.too_few(metric, int(min(c.min() for c in counts)))


def _degenerate(metric: str, scaled: tuple[Floats, Floats], effect: Effect | None) -> str:
    if metric in DIFFERENCES and any(np.isnan(s).any() for s in scaled):
        return UNTOLD
    if not all(np.isfinite(s).all() for s in scaled):
        return f"{metric} is zero or unknown in some runs, so no ratio can be formed"
    if effect is not None and effect.error == 0 and effect.difference != 0:
        return "the runs of an arm agree to the last digit: copies of a run are not repetitions"
    return ""


def _tick(requests: tuple[Requests, Requests]) -> float:
    """The resolution of the latencies in ms where a tool rounds them to 0.01 ms or worse, else 0 (fine enough)."""
    for digits in range(3):
        steps = [_in_steps(side.latency, 10.0**digits) for side in requests]
        if all(len(s) for s in steps):
            # A clock of 10 ms writes whole milliseconds too: the tick is what all of them are multiples of.
            return float(np.gcd.reduce(np.concatenate(steps))) / 10.0**digits
    return 0.0


def _in_steps(latency: Floats, scale: float) -> npt.NDArray[np.int64]:
    """The latencies as whole numbers of 1 / ``scale`` ms; empty where they are not."""
    for values in (latency[:100], latency):
        scaled = values * scale
        if not (np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(scaled, 1.0)).all() or scaled.max() > 2**52:
            return np.empty(0, dtype="int64")
    return np.rint(scaled).astype("int64")


def _ticked(values: tuple[Floats, Floats], tick: float) -> str:
    """Why rounding forbids a direction; empty when it does not."""
    typical = [float(np.mean(v)) for v in values]
    if not tick or not abs(typical[1] - typical[0]) <= tick or min(typical) > 100 * tick:
        return ""
    return f"the arms differ by no more than the tick of the tool's clock ({tick:g} ms); record finer latencies"


def _floors(metric: str, values: Sequence[Floats], counts: Sequence[Floats], tick: float) -> Floats:
    """The least variance of the mean difference: what counting and rounding alone would give.

    Runs can agree by chance (no error in any of them): a spread of zero is then no certainty.
    """
    size = [np.maximum(c, 1.0) for c in counts]
    if metric == "error_fraction":
        failed = sum(np.nan_to_num(v * c).sum(-1) for v, c in zip(values, counts, strict=True))
        share = (failed + 0.5) / (sum(c.sum(-1) for c in counts) + 1)
        single = [(share * (1 - share))[:, None] / s for s in size]
    elif metric == "throughput_per_s":
        single = [1 / 12 / s**2 for s in size]
    else:
        single = [_rounded(v, c, tick, mean=metric == "mean") for v, c in zip(values, size, strict=True)]
    found: Floats = sum((s.sum(-1) / s.shape[-1] ** 2 for s in single), np.zeros(len(single[0])))
    return found


def _rounded(values: Floats, counts: Floats, tick: float, *, mean: bool) -> Floats:
    """The variance that rounding to ticks gives ln of each run's value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        single: Floats = np.nan_to_num((tick / values) ** 2 / 12, posinf=0.0)
        if mean:
            # The roundings of many requests average out, unless all of them fell on one tick.
            return np.where(values % tick == 0, single, single / counts) if tick else single
    # Where all runs fall on neighbouring ticks their roundings may be one and the same: more runs don't average it out.
    shared = np.max(values, axis=-1) - np.min(values, axis=-1) <= tick
    return np.where(shared[:, None], single * values.shape[-1], single)


def _limits(
    effect: Effect | None,
    requests: tuple[Requests, Requests],
    endpoint: str,
    metric: str,
    design: Design,
    warmup: Warmup,
    scaled: tuple[Floats, Floats],
) -> tuple[float, float]:
    if effect is not None:
        low, high = effect.interval(0.95)
        return float(low), float(high)
    alone = design.kind == "one against one" and all(np.isfinite(s).all() for s in scaled)
    if not alone:
        return math.nan, math.nan
    share = warmup.of(endpoint)
    names = (design.baseline[0], design.candidate[0])
    chosen = [one_run.of_one(side, run, endpoint, share) for side, run in zip(requests, names, strict=True)]
    if any(len(c.latency) < 2 * one_run.BLOCKS for c in chosen):
        return math.nan, math.nan
    drawn = [one_run.draws(c, metric, seed=i) for i, c in enumerate(chosen)]
    if metric not in DIFFERENCES:
        if not all((d > 0).all() for d in drawn):
            return math.nan, math.nan
        drawn = [np.log(d) for d in drawn]
    return one_run.widened(drawn[1] - drawn[0], float(scaled[1][0] - scaled[0][0]), (0.025, 0.975))
