"""The unit of a limit: right behind its number, in brackets near it, or one that is not known."""

from __future__ import annotations

import re

from perflab.objectives.words import PLAIN, Token

PER = (r"\bm(?:in\w*)?$", 60), (r"\bh(?:ours?)?$", 3600), (r"\bd(?:ays?)?$", 86_400)
UNITS = {"milliseconds": "ms", "millisecond": "ms", "msec": "ms", "msecs": "ms", "seconds": "s", "second": "s",
          "secs": "s", "sec": "s", "minutes": "min", "minute": "min", "mins": "min", "hours": "h", "hour": "h",
          "percent": "%", "per cent": "%", "core": "cores", "byte": "b", "bytes": "b", "kilobytes": "kb",
          "megabytes": "mb", "gigabytes": "gb"}  # fmt: skip
"""How a unit is spelled in one way; by their ends, the seconds of a rate's unit."""


def unit_of(part: list[Token], limit: Token) -> str:
    """The unit of a limit, or the one that is named before or after it: "p95 (ms): 200", "latency in seconds < 0.2"."""
    if limit.found["unit"]:
        return limit.found["unit"].strip()
    at = part.index(limit)
    named = [t.found for t in [*part[at:], *part[:at]] if t.kind == "unit"]
    return next(filter(None, (named[-1][name] for name in ("own", "spelled", "suffix"))), "") if named else ""


def is_rate(unit: str) -> bool:
    """Whether a unit counts requests in a time ("rps", "requests per minute"), and no bytes."""
    return bool(re.match(r"rps|tps|qps|.*(?:/|\bper\b|\ban?\b)", unit, re.I)) and not re.match(r"[KMG]?i?B", unit, re.I)


_COUNTED = re.compile(
    r"users?|clients?|concurrent|simultaneous|parallel|vus|connections?|sessions?|threads?|replicas|instances|nodes|pods",
    re.IGNORECASE,
)
"""What a number counts that is no limit of a metric."""


def unknown_unit(part: list[Token], limit: Token) -> str:
    """What is written right behind a number as its unit and is none that is known: "200 Sekunden", "0.5 ‰"."""
    behind = re.match(r"\s?([^\W\d_]{2,}|[‰°$€£¥])", limit.found.string[limit.found.end() :])
    following = next((t for t in part if t.found.start() > limit.found.start()), None)
    if behind and _COUNTED.fullmatch(behind[1]):
        return behind[1]
    plain = behind and (behind[1].lower() in PLAIN or (following and following.kind not in ("word", "stray")))
    return behind[1] if behind and not (plain and behind[1].isalpha()) else ""
