"""Changes and intervals as people write them."""

from __future__ import annotations

from perflab.data.tables import AGGREGATED
from perflab.units import format_fraction, format_number


def signed(value: float) -> str:
    """``+12 %``, ``-3.4 %``, ``–`` for none."""
    return "–" if value != value else f"{'+' if value > 0 else ''}{format_fraction(value)}"


def whose(endpoint: str) -> str:
    """The endpoint as a sentence names it."""
    return "all requests" if endpoint == AGGREGATED else endpoint


def points(value: float) -> str:
    """A difference of shares: ``+1.2 points`` (percentage points)."""
    return (
        "–" if value != value else f"{'+' if value > 0 else ''}{_short(value)} point{'' if abs(value) == 0.01 else 's'}"
    )


def interval_words(low: float, high: float, *, absolute: bool, plain: bool = False) -> str:
    """``-16 to -8 %``; ``plain``: ``95 % interval 8 to 16 %`` of the size where both ends have one sign."""
    if low != low or high != high:
        return "–"
    if plain and low * high > 0:
        low, high = sorted((abs(low), abs(high)))
    sign = "" if plain and low * high > 0 else "+"
    first, second = (f"{sign if v > 0 else ''}{_short(v)}" for v in (low, high))
    written = f"{first} to {second} {'points' if absolute else '%'}"
    return f"95 % interval {written}" if plain else written


def _short(value: float) -> str:
    """A share in per cent to three digits, without its sign of per cent."""
    return format_number(float(f"{value * 100:.3g}"))
