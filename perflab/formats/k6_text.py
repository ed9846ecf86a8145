"""The end-of-test summary that k6 prints: https://grafana.com/docs/k6/latest/results-output/end-of-test/; percentiles only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _k6
from perflab.formats import _requests as common
from perflab.formats._printouts import Printout, printout

_DURATION = re.compile(
    rb"\n[^\n\w{]{0,20}(?:http|grpc)_req_duration\.+:[^\n]*?(?: avg| p\(\d+(?:\.\d+)?\)| med)=[\d.]+"
)
_BEGIN = re.compile(rb"\n +execution: [^\n]+\r?\n +script: ")
"""What it prints first: a long run's progress may fill all that is looked at."""
_BEGINS = re.compile(r"\s*(?:\x1b\[[\d;]*m)*(?:█ [A-Z]|[✓✗]? ?[a-z]\w*\.{3,}:)")
_DROPPED = re.compile(r"\W*dropped_iterations\.+: *(\d{1,15}) .*")
_CHECKED = re.compile(r" +([✓✗]) '(.+?)' .*")
_OF_METRIC = re.compile(r" {4}([a-z]\w*(?:\{.*\})?)")
_SECTION = re.compile(r"( *)[█↳] (?:(TOTAL RESULTS|THRESHOLDS|SCENARIO|GROUP):? *(.*))")
_METRIC = re.compile(r"([^\w{]*)(http_req_duration|grpc_req_duration|http_reqs|http_req_failed)\.+: *(.*)")
_NAMED = re.compile(r"\s+\{ ?(?:name|url):(.+?) ?\}\.+: *(avg=.*)")
_KNOWN = re.compile(
    r"\s*([✓✗↳█]|[A-Z]+$|\{ ?\w+:.*\}\.+:|[a-z]\w*\.+:|[a-z]\w*(\{.*\})?$|running \(|default |\w+ +[✓✗]|.*\[=*[->]*\]|"
    r"time=|INFO|WARN|ERRO)"
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_STATISTIC = re.compile(r"(avg|min|med|max|p\((\d+(?:\.\d+)?)\))=((?:\d+(?:\.\d+)?(?:h|ms|m|s|µs|us|ns))+)")
_RATE = re.compile(r"(\d+) +(\d+(?:\.\d+)?)/s")
_FAILED = re.compile(r"[\d.]+% .*?(?:(\d+) out of|✓ *(\d+))")
_PLAIN = {"avg": "mean", "med": "p50", "min": "min", "max": "max"}


def sniff(head: bytes) -> bool:
    if b"_req_duration" not in head and b"execution:" not in head:
        return False
    plain = b"\n" + _COLOUR.sub("", head.decode("utf-8", "replace")).encode()
    return (_DURATION.search(plain) or _BEGIN.search(plain)) is not None


def read(path: Path, **_: Any) -> Tables:
    expected = "k6's summary with http_req_duration or grpc_req_duration"
    found = printout(path, _BEGINS, expected, once=False)
    found.lines = [_COLOUR.sub("", line) for line in found.lines]
    rows = list(_rows(found))
    http = any(match[2] == _k6.DURATIONS[0] for match in found.matches(_METRIC))
    known = _k6.promised(dict(_thresholds(found)), sum(int(m[1]) for m in found.matches(_DROPPED)), http=http)
    return common.summarized(
        path,
        rows,
        expected,
        tally=found.closed(_KNOWN),
        generator="k6",
        instead="run k6 with --out csv=requests.csv",
        **known,
    )


def _thresholds(found: Printout) -> Iterator[tuple[str, bool]]:
    """What k6 1.0 and later print of each: the metric, and below it a mark and the expression."""
    metric = ""
    for number, line in found:
        if named := _OF_METRIC.fullmatch(line):
            metric = named[1]
        elif metric and (held := _CHECKED.fullmatch(line)):
            found.used(number)
            yield f"{metric} {held[2]}", held[1] == "✓"


def _rows(found: Printout) -> Iterator[tuple[str, str, Any]]:
    """Metrics of all requests, and of each scenario and group by its own name (``--summary-mode=full``)."""
    open_: list[tuple[int, str]] = []
    for number, line in found:
        if section := _SECTION.fullmatch(line):
            depth, kind, name = len(section[1]), section[2], section[3]
            open_ = [(at, over) for at, over in open_ if at < depth]
            if kind in ("SCENARIO", "GROUP"):
                open_.append((depth, name.strip() if open_ else f"{kind.lower()} {name.strip()}"))
            continue
        within = " / ".join(name for _, name in open_)
        if named := _NAMED.fullmatch(line):
            if not within:
                found.used(number)
                yield from _statistics(common.endpoint(None, named[1]), named[2])
            continue
        match = _METRIC.fullmatch(line)
        if not match:
            continue
        found.used(number)
        _, metric, said = match.groups()
        where = within or AGGREGATED
        if metric in _k6.DURATIONS:
            yield from _statistics(where if metric == _k6.DURATIONS[0] else f"{where} (gRPC)", said)
        elif metric == "http_reqs" and (rate := _RATE.match(said)):
            yield where, "count", int(rate[1])
            yield where, "throughput_per_s", float(rate[2])
        elif metric == "http_req_failed" and (failed := _FAILED.match(said)):
            yield where, "errors", int(failed[1] or failed[2])


def _statistics(where: str, said: str) -> Iterator[tuple[str, str, Any]]:
    for name, share, took in _STATISTIC.findall(said):
        yield where, f"p{float(share):g}" if share else _PLAIN[name], common.go_duration(took)
