"""A verdict: one small function over an interval and a margin, with four values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perflab.stats import families
from perflab.stats.tests import Effect, Floats, critical

ALPHA = 0.05
VERDICTS = ("improved", "regressed", "equivalent", "inconclusive")
NEW, GONE = "new", "gone"
_QUANTILES_5_80 = 1.959964 + 0.841621
"""Standard normal quantiles of a 5 % test with 80 % power."""


def decide(
    effect: Effect, margin: Floats | float, p_adjusted: Floats, better: int = -1, alpha: float = ALPHA
) -> npt.NDArray[np.str_]:
    """The verdict on each effect.

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


@dataclass(frozen=True)
class Decided:
    """The result of `decide_all`, arrays with a value per row. ``low`` and ``high`` are the interval at ``1 - alpha``, for
    display; "equivalent" is decided by the one at ``1 - 2 alpha``. ``verdict`` is "" where a row was not tested.
    """

    effect: Effect
    low: Floats
    high: Floats
    p_value: Floats
    p_adjusted: Floats
    verdict: npt.NDArray[np.str_]


def decide_all(
    effect: Effect,
    margin: Floats | float,
    *,
    tested: npt.NDArray[np.bool_] | None = None,
    absent: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None = None,
    complete: bool = False,
    adjust: str = families.FALSE_DISCOVERY,
    better: int = -1,
    alpha: float = ALPHA,
) -> Decided:
    """Apply the verdict rule to many rows at once: functions of a profile, statements, endpoints.

    Parameters
    ----------
    effect : Effect
        One for each row, from `tests.paired` or `tests.welch` (values by run, runs along the last axis), or from
        `tests.welch_of_moments` (means, variances and counts).
    margin : array or float
        The tolerance on the scale of the effect; ``ln(1 + tolerance)`` for logarithms.
    tested : array of bool, optional
        The rows of the family; the others get the verdict "" and no adjusted p.
    absent : two arrays of bool, optional
        Rows missing from the baseline, and from the candidate: "new" and "gone" replace a direction.
    complete : bool
        Whether the data are complete (each statement was recorded), so that "new" and "gone" need no test. For samples
        (a profile) they do: a function may have been missed.
    adjust : str
        `families.FALSE_DISCOVERY` (Benjamini and Hochberg) or `families.FAMILYWISE` (Holm).
    better, alpha : as in `decide`.

    Returns
    -------
    Decided
        Rows whose effect has no error (fewer than two runs on a side) are "inconclusive".

    >>> from perflab.stats.tests import welch
    >>> before, after = np.array([[10.0, 11, 10, 11]] * 2), np.array([[5.0, 6, 5, 6], [10.0, 11, 11, 10]])
    >>> decide_all(welch(before, after), 0.1).verdict.tolist()
    ['improved', 'inconclusive']
    """
    rows = np.ones(effect.difference.shape, dtype=bool) if tested is None else tested
    with np.errstate(invalid="ignore"):
        low, high = effect.interval(1 - alpha)
        p_value = effect.p_value
        family = rows & np.isfinite(p_value)
        adjusted = np.full(p_value.shape, math.nan)
        adjusted[family] = families.ADJUST[adjust](p_value[family])
        words = decide(effect, margin, adjusted, better, alpha).astype(object)
    if absent is not None:
        for word, missing in zip((NEW, GONE), absent, strict=True):
            words[missing & (complete | np.isin(words, VERDICTS[:2]))] = word
    words[~rows] = ""
    return Decided(effect, low, high, p_value, adjusted, words.astype(str))


def worst_case(effect: Effect, better: int = -1, alpha: float = ALPHA) -> Floats:
    """The one-sided 95 % limit on the bad side: a no-regression gate passes when it is below the margin."""
    low, high = effect.interval(1 - 2 * alpha)
    return high if better < 0 else -low


def runs_to_decide(effect: Effect, margin: float, runs: int) -> int:
    """The total number of runs (or pairs) to settle it with power .8, if the effect is as large as measured."""
    deviation = float(effect.error) * math.sqrt(runs)
    size = abs(float(effect.difference))
    # Show either that there is a difference, or that it is within the margin: whichever takes fewer runs.
    wanted = max(size, margin - size, 1e-9)
    rough = max(2.0, (_QUANTILES_5_80 * deviation / wanted) ** 2)
    # With few runs the t quantile is larger than the normal one.
    widened = float(critical(1 - ALPHA, np.array(max(2.0, math.ceil(rough) - 1.0)))) + 0.841621
    return math.ceil(min(1e6, (widened * deviation / wanted) ** 2))
