"""The text that hey prints: https://github.com/rakyll/hey/blob/master/requester/print.go; percentiles only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.tables import AGGREGATED
from perflab.formats import Tables
from perflab.formats import _requests as common

_FIRST = re.compile(rb"\s*Summary:\s+Total:\s+\d+\.\d+ secs\s+Slowest:")
_PERCENTILE = re.compile(r"\s+(\d+)% in (\d+\.\d+) secs\s*")
_SUMMARY = {"Slowest": "max", "Fastest": "min", "Average": "mean"}
_LINE = re.compile(r"\s+(Slowest|Fastest|Average):\s+(\d+\.\d+) secs\s*")
_RATE = re.compile(r"\s+Requests/sec:\s+(\d+\.\d+)\s*")
_STATUS = re.compile(r"\s+\[(\d{3})\]\s+(\d+) responses\s*")
_ERROR = re.compile(r"\s+\[(\d+)\]\s+(?!\d+ responses).+")


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **_: Any) -> Tables:
    lines = [line for _, line in zip(range(10_000), sources.lines(path), strict=False)]
    return common.summarized(
        path, _rows(lines), "hey's latency distribution", generator="hey", instead="run hey with -o csv",
        warnings=["hey prints tenths of a millisecond: latencies below a few ms are coarse"],
    )  # fmt: skip


def _rows(lines: list[str]) -> Iterator[tuple[str, str, Any]]:
    answered = failed = 0
    errors = False
    for line in lines:
        errors |= line.startswith("Error distribution")
        if match := _PERCENTILE.fullmatch(line):
            yield AGGREGATED, f"p{int(match[1])}", float(match[2]) * 1e3
        elif match := _LINE.fullmatch(line):
            yield AGGREGATED, _SUMMARY[match[1]], float(match[2]) * 1e3
        elif match := _RATE.fullmatch(line):
            yield AGGREGATED, "throughput_per_s", float(match[1])
        elif match := _STATUS.fullmatch(line):
            answered += int(match[2])
            failed += int(match[2]) if int(match[1]) >= 400 else 0
        elif errors and (match := _ERROR.fullmatch(line)):
            answered, failed = answered + int(match[1]), failed + int(match[1])
    if answered:
        yield AGGREGATED, "count", answered
        yield AGGREGATED, "errors", failed
