"""Lasting steps in a series of runs: E-divisive proposes them, a t-test and the ranks of both sides decide.

Matteson and James (2014), A nonparametric approach for multiple change point analysis of multivariate data, JASA 109.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perflab.metrics import Floats
from perflab.stats import ranks
from perflab.stats.distributions import t_sf

P_VALUE = 0.0001
LEAST_CHANGE = 0.03
LEAST_SDS = 1.0
LEAST_SEGMENT = 3
LEAST_RUNS = 10
_WIDEST = 1_000
"""Longer stretches are searched without the free right end: that table grows with the square of the length."""
_MOST_ALIKE = 0.9
_SHORT = 40
_FORGIVEN = 30.0
"""From this many runs on, one standard error of the autocorrelation is ignored; of fewer, more: it arises by chance."""


@dataclass(frozen=True)
class Demand:
    """What a change must exceed: a least size (relative, for logarithms), at this level, with errors widened by a factor."""

    least: float
    relative: bool
    widened: float = 1.0
    level: float = P_VALUE


@dataclass(frozen=True)
class Steps:
    """``places`` at which a series changed for good, the ``demand`` they passed, and ``drift``, the slope a run where a
    straight line explains the series better than steps do (``places`` is then empty)."""

    places: tuple[int, ...]
    demand: Demand
    drift: float | None = None


def steps_in(scaled: Floats, least: float, *, relative: bool, level: float = P_VALUE) -> Steps:
    """The lasting steps in a series, on its scale (logarithms where ``relative``)."""
    demand = Demand(least, relative, _widened(scaled), level)
    if len(scaled) < _SHORT:
        # In a short history a large step looks like autocorrelation: use that of the first pass's residuals.
        first = Demand(least, relative, level=level)
        found = _kept(scaled, _candidates(scaled, first), first)
        left = residues(scaled, segments(found, len(scaled)))
        demand = Demand(least, relative, _widened(left, max(1.0, _FORGIVEN / max(1, len(scaled)))), level)
    found = _kept(scaled, _candidates(scaled, demand), demand)
    drift = _drift(scaled, found) if found else _trend(scaled, demand)
    return Steps((), demand, drift) if drift is not None else Steps(tuple(found), demand)


def energy(values: Floats) -> Floats:
    """E-divisive's statistic for a split of the series before each index: how different the two sides are.

    mn / (m + n) times twice the mean distance between the sides less the mean distances within them; -inf where a side
    has fewer than three values.

    >>> int(energy(np.array([1.0, 1.1, 0.9, 5.0, 5.1, 4.9])).argmax())
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
    """Where to split a stretch, and where the right side ends: a change that was undone later must still be found."""
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
    """Candidate changes, by dividing as long as a division passes the test."""
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
    """The places that still pass between their final neighbours; the weakest is dropped first."""
    kept = list(places)
    while kept:
        edges = [0, *kept, len(values)]
        sides = [(values[a:b], values[b:c]) for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)]
        failing = [(p_value(*side, demand.widened), i) for i, side in enumerate(sides) if not _passes(*side, demand)]
        if not failing:
            break
        kept.pop(max(failing)[1])
    return kept


def _passes(before: Floats, after: Floats, demand: Demand) -> bool:
    if min(len(before), len(after)) < LEAST_SEGMENT:
        return False
    size = abs(float(after.mean() - before.mean()))
    floor = math.log1p(demand.least) if demand.relative else demand.least * abs(float(before.mean()))
    # A few slow runs in a row, common in skewed histories, affect the t-test more than the ranks.
    large = size >= max(floor, LEAST_SDS * _pooled(before, after))
    return large and p_value(before, after, demand.widened) < demand.level and ranks.apart(before, after, demand.level)


def _pooled(before: Floats, after: Floats) -> float:
    squares = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    return math.sqrt(float(squares) / (len(before) + len(after) - 2))


def p_value(before: Floats, after: Floats, widened: float) -> float:
    error = widened * _pooled(before, after) * math.sqrt(1 / len(before) + 1 / len(after))
    size = abs(float(after.mean() - before.mean()))
    if error <= 1e-12 * max(1.0, abs(float(before.mean()))):
        return 1.0 if size <= 1e-12 else 0.0
    return float(2 * t_sf(size / error, len(before) + len(after) - 2))


def _widened(scaled: Floats, forgiven: float = 1.0) -> float:
    """The factor by which autocorrelation between runs widens the standard error of a mean; 1 without it.

    A few slow runs in a row look like a change. The autocorrelation is estimated from differences at lags 1 and 2, which
    lasting changes hardly affect (Hall and Van Keilegom (2003), Using difference-based methods for inference in
    nonparametric regression with time series errors, JRSS B 65): the largest ones, which may be changes, are left out,
    and ``forgiven`` standard errors are subtracted for chance. Its effect on a mean: Bayley and Hammersley (1946), The
    "effective" number of independent observations in an autocorrelated time series, JRSS Supplement 8.
    """
    if len(scaled) < LEAST_RUNS:
        return 1.0
    one, two = (np.sort((scaled[by:] - scaled[:-by]) ** 2) for by in (1, 2))
    one, two = (steps[: len(steps) - max(1, len(steps) // 20)].mean() for steps in (one, two))
    autocorrelation = float(two / one - 1 - forgiven / math.sqrt(len(scaled))) if one > 0 else 0.0
    autocorrelation = min(max(autocorrelation, 0.0), _MOST_ALIKE)
    return math.sqrt((1 + autocorrelation) / (1 - autocorrelation))


def segments(places: list[int], count: int) -> npt.NDArray[np.intp]:
    """The segment number of each run."""
    edges = [0, *places, count]
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))


def _drift(scaled: Floats, places: list[int]) -> float | None:
    """The slope a run, where a straight line explains the history better than steps at these places.

    By Schwarz's criterion (1978), Estimating the dimension of a model, Annals of Statistics 6; a step costs two parameters,
    its place and its size.
    """
    count = len(scaled)
    at = np.arange(count) - (count - 1) / 2
    slope = float(at @ scaled / (at @ at))
    left = scaled - scaled.mean() - slope * at
    steps = residues(scaled, segments(places, count))
    line, stepped = (
        count * math.log(max(float(r @ r), 1e-300) / count) + math.log(count) * cost
        for r, cost in ((left, 2), (steps, 1 + 2 * len(places)))
    )
    return slope if line < stepped else None


def _trend(scaled: Floats, demand: Demand) -> float | None:
    """The slope a run of a history without steps, where it is certain at the level of a step and as large as one."""
    count = len(scaled)
    if count < LEAST_RUNS:
        return None
    at = np.arange(count) - (count - 1) / 2
    slope = float(at @ scaled / (at @ at))
    left = scaled - scaled.mean() - slope * at
    sd = math.sqrt(float(left @ left) / (count - 2))
    # Nothing is forgiven for chance: the autocorrelation of a short history looks like a drift.
    error, size = _widened(scaled, 0.0) * sd / math.sqrt(float(at @ at)), abs(slope) * (count - 1)
    floor = math.log1p(demand.least) if demand.relative else demand.least * abs(float(scaled.mean()))
    if not error or size < max(floor, LEAST_SDS * sd) or 2 * t_sf(abs(slope) / error, count - 2) >= demand.level:
        return None
    return slope


def residues(scaled: Floats, segment: npt.NDArray[np.intp]) -> Floats:
    means = np.bincount(segment, weights=scaled) / np.bincount(segment)
    residues: Floats = scaled - means[segment]
    return residues
