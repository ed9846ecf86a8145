"""Exact tests on the ranks of the runs, right with ties: what a reader who trusts no normal law may ask for.

They stand beside the t-tests and decide nothing: with three runs an arm no p of theirs is below 10 %, and they give no
interval of the change.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from perflab.stats.tests import Floats

MOST = 100
"""Values of both arms together; runs are counted in tens. Requests are no runs, and pooled ones have no valid test."""

_EXACT = 5_000
"""Values of the shorter side times all values: up to here the exact law takes milliseconds, beyond it the normal one does."""


def mann_whitney(baseline: npt.ArrayLike, candidate: npt.ArrayLike) -> tuple[float, float]:
    """The exact test of Mann and Whitney on one number a run, right with ties.

    Parameters
    ----------
    baseline, candidate : one number for each run (the ``value`` of `Change.values`), in any unit; 100 in all at most.

    Returns
    -------
    (u, p). ``u`` counts the pairs of runs in which the candidate's value is larger, ties by half. ``p`` is two-sided (twice the
    smaller tail), from the distribution of the sum of midranks over all choices of which runs are the candidate's; with
    ties the tables for untied ranks, and the normal approximation, are off by a factor with as few values as runs are.

    The verdicts of `compare` do not rest on it, but it stands in their ``details`` (rank_p): with three runs an arm it can't be
    below 0.1, with four not below 0.029, and of the size of a change it says nothing. Mann and Whitney (1947), On a test
    of whether one of two random variables is stochastically larger, Annals of Mathematical Statistics 18; with midranks Lehmann
    (1975), Nonparametrics, section 1.4.

    Raises
    ------
    ValueError : an empty arm, values that are not finite, more than 100 of them (requests instead of runs).

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
    """The p of `mann_whitney`; NaN where it can't be had."""
    if len(baseline) + len(candidate) > MOST or not (np.isfinite(baseline).all() and np.isfinite(candidate).all()):
        return math.nan
    return mann_whitney(baseline, candidate)[1]


def signed_rank_p(baseline: Floats, candidate: Floats) -> float:
    """Exact two-sided p of Wilcoxon's signed ranks of the pairs, with ties by midranks and zeros by Pratt's rule.

    Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1; Pratt (1959), Remarks on zeros and ties in
    the Wilcoxon signed rank procedures, JASA 54.
    """
    differences = candidate - baseline
    if not 0 < len(differences) <= MOST or not np.isfinite(differences).all():
        return math.nan
    # Differences that only rounding sets apart are ties.
    scale = float(np.abs([baseline, candidate]).max()) or 1.0
    differences = np.round(differences / scale, 12)
    doubled = _doubled_midranks(np.abs(differences))[differences != 0]
    positive = doubled[differences[differences != 0] > 0]
    return _two_sided(_any_sums(tuple(sorted(doubled.tolist()))), int(positive.sum()))


def apart(first: Floats, second: Floats, level: float) -> bool:
    """Whether the ranks of two stretches tell them apart at this level, or as far as so few ranks can: without overlap."""
    if first.max() < second.min() or second.max() < first.min():
        return True
    fewer = min(len(first), len(second))
    if fewer * (len(first) + len(second)) > _EXACT:
        # Imported where it is needed: it takes a second.
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(first, second, method="asymptotic").pvalue) < level
    doubled = _doubled_midranks(np.concatenate([first, second]))
    own = doubled[: len(first)] if len(first) == fewer else doubled[len(first) :]
    return _two_sided(_sums(tuple(sorted(doubled.tolist())), fewer), int(own.sum())) < level


def _doubled_midranks(values: Floats) -> npt.NDArray[np.int64]:
    """Twice the midranks: whole numbers, whatever the ties."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    doubled: npt.NDArray[np.int64] = (2 * np.cumsum(counts) - counts + 1)[place]
    return doubled


def _two_sided(counts: Floats, observed: int) -> float:
    smaller = min(float(counts[: observed + 1].sum()), float(counts[observed:].sum()))
    return min(1.0, 2 * smaller / float(counts.sum()))


@lru_cache(maxsize=64)
def _sums(weights: tuple[int, ...], chosen: int) -> Floats:
    """How many choices of ``chosen`` of the weights have each sum: a row of Pascal's triangle with sums."""
    largest = sum(weights[len(weights) - chosen :])
    table = np.zeros((chosen + 1, largest + 1))
    table[0, 0] = 1.0
    for weight in weights:
        table[1:, weight:] += table[:-1, : largest + 1 - weight].copy()
    counts: Floats = table[chosen]
    return counts


@lru_cache(maxsize=64)
def _any_sums(weights: tuple[int, ...]) -> Floats:
    """How many subsets of the weights have each sum."""
    counts = np.zeros(sum(weights) + 1)
    counts[0] = 1.0
    for weight in weights:
        counts[weight:] += counts[: len(counts) - weight].copy()
    return counts
