"""Many endpoints at once: p-values corrected so that the whole family raises a false alarm as rarely as one test."""

from __future__ import annotations

import numpy as np

from perflab.stats.tests import Effect, Floats, label_permutations, sign_flips

LEAST_PAIRS = 8
LEAST_RUNS = 4
"""From here on max-T has more power than Holm (datasets/calibration/families.csv); below, too few relabellings exist."""


def holm(p_values: Floats) -> Floats:
    """Holm's adjusted p-values: the chance of any false alarm in the family stays at the level.

    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate((count - np.arange(count)) * p_values[order])
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Adjusted p-values that bound the expected share of false alarms among the verdicts: for exploring.

    Benjamini and Hochberg (1995), Controlling the false discovery rate, Journal of the Royal Statistical Society B 57.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")[::-1]
    stepped = np.minimum.accumulate(count / np.arange(count, 0, -1) * p_values[order])
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def max_t(baseline: Floats, candidate: Floats, effect: Effect, *, pairs: bool, floor: Floats | float = 0.0) -> Floats:
    """Adjusted p-values by the step-down maximum of |t| over relabelled whole runs, which keeps what endpoints share.

    ``baseline`` and ``candidate`` are endpoints x runs. Never below the t-test's own p, so that a family of one is the
    t-test and a further endpoint can only take a verdict away. Westfall and Young (1993), Resampling-based multiple testing.
    """
    drawn = _flipped(candidate - baseline, floor) if pairs else _relabelled(baseline, candidate, floor)
    observed = np.abs(effect.t)
    order = np.argsort(-observed, kind="stable")
    # Of the endpoint with the k-th largest |t|: how often the largest of it and all below it comes as far.
    largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    beyond = (largest >= observed[order] * (1 - 1e-9)).sum(0)
    exact = len(drawn) != 20_000
    stepped = np.maximum.accumulate(beyond / len(drawn) if exact else (1 + beyond) / (1 + len(drawn)))
    adjusted = np.empty(len(observed))
    adjusted[order] = stepped
    found: Floats = np.maximum(adjusted, effect.p_value)
    return found


def _flipped(differences: Floats, floor: Floats | float) -> Floats:
    """|t| of every endpoint under each flip of whole pairs: flips x endpoints."""
    count = differences.shape[-1]
    mean = sign_flips(count) @ differences.T / count
    # The sum of squares does not change with the signs.
    variance = ((differences**2).mean(-1) - mean**2) / (count - 1)
    return _ratio(mean, np.maximum(variance, floor))


def _relabelled(baseline: Floats, candidate: Floats, floor: Floats | float) -> Floats:
    """Welch's |t| of every endpoint under each relabelling of whole runs: relabellings x endpoints."""
    values = np.concatenate([baseline, candidate], axis=-1)
    values = values - values.mean(-1, keepdims=True)
    first, second = baseline.shape[-1], candidate.shape[-1]
    chosen = label_permutations(first, second)
    sums, squares = chosen @ values.T, chosen @ (values**2).T
    rest = (values**2).sum(-1) - squares
    means = sums / first, -sums / second
    one = (squares / first - means[0] ** 2) / (first - 1)
    other = (rest / second - means[1] ** 2) / (second - 1)
    return _ratio(means[0] - means[1], np.maximum(one + other, floor))


def _ratio(mean: Floats, variance: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.abs(mean) / np.sqrt(np.maximum(variance, 0.0))
    # No difference and no variance: nothing was found. A difference without variance (all signs alike): everything.
    return np.where(np.isnan(found), 0.0, found)


def adjusted(
    baseline: Floats, candidate: Floats, effect: Effect, *, pairs: bool, floor: Floats | float = 0.0
) -> tuple[Floats, str]:
    """p-values corrected for the family by the method that has more power at this number of runs, and its name."""
    count = len(effect.difference)
    if count < 2:
        return effect.p_value, ""
    enough = min(baseline.shape[-1], candidate.shape[-1]) >= (LEAST_PAIRS if pairs else LEAST_RUNS)
    if enough:
        how = "signs of whole pairs" if pairs else "labels of whole runs"
        return max_t(baseline, candidate, effect, pairs=pairs, floor=floor), f"max-T over the {how}, {count} tests"
    return holm(effect.p_value), f"Holm, {count} tests"
