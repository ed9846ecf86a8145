"""The few distributions that verdicts need; `scipy.stats` has them too, but takes a second to import."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special


def normal_cdf(z: Any) -> Any:
    """P(Z < ``z``).

    >>> round(float(normal_cdf(1.959964)), 4)
    0.975
    """
    return special.ndtr(z)


def normal_sf(z: Any) -> Any:
    """P(Z > ``z``), accurate far out in the tail too."""
    return special.ndtr(-np.asarray(z))


def normal_ppf(share: Any) -> Any:
    """The value with this share below it."""
    return special.ndtri(share)


def normal_isf(share: Any) -> Any:
    """The value with this share above it."""
    return -special.ndtri(share)


def normal_pdf(z: Any) -> Any:
    return np.exp(-(np.asarray(z) ** 2) / 2) / math.sqrt(2 * math.pi)


def t_cdf(t: Any, degrees: Any) -> Any:
    return special.stdtr(degrees, t)


def t_sf(t: Any, degrees: Any) -> Any:
    """P(T > ``t``) of Student's distribution.

    >>> round(2 * float(t_sf(2.228139, 10)), 4)
    0.05
    """
    return special.stdtr(degrees, -np.asarray(t))


def t_ppf(share: Any, degrees: Any) -> Any:
    return special.stdtrit(degrees, share)


def t_isf(share: Any, degrees: Any) -> Any:
    return -special.stdtrit(degrees, share)


def chi2_ppf(share: Any, degrees: Any) -> Any:
    """The value with this share of the chi-squared distribution below it.

    >>> round(float(chi2_ppf(0.95, 3)), 3)
    7.815
    """
    return 2 * special.gammaincinv(np.asarray(degrees) / 2, share)


def beta_ppf(share: Any, a: Any, b: Any) -> Any:
    return special.betaincinv(a, b, share)


def crossing(function: Callable[[float], float], low: float, high: float, *, within: float = 1e-10) -> float:
    """Find by bisection where the function changes its sign between ``low`` and ``high``.

    `scipy.optimize` takes a third of a second to import. ValueError if the sign is the same at both ends.

    >>> round(crossing(lambda x: x**2 - 2, 0.0, 2.0), 6)
    1.414214
    """
    at_low = function(low)
    if (at_low < 0) == (function(high) < 0):
        raise ValueError(f"the function must change its sign between {low!r} and {high!r}")
    while high - low > within:
        middle = (low + high) / 2
        if (function(middle) < 0) == (at_low < 0):
            low = middle
        else:
            high = middle
    return (low + high) / 2
