"""k6's thresholds: https://grafana.com/docs/k6/latest/using-k6/thresholds/

``aggregation operator number``; aggregations by type of metric: counter count|rate, rate rate, trend
avg|min|max|med|p(N). A threshold is a text or ``{threshold, abortOnFail, delayAbortEval}``; a key may carry tags,
``metric{tag:value}``. Quantiles are interpolated linearly there, as numpy's 'linear'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from perflab.data.tables import AGGREGATED
from perflab.notes import Remedy
from perflab.objectives.cautions import K6_CONNECT, K6_WARMUP
from perflab.objectives.objective import Objective, Objectives, collected
from perflab.units import parse_duration

_EXPRESSION = re.compile(
    r"\s*(?P<aggregation>count|rate|value|avg|min|max|med|p\(\s*(?P<percentile>\d{1,3}(?:\.\d{1,6})?)\s*\))"
    r"\s*(?P<operator>>=|<=|===|==|!=|>|<)\s*(?P<limit>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
)
_KEY = re.compile(r"\s*(?P<metric>[A-Za-z_][A-Za-z0-9_]*)\s*(?:\{(?P<tags>.*)\})?\s*", re.DOTALL)
_TREND = {"avg": "mean", "min": "min", "max": "max", "med": "p50"}
_KNOWN: Mapping[str, Mapping[str, str]] = {
    "http_req_duration": _TREND,
    "http_req_failed": {"rate": "error_fraction"},
    "http_reqs": {"rate": "throughput_per_s", "count": "count"},
    "checks": {"rate": "check_fraction"},
}


class _NotUnderstood(Exception):
    """A threshold that perflab cannot check, and why."""


def from_thresholds(thresholds: Mapping[str, Any], *, source: str = "") -> Objectives:
    """k6's ``thresholds`` as objectives; what cannot be checked is listed, never dropped.

    >>> list(map(str, from_thresholds({"http_req_duration{name:GET /}": ["p(95)<200"], "http_req_failed": "rate<0.01"})))
    ['p95 (linear quantile) of GET / < 200 ms', 'error rate of all requests < 1 %']
    """
    if not isinstance(thresholds, Mapping):
        raise ValueError(f"thresholds must be a mapping of metric to thresholds; got {type(thresholds).__name__}")
    found: list[Objective] = []
    lost: list[tuple[str, str, str]] = []
    for key, given in thresholds.items():
        many = given if isinstance(given, Iterable) and not isinstance(given, (str, Mapping)) else [given]
        for one in many:
            try:
                found.append(_objective(str(key), one, source))
            except (_NotUnderstood, ValueError) as problem:
                lost.append((str(key)[:200], _text(one)[:200], str(problem)))
    latencies = any(o.unit == "ms" for o in found)
    warmup = K6_WARMUP(Remedy("check", {"warmup": 0}))
    explained = [K6_CONNECT(), warmup] if latencies else [warmup] if found else []
    return collected(found, lost, source, explained)


def _text(given: object) -> str:
    return str(given.get("threshold", given)) if isinstance(given, Mapping) else str(given)


def _objective(key: str, given: object, source: str) -> Objective:
    name = _KEY.fullmatch(key)
    if not name:
        raise _NotUnderstood("not the name of a k6 metric")
    expression = _EXPRESSION.fullmatch(_text(given))
    if not expression:
        raise _NotUnderstood("expected 'aggregation operator number', for example p(95)<200")
    options = given if isinstance(given, Mapping) else {}
    endpoint, only_ok = _tags(name["tags"] or "")
    delay = options.get("delayAbortEval") or 0
    return Objective(
        _metric(name["metric"], expression),
        expression["operator"],
        float(expression["limit"]),
        endpoint=endpoint,
        method="linear",
        only_ok=only_ok,
        abort=bool(options.get("abortOnFail", False)),
        delay_ms=parse_duration(delay, parameter="delayAbortEval", bare="ms"),
        source=source or f"{key}: {_text(given)}",
    )


def _metric(name: str, expression: re.Match[str]) -> str:
    aggregation = expression["aggregation"]
    if name not in _KNOWN:
        known = ", ".join(_KNOWN)
        raise _NotUnderstood(f"perflab does not measure {name}; it can check {known}")
    if expression["percentile"] and _KNOWN[name] is _TREND:
        percentile = float(expression["percentile"])
        if percentile > 100:
            raise _NotUnderstood("a percentile is between 0 and 100")
        return {0.0: "min", 100.0: "max"}.get(percentile, f"p{percentile:g}")
    if aggregation not in _KNOWN[name]:
        raise _NotUnderstood(f"{name} has no {aggregation}; it has {', '.join(_KNOWN[name])}")
    return _KNOWN[name][aggregation]


def _tags(text: str) -> tuple[str, bool]:
    """(endpoint, only_ok) that a key's tags ask for."""
    endpoint, only_ok = AGGREGATED, False
    for part in filter(None, (p.strip() for p in text.split(","))):
        tag, separator, value = part.partition(":")
        tag, value = tag.strip(), value.strip().strip("\"'")
        if separator and tag in ("name", "url") and value:
            endpoint = value
        elif tag == "expected_response" and value == "true":
            only_ok = True
        else:
            raise _NotUnderstood(f"perflab keeps no tag {tag!r}; it knows name, url and expected_response:true")
    return endpoint, only_ok
