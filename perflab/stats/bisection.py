"""Where a monotone function crosses zero; `scipy.optimize` finds it too, but takes a third of a second to import."""

from __future__ import annotations

from collections.abc import Callable


def crossing(function: Callable[[float], float], low: float, high: float, *, within: float = 1e-10) -> float:
    """The argument between ``low`` and ``high`` at which the function changes its sign, by halving.

    ValueError when it has the same sign at both ends.

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
