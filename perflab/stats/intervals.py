"""Intervals that respect dependence: over runs, over clusters of yes or no, and within one run by batch means."""

from __future__ import annotations

import math

import numpy as np

from perflab.metrics import Floats, quantile
from perflab.stats.distributions import beta_ppf, normal_ppf, t_ppf

Interval = tuple[float, float, float]
"""(estimate, low, high)"""

BATCHES = 20
"""Stretches of a run that count as independent in the method of batch means."""


def over_runs(values: Floats, *, confidence: float = 0.95, relative: bool = True) -> Interval:
    """Student's interval of one number per run; if ``relative`` of its logarithm (a geometric mean) where all are positive.

    >>> [round(v, 1) for v in over_runs(np.array([90.0, 100.0, 110.0]))]
    [99.7, 77.7, 127.9]
    """
    if (values == values[0]).all():  # and not what is left of it after a logarithm
        return float(values[0]), float(values[0]), float(values[0])
    positive = relative and bool((values > 0).all())
    numbers = np.log(values) if positive else values
    middle, count = float(numbers.mean()), len(numbers)
    half = float(t_ppf(0.5 + confidence / 2, count - 1) * numbers.std(ddof=1)) / math.sqrt(count)
    found = (middle, middle - half, middle + half)
    return (math.exp(found[0]), math.exp(found[1]), math.exp(found[2])) if positive else found


def share(events: Floats, counts: Floats, *, confidence: float = 0.95) -> Interval:
    """The share of events with an exact binomial interval at the effective sample size.

    ``events`` of ``counts`` in each cluster (a run, or a stretch of one). Clusters that vary more than the binomial
    distribution allows lower the effective sample size, and so do few clusters; without an event the upper limit is still
    above zero. It cannot allow for rare runs in which nearly everything fails, before one was seen. Korn and Graubard
    (1998), Confidence intervals for proportions with small expected number of positive counts estimated from survey
    data, Survey Methodology 24.

    >>> [round(v, 4) for v in share(np.zeros(10), np.full(10, 100.0))]
    [0.0, 0.0, 0.0049]
    """
    total, clusters = float(counts.sum()), len(counts)
    estimate = float(events.sum()) / total
    spread = float((((events - estimate * counts) / total) ** 2).sum()) * clusters / max(1, clusters - 1)
    binomial = estimate * (1 - estimate) / total
    effect = max(1.0, spread / binomial) if binomial > 0 else 1.0
    level = 0.5 + confidence / 2
    few = (normal_ppf(level) / t_ppf(level, clusters - 1)) ** 2 if clusters > 1 else 1.0
    size = max(1.0, total / effect * float(few))
    hits = estimate * size
    low = float(beta_ppf(1 - level, hits, size - hits + 1)) if hits > 0 else 0.0
    high = float(beta_ppf(level, hits + 1, size - hits)) if hits < size else 1.0
    return estimate, low, high


def batches(values: Floats, count: int = BATCHES) -> Floats:
    """Means of ``count`` stretches of equal length, in the given order; the remainder at the end is dropped."""
    length = len(values) // count
    means: Floats = values[: length * count].reshape(count, length).mean(axis=1)
    return means


def design_effect(values: Floats, count: int = BATCHES) -> float:
    """How many times larger the variance of a run's mean is than if its requests were independent.

    By batch means of the values in start order; for a quantile those of the indicator, 1 where a request is slower.
    Schmeiser (1982), Batch size effects in the analysis of simulation output, Operations Research 30. 1.0 where it is
    unknown: fewer than two values per batch, or all of them equal.
    """
    spread = float(values.var()) if len(values) >= 2 * count else 0.0
    if spread == 0:
        return 1.0
    return float(batches(values, count).var(ddof=1)) * (len(values) // count) / spread


def quantile_within(values: Floats, at: float, *, confidence: float = 0.95, rank: float | None = None) -> Interval:
    """A quantile of one run with an interval from that run alone; ``values`` in start order.

    The interval of the share below the quantile, by batch means, mapped back to latencies: Woodruff (1952),
    Confidence intervals for medians and other position measures, JASA 47. It says nothing about other runs.
    """
    estimate = float(quantile(values, [at])[0]) if rank is None else rank
    above = (values > estimate).astype("float64")
    effect = max(1.0, design_effect(above))
    error = math.sqrt(at * (1 - at) / len(values) * effect)
    half = float(t_ppf(0.5 + confidence / 2, BATCHES - 1)) * error
    low, high = quantile(values, [max(0.0, at - half), min(1.0, at + half)])
    return estimate, min(float(low), estimate), max(float(high), estimate)


def mean_within(values: Floats, *, confidence: float = 0.95) -> Interval:
    """The mean of one run with its interval by batch means; ``values`` in start order."""
    middle = float(values.mean())
    means = batches(values)
    half = float(t_ppf(0.5 + confidence / 2, BATCHES - 1)) * float(means.std(ddof=1)) / math.sqrt(BATCHES)
    return middle, middle - half, middle + half
