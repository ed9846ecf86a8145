"""HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/) as its entries, for the table of exchanges and for load plans.

Every tool leaves out or invents something: -1 and null for "not applicable", sizes before or after decompression, no
timings of failed requests, ``_`` fields of its own. Nothing is required but a start, a method and an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from perflab.errors import FormatError
from perflab.formats import _documents
from perflab.formats._documents import mapping

NOT_HTTP = "not over HTTP"
PHASES = ("blocked", "dns", "connect", "ssl", "send", "wait", "receive")
_SLACK_MS = 2.0
_LONGEST_MS = 1e9


@dataclass(frozen=True)
class Entry:
    """One request with its response; ``held`` is the entry as it is in the file."""

    start: datetime
    method: str
    url: str
    took_ms: float
    held: Mapping[str, Any]
    zoned: bool

    @property
    def request(self) -> dict[str, Any]:
        return mapping(self.held, "request")

    @property
    def response(self) -> dict[str, Any]:
        return mapping(self.held, "response")

    @property
    def posted(self) -> tuple[str, str] | None:
        """Type and text of the body that was sent."""
        posted = self.request.get("postData")
        if not isinstance(posted, dict):
            return None
        listed = posted.get("params")
        params = [p for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
        fields = [(p.get("name", ""), p.get("value", "")) for p in params]
        text = posted.get("text") or urlencode(fields)
        return (str(posted.get("mimeType") or "text/plain"), text) if isinstance(text, str) and text else None

    @property
    def timings_ms(self) -> dict[str, float]:
        """The phases that took place; they add up to the whole: ``connect`` is without ``ssl``, which HAR counts in it."""
        given = mapping(self.held, "timings")
        found = {name: value for name in PHASES if (value := _ms(given.get(name))) is not None}
        secure, connect = found.get("ssl", 0.0), found.get("connect", 0.0)
        if secure and secure <= connect + _SLACK_MS:
            # Some tools count it beside connect: whichever adds up to the time of the entry.
            apart = abs(sum(found.values()) - self.took_ms) < _SLACK_MS < secure
            found["connect"] = connect if apart else max(0.0, connect - secure)
        return found


def log_of(path: Path) -> dict[str, Any]:
    """The ``log`` of a HAR file, with a list of entries."""
    found = _documents.document(path, "a HAR file")
    log = mapping(found, "log")
    if not isinstance(log.get("entries"), list):
        raise FormatError(f"{path}: expected a HAR file (JSON with log.entries), found none")
    return log


def entries_of(log: Mapping[str, Any]) -> Iterator[Entry | str]:
    """Each entry in the order of the file, or why it is none."""
    for held in log["entries"]:
        yield _entry(held)


def _entry(held: Any) -> Entry | str:
    request = mapping(held, "request")
    url, method = request.get("url"), request.get("method")
    if not isinstance(url, str) or not isinstance(method, str) or not method:
        return "no address or no method"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "not an address"
    if parts.scheme.lower() not in ("http", "https"):
        return NOT_HTTP
    if not host:
        return "an address without a host"
    try:
        start = datetime.fromisoformat(str(held.get("startedDateTime")).strip())
        zoned = start.tzinfo is not None
        start = (start if zoned else start.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return "no time"
    took_ms = _ms(held.get("time"))
    if took_ms is None:
        given = mapping(held, "timings")
        took_ms = sum(_ms(given.get(name)) or 0.0 for name in PHASES if name != "ssl")
    return Entry(start, method.upper(), url, took_ms, held, zoned)


def _ms(value: Any) -> float | None:
    """A duration of at most eleven days, or None."""
    found = _documents.number(value)
    return found if found is not None and found <= _LONGEST_MS else None
