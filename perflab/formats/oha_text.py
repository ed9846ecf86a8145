"""The text that oha prints: https://github.com/hatoo/oha/blob/master/src/printer.rs; percentiles only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.tables import AGGREGATED
from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._printouts import Printout, printout

_FIRST = re.compile(rb"(?:^|\n)[ \t]*Summary:\s+Success rate:\s+\d")
_BEGINS = re.compile(r"\s*Summary:\s*$")
_VALUE = r"(\d+(?:\.\d+)?) (ns|us|µs|ms|secs?|s|min|hours)"
_MS = {
    "ns": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,
    "ms": 1.0,
    "sec": 1e3,
    "secs": 1e3,
    "s": 1e3,
    "min": 6e4,
    "hours": 3.6e6,
}
_PERCENTILE = re.compile(rf"\s+(\d+(?:\.\d+)?)% in {_VALUE}\s*")
_SUMMARY = {"Slowest": "max", "Fastest": "min", "Average": "mean"}
_LINE = re.compile(rf"\s+(Slowest|Fastest|Average):\s+{_VALUE}\s*")
_RATE = re.compile(r"\s+Requests/sec:\s+(\d+(?:\.\d+)?)\s*")
_STATUS = re.compile(r"\s+\[(\d{3})\] (\d{1,15}) responses\s*")
_ERROR = re.compile(r"\s+\[(\d{1,15})\] (?!\d+ responses).+")
_KNOWN = re.compile(
    r"\s*(Summary:|Success rate:|Total:|Total data:|Size/request:|Size/sec:|Response time (histogram|distribution)|"
    r"[\d.]+( \w+)? \[\d+\]|Details|DNS\+dialup|DNS-lookup|Status code distribution:|Error distribution:|\[\d+\])"
)


def sniff(head: bytes) -> bool:
    return b"Summary:" in head and _FIRST.search(head) is not None


def read(path: Path, **_: Any) -> Tables:
    expected = "what oha prints"
    found = printout(path, _BEGINS, expected)
    errors = next((number for number, line in found if line.strip() == "Error distribution:"), len(found.lines))
    lost = sum(int(error[1]) for number, line in found if number > errors and (error := _ERROR.fullmatch(line)))
    rows = list(_rows(found, lost))
    return common.summarized(
        path, rows, expected, tally=found.closed(_KNOWN), warnings=caveats.unanswered(lost), generator="oha",
        instead="run oha with --output-format csv",
    )  # fmt: skip


def _rows(found: Printout, lost: int) -> Iterator[tuple[str, str, Any]]:
    for match in found.matches(_PERCENTILE):
        yield AGGREGATED, f"p{float(match[1]):g}", float(match[2]) * _MS[match[3]]
    for match in found.matches(_LINE):
        yield AGGREGATED, _SUMMARY[match[1]], float(match[2]) * _MS[match[3]]
    for match in found.matches(_RATE):
        yield AGGREGATED, "throughput_per_s", float(match[1])
    codes = [(int(match[1]), int(match[2])) for match in found.matches(_STATUS)]
    if codes or lost:
        yield AGGREGATED, "count", sum(count for _, count in codes) + lost
        yield AGGREGATED, "errors", sum(count for code, count in codes if code >= 400) + lost
