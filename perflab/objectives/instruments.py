"""What a service measures of itself: the names, labels and buckets on its Prometheus /metrics page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import FormatError
from perflab.formats._prometheus import EXPRESSION, Sample, parse

_ROUTES = (
    "route",
    "http_route",
    "handler",
    "endpoint",
    "path",
    "uri",
    "url_rule",
    "resource",
    "view",
    "url",
    "http_target",
)
_METHODS = ("method", "http_method", "http_request_method", "verb")
_STATUSES = (
    "status",
    "code",
    "status_code",
    "http_status",
    "http_status_code",
    "http_response_status_code",
    "response_code",
)
_DURATION = re.compile(r"(?:http|request|response|server|latency|duration)")
_UNITS = {"seconds": 1e3, "milliseconds": 1.0, "ms": 1.0}
_PLACE = re.compile(r"\{[^}]*\}|<[^>]*>|\[[^\]]*\]|(?<=/):\w+")
SERVER_ERRORS = "5.."


@dataclass(frozen=True)
class Instruments:
    """A histogram of durations and a counter of requests, with the labels and buckets that they have.

    ``bounds`` maps the upper bounds of the buckets (ms) to their text on the page; empty if the page is not known. ``values``
    has, for each label of both, its values. ``job`` is what Prometheus calls the service; "" for any.
    """

    histogram: str = "http_request_duration_seconds"
    counter: str = "http_requests_total"
    route: str = "route"
    method: str = "method"
    status: str = "status"
    histogram_labels: frozenset[str] = frozenset({"method", "route"})
    ms_per_unit: float = 1e3
    bounds: Mapping[float, str] | None = None
    values: Mapping[str, frozenset[str]] | None = None
    process: bool = True
    job: str = ""

    @property
    def known(self) -> bool:
        """Whether they were read from a page."""
        return self.bounds is not None

    @property
    def own(self) -> dict[str, str]:
        """The label that every series of the service has in Prometheus."""
        return {"job": self.job} if self.job else {}

    def bound(self, limit_ms: float) -> str:
        """The ``le`` of a limit as Prometheus writes it."""
        for bound, text in (self.bounds or {}).items():
            if abs(bound - limit_ms) <= 1e-9 * limit_ms:
                return text
        return f"{limit_ms / self.ms_per_unit:g}"

    def has_bound(self, limit_ms: float) -> bool:
        """Whether a bucket ends at the limit."""
        return any(abs(bound - limit_ms) <= 1e-9 * limit_ms for bound in self.bounds or {})

    def neighbours(self, limit_ms: float) -> tuple[float | None, float | None]:
        """The next lower and the next higher bound, None where there is none."""
        below = [b for b in self.bounds or {} if b < limit_ms]
        above = [b for b in self.bounds or {} if b > limit_ms]
        return max(below, default=None), min(above, default=None)

    def matchers(self, endpoint: str, labels: Iterable[str]) -> dict[str, str] | None:
        """The labels that select an endpoint ("GET /orders"); None where the page has no such endpoint."""
        if endpoint == AGGREGATED:
            return {}
        verb, space, path = endpoint.partition(" ")
        if not space:
            verb, path = "", endpoint
        held = set(labels)
        found: dict[str, str] = {}
        if self.route in held:
            known = (self.values or {}).get(self.route)
            same = [v for v in sorted(known or ()) if _plain(v) == _plain(path)]
            if known is not None and not same:
                return None
            found[self.route] = same[0] if same else path
        else:
            return None
        if verb and self.method in held:
            found[self.method] = verb
        return found


def _plain(path: str) -> str:
    return _PLACE.sub("{}", path).rstrip("/").casefold() or "/"


def instruments_of(metrics: Measurements | pd.DataFrame | str | Path | None) -> Instruments | None:
    """What a page measures: its text, its file, or a run with ``metrics``. None where it has no histogram of durations."""
    if metrics is None:
        return Instruments()
    samples = _samples(metrics)
    names = set[str]()
    buckets: defaultdict[str, dict[float, str]] = defaultdict(dict)
    labels: defaultdict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, held, _ in samples:
        names.add(name)
        for label, value in held.items():
            labels[name][label].add(value)
        if (name.endswith("_bucket") or name == EXPRESSION) and held.get("le", "+Inf") not in ("+Inf", "Inf"):
            unit = _unit(name.removesuffix("_bucket"))
            buckets[name.removesuffix("_bucket")][float(held["le"]) * unit] = held["le"]
    usable = [n for n in buckets if (_DURATION.search(n) and _unit_name(n)) or n == EXPRESSION]
    if not usable:
        return None
    # The histogram of requests is the one that knows their routes.
    histogram = max(
        usable, key=lambda n: (bool(_first(_ROUTES, labels[f"{n}_bucket"])), "request" in n, len(buckets[n]))
    )
    own = labels[histogram if histogram == EXPRESSION else f"{histogram}_bucket"]
    counters = [
        n
        for n in labels
        if n.endswith("_total") and "request" in n and _first(_STATUSES, labels[n]) and n not in buckets
    ]
    counter = max(counters, key=lambda n: (bool(_first(_ROUTES, labels[n])), -len(n)), default="")
    if not counter and _first(_STATUSES, own):
        counter = f"{histogram}_count"
    counted = (labels[counter] or own) if counter else {}
    values: dict[str, set[str]] = defaultdict(set)
    for held_labels in (own, counted):
        for label, found in held_labels.items():
            values[label] |= found
    return Instruments(
        histogram, counter,
        _first(_ROUTES, own) or _first(_ROUTES, counted), _first(_METHODS, own) or _first(_METHODS, counted),
        _first(_STATUSES, counted), frozenset(own), _unit(histogram), dict(sorted(buckets[histogram].items())),
        {label: frozenset(found) for label, found in values.items()}, "process_resident_memory_bytes" in names,
    )  # fmt: skip


def _first(names: Iterable[str], held: Mapping[str, Any]) -> str:
    return next((name for name in names if name in held), "")


def _unit_name(name: str) -> str:
    return next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")


def _unit(name: str) -> float:
    return _UNITS.get(_unit_name(name), 1e3)


def _samples(metrics: Measurements | pd.DataFrame | str | Path) -> list[Sample]:
    if isinstance(metrics, Measurements):
        metrics = metrics.metrics
    if isinstance(metrics, pd.DataFrame):
        last = metrics.drop_duplicates(["name", "labels"], keep="last") if _hashable(metrics) else metrics
        return [
            (str(r.name_), dict(r.labels or {}), float(r.value))
            for r in last.rename(columns={"name": "name_"}).itertuples()
        ]
    text = str(metrics)
    if isinstance(metrics, Path) or not re.search(r"\n|\s\S*\d$", text):
        if not Path(text).is_file():
            raise FormatError(f"{text}: expected the text of a /metrics page, or a file with it; found neither")
        text = Path(text).read_text(encoding="utf-8", errors="replace")
    return parse(text)[0]


def _hashable(metrics: pd.DataFrame) -> bool:
    return bool(len(metrics)) and not isinstance(metrics["labels"].iloc[0], dict)
