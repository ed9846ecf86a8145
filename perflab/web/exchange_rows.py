"""The rows of the table of exchanges as values that checks look at, and what a check finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from perflab.web import resource_kinds as kinds
from perflab.web.freshness import Freshness, directives, freshness_of
from perflab.web.stripped import is_versioned

FIRST, REPEAT, RISK = "first", "repeat", "risk"
"""When it costs: on a first visit, on each visit after it, or when something goes wrong."""
_BEACON_BYTES = 1000
MEASURED, ESTIMATED = "measured", "estimated"


@dataclass(frozen=True)
class Exchange:
    """A request with its response. ``visit`` names its run, page and visit; ``facts`` are the further columns of its row."""

    run: str
    visit: str
    start: pd.Timestamp
    method: str
    url: str
    status: int | None
    mime: str
    transfer_bytes: float | None
    body_bytes: float | None
    headers: Mapping[str, str]
    request_headers: Mapping[str, str]
    timings_ms: Mapping[str, float]
    cached: bool
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def ms(self) -> float:
        """How long it took; without the time in the browser's own queue."""
        known = sum(value for name, value in self.timings_ms.items() if name != "blocked")
        return known or float(self.number("duration_ms") or 0.0)

    @property
    def receive_ms(self) -> float:
        return float(self.timings_ms.get("receive", 0.0))

    @property
    def bytes(self) -> float:
        """The bytes on the network, else those of the body."""
        found = self.body_bytes if self.transfer_bytes is None else self.transfer_bytes
        return found or 0.0

    @cached_property
    def directives(self) -> dict[str, str]:
        return directives(self.headers.get("cache-control", ""))

    @cached_property
    def browser(self) -> Freshness:
        """What a browser may do with it."""
        return self._fresh(shared=False)

    @cached_property
    def shared(self) -> Freshness:
        """What a CDN or a proxy may do with it."""
        return self._fresh(shared=True)

    def _fresh(self, *, shared: bool) -> Freshness:
        asked, status = self.request_headers, self.status or 0
        return freshness_of(self.headers, status=status, method=self.method, request=asked, shared=shared)

    @cached_property
    def is_static(self) -> bool:
        return self.kind in kinds.STATIC

    @cached_property
    def is_versioned(self) -> bool:
        return is_versioned(self.url)

    @property
    def is_personal(self) -> bool:
        """Whether it was asked for, or is answered, with something of one user."""
        return bool({"cookie", "authorization"} & self.request_headers.keys()) or "set-cookie" in self.headers

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @cached_property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def origin(self) -> str:
        """What connections are made to."""
        return f"{urlsplit(self.url).scheme}://{self.host}"

    @property
    def is_beacon(self) -> bool:
        """Whether it reports something to a server, as an image of a pixel that must not be cached."""
        return self.kind == kinds.IMAGE and "?" in self.url and self.bytes < _BEACON_BYTES and not self.browser.stored

    def number(self, name: str) -> float | None:
        """A further column as a number."""
        value = self.facts.get(name)
        return (
            float(value) if isinstance(value, (int, float)) and value == value and not isinstance(value, bool) else None
        )

    def flag(self, name: str) -> bool | None:
        """A further column as yes, no, or not known."""
        value = self.facts.get(name)
        return bool(value) if value is not None and value is not pd.NA and value == value else None

    def share_ms(self, saved_bytes: float) -> float:
        """The part of its download that these bytes take."""
        return self.receive_ms * min(1.0, saved_bytes / self.bytes) if self.bytes else 0.0


@dataclass(frozen=True)
class Found:
    """What a check found: its name, what is at stake, why, and the fix as a header or tag."""

    finding: str
    at: Exchange
    visit: str
    saved_bytes: float
    saved_ms: float
    reason: str
    fix: str
    evidence: str = MEASURED


def exchanges_of(table: pd.DataFrame) -> Iterator[Exchange]:
    """The exchanges of a table in order of time."""
    named = ("run", "start", "method", "url", "status", "mime", "transfer_bytes", "body_bytes", "headers",
             "timings_ms", "cached", "request_headers", "kind")  # fmt: skip
    for row in table.sort_values(["run", "start"], kind="stable").to_dict("records"):
        mime = _text(row["mime"])
        kind = _text(row.get("kind")) or kinds.of_mime(mime)
        yield Exchange(
            run=str(row["run"]),
            visit=" ".join(str(row[name]) for name in ("run", "page", "visit") if not _missing(row.get(name))),
            start=row["start"],
            method=str(row["method"]),
            url=str(row["url"]),
            status=None if _missing(row["status"]) else int(row["status"]),
            mime=mime,
            transfer_bytes=_size(row["transfer_bytes"]),
            body_bytes=_size(row["body_bytes"]),
            headers=_mapping(row["headers"]),
            request_headers=_mapping(row.get("request_headers")),
            timings_ms=_numbers(row["timings_ms"]),
            cached=not _missing(row.get("cached")) and bool(row.get("cached")),
            kind=kind if kind in kinds.KINDS else kinds.kind_of(kind, "", mime),
            facts={name: value for name, value in row.items() if name not in named},
        )


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value != value


def _size(value: Any) -> float | None:
    return None if _missing(value) else float(value)


def _text(value: Any) -> str:
    return "" if _missing(value) else str(value)


def _mapping(value: Any) -> dict[str, str]:
    return {str(k).lower(): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}


def _numbers(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return {}
    return {str(k): float(v) for k, v in value.items() if isinstance(v, (int, float)) and v == v and v >= 0}
