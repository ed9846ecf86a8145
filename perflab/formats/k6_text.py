"""The end-of-test summary that k6 prints: https://grafana.com/docs/k6/latest/results-output/end-of-test/; percentiles only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _k6
from perflab.formats import _requests as common

_DURATION = re.compile(rb"\n[^\n\w{]{0,20}http_req_duration\.+:[^\n]*? avg=[\d.]+")
_BEGIN = re.compile(rb"\n +execution: [^\n]+\r?\n +script: ")
"""What it prints first: a long run's progress may fill all that is looked at."""
_DROPPED = re.compile(r"\W*dropped_iterations\.+: *(\d+) .*")
_CHECKED = re.compile(r" +([✓✗]) '(.+?)' .*")
_OF_METRIC = re.compile(r" {4}([a-z]\w*(?:\{.*\})?)")
_METRIC = re.compile(r"[^\w{]*(http_req_duration|http_reqs|http_req_failed)\.+: *(.*)")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_STATISTIC = re.compile(r"(avg|min|med|max|p\((\d+(?:\.\d+)?)\))=((?:\d+(?:\.\d+)?(?:h|ms|m|s|µs|us|ns))+)")
_TIME = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|µs|us|ns)")
_RATE = re.compile(r"(\d+) +(\d+(?:\.\d+)?)/s")
_FAILED = re.compile(r"[\d.]+% .*?(?:(\d+) out of|✓ *(\d+))")
_PLAIN = {"avg": "mean", "med": "p50", "min": "min", "max": "max"}
_MS = {"h": 3.6e6, "m": 6e4, "s": 1e3, "ms": 1.0, "µs": 1e-3, "us": 1e-3, "ns": 1e-6}


def sniff(head: bytes) -> bool:
    plain = b"\n" + _COLOUR.sub("", head.decode("utf-8", "replace")).encode()
    return (_DURATION.search(plain) or _BEGIN.search(plain)) is not None


def read(path: Path, **_: Any) -> Tables:
    lines = [_COLOUR.sub("", line) for _, line in zip(range(100_000), sources.lines(path), strict=False)]
    return common.summarized(
        path, _rows(lines), "k6's summary with http_req_duration", generator="k6",
        instead="run k6 with --out csv=requests.csv", **_k6.promised(dict(_thresholds(lines)), _dropped(lines)),
    )  # fmt: skip


def _dropped(lines: list[str]) -> int:
    return sum(int(found[1]) for line in lines if (found := _DROPPED.fullmatch(line)))


def _thresholds(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """What k6 1.0 and later print of each: the metric, and below it a mark and the expression."""
    metric = ""
    for line in lines:
        if named := _OF_METRIC.fullmatch(line):
            metric = named[1]
        elif metric and (found := _CHECKED.fullmatch(line)):
            yield f"{metric} {found[2]}", found[1] == "✓"


def _rows(lines: list[str]) -> Iterator[tuple[str, str, Any]]:
    for line in lines:
        found = _METRIC.fullmatch(line)
        if not found:
            continue
        metric, said = found.groups()
        if metric == "http_req_duration":
            for name, share, took in _STATISTIC.findall(said):
                yield AGGREGATED, f"p{float(share):g}" if share else _PLAIN[name], _milliseconds(took)
        elif metric == "http_reqs" and (rate := _RATE.match(said)):
            yield AGGREGATED, "count", int(rate[1])
            yield AGGREGATED, "throughput_per_s", float(rate[2])
        elif failed := _FAILED.match(said):
            yield AGGREGATED, "errors", int(failed[1] or failed[2])


def _milliseconds(text: str) -> float:
    """Of ``1m2.5s``, ``340.02ms``, ``933.67µs``."""
    return sum(float(number) * _MS[unit] for number, unit in _TIME.findall(text))
