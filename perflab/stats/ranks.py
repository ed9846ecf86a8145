"""Exact rank tests on the runs, correct with ties: for readers who do not want to assume a normal distribution.

They are reported next to the t-tests and decide nothing: with three runs per arm their p is never below 10 %, and they
give no interval of the change.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from perflab.stats.tests import Floats

MOST = 100
"""Most values of both arms together. Requests are not runs, and pooled requests have no valid test."""

_EXACT = 5_000
"""Values of the smaller side times all values: up to here the exact distribution takes milliseconds, beyond it is normal."""


def mann_whitney(baseline: npt.ArrayLike, candidate: npt.ArrayLike) -> tuple[float, float]:
    """The exact Mann-Whitney test on one number per run, correct with ties.

    Parameters
    ----------
    baseline, candidate : one number for each run (the ``value`` of `Change.values`), in any unit; at most 100 together.

    Returns
    -------
    (u, p). ``u`` counts the pairs of runs in which the candidate's value is larger, ties as half. ``p`` is two-sided
    (twice the smaller tail), from the distribution of the sum of midranks over all choices of the candidate's runs; with
    so few values, tables for untied ranks and the normal approximation are wrong by a factor where there are ties.

    `compare` does not decide by it, but reports it in ``details`` (rank_p): with three runs per arm it is at least 0.1,
    with four at least 0.029, and it says nothing about the size of a change. Mann and Whitney (1947), On a test
    of whether one of two random variables is stochastically larger, Annals of Mathematical Statistics 18; with midranks
    Lehmann (1975), Nonparametrics, section 1.4.

    Raises
    ------
    ValueError : an empty arm, values that are not finite, or more than 100 of them (requests instead of runs).

    >>> mann_whitney([201, 198, 205, 199], [180, 198, 179, 181])
    (0.5, 0.05714285714285714)
    """
    sides = [np.asarray(side, dtype="float64").ravel() for side in (baseline, candidate)]
    if not all(len(side) and np.isfinite(side).all() for side in sides):
        raise ValueError("mann_whitney: baseline and candidate must hold finite numbers, at least one each")
    if sum(map(len, sides)) > MOST:
        raise ValueError(
            f"mann_whitney takes one number a run, {MOST} in all at most; got {sum(map(len, sides)):,}. Requests of one run are "
            "not independent: take the p95 of each run (compare(...).values)"
        )
    doubled = _doubled_midranks(np.concatenate(sides))
    own = doubled[len(sides[0]) :]
    u = float(own.sum()) / 2 - len(own) * (len(own) + 1) / 2
    return u, _two_sided(_sums(tuple(sorted(doubled.tolist())), len(own)), int(own.sum()))


def rank_sum_p(baseline: Floats, candidate: Floats) -> float:
    """The p of `mann_whitney`; NaN where it is undefined."""
    if len(baseline) + len(candidate) > MOST or not (np.isfinite(baseline).all() and np.isfinite(candidate).all()):
        return math.nan
    return mann_whitney(baseline, candidate)[1]


def signed_rank_p(baseline: Floats, candidate: Floats) -> float:
    """The exact two-sided p of Wilcoxon's signed ranks of the pairs: midranks for ties, Pratt's rule for zeros.

    Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1; Pratt (1959), Remarks on zeros and ties in
    the Wilcoxon signed rank procedures, JASA 54.
    """
    differences = candidate - baseline
    if not 0 < len(differences) <= MOST or not np.isfinite(differences).all():
        return math.nan
    # Differences that only rounding separates are ties.
    scale = float(np.abs([baseline, candidate]).max()) or 1.0
    differences = np.round(differences / scale, 12)
    doubled = _doubled_midranks(np.abs(differences))[differences != 0]
    positive = doubled[differences[differences != 0] > 0]
    return _two_sided(_any_sums(tuple(sorted(doubled.tolist()))), int(positive.sum()))


def apart(first: Floats, second: Floats, level: float) -> bool:
    """Whether the ranks of two segments differ at this level, or do not overlap where so few ranks cannot reach it."""
    if first.max() < second.min() or second.max() < first.min():
        return True
    fewer = min(len(first), len(second))
    if fewer * (len(first) + len(second)) > _EXACT:
        # Imported here: it takes a second.
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(first, second, method="asymptotic").pvalue) < level
    doubled = _doubled_midranks(np.concatenate([first, second]))
    own = doubled[: len(first)] if len(first) == fewer else doubled[len(first) :]
    return _two_sided(_sums(tuple(sorted(doubled.tolist())), fewer), int(own.sum())) < level


def _doubled_midranks(values: Floats) -> npt.NDArray[np.int64]:
    """Twice the midranks: whole numbers even with ties."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    doubled: npt.NDArray[np.int64] = (2 * np.cumsum(counts) - counts + 1)[place]
    return doubled


def _two_sided(counts: Floats, observed: int) -> float:
    smaller = min(float(counts[: observed + 1].sum()), float(counts[observed:].sum()))
    return min(1.0, 2 * smaller / float(counts.sum()))


@lru_cache(maxsize=64)
def _sums(weights: tuple[int, ...], chosen: int) -> Floats:
    """The number of ways to choose ``chosen`` of the weights, by their sum: Pascal's triangle over sums."""
    largest = sum(weights[len(weights) - chosen :])
    table = np.zeros((chosen + 1, largest + 1))
    table[0, 0] = 1.0
    for weight in weights:
        table[1:, weight:] += table[:-1, : largest + 1 - weight].copy()
    counts: Floats = table[chosen]
    return counts


@lru_cache(maxsize=64)
def _any_sums(weights: tuple[int, ...]) -> Floats:
    """The number of subsets of the weights, by their sum."""
    counts = np.zeros(sum(weights) + 1)
    counts[0] = 1.0
    for weight in weights:
        counts[weight:] += counts[: len(counts) - weight].copy()
    return counts
