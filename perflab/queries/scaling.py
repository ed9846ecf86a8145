"""Do the calls of a child grow with the rows of its parent? Slope, interval, and a permutation test.

The slope is least squares with a heteroscedasticity-consistent interval (HC3: MacKinnon & White 1985, J. Econometrics
29:305); p is a permutation test of no dependence (Fisher; (b + 1) / (B + 1) as in Phipson & Smyth 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MIN_UNITS = 8
MIN_SIZES = 3
_MOST_UNITS = 400
_PERMUTATIONS = 999

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """Slope of calls over parent rows, its 95 % interval, R squared, permutation p; NaN where there is too little."""

    slope: float = math.nan
    low: float = math.nan
    high: float = math.nan
    r_squared: float = math.nan
    p_value: float = math.nan
    units: int = 0

    @property
    def tested(self) -> bool:
        return not math.isnan(self.p_value)


def scaling(rows: Floats, calls: Floats, *, sizes: int = MIN_SIZES, seed: int = 0) -> Scaling:
    """Fit calls over rows, one point a unit; needs at least 8 units and 3 different sizes of the parent (or ``sizes``)."""
    known = np.isfinite(rows) & np.isfinite(calls)
    x, y = rows[known], calls[known]
    random = np.random.default_rng(seed)
    if len(x) > _MOST_UNITS:
        chosen = random.choice(len(x), _MOST_UNITS, replace=False)
        x, y = x[chosen], y[chosen]
    if len(x) < MIN_UNITS or len(np.unique(x)) < sizes:
        return Scaling(units=len(x))
    dx, dy = x - x.mean(), y - y.mean()
    spread = float(dx @ dx)
    slope = float(dx @ dy) / spread
    residuals = dy - slope * dx
    leverage = np.minimum(1 / len(x) + dx**2 / spread, 1 - 1e-9)
    error = math.sqrt(float(np.sum((dx * residuals / (1 - leverage)) ** 2))) / spread
    total = float(dy @ dy)
    margin = _student(len(x) - 2) * error
    return Scaling(
        slope=slope,
        low=slope - margin,
        high=slope + margin,
        r_squared=1 - float(residuals @ residuals) / total if total else 0.0,
        p_value=_permutation_p(dx, dy, random) if total else 1.0,
        units=len(x),
    )


def _student(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def _permutation_p(dx: Floats, dy: Floats, random: np.random.Generator) -> float:
    observed = abs(float(dx @ dy))
    shuffled = random.permuted(np.tile(dy, (_PERMUTATIONS, 1)), axis=1)
    return (1 + int(np.sum(np.abs(shuffled @ dx) >= observed * (1 - 1e-9)))) / (_PERMUTATIONS + 1)
