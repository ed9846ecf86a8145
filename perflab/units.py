"""Parsing and formatting of quantities as people write them.

Inside perflab a duration is float milliseconds, a size is bytes, a share is a fraction of one and an
instant is timezone-aware UTC. Only this module knows "2m", "300ms" and "0.1%".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6}
_MS |= {"d": 8.64e7}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
_PART = re.compile(rf"\s*({_NUMBER})\s*([a-zµμ]+)", re.IGNORECASE)


def parse_duration(value: str | float, *, parameter: str = "duration", bare: str = "s") -> float:
    """The milliseconds of a duration such as ``"2m"``, ``"300ms"``, ``"1h30m"`` or a number of ``bare`` units.

    >>> parse_duration("1m30s"), parse_duration(2), parse_duration("300ms")
    (90000.0, 2000.0, 300.0)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f'{parameter} must be a duration like "30s" or "300ms"; got {value!r}')
    if isinstance(value, (int, float)):
        return _finite(float(value) * _MS[bare], parameter, value)
    text = value.strip()
    if re.fullmatch(_NUMBER, text):
        return _finite(float(text) * _MS[bare], parameter, value)
    total, position = 0.0, 0
    while match := _PART.match(text, position):
        if match[2].lower() not in _MS:
            break
        total += float(match[1]) * _MS[match[2].lower()]
        position = match.end()
    if position == 0 or text[position:].strip():
        raise ValueError(f'{parameter} must be a duration like "30s", "300ms" or "1h30m"; got {value!r}')
    return _finite(total, parameter, value)


def parse_fraction(value: str | float, *, parameter: str = "fraction") -> float:
    """The fraction of one in ``"10%"``, ``"0.1"`` or ``0.1``.

    >>> parse_fraction("0.1%"), parse_fraction(0.25)
    (0.001, 0.25)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(float(value), parameter, value)
    text = str(value).strip()
    if match := re.fullmatch(rf"({_NUMBER})\s*(%?)", text):
        return _finite(float(match[1]) / (100 if match[2] else 1), parameter, value)
    raise ValueError(f'{parameter} must be a share like "10%" or 0.1; got {value!r}')


def parse_size(value: str | float, *, parameter: str = "size") -> float:
    """The bytes in ``"10MB"`` (decimal), ``"10MiB"`` (binary) or a number of bytes.

    >>> parse_size("1.5kB"), parse_size("2MiB")
    (1500.0, 2097152.0)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(float(value), parameter, value)
    match = re.fullmatch(rf"({_NUMBER})\s*([a-z]*)", str(value).strip(), re.IGNORECASE)
    if not match or (match[2] or "b").lower() not in _BYTES:
        raise ValueError(f'{parameter} must be a size like "10MB" or "64KiB"; got {value!r}')
    return _finite(float(match[1]) * _BYTES[(match[2] or "b").lower()], parameter, value)


def _finite(number: float, parameter: str, value: object) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{parameter} must be finite; got {value!r}")
    return number


def format_number(value: float, digits: int = 3) -> str:
    """A number with three significant digits, no exponent between 0.001 and a million, and thousands separators.

    >>> format_number(1234.5), format_number(0.01234), format_number(12)
    ('1,234', '0.0123', '12')
    """
    if value is None or not math.isfinite(value):
        return "–" if value is None or math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -3:
        return f"{value:.{digits}g}"
    written = f"{value:,.{max(0, digits - 1 - magnitude)}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def format_short(value: float) -> str:
    """A number rounded to three significant digits.

    >>> format_short(182.44), format_short(12345.6)
    ('182', '12,300')
    """
    return format_number(_round(value))


def format_ms(value: float) -> str:
    """A duration in a readable unit.

    >>> format_ms(182.4), format_ms(1500), format_ms(0.0321), format_ms(90_000)
    ('182 ms', '1.5 s', '32.1 µs', '1.5 min')
    """
    size = abs(value) if value == value else 0.0
    for below, scale, unit in ((1.0, 1e-3, "µs"), (1e3, 1.0, "ms"), (6e4, 1e3, "s"), (3.6e6, 6e4, "min")):
        if (size < below and size > 0) or (size == 0 and unit == "ms"):
            return f"{format_number(_round(value / scale))} {unit}"
    return f"{format_number(_round(value / 3.6e6))} h"


def format_bytes(value: float) -> str:
    """A size with a decimal prefix.

    >>> format_bytes(1_234_567), format_bytes(12)
    ('1.23 MB', '12 B')
    """
    for below, scale, unit in ((1e3, 1.0, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (math.inf, 1e9, "GB")):
        if abs(value) < below:
            return f"{format_number(_round(value / scale))} {unit}"
    return f"{format_number(value)} B"


def format_fraction(value: float) -> str:
    """A fraction in per cent.

    >>> format_fraction(0.6312), format_fraction(0.0004), format_fraction(1.0)
    ('63.1 %', '0.04 %', '100 %')
    """
    return f"{format_number(_round(value * 100))} %"


def format_rate(value: float) -> str:
    """A rate per second.

    >>> format_rate(81.27)
    '81.3/s'
    """
    return f"{format_number(_round(value))}/s"


def format_p(value: float, least: float = 0.0) -> str:
    """A p-value: two significant digits, never "0", and never below the ``least`` that the data can show.

    >>> format_p(0.00037), format_p(0.04512), format_p(1e-9), format_p(0.002, least=1 / 32)
    ('0.00037', '0.045', '< 0.0001', '< 0.031')
    """
    if value is None or type(value).__name__ == "NAType" or value != value:
        return "–"
    if value < least and least > 1e-4:
        return f"< {least:.2g}"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def _round(value: float, digits: int = 3) -> float:
    return value if not math.isfinite(value) or value == 0 else float(f"{value:.{digits}g}")


_BY_SUFFIX: tuple[tuple[str, Callable[[float], str]], ...] = (
    ("_bytes_per_s", lambda value: f"{format_bytes(value)}/s"),
    ("_ms", format_ms),
    ("_bytes", format_bytes),
    ("_cores", lambda value: f"{format_number(_round(value))} {'core' if value == 1 else 'cores'}"),
    ("_fraction", format_fraction),
    ("_per_s", format_rate),
    ("_s", lambda value: format_ms(1e3 * value)),
    ("p_value", format_p),
    ("p_adjusted", format_p),
)


def format_value(name: str, value: object) -> str:
    """A column's value as text, with the unit taken from the column's name.

    >>> format_value("p95_ms", 182.4), format_value("errors", 3204), format_value("line", 3204)
    ('182 ms', '3,204', '3204')
    >>> format_value("reasons", ["interrupted", "too short"]), format_value("reasons", [])
    ('interrupted; too short', '–')
    """
    if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        return "; ".join(value) or "–"
    if value is None or type(value).__name__ == "NAType" or value != value:
        return "–"
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    if hasattr(value, "isoformat"):
        return str(value.isoformat(sep=" ", timespec="seconds")) if hasattr(value, "hour") else str(value)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)
    if isinstance(value, str):
        return value
    if name == "line":
        return f"{number:.0f}"  # a position, not an amount
    for suffix, write in _BY_SUFFIX:
        if name.endswith(suffix):
            return write(number)
    return format_number(number)
