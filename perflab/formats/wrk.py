"""The text of wrk (https://github.com/wg/wrk) and wrk2 (https://github.com/giltene/wrk2); ``--latency`` gives percentiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.tables import AGGREGATED
from perflab.formats import Tables
from perflab.formats import _requests as common

_FIRST = re.compile(rb"Running \S+ test @ \S+")
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_VALUE = r"(\d+(?:\.\d+)?)(us|ms|s|m|h)"
_PERCENTILE = re.compile(rf"\s+(\d+(?:\.\d+)?)%\s+{_VALUE}\s*")
_LATENCY = re.compile(rf"\s+Latency\s+{_VALUE}\s+{_VALUE}\s+{_VALUE}\s+\S+%\s*")
_COUNT = re.compile(r"\s*(\d+) requests in \S+, .*")
_RATE = re.compile(r"Requests/sec:\s+(\d+(?:\.\d+)?)\s*")
_FAILED = re.compile(r"\s*Non-2xx or 3xx responses: (\d+)\s*")
_SOCKET = re.compile(r"\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)\s*")
_COARSE = "wrk prints three to four digits, and without --latency no percentiles"


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **_: Any) -> Tables:
    lines = [line for _, line in zip(range(10_000), sources.lines(path), strict=False)]
    rows, notes = list(_rows(lines)), [_COARSE]
    for line in lines:
        if (lost := _SOCKET.fullmatch(line)) and (number := sum(map(int, lost.groups()))):
            notes.append(f"{number:,} socket errors ({line.split(':', 1)[1].strip()}): those requests have no latency")
    wrk2 = any("HdrHistogram" in line for line in lines)
    return common.summarized(
        path, rows, "latencies of wrk", warnings=notes, generator="wrk2" if wrk2 else "wrk",
        url=lines[0].rpartition("@ ")[2] if lines else "",
        instead="measure with a tool that writes every request (k6 --out csv, vegeta, hey -o csv)",
    )  # fmt: skip


def _rows(lines: list[str]) -> Iterator[tuple[str, str, Any]]:
    seen: set[str] = set()
    count, failed = None, 0
    for line in lines:
        if "Uncorrected Latency" in line:
            break  # wrk2 -U prints the corrected ones first
        for statistic, value in _found(line):
            if statistic not in seen:
                seen.add(statistic)
                yield AGGREGATED, statistic, value
    for line in lines:
        if match := _COUNT.fullmatch(line):
            count = int(match[1])
        elif match := _FAILED.fullmatch(line):
            failed = int(match[1])
        elif match := _RATE.fullmatch(line):
            yield AGGREGATED, "throughput_per_s", float(match[1])
    if count is not None:
        yield AGGREGATED, "count", count
        yield AGGREGATED, "errors", failed


def _found(line: str) -> Iterator[tuple[str, float]]:
    if match := _PERCENTILE.fullmatch(line):
        share = float(match[1])
        if share <= 100:
            yield "max" if share == 100 else f"p{share:g}", float(match[2]) * _MS[match[3]]
    elif match := _LATENCY.fullmatch(line):
        yield "mean", float(match[1]) * _MS[match[2]]
        yield "max", float(match[5]) * _MS[match[6]]
