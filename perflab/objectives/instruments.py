"""What a service measures of itself: the names, labels and buckets on its Prometheus /metrics page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
_UNIT = re.compile(r"_(seconds|milliseconds|ms)(?:_by_\w+)?$")
_REQUESTS = re.compile(r"request|response")
_PLACE = re.compile(r"\{[^}]*\}|<[^>]*>|\[[^\]]*\]|(?<=/):\w+")
SERVER_ERRORS = "5.."


@dataclass(frozen=True)
class Labels:
    """A metric's labels for the route and the method of a request ("" where it has none), and the endpoints that it counts.

    ``endpoints`` are pairs of method and route as the page writes them; None if the page is not known.
    """

    route: str = "route"
    method: str = "method"
    endpoints: frozenset[tuple[str, str]] | None = None

    def of(self, endpoint: str) -> dict[str, str] | None:
        """The labels that select an endpoint ("GET /orders"); None where the metric does not count it separately."""
        if endpoint == AGGREGATED:
            return {}
        verb, space, path = endpoint.partition(" ")
        if not space:
            verb, path = "", endpoint
        if not self.route:
            return None
        if self.endpoints is not None:
            # Some libraries write methods in small letters.
            same = [
                (method, route)
                for method, route in self.endpoints
                if _plain(route) == _plain(path) and (not verb or not method or method.casefold() == verb.casefold())
            ]
            if not same:
                return None
            method, path = min(same, key=lambda pair: (pair[1] != path, pair[1], pair[0]))
            verb = verb and method
        return {self.route: path} | ({self.method: verb} if verb and self.method else {})

    @property
    def listed(self) -> list[str]:
        """The endpoints in words."""
        if not self.route:
            return ["no label for the route"]
        return sorted(f"{method.upper()} {route}".strip() for method, route in self.endpoints or ()) or ["no endpoints"]


@dataclass(frozen=True)
class Instruments:
    """A histogram of durations and a counter of requests, with the labels and buckets that they have.

    ``bounds`` maps the upper bounds of the buckets (ms) to their text on the page; empty if the page is not known. ``timed``
    and ``counted`` are the labels of the histogram and of the counter, which may differ. ``job`` is what Prometheus calls the
    service; "" for any.
    """

    histogram: str = "http_request_duration_seconds"
    counter: str = "http_requests_total"
    timed: Labels = Labels()
    counted: Labels = Labels()
    status: str = "status"
    ms_per_unit: float = 1e3
    bounds: Mapping[float, str] | None = None
    process: bool = True
    job: str = ""

    @property
    def route(self) -> str:
        """The label for the route."""
        return self.timed.route or self.counted.route

    @property
    def method(self) -> str:
        """The label for the method."""
        return self.timed.method or self.counted.method

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
    bucket = histogram if histogram == EXPRESSION else f"{histogram}_bucket"
    counters = [n for n in labels if n.endswith("_total") and _REQUESTS.search(n) and n not in buckets]
    status = {
        **{n: _first(_STATUSES, labels[n]) for n in counters},
        f"{histogram}_count": _first(_STATUSES, labels[bucket]),
    }
    usable = [n for n in status if status[n]]
    counter = max(usable, key=lambda n: (bool(_first(_ROUTES, labels[n])), n in counters, -len(n)), default="")
    timed = _labels_of(bucket, samples)
    return Instruments(
        histogram,
        counter,
        timed,
        _labels_of(counter, samples) if counter in counters else timed,
        status.get(counter, ""),
        _unit(histogram),
        dict(sorted(buckets[histogram].items())),
        "process_resident_memory_bytes" in names,
    )


def _labels_of(metric: str, samples: Iterable[Sample]) -> Labels:
    held = [labels for name, labels, _ in samples if name == metric]
    names = {name for labels in held for name in labels}
    route, method = _first(_ROUTES, names), _first(_METHODS, names)
    return Labels(route, method, frozenset((labels.get(method, ""), labels.get(route, "")) for labels in held))


def _first(names: Iterable[str], held: Container[str]) -> str:
    return next((name for name in names if name in held), "")


def _unit_name(name: str) -> str:
    found = _UNIT.search(name)
    return found[1] if found else ""


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
