"""The Universal Scalability Law (USL): how throughput grows with concurrency, and where it stops growing.

    X(N) = rate * N / (1 + contention * (N - 1) + coherency * N * (N - 1))

Gunther (2007), Guerrilla Capacity Planning, chapter 4. Contention is the serial share of the work, coherency
the cost of keeping the workers consistent, which makes throughput fall again beyond its peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perflab.stats.distributions import t_ppf

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float, float]
"""(estimate, low, high), 95 %."""

MIN_STEPS = 5
_MIN_EXPLAINED = 0.8


@dataclass(frozen=True)
class ScalabilityLaw:
    """The fitted model: each parameter with its 95 % interval, and the share of the variance explained."""

    rate: Interval
    contention: Interval
    coherency: Interval
    explained_fraction: float

    @property
    def peak_concurrency(self) -> float:
        """The concurrency with the highest throughput; infinite without coherency cost."""
        coherency = self.coherency[0]
        return math.sqrt(max(0.0, 1 - self.contention[0]) / coherency) if coherency > 1e-9 else math.inf

    @property
    def peak_per_s(self) -> float:
        """The highest throughput that the model allows."""
        if math.isfinite(self.peak_concurrency):
            return float(self.throughput(np.array([max(1.0, self.peak_concurrency)]))[0])
        return self.rate[0] / self.contention[0] if self.contention[0] > 1e-9 else math.inf

    def throughput(self, concurrency: Floats) -> Floats:
        """Requests a second at each concurrency."""
        return _law(concurrency, self.rate[0], self.contention[0], self.coherency[0])


def _law(n: Floats, rate: float, contention: float, coherency: float) -> Floats:
    return rate * n / (1 + contention * (n - 1) + coherency * n * (n - 1))


def fit_scalability(concurrency: Floats, throughput: Floats) -> tuple[ScalabilityLaw | None, str]:
    """Fit the model: (the model, "") or (None, why it does not fit).

    Parameters
    ----------
    concurrency : requests in the system at each step (Little's law: throughput times mean latency in seconds).
    throughput : completed requests per second at each step.

    Least squares on the logarithms, so that all steps weigh the same; intervals from the fit's covariance with Student's
    quantile. The interval of a parameter that the data cannot distinguish from zero starts at zero.

    >>> n = np.array([1.0, 2, 4, 8, 16, 32])
    >>> law, _ = fit_scalability(n, 100 * n / (1 + 0.05 * (n - 1) + 0.001 * n * (n - 1)))
    >>> round(law.contention[0], 3), round(law.coherency[0], 4)
    (0.05, 0.001)
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    usable = np.isfinite(concurrency) & np.isfinite(throughput) & (concurrency > 0) & (throughput > 0)
    n, x = concurrency[usable], throughput[usable]
    if len(n) < MIN_STEPS:
        return None, f"the scalability model needs at least {MIN_STEPS} steps; got {len(n)}"
    if n.max() / n.min() < 3:
        return None, "the steps cover too little: concurrency must vary by a factor of three or more"
    start = (float((x / n).max()), 0.05, 1e-4)
    try:
        found, covariance = curve_fit(
            lambda at, *p: np.log(_law(at, *p)),
            n,
            np.log(x),
            p0=start,
            bounds=([0, 0, 0], [np.inf, 1, 1]),
            x_scale=start,
        )
    except (RuntimeError, OptimizeWarning) as problem:
        return None, f"the scalability model could not be fitted: {problem}"
    residual = np.log(x) - np.log(_law(n, *found))
    spread = float(((np.log(x) - np.log(x).mean()) ** 2).sum())
    explained = 1 - float((residual**2).sum()) / spread if spread > 0 else 0.0
    if explained < _MIN_EXPLAINED:
        return None, f"the scalability model explains only {explained:.0%} of the differences in throughput"
    half = t_ppf(0.975, len(n) - 3) * np.sqrt(np.diag(covariance))
    rate, contention, coherency = (
        (float(p), max(0.0, float(p - h)), float(p + h)) for p, h in zip(found, half, strict=True)
    )
    return ScalabilityLaw(rate, contention, coherency, explained), ""
