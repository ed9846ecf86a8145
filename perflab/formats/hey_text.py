"""The text that hey prints: https://github.com/rakyll/hey/blob/master/requester/print.go; percentiles only."""

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

_FIRST = re.compile(rb"(?:^|\n)[ \t]*Summary:\s+Total:\s+\d+\.\d+ secs\s+Slowest:")
_BEGINS = re.compile(r"\s*Summary:\s*$")
_PERCENTILE = re.compile(r"\s+(\d+)% in (\d+\.\d+) secs\s*")
_SUMMARY = {"Slowest": "max", "Fastest": "min", "Average": "mean"}
_LINE = re.compile(r"\s+(Slowest|Fastest|Average):\s+(\d+\.\d+) secs\s*")
_RATE = re.compile(r"\s+Requests/sec:\s+(\d+\.\d+)\s*")
_STATUS = re.compile(r"\s+\[(\d{3})\]\s+(\d{1,15}) responses\s*")
_ERROR = re.compile(r"\s+\[(\d{1,15})\]\s+(?!\d+ responses).+")
_KNOWN = re.compile(
    r"\s*(Summary:|Requests/sec:|(?:Slowest|Fastest|Average|Total|Total data|Size/request):|Response time histogram:|"
    r"\d+\.\d+ \[\d+\]|Latency distribution:|Details|DNS\+dialup:|DNS-lookup:|req write:|resp wait:|resp read:|"
    r"Status code distribution:|Error distribution:)"
)


def sniff(head: bytes) -> bool:
    return b"Summary:" in head and _FIRST.search(head) is not None


def read(path: Path, **_: Any) -> Tables:
    found = printout(path, _BEGINS, "hey's latency distribution")
    rows = list(_rows(found))
    return common.summarized(
        path, rows, "hey's latency distribution", tally=found.closed(_KNOWN), generator="hey",
        instead="run hey with -o csv", warnings=[caveats.coarse("hey")],
    )  # fmt: skip


def _rows(found: Printout) -> Iterator[tuple[str, str, Any]]:
    for match in found.matches(_PERCENTILE):
        if int(match[1]):  # "0% in 0.0000 secs" is what hey prints for percentiles that it does not have
            yield AGGREGATED, f"p{int(match[1])}", float(match[2]) * 1e3
    for match in found.matches(_LINE):
        yield AGGREGATED, _SUMMARY[match[1]], float(match[2]) * 1e3
    for match in found.matches(_RATE):
        yield AGGREGATED, "throughput_per_s", float(match[1])
    codes = [(int(match[1]), int(match[2])) for match in found.matches(_STATUS)]
    answered = sum(count for _, count in codes)
    failed = sum(count for code, count in codes if code >= 400)
    begins = next((number for number, line in found if line.startswith("Error distribution")), len(found.lines))
    for number, line in found:
        if number > begins and (error := _ERROR.fullmatch(line)):
            found.used(number)
            answered, failed = answered + int(error[1]), failed + int(error[1])
    if answered:
        yield AGGREGATED, "count", answered
        yield AGGREGATED, "errors", failed
