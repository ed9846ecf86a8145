"""Whether a cache may store and reuse a response: RFC 9111, with immutable (RFC 8246) and stale-while-revalidate (RFC 5861)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FRESH, STALE_ALLOWED, VALIDATE, REFETCH, NOT_STORED = "fresh", "stale allowed", "validate", "refetch", "not stored"
"""What a cache does with a stored response: reuse it, reuse it and validate in the background, ask the server whether it is
unchanged, load it again, or nothing, because it may not be stored."""
S_MAXAGE, MAX_AGE, EXPIRES, HEURISTIC, NONE = "s-maxage", "max-age", "Expires", "heuristic", "none"
"""What the lifetime is from."""
HEURISTIC_SHARE = 0.1
"""The share of the time since Last-Modified for which a response without a lifetime counts as fresh (4.2.2)."""
_HEURISTIC_STATUS = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
_UNDERSTOOD = _HEURISTIC_STATUS | {302, 303, 307, 400, 401, 403, 500, 502, 503, 504}
_MOST_S = 2**31
_DIRECTIVE = re.compile(
    r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"?|[^,]*))?[^,]*(?:,|$)|\s*(?:,|$)'
)


@dataclass(frozen=True)
class Freshness:
    """What a cache may do with a response.

    Attributes
    ----------
    stored : bool
        Whether it may be stored.
    lifetime_s : float
        For how long it is fresh, in seconds since it left the server; 0 where nothing says so.
    source : str
        What gives the lifetime: "s-maxage", "max-age", "Expires", "heuristic" or "none".
    age_s : float
        How old it was when it arrived.
    validator : str
        The header that allows a conditional request ("ETag", "Last-Modified"), or "".
    must_validate : bool
        Whether each reuse needs the server's consent (no-cache, Vary: *).
    stale_s : float
        For how long it may be reused when stale, during validation in the background.
    """

    stored: bool
    lifetime_s: float = 0.0
    source: str = NONE
    age_s: float = 0.0
    validator: str = ""
    must_validate: bool = False
    stale_s: float = 0.0

    def after(self, seconds: float) -> str:
        """What a cache does with it so many seconds after it arrived.

        >>> freshness_of({"cache-control": "max-age=60", "etag": '"a"'}).after(61)
        'validate'
        """
        if not self.stored:
            return NOT_STORED
        age = self.age_s + seconds
        if not self.must_validate:
            if age < self.lifetime_s:
                return FRESH
            if self.lifetime_s and age < self.lifetime_s + self.stale_s:
                return STALE_ALLOWED
        return VALIDATE if self.validator else REFETCH


def freshness_of(
    headers: Mapping[str, str],
    *,
    status: int = 200,
    method: str = "GET",
    request: Mapping[str, str] | None = None,
    shared: bool = False,
    received: datetime | None = None,
) -> Freshness:
    """Decide what a cache may do with a response.

    Parameters
    ----------
    headers : Mapping[str, str]
        The response's headers by their names in lower case; several lines of one name joined by ", ".
    status : int
    method : str
    request : Mapping[str, str]
        The request's headers, by their names in lower case.
    shared : bool
        Whether the cache serves several users (a CDN, a proxy), or one (a browser).
    received : datetime
        When it arrived, by the same clock as ``Date``; by default the moment of ``Date``.

    Returns
    -------
    Freshness

    Examples
    --------
    >>> found = freshness_of({"cache-control": "max-age=600, s-maxage=60", "age": "10"}, shared=True)
    >>> found.lifetime_s, found.source, found.after(55)
    (60.0, 's-maxage', 'refetch')
    """
    said, asked = directives(headers.get("cache-control", "")), request or {}
    validator = "ETag" if headers.get("etag") else "Last-Modified" if date_of(headers.get("last-modified")) else ""
    if not _may_store(said, headers, asked, status, method, shared):
        return Freshness(False, validator=validator)
    lifetime_s, source = _lifetime(said, headers, status, shared, received)
    age_s = max(_apparent_age(headers, received), _seconds(headers.get("age", "").partition(",")[0]) or 0.0)
    stale_s = _seconds(said.get("stale-while-revalidate")) or 0.0
    forbidden = "must-revalidate" in said or (shared and ("proxy-revalidate" in said or "s-maxage" in said))
    return Freshness(
        True,
        lifetime_s,
        source,
        age_s,
        validator,
        must_validate=said.get("no-cache", "x") == "" or varies_on_everything(headers),
        stale_s=0.0 if forbidden else stale_s,
    )


def directives(value: str) -> dict[str, str]:
    """The directives of Cache-Control with their arguments ("" for none); of repeated ones the first.

    >>> directives('Public, max-age="60", no-cache="Set-Cookie", max-age=5')
    {'public': '', 'max-age': '60', 'no-cache': 'Set-Cookie'}
    """
    found: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(value[:2000]):
        if match[1]:
            found.setdefault(match[1].lower(), (match[2] or "").strip().strip('"'))
    return found


def varies_on_everything(headers: Mapping[str, str]) -> bool:
    """Whether Vary holds a star."""
    return "*" in [name.strip() for name in headers.get("vary", "").split(",")]


def date_of(value: str | None) -> datetime | None:
    """The instant of an HTTP date in any of its three forms; None for anything else.

    >>> date_of("Sun, 06 Nov 1994 08:49:37 GMT") == date_of("Sun Nov  6 08:49:37 1994"), date_of("0")
    (True, None)
    """
    try:
        found = parsedate_to_datetime(value or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _may_store(
    said: Mapping[str, str],
    headers: Mapping[str, str],
    asked: Mapping[str, str],
    status: int,
    method: str,
    shared: bool,
) -> bool:
    """Section 3."""
    if method.upper() not in ("GET", "HEAD") or not 200 <= status <= 599 or status == 304:
        return False
    if "must-understand" in said and status not in _UNDERSTOOD:
        return False
    if ("no-store" in said and "must-understand" not in said) or "no-store" in directives(
        asked.get("cache-control", "")
    ):
        return False
    if shared and said.get("private", "x") == "":
        return False
    if shared and "authorization" in asked and not {"must-revalidate", "public", "s-maxage"} & said.keys():
        return False
    allowed = {"public", "max-age", *(("s-maxage",) if shared else ("private",))}
    return bool(allowed & said.keys()) or "expires" in headers or status in _HEURISTIC_STATUS


def _lifetime(
    said: Mapping[str, str], headers: Mapping[str, str], status: int, shared: bool, received: datetime | None
) -> tuple[float, str]:
    """Section 4.2.1; a value that can't be read counts as stale."""
    for name in (S_MAXAGE, MAX_AGE) if shared else (MAX_AGE,):
        if name in said:
            return _seconds(said[name]) or 0.0, name
    sent = date_of(headers.get("date")) or received
    if "expires" in headers:
        until = date_of(headers["expires"])
        return (max(0.0, (until - sent).total_seconds()) if until and sent else 0.0), EXPIRES
    changed = date_of(headers.get("last-modified"))
    if changed and sent and changed < sent and (status in _HEURISTIC_STATUS or "public" in said):
        return (sent - changed).total_seconds() * HEURISTIC_SHARE, HEURISTIC
    return 0.0, NONE


def _apparent_age(headers: Mapping[str, str], received: datetime | None) -> float:
    """Section 4.2.3: how long ago the response left the server, by its Date."""
    sent = date_of(headers.get("date"))
    return max(0.0, (received - sent).total_seconds()) if sent and received else 0.0


def _seconds(value: str | None) -> float | None:
    """Delta-seconds (1.2.2), at most 2^31; None for anything else."""
    text = (value or "").strip()
    return float(min(int(text[:12]), _MOST_S)) if text.isascii() and text.isdigit() else None
