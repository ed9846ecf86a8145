"""False-alarm rates: tests on runs of one system randomly labelled as two arms, and on simulated runs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from perflab.stats.distributions import normal_sf, t_sf

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ALPHA = 0.05
RESAMPLES = 499


def labels(runs: int, count: int, random: np.random.Generator) -> Flags:
    """``count`` labellings of the runs as two arms of equal size (give or take one), True for the candidate.

    >>> labels(5, 3, np.random.default_rng(1)).sum(axis=1).tolist()
    [2, 2, 2]
    """
    order = np.argsort(random.random((count, runs)), axis=1)
    flags: Flags = order < runs // 2
    return flags


def naive_alarms(latencies: list[Floats], candidate: Flags, share: float, *, seed: int = 0) -> Mapping[str, Flags]:
    """Whether each labelling (row of ``candidate``) makes a test of the pooled requests call the arms different.

    "Mann-Whitney", "Kolmogorov-Smirnov" and "bootstrap" (percentile interval of the difference of pooled quantiles), at
    5 %. ``latencies`` are those of each run, ``share`` the quantile.
    """
    whole = np.concatenate(latencies)
    sizes = np.array([len(v) for v in latencies], dtype="float64")
    run = np.repeat(np.arange(len(latencies)), sizes.astype("int64"))
    order = np.argsort(whole, kind="stable")
    sorted_values, sorted_run = whole[order], run[order]
    return {
        "Mann-Whitney": _mann_whitney(whole, run, sizes, candidate),
        "Kolmogorov-Smirnov": _kolmogorov_smirnov(sorted_values, sorted_run, sizes, candidate),
        "bootstrap": _bootstrap(sorted_values, sorted_run, candidate, share, seed),
    }


def _mann_whitney(whole: Floats, run: npt.NDArray[np.int64], sizes: Floats, candidate: Flags) -> Flags:
    """Two-sided, normal approximation with ties and continuity, from the rank sum of each run."""
    from scipy.stats import rankdata

    ranks = rankdata(whole)
    of_run = np.bincount(run, weights=ranks, minlength=len(sizes))
    second = candidate @ sizes
    first = len(whole) - second
    above = candidate @ of_run - second * (second + 1) / 2
    tied = np.unique(whole, return_counts=True)[1].astype("float64")
    n = float(len(whole))
    variance = first * second / 12 * (n + 1 - (tied**3 - tied).sum() / (n * (n - 1)))
    z = (np.abs(above - first * second / 2) - 0.5) / np.sqrt(variance)
    return np.asarray(2 * normal_sf(z) < ALPHA)


def _kolmogorov_smirnov(values: Floats, run: npt.NDArray[np.int64], sizes: Floats, candidate: Flags) -> Flags:
    from scipy.stats import kstwo

    last = np.append(values[1:] != values[:-1], True)
    alarms = np.empty(len(candidate), dtype=bool)
    for row, chosen in enumerate(candidate):
        second = float(sizes[chosen].sum())
        first = float(sizes.sum()) - second
        steps = np.where(chosen, 1 / second, -1 / first)[run]
        gap = float(np.abs(np.cumsum(steps)[last]).max())
        # scipy's asymptotic distribution; with thousands of requests the exact one is the same.
        alarms[row] = kstwo.sf(gap, round(first * second / (first + second))) < ALPHA
    return alarms


def _bootstrap(values: Floats, run: npt.NDArray[np.int64], candidate: Flags, share: float, seed: int) -> Flags:
    """An order statistic can be bootstrapped without resampling: its rank is Beta distributed."""
    random = np.random.default_rng(seed)
    alarms = np.empty(len(candidate), dtype=bool)
    for row, chosen in enumerate(candidate):
        mine = chosen[run]
        drawn = [_resampled(values[side], share, random) for side in (~mine, mine)]
        low, high = np.quantile(drawn[1] - drawn[0], [ALPHA / 2, 1 - ALPHA / 2])
        alarms[row] = low > 0 or high < 0
    return alarms


def _resampled(values: Floats, share: float, random: np.random.Generator) -> Floats:
    count = len(values)
    rank = min(count, max(1, round(share * count)))
    at = random.beta(rank, count - rank + 1, RESAMPLES)
    picked: Floats = values[np.minimum((at * count).astype("int64"), count - 1)]
    return picked


def simulated_series(
    sd: float, drift: float, autocorrelation: float, runs: int, count: int, random: np.random.Generator
) -> Floats:
    """``count`` experiments of ``runs`` successive runs without any difference: ln of the metric.

    A first-order autoregressive process of this sd and autocorrelation, on a linear drift from the first run to the last.
    """
    noise = random.normal(0, sd, (count, runs))
    path = np.empty_like(noise)
    path[:, 0] = noise[:, 0]
    fresh = math.sqrt(1 - autocorrelation**2)
    for i in range(1, runs):
        path[:, i] = autocorrelation * path[:, i - 1] + fresh * noise[:, i]
    drifting: Floats = path + np.linspace(0, drift, runs)
    return drifting


def paired_alarms(series: Floats, random: np.random.Generator) -> Flags:
    """Whether randomised pairs of adjacent runs and a paired t-test call the (equal) arms different."""
    pairs = series.shape[1] // 2
    first, second = series[:, 0 : 2 * pairs : 2], series[:, 1 : 2 * pairs : 2]
    half = (
        np.argsort(random.random((len(series), pairs)), axis=1) < (pairs + random.integers(0, 2, (len(series), 1))) // 2
    )
    differences = np.where(half, second - first, first - second)
    t = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / math.sqrt(pairs))
    return np.asarray(2 * t_sf(np.abs(t), pairs - 1) < ALPHA)


def blocked_alarms(series: Floats) -> Flags:
    """Whether Welch's test calls the arms different when all runs of one come before all runs of the other."""
    from scipy.stats import ttest_ind

    pairs = series.shape[1] // 2
    found = ttest_ind(series[:, :pairs], series[:, pairs : 2 * pairs], axis=1, equal_var=False)
    return np.asarray(found.pvalue < ALPHA)
