"""Load without a locustfile: `Url`, a path with checks of its response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from perflab import provenance
from perflab.units import format_ms, parse_duration

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True)
class Url:
    """A path for `LoadPlan.from_urls`, its weight, and the checks of its response.

    Parameters
    ----------
    path : str
        ``"/orders?page=1"``, under the target's host.
    weight : int
        The relative frequency among the plan's URLs; a whole number.
    method, body, headers
        The method, body and headers of the request.
    name : str | None
        The endpoint's name in the results; by default the path without its query.
    status : int | None
        Check that the response has this status; None checks nothing. (400 and above also fails the request.)
    contains : str | None
        Check that the body contains this text.
    max_duration : str | float | None
        Check that the response takes at most this long, ``"300ms"``.

    >>> Url("/orders?page=1", status=200, contains="total", max_duration="300ms").checks
    ('status is 200', "body contains 'total'", 'takes at most 300 ms')
    """

    path: str
    weight: int = 1
    method: str = "GET"
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    status: int | None = 200
    contains: str | None = None
    max_duration: str | float | None = None

    def __repr__(self) -> str:
        return f"Url({provenance.without_credentials(self.path)!r}, weight={self.weight}, method={self.method!r})"

    def __post_init__(self) -> None:
        parts = urlsplit(self.path) if isinstance(self.path, str) else None
        if parts is None or parts.scheme or parts.netloc or not self.path.startswith("/"):
            shown = repr(self.path) if parts is None else repr(provenance.without_credentials(self.path))
            raise ValueError(
                f'Url: path must begin with "/" ("/orders?page=1"; the host is the target\'s); got {shown}'
            )
        if not isinstance(self.weight, int) or isinstance(self.weight, bool) or not 1 <= self.weight <= 1000:
            raise ValueError(f"Url: weight must be a whole number from 1 to 1000; got {self.weight!r}")
        if self.method not in METHODS:
            raise ValueError(f"Url: method must be one of {', '.join(METHODS)}; got {self.method!r}")
        if self.status is not None and not (isinstance(self.status, int) and 100 <= self.status <= 599):
            raise ValueError(f"Url: status must be from 100 to 599, or None; got {self.status!r}")
        if self.contains is not None and not (isinstance(self.contains, str) and self.contains):
            raise ValueError(f"Url: contains must be a text; got {self.contains!r}")
        if self.max_ms is not None and self.max_ms <= 0:
            raise ValueError(f"Url: max_duration must be longer than zero; got {self.max_duration!r}")
        object.__setattr__(self, "headers", MappingProxyType({str(k): str(v) for k, v in self.headers.items()}))

    @property
    def label(self) -> str:
        """The endpoint's name in the results."""
        return self.name or urlsplit(self.path).path

    @property
    def max_ms(self) -> float | None:
        if self.max_duration is None:
            return None
        return parse_duration(self.max_duration, parameter="Url: max_duration")

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of its checks."""
        found = [] if self.status is None else [f"status is {self.status}"]
        found += [] if self.contains is None else [f"body contains {self.contains[:60]!r}"]
        found += [] if self.max_ms is None else [f"takes at most {format_ms(self.max_ms)}"]
        return tuple(found)

    def settings(self) -> dict[str, Any]:
        """The settings of the users inside Locust (`url_users`)."""
        return {
            "path": self.path,
            "weight": self.weight,
            "method": self.method,
            "body": self.body,
            "headers": dict(self.headers),
            "name": self.label,
            "status": self.status,
            "contains": self.contains,
            "max_ms": self.max_ms,
            "checks": list(self.checks),
        }
