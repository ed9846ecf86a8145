"""Multiple testing: p-values corrected so that a whole family raises a false alarm as rarely as one test."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from perflab.stats.tests import Effect, Floats, sign_flips, two_sided

LEAST_PAIRS = 8
LEAST_RUNS = 4
"""From here on max-T has more power than Holm (datasets/calibration/families.csv); below, there are too few flips."""
LEAST_UNEVEN_RUNS = 5
"""The same for the smaller of two unequal arms: four runs against twenty give 9 % false alarms."""


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
    """Adjusted p-values that bound the expected share of false alarms among the verdicts: for exploration.

    Benjamini and Hochberg (1995), Controlling the false discovery rate, Journal of the Royal Statistical Society B 57.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")[::-1]
    stepped = np.minimum.accumulate(count / np.arange(count, 0, -1) * p_values[order])
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


FALSE_DISCOVERY, FAMILYWISE = "false-discovery", "familywise"
ADJUST = MappingProxyType({FALSE_DISCOVERY: benjamini_hochberg, FAMILYWISE: holm})
"""The correction of a family's p-values, by the error rate that it controls."""


def max_t(baseline: Floats, candidate: Floats, effect: Effect, *, pairs: bool, floor: Floats | float = 0.0) -> Floats:
    """Adjusted p-values by the step-down maximum of |t| over sign flips of whole runs, which preserve correlations.

    ``baseline`` and ``candidate`` are endpoints x runs. For pairs the differences are flipped, which is exact; otherwise
    each run's residual from the mean of its arm. Labels are not permuted: where one arm is noisier than the other, that
    multiplies the false alarms (datasets/calibration/noisier_arm.csv). Never below the t-test's own p, so that a family of
    one is the t-test and a further endpoint can only remove a verdict. Westfall and Young (1993), Resampling-based multiple
    testing; for flipped residuals Wu (1986), Jackknife, bootstrap and other resampling methods in regression
    analysis, Annals of Statistics 14, with the variances recomputed at each flip.
    """
    drawn = t_of_flips(candidate - baseline, floor) if pairs else t_of_residues(baseline, candidate, floor)
    observed = np.abs(effect.t)
    order = np.argsort(-observed, kind="stable")
    # For the endpoint with the k-th largest |t|: how often the maximum over it and all smaller ones exceeds it.
    largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    beyond = (largest >= observed[order] * (1 - 1e-9)).sum(0)
    # The full set of flips contains the observed one; samples and residuals do not.
    complete = pairs and len(drawn) == 2 ** baseline.shape[-1]
    stepped = np.maximum.accumulate(beyond / len(drawn) if complete else (1 + beyond) / (1 + len(drawn)))
    adjusted = np.empty(len(observed))
    adjusted[order] = stepped
    found: Floats = np.maximum(adjusted, effect.p_value)
    return found


def t_of_flips(differences: Floats, floor: Floats | float = 0.0) -> Floats:
    """|t| of every endpoint under each flip of whole pairs: flips x endpoints."""
    mean, variance = _flipped(differences, sign_flips(differences.shape[-1]))
    return _ratio(mean, np.maximum(variance, floor))


def t_of_residues(baseline: Floats, candidate: Floats, floor: Floats | float = 0.0) -> Floats:
    """Welch's |t| of every endpoint under each flip of the residuals from the arms' means: flips x endpoints."""
    first = baseline.shape[-1]
    signs = sign_flips(first + candidate.shape[-1])
    own = _flipped(baseline - baseline.mean(-1, keepdims=True), signs[:, :first])
    other = _flipped(candidate - candidate.mean(-1, keepdims=True), signs[:, first:])
    return _ratio(own[0] - other[0], np.maximum(own[1] + other[1], floor))


def _flipped(values: Floats, signs: Floats) -> tuple[Floats, Floats]:
    """The mean of the runs (endpoints x runs) and its variance under each row of signs."""
    count = values.shape[-1]
    mean = signs @ values.T / count
    # The sum of squares does not change with the signs.
    return mean, np.maximum((values**2).mean(-1) - mean**2, 0.0) / (count - 1)


def _ratio(mean: Floats, variance: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.abs(mean) / np.sqrt(np.maximum(variance, 0.0))
    # No difference and no variance: t is 0. A difference without variance (all signs equal): infinite.
    return np.where(np.isnan(found), 0.0, found)


def adjusted(
    baseline: Floats, candidate: Floats, effect: Effect, *, pairs: bool, floor: Floats | float = 0.0
) -> tuple[Floats, str]:
    """Corrected p-values and the name of the correction: the one with more power at this number of runs."""
    count, sizes = len(effect.difference), (baseline.shape[-1], candidate.shape[-1])
    if count < 2:
        return effect.p_value, ""
    uneven = not pairs and sizes[0] != sizes[1]
    least = LEAST_PAIRS if pairs else LEAST_UNEVEN_RUNS if uneven else LEAST_RUNS
    if min(sizes) >= least:
        how = "signs of whole pairs" if pairs else "signs of whole runs"
        return max_t(baseline, candidate, effect, pairs=pairs, floor=floor), f"max-T over the {how}, {count} tests"
    if uneven:
        p_value = _by_smaller_arm(effect, min(sizes))
        return holm(p_value), f"Holm with the smaller arm's degrees of freedom, {count} tests"
    return holm(effect.p_value), f"Holm, {count} tests"


def _by_smaller_arm(effect: Effect, runs: int) -> Floats:
    """p-values with the smaller arm's degrees of freedom, never too small; Welch's are, far out in the tail.

    With three runs against five, the three four times as noisy, 14 % of families of twenty had a false alarm
    (datasets/calibration/uneven_families.csv). Mickey and Brown (1966), Bounds on the distribution functions of the
    Behrens-Fisher statistic, Annals of Mathematical Statistics 37.
    """
    found: Floats = np.maximum(effect.p_value, two_sided(effect.t, np.full(effect.t.shape, runs - 1.0)))
    return found
