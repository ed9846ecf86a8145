"""The tests behind a verdict: an effect with its standard error and degrees of freedom, never on pooled requests.

Every function works along the last axis, the runs; the other axes are endpoints here and repetitions in the
simulations, so the calibrated code is the code that decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

MAX_EXACT = 20_000
_DRAWS = 20_000
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Effect:
    """Differences (candidate - baseline) with their standard errors and degrees of freedom; arrays of one shape."""

    difference: Floats
    error: Floats
    degrees: Floats

    @property
    def t(self) -> Floats:
        """The difference in standard errors; infinite where the runs of each arm agree to the last digit and the arms differ."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.difference / self.error
        found: Floats = np.where(np.isnan(ratio) & (self.difference == 0), 0.0, ratio)
        return found

    @property
    def p_value(self) -> Floats:
        """The two-sided p-value."""
        return two_sided(self.t, self.degrees)

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Both limits; the difference itself where the error is 0."""
        half = critical(confidence, self.degrees) * self.error
        return self.difference - half, self.difference + half


def two_sided(t: Floats, degrees: Floats) -> Floats:
    """The two-sided p-value of a t statistic."""
    found: Floats = 2 * special.stdtr(degrees, -np.abs(t))
    return found


def critical(confidence: float, degrees: Floats) -> Floats:
    """The t quantile of a two-sided interval."""
    found: Floats = special.stdtrit(degrees, 0.5 + confidence / 2)
    return found


def paired(baseline: Floats, candidate: Floats, floor: Floats | float = 0.0) -> Effect:
    """Paired t-test; ``floor`` is the least variance of the mean difference (counting noise)."""
    differences = candidate - baseline
    count = differences.shape[-1]
    variance = np.maximum(_variance(differences) / count, floor)
    return Effect(differences.mean(-1), np.sqrt(variance), np.full(differences.shape[:-1], count - 1.0))


def welch(baseline: Floats, candidate: Floats, floor: Floats | float = 0.0) -> Effect:
    """Welch's t-test on the runs, with at most the degrees of freedom of arms with equal variances.

    Welch (1947), The generalization of "Student's" problem when several different population variances are
    involved, Biometrika 34. His degrees depend on the sample variances: where three runs against many happen to vary
    little, they are several times too large, and 5 % become 8 (datasets/calibration/uneven_arms.csv). Arms of equal
    size never reach the limit.
    """
    sides = [(side.mean(-1), _variance(side), np.array(float(side.shape[-1]))) for side in (baseline, candidate)]
    return welch_of_moments(sides[0], sides[1], floor)


def welch_of_moments(
    baseline: tuple[Floats, Floats, Floats], candidate: tuple[Floats, Floats, Floats], floor: Floats | float = 0.0
) -> Effect:
    """`welch` from the means, variances and counts of both sides; the error is NaN where a count is below two."""
    (mean, first, m), (other, second, n) = baseline, candidate
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = np.where(m > 1, first / m, math.nan), np.where(n > 1, second / n, math.nan)
        total = first + second
        degrees = total**2 / (first**2 / (m - 1) + second**2 / (n - 1))
        alike = (1 / m + 1 / n) ** 2 / (1 / m**2 / (m - 1) + 1 / n**2 / (n - 1))
    degrees = np.where(total > 0, np.minimum(degrees, alike), alike)
    return Effect(other - mean, np.sqrt(np.maximum(total, floor)), degrees)


def few_pairs(
    baseline: Floats, candidate: Floats, slots_baseline: Floats, slots_candidate: Floats, floor: Floats | float = 0.0
) -> Effect:
    """Least squares with the arm and a linear trend over the order of the runs, for three or four pairs."""
    count = baseline.shape[-1]
    slots = np.concatenate([slots_baseline, slots_candidate], axis=-1)
    slots = slots - slots.mean(-1, keepdims=True)
    arm = np.broadcast_to(np.repeat([-0.5, 0.5], count), slots.shape)
    values = np.concatenate([baseline, candidate], axis=-1)
    values = values - values.mean(-1, keepdims=True)
    aa, ss, as_ = (arm * arm).sum(-1), (slots * slots).sum(-1), (arm * slots).sum(-1)
    ay, sy = (arm * values).sum(-1), (slots * values).sum(-1)
    determinant = aa * ss - as_**2
    difference, slope = (ss * ay - as_ * sy) / determinant, (aa * sy - as_ * ay) / determinant
    residual = values - difference[..., None] * arm - slope[..., None] * slots
    degrees = 2 * count - 3
    variance = np.maximum(_cleaned((residual**2).sum(-1) / degrees, values) * ss / determinant, floor)
    return Effect(difference, np.sqrt(variance), np.full(difference.shape, float(degrees)))


def against_history(history: Floats, one: Floats, floor: Floats | float = 0.0) -> Effect:
    """One run (without the last axis) against at least five earlier ones, in order: a prediction interval.

    It is the interval around the mean, widened to exclude no change only where that of a linear trend does too: in
    histories that drift or are autocorrelated, the next run is off their mean (9 to 14 % false alarms at a nominal 5 %;
    at most 4 % with the trend).
    """
    count = history.shape[-1]
    mean, at = history.mean(-1), np.arange(count) - (count - 1) / 2
    squares, ahead = float((at**2).sum()), count - float((count - 1) / 2)
    slope = history @ at / squares
    left = history - mean[..., None] - slope[..., None] * at
    spread = _cleaned((left**2).sum(-1) / (count - 2), history) * (1 + 1 / count + ahead**2 / squares)
    degrees = np.full(mean.shape, count - 1.0)
    own, other = critical(0.95, degrees), critical(0.95, degrees - 1)
    error = np.sqrt(np.maximum(_variance(history) * (1 + 1 / count), floor))
    reach = np.sign(one - mean) * slope * ahead + other * np.sqrt(np.maximum(spread, floor))
    return Effect(one - mean, np.maximum(error, reach / own), degrees)


def paired_given(baseline: Floats, candidate: Floats, other: Floats, floor: Floats | float = 0.0) -> Effect:
    """The mean difference of pairs at equal covariates (numbers x pairs), by least squares."""
    columns = np.column_stack([np.ones(baseline.shape[-1]), *other])
    return _least_squares(candidate - baseline, columns, 0, floor)


def unpaired_given(baseline: Floats, candidate: Floats, other: Floats, floor: Floats | float = 0.0) -> Effect:
    """The difference of two arms at equal covariates (numbers x runs of both arms), by least squares."""
    arm = np.repeat([0.0, 1.0], [baseline.shape[-1], candidate.shape[-1]])
    columns = np.column_stack([arm, np.ones(len(arm)), *other])
    return _least_squares(np.concatenate([baseline, candidate], axis=-1), columns, 0, floor)


def _least_squares(values: Floats, columns: Floats, place: int, floor: Floats | float) -> Effect:
    """The coefficient of one column for every row of values."""
    inverse = np.linalg.pinv(columns.T @ columns)
    coefficients = values @ columns @ inverse
    left = values - coefficients @ columns.T
    degrees = float(values.shape[-1] - columns.shape[1])
    variance = np.maximum(_cleaned((left**2).sum(-1) / degrees, values) * inverse[place, place], floor)
    return Effect(coefficients[..., place], np.sqrt(variance), np.full(values.shape[:-1], degrees))


def trimmed_p(baseline: Floats, candidate: Floats, *, pairs: bool) -> float:
    """The p of the 20 % trimmed means, which a broken run hardly moves; NaN below five runs.

    Yuen (1974), The two-sample trimmed t for unequal population variances, Biometrika 61.
    """
    sides = [candidate - baseline] if pairs else [baseline, candidate]
    if min(map(len, sides)) < 5:
        return math.nan
    moments = [_trimmed(side) for side in sides]
    if pairs:
        ((mean, error, count),) = moments
        effect = Effect(np.array(mean), np.array(math.sqrt(error)), np.array(count - 1.0))
    else:
        (first, a, m), (second, b, n) = moments
        degrees = (a + b) ** 2 / max(a**2 / (m - 1) + b**2 / (n - 1), 1e-300)
        effect = Effect(np.array(second - first), np.array(math.sqrt(a + b)), np.array(degrees))
    return float(effect.p_value)


def _trimmed(values: Floats) -> tuple[float, float, int]:
    """The trimmed mean, its squared standard error by the winsorised variance, and the number of values left."""
    ordered, cut = np.sort(values), int(0.2 * len(values))
    left = len(values) - 2 * cut
    winsorised = np.clip(ordered, ordered[cut], ordered[len(values) - cut - 1])
    error = float(winsorised.var(ddof=1)) * (len(values) - 1) / (left * (left - 1))
    return float(ordered[cut : len(values) - cut].mean()), error, left


def _variance(values: Floats) -> Floats:
    found: Floats = values.var(-1, ddof=1)
    return _cleaned(found, values)


def _cleaned(variance: Floats, values: Floats) -> Floats:
    """The variance, 0 where it is only rounding error, which would make identical runs look different."""
    found: Floats = np.where(variance < (_ROUNDING * (1 + np.abs(values).max(-1))) ** 2, 0.0, variance)
    return found


def sign_flip_p(baseline: Floats, candidate: Floats) -> float:
    """Exact (or sampled) p of the mean difference under sign flips of whole pairs; NaN below six pairs."""
    differences = candidate - baseline
    if len(differences) < 6:
        return math.nan
    return _share_beyond(sign_flips(len(differences)) @ differences, float(differences.sum()))


def label_permutation_p(baseline: Floats, candidate: Floats) -> float:
    """Exact (or sampled) p of the difference of means under relabelled runs; NaN below four runs an arm."""
    if min(len(baseline), len(candidate)) < 4:
        return math.nan
    values = np.concatenate([baseline, candidate])
    values = values - values.mean()
    # For centred values the sum of one arm is enough: the other's is its negative.
    return _share_beyond(
        label_permutations(len(baseline), len(candidate)) @ values, float(values[: len(baseline)].sum())
    )


def _share_beyond(drawn: Floats, observed: float) -> float:
    beyond = int((np.abs(drawn) >= abs(observed) * (1 - 1e-9) - 1e-15).sum())
    sampled = len(drawn) == _DRAWS
    return (1 + beyond) / (1 + len(drawn)) if sampled else beyond / len(drawn)


@lru_cache(maxsize=8)
def sign_flips(count: int) -> Floats:
    """All vectors of signs, one per row, or a sample where there are too many."""
    if 2**count <= MAX_EXACT:
        flips = np.where((np.arange(2**count)[:, None] >> np.arange(count)) & 1, -1.0, 1.0)
    else:
        flips = np.random.default_rng(0).choice([-1.0, 1.0], size=(_DRAWS, count))
    flips.flags.writeable = False
    return flips


@lru_cache(maxsize=8)
def label_permutations(first: int, second: int) -> Floats:
    """All choices of the baseline's runs as rows of 0 and 1, or a sample where there are too many."""
    count = first + second
    if math.comb(count, first) <= MAX_EXACT:
        places = np.array(list(combinations(range(count), first)))
    else:
        places = np.random.default_rng(0).permuted(np.tile(np.arange(count), (_DRAWS, 1)), axis=1)[:, :first]
    chosen = np.zeros((len(places), count))
    np.put_along_axis(chosen, places, 1.0, axis=1)
    chosen.flags.writeable = False
    return chosen
