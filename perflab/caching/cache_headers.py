"""What response headers say about caches: hit or miss. Standard library only: load generators use it for every response.

``Cache-Status`` is RFC 9211; ``X-Cache`` and the like are each vendor's (Varnish, Fastly, CloudFront, Akamai, nginx, Cloudflare).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

UNKNOWN, HIT, MISS = 0, 1, 2
HEADERS = ("Cache-Status", "X-Cache", "CF-Cache-Status", "X-Cache-Status")
_HITS = re.compile(
    r"(?:TCP_)?(?:\w+_)?HIT\b(?!-FOR)|\bHIT\b(?!-FOR)|\bCACHED\b|REVALIDATED|STALE|UPDATING", re.IGNORECASE
)
_MISSES = re.compile(
    r"MISS|EXPIRED|BYPASS|DYNAMIC|PASS\b|HIT-FOR|NONE|ERROR|REFRESH|NO.?CACHE|UNCACHE|IGNORED", re.IGNORECASE
)
_LONGEST = 300
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?')
_SERVER = re.compile(r"\s+from\s.*", re.IGNORECASE)
"""The name of the cache, which may contain any word ("HIT from dynamic-3.example")."""


def outcome(get: Callable[[str], Any]) -> int:
    """`HIT`, `MISS` or `UNKNOWN`, by a function that returns a header's value or None; a hit of any cache is one."""
    found = UNKNOWN
    for name in HEADERS:
        value = get(name)
        said = of_value(name, str(value)[:_LONGEST]) if value else UNKNOWN
        if said == HIT:
            return HIT
        found = found or said
    return found


@lru_cache(maxsize=4096)
def of_value(name: str, value: str) -> int:
    """What one header says; of several caches the request was answered by the first that had it.

    >>> of_value("X-Cache", "Hit from cloudfront"), of_value("Cache-Status", "Origin; fwd=miss, CDN; hit; ttl=30")
    (1, 1)
    >>> of_value("X-Cache", "MISS, MISS"), of_value("X-Cache", "TCP_MEM_HIT from a1.net"), of_value("X-Cache", "?")
    (2, 1, 0)
    """
    if name.lower() == "cache-status":
        caches = [part.split(";")[1:] for part in _QUOTED.sub("text", value).split(",")]
        parameters = [
            {p.strip().partition("=")[0].lower(): p.strip().partition("=")[2] for p in cache} for cache in caches
        ]
        if any(p.get("hit", "?0") in ("", "?1") for p in parameters):
            return HIT
        return MISS if any("fwd" in p or p.get("hit") == "?0" for p in parameters) else UNKNOWN
    parts = [_SERVER.sub("", part) for part in value.split(",")]
    if any(_HITS.search(part) and not _MISSES.search(part) for part in parts):
        return HIT
    return MISS if any(_MISSES.search(part) for part in parts) else UNKNOWN
