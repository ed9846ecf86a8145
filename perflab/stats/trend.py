"""Whether a quantity grows during a run: Theil-Sen slopes with intervals that allow for autocorrelation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perflab.stats.distributions import normal_ppf, normal_sf

Floats = npt.NDArray[np.float64]
MIN_POINTS = 10
STRETCHES = 24


@dataclass(frozen=True)
class Trend:
    """A slope per minute with its 95 % interval, the level at the start, and the p-value against no trend."""

    slope: float
    low: float
    high: float
    start: float
    p_value: float

    @property
    def direction(self) -> str:
        """ "grows", "falls" or "steady": whether the interval excludes zero."""
        return "grows" if self.low > 0 else "falls" if self.high < 0 else "steady"


def theil_sen(minutes: Floats, values: Floats) -> Trend:
    """The median of all pairwise slopes, robust to outliers, with an interval that allows for autocorrelation.

    Parameters
    ----------
    minutes, values : at least ten points in time order. More than 24 are first reduced to the medians of 24 stretches,
        which removes most of the autocorrelation.

    Sen (1968), Estimates of the regression coefficient based on Kendall's tau, JASA 63. The variance of Kendall's S is
    multiplied by (1 + r) / (1 - r), r the bias-corrected first autocorrelation of the residuals: Yue and Wang (2004), The
    Mann-Kendall test modified by effective sample size, Water Resources Management 18.

    >>> at = np.arange(60) / 12
    >>> found = theil_sen(at, 100 + 3.0 * at)
    >>> round(found.slope, 6), found.direction
    (3.0, 'grows')
    """
    if len(values) < MIN_POINTS:
        raise ValueError(f"values must have at least {MIN_POINTS} points; got {len(values)}")
    minutes, values = _stretches(minutes, values)
    count = len(values)
    first, second = np.triu_indices(count, 1)
    rise, apart = values[second] - values[first], minutes[second] - minutes[first]
    slopes = np.sort(rise[apart > 0] / apart[apart > 0])
    slope = float(np.median(slopes))
    residuals = values - slope * minutes
    _, ties = np.unique(values, return_counts=True)
    variance = (count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    variance *= _dependence(residuals - residuals.mean())
    start = float(np.median(residuals))
    if variance <= 0:
        return Trend(slope, slope, slope, start, 1.0)
    half = float(normal_ppf(0.975) * np.sqrt(variance))
    ranks = np.array([np.floor((len(slopes) - half) / 2), np.ceil((len(slopes) + half) / 2)])
    low, high = slopes[np.clip(ranks, 0, len(slopes) - 1).astype(int)]
    z = max(0.0, abs(float(np.sign(rise).sum())) - 1) / np.sqrt(variance)
    return Trend(slope, float(low), float(high), start, float(2 * normal_sf(z)))


def _stretches(minutes: Floats, values: Floats) -> tuple[Floats, Floats]:
    if len(values) <= STRETCHES:
        return minutes, values
    parts = np.array_split(np.arange(len(values)), STRETCHES)
    return np.array([minutes[p].mean() for p in parts]), np.array([np.median(values[p]) for p in parts])


def _dependence(residuals: Floats) -> float:
    """The factor by which autocorrelation inflates the variance of Kendall's S (1 for independent points)."""
    count, total = len(residuals), float((residuals**2).sum())
    if total <= 1e-18:
        return 1.0
    found = float((residuals[1:] * residuals[:-1]).sum()) / total
    # Autocorrelation of residuals from a fitted line is biased low; uncorrected, one test in seven would be wrong.
    corrected = min(max((count * found + 2) / (count - 4), 0.0), 0.95)
    return (1 + corrected) / (1 - corrected)
