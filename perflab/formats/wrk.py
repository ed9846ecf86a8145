"""The text of wrk (https://github.com/wg/wrk) and wrk2 (https://github.com/giltene/wrk2); ``--latency`` gives percentiles."""

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

_FIRST = re.compile(rb"(?:^|\n)Running \S+ test @ [^\n]+\n\s+\d+ threads? and \d+ connections?")
_BEGINS = re.compile(r"Running \S+ test @ (\S+)")
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_VALUE = r"(\d+(?:\.\d+)?)(us|ms|s|m|h)"
_PERCENTILE = re.compile(rf"\s*(\d+(?:\.\d+)?)%\s+{_VALUE}\s*")
_LATENCY = re.compile(rf"\s+Latency\s+{_VALUE}\s+{_VALUE}\s+{_VALUE}\s+\S+%\s*")
_COUNT = re.compile(r"\s*(\d{1,15}) requests in \S+, .*")
_RATE = re.compile(r"Requests/sec:\s+(\d+(?:\.\d+)?)\s*")
_FAILED = re.compile(r"\s*Non-2xx or 3xx responses: (\d{1,15})\s*")
_SOCKET = re.compile(
    r"\s*Socket errors: (connect (\d{1,15}), read (\d{1,15}), write (\d{1,15}), timeout (\d{1,15}))\s*"
)
_KNOWN = re.compile(
    r"Running |\s+Latency Distribution|\s+\d+ threads? and|\s+Thread (Stats|calibration)|\s+(Latency|Req/Sec)\s|"
    r"Transfer/sec:|\s+Detailed Percentile spectrum|\s+Value\s+Percentile|\s+\d+\.\d+\s+[01]\.\d+\s+\d+\s|#|-{5,}|"
    r"\s*\d+(\.\d+)?%\s"
)


def sniff(head: bytes) -> bool:
    return b"Running " in head and _FIRST.search(head) is not None


def read(path: Path, **_: Any) -> Tables:
    found = printout(path, _BEGINS, "latencies of wrk")
    rows, notes = list(_rows(found)), [caveats.DIGITS()]
    for lost in found.matches(_SOCKET):
        if number := sum(map(int, lost.groups()[1:])):
            notes.append(caveats.SOCKET_ERRORS(errors=number, kinds=lost[1]))
    wrk2 = any("HdrHistogram" in line for line in found.lines)
    begins = _BEGINS.match(found.lines[0])
    url = begins[1] if begins else ""
    return common.summarized(
        path, common.of_url(rows, url), "latencies of wrk", tally=found.closed(_KNOWN), warnings=notes,
        generator="wrk2" if wrk2 else "wrk", url=url,
        instead="measure with a tool that writes every request (k6 --out csv, vegeta, hey -o csv)",
    )  # fmt: skip


def _rows(found: Printout) -> Iterator[tuple[str, str, Any]]:
    # wrk2 -U prints the corrected latencies first.
    until = next((number for number, line in found if "Uncorrected Latency" in line), len(found.lines))
    seen: set[str] = set()
    for number, line in found:
        for statistic, value in _found(line):
            found.used(number)
            if number < until and statistic not in seen:
                seen.add(statistic)
                yield AGGREGATED, statistic, value
    for match in found.matches(_RATE):
        yield AGGREGATED, "throughput_per_s", float(match[1])
    failed = sum(int(match[1]) for match in found.matches(_FAILED))
    for match in found.matches(_COUNT):
        yield AGGREGATED, "count", int(match[1])
        yield AGGREGATED, "errors", failed


def _found(line: str) -> Iterator[tuple[str, float]]:
    if match := _PERCENTILE.fullmatch(line):
        share = float(match[1])
        if share <= 100:
            yield "max" if share == 100 else f"p{share:g}", float(match[2]) * _MS[match[3]]
    elif match := _LATENCY.fullmatch(line):
        yield "mean", float(match[1]) * _MS[match[2]]
        yield "max", float(match[5]) * _MS[match[6]]
