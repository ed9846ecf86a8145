"""Artillery's JSON report (``artillery run -o report.json``): https://www.artillery.io/docs/reference/reported-metrics"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _documents
from perflab.formats import _requests as common
from perflab.formats._documents import mapping, number

_ALL = "http.response_time"
_BY_ENDPOINT = "plugins.metrics-by-endpoint.response_time."
_CODES = "plugins.metrics-by-endpoint."
_KEYS = {"min": "min", "max": "max", "mean": "mean", "p50": "p50", "p75": "p75", "p90": "p90", "p95": "p95", "p99": "p99",
         "p999": "p99.9", "count": "count"}  # fmt: skip
_FAILED = re.compile(r"codes\.[45]\d\d")


def sniff(head: bytes) -> bool:
    return re.match(rb'\s*\{\s*"aggregate"\s*:\s*\{', head) is not None and b'"counters"' in head


def read(path: Path, **_: Any) -> Tables:
    found = mapping(_documents.document(path, "a report of Artillery"), "aggregate")
    counters = mapping(found, "counters")
    notes = ["Artillery's percentiles come from a sketch with buckets of about 2 %: they are right to 1 %"]
    if lost := _sum(counters, "errors."):
        notes.append(f"{lost:,.0f} requests failed without an answer and have no latency")
    return common.summarized(
        path, _rows(mapping(found, "summaries"), counters, mapping(found, "rates")), "a report of Artillery",
        warnings=notes, generator="artillery",
        instead="measure with a tool that writes every request (k6 --out csv, JMeter, perflab's own run)",
    )  # fmt: skip


def _rows(summaries: dict[str, Any], counters: dict[str, Any], rates: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name in summaries:
        if name == _ALL:
            endpoint, prefix = AGGREGATED, "http."
        elif name.startswith(_BY_ENDPOINT):
            endpoint = name.removeprefix(_BY_ENDPOINT)
            prefix = f"{_CODES}{endpoint}."
        else:
            continue
        for key, statistic in _KEYS.items():
            yield endpoint, statistic, number(mapping(summaries, name).get(key))
        failed = sum(
            number(v) or 0.0
            for k, v in counters.items()
            if k.startswith(prefix) and _FAILED.fullmatch(k.removeprefix(prefix))
        )
        yield endpoint, "errors", failed + (_sum(counters, "errors.") if name == _ALL else 0.0)
    yield AGGREGATED, "throughput_per_s", number(rates.get("http.request_rate"))


def _sum(counters: dict[str, Any], prefix: str) -> float:
    return sum(number(v) or 0.0 for k, v in counters.items() if k.startswith(prefix))
