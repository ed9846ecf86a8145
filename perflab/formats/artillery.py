"""Artillery's JSON report (``artillery run -o report.json``): https://www.artillery.io/docs/reference/reported-metrics"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _documents
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._documents import mapping, number

_ALL = "http.response_time"
_BY_ENDPOINT = "plugins.metrics-by-endpoint.response_time."
_CODES = "plugins.metrics-by-endpoint."
_KEYS = {"min": "min", "max": "max", "mean": "mean", "p50": "p50", "p75": "p75", "p90": "p90", "p95": "p95", "p99": "p99",
         "p999": "p99.9", "count": "count"}  # fmt: skip
_FAILED_ALL = re.compile(r"http\.codes\.[45]\d\d")
_FAILED = re.compile(r"codes\.[45]\d\d")


def sniff(head: bytes) -> bool:
    return re.match(rb'\s*\{\s*"aggregate"\s*:\s*\{', head) is not None and b'"counters"' in head


def read(path: Path, **_: Any) -> Tables:
    found = mapping(_documents.document(path, "a report of Artillery"), "aggregate")
    counters = mapping(found, "counters")
    lost = _sum(counters, "errors.")
    summaries = mapping(found, "summaries")
    rows = list(_rows(summaries, counters, mapping(found, "rates"), lost))
    used = sum(name == _ALL or name.startswith(_BY_ENDPOINT) for name in summaries)
    return common.summarized(
        path, rows, "a report of Artillery", tally=Tally("metric", total=len(summaries), rows=used, known=len(summaries) - used),
        warnings=[caveats.SKETCH(), *caveats.unanswered(lost)], generator="artillery",
        instead="measure with a tool that writes every request (k6 --out csv, JMeter, perflab's own run)",
    )  # fmt: skip


def _rows(
    summaries: dict[str, Any], counters: dict[str, Any], rates: dict[str, Any], lost: float
) -> Iterator[tuple[str, str, Any]]:
    for name in summaries:
        if name == _ALL:
            endpoint, prefix = AGGREGATED, "http."
        elif name.startswith(_BY_ENDPOINT):
            endpoint = name.removeprefix(_BY_ENDPOINT)
            prefix = f"{_CODES}{endpoint}."
        else:
            continue
        for key, statistic in _KEYS.items():
            if not (statistic == "count" and name == _ALL):
                yield endpoint, statistic, number(mapping(summaries, name).get(key))
        failed = sum(
            number(v) or 0.0
            for k, v in counters.items()
            if k.startswith(prefix) and _FAILED.fullmatch(k.removeprefix(prefix))
        )
        if name != _ALL:
            yield endpoint, "errors", failed
    # Its summary counts the requests that were answered.
    answered = number(counters.get("http.responses")) or number(mapping(summaries, _ALL).get("count")) or 0.0
    yield AGGREGATED, "count", number(counters.get("http.requests")) or (answered + lost) or None
    yield AGGREGATED, "errors", lost + sum(number(v) or 0.0 for k, v in counters.items() if _FAILED_ALL.fullmatch(k))
    yield AGGREGATED, "throughput_per_s", number(rates.get("http.request_rate"))


def _sum(counters: dict[str, Any], prefix: str) -> float:
    return sum(number(v) or 0.0 for k, v in counters.items() if k.startswith(prefix))
