"""k6's end-of-test summary: ``--summary-export`` or a script's handleSummary as JSON.

https://grafana.com/docs/k6/latest/results-output/end-of-test/custom-summary/. In an export a threshold's ``true`` means that it
FAILED; handleSummary says ``{ok: bool}``. The machine-readable summary (``--new-machine-readable-summary``) lists its metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _documents, _k6
from perflab.formats import _requests as common
from perflab.formats._documents import mapping, number

_NEWER = re.compile(rb'"k6Version"\s*:')
_METRICS = re.compile(rb'"metrics"\s*:\s*\{')
_OF_K6 = re.compile(
    rb'"(http_req_duration|grpc_req_duration|http_reqs|iterations|vus|data_received)(\{[^"]*\})?"\s*:\s*\{'
)
_TREND = re.compile(r"p\((\d+(?:\.\d+)?)\)")
_NAMED = re.compile(r"(?:http|grpc)_req_duration\{(?:name|url):([^{}]+)\}")
_PLAIN = {"avg": "mean", "min": "min", "max": "max", "med": "p50", "count": "count"}


def sniff(head: bytes) -> bool:
    if not head.lstrip().startswith(b"{"):
        return False
    return _NEWER.search(head) is not None or bool(_METRICS.search(head) and _OF_K6.search(head))


def read(path: Path, **_: Any) -> Tables:
    found = _documents.document(path, "a summary of k6")
    metrics = mapping(found, "metrics") or _newer(found)
    thresholds = dict(_thresholds(metrics))
    dropped = number(_values(metrics, "dropped_iterations").get("count")) or 0
    rows = list(_rows(metrics))
    known = _k6.promised(thresholds, dropped, http=_k6.DURATIONS[0] in metrics)
    return common.summarized(
        path, rows, "a summary of k6 with http_req_duration or grpc_req_duration", generator="k6",
        tally=_account(metrics), instead="run k6 with --out csv=requests.csv", **known,
    )  # fmt: skip


def _newer(found: Any) -> dict[str, Any]:
    """The metrics of the machine-readable summary, as those of an export."""
    metrics = mapping(found, "results").get("metrics")
    named = {str(m.get("name")): dict(mapping(m, "values")) for m in metrics or () if isinstance(m, dict)}
    for values in named.values():
        values.setdefault("passes", values.get("matches"))
    seconds, requests = number(mapping(found, "config").get("duration")), mapping(named, "http_reqs")
    if seconds and (count := number(requests.get("count"))) is not None:
        requests["rate"] = count / seconds
    return named


def _account(metrics: dict[str, Any]) -> Tally:
    used = [
        name for name in metrics if _NAMED.fullmatch(name) or name in (*_k6.DURATIONS, "http_reqs", "http_req_failed")
    ]
    return Tally("metric", total=len(metrics), rows=len(used), known=len(metrics) - len(used))


def _values(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    """A metric's values: in ``values`` of handleSummary, in the metric itself of an export."""
    metric = mapping(metrics, name)
    return mapping(metric, "values") or metric


def _rows(metrics: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name in metrics:
        named = _NAMED.fullmatch(name)
        if name in _k6.DURATIONS:
            where = _k6.of_all(name, http=_k6.DURATIONS[0] in metrics)
        elif named:
            where = common.endpoint(None, named[1])
        else:
            continue
        for key, value in _values(metrics, name).items():
            trend = _TREND.fullmatch(key)
            statistic = f"p{float(trend[1]):g}" if trend else _PLAIN.get(key)
            if statistic and not (statistic == "count" and name == _k6.DURATIONS[0]):
                yield where, statistic, number(value)
    requests, failed = _values(metrics, "http_reqs"), _values(metrics, "http_req_failed")
    if requests:
        yield AGGREGATED, "count", number(requests.get("count"))
        yield AGGREGATED, "errors", number(failed.get("passes"))
        yield AGGREGATED, "throughput_per_s", number(requests.get("rate"))


def _thresholds(metrics: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for name in metrics:
        for expression, found in mapping(metrics, name, "thresholds").items():
            if isinstance(found, bool):
                yield f"{name} {expression}", not found
            elif isinstance(found, dict) and isinstance(found.get("ok"), bool):
                yield f"{name} {expression}", found["ok"]
