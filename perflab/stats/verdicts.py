"""A verdict: one small function over an interval and a margin, with four values."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from perflab.stats.tests import Effect, Floats, critical

ALPHA = 0.05
VERDICTS = ("improved", "regressed", "equivalent", "inconclusive")
_QUANTILES_5_80 = 1.959964 + 0.841621
"""Standard normal quantiles of a 5 % test with 80 % power."""


def decide(
    effect: Effect, margin: Floats | float, p_adjusted: Floats, better: int = -1, alpha: float = ALPHA
) -> npt.NDArray[np.str_]:
    """Words for each effect.

    ``margin`` is on the scale of the effect (ln of 1 + tolerance for ratios), ``better`` the sign of a good change.
    "equivalent" where the interval at 1 - 2 ``alpha`` (90 %) lies within the margin (two one-sided tests: Schuirmann
    1987); else "improved" or "regressed" where the p-value, corrected for the family, is below ``alpha``; else
    "inconclusive". ``alpha`` is below 5 % where an experiment may stop early.
    """
    low, high = effect.interval(1 - 2 * alpha)
    same = (-margin < low) & (high < margin)
    direction = np.where(effect.difference * better > 0, "improved", "regressed")
    words: npt.NDArray[np.str_] = np.select(
        [same, (p_adjusted < alpha) & (effect.difference != 0)], ["equivalent", direction], default="inconclusive"
    )
    return words


def worst_case(effect: Effect, better: int = -1) -> Floats:
    """The one-sided 95 % limit on the bad side: a no-regression gate passes when it is less than the margin."""
    low, high = effect.interval(1 - 2 * ALPHA)
    return high if better < 0 else -low


def runs_to_decide(effect: Effect, margin: float, runs: int) -> int:
    """Runs (or pairs) in all that would settle it with power .8, if the effect is as large as it looks."""
    deviation = float(effect.error) * math.sqrt(runs)
    size = abs(float(effect.difference))
    # Either the difference is shown to be there, or to be within the margin: what takes fewer runs.
    wanted = max(size, margin - size, 1e-9)
    rough = max(2.0, (_QUANTILES_5_80 * deviation / wanted) ** 2)
    # With few runs the t quantile is larger than the normal one.
    widened = float(critical(1 - ALPHA, np.array(max(2.0, math.ceil(rough) - 1.0)))) + 0.841621
    return math.ceil(min(1e6, (widened * deviation / wanted) ** 2))
