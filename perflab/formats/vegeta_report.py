"""vegeta's report as JSON or text (``vegeta report``): https://github.com/tsenart/vegeta#report-command; percentiles only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _documents
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._documents import counts, mapping, number
from perflab.formats._printouts import Printout, printout
from perflab.notes import Note

_JSON = re.compile(rb'\s*\{\s*"latencies"\s*:\s*\{')
_TEXT = re.compile(rb"(?:^|\n)Requests\s+\[total, rate(?:, throughput)?\]")
_BEGINS = re.compile(r"Requests\s+\[total, rate")
_LINE = re.compile(r"(Requests|Latencies|Success|Status Codes)\s+\[([^\]]+)\]\s+(.+?)\s*")
_KNOWN = re.compile(r"Duration\s|Bytes (In|Out)\s|Error Set:|.+")
_KEYS = {"mean": "mean", "min": "min", "max": "max", "50th": "p50", "90th": "p90", "95th": "p95", "99th": "p99"}
_INSTEAD = "keep vegeta's results too: vegeta encode --to csv"


def sniff(head: bytes) -> bool:
    return (_JSON.match(head) is not None and b'"status_codes"' in head) or _TEXT.search(head) is not None


def read(path: Path, **_: Any) -> Tables:
    expected = "a report of vegeta"
    known: dict[str, Any] = {"generator": "vegeta", "instead": _INSTEAD}
    if not _JSON.match(sources.head(path)):
        found = printout(path, _BEGINS, expected)
        rows, lost = _printed(found)
        return common.summarized(path, rows, expected, tally=found.closed(_KNOWN), warnings=_unanswered(lost), **known)
    report = mapping(_documents.document(path, expected))
    codes = mapping(report, "status_codes")
    rows = list(_written(report, codes))
    return common.summarized(path, rows, expected, warnings=_unanswered(number(codes.get("0"))), **known)


def _unanswered(count: float | None) -> tuple[Note, ...]:
    return (caveats.UNANSWERED_TIMED(count=count),) if count else ()


def _written(report: dict[str, Any], codes: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in mapping(report, "latencies").items():
        if key in _KEYS and (ns := number(value)) is not None:
            yield AGGREGATED, _KEYS[key], ns / 1e6
    total = number(report.get("requests"))
    yield AGGREGATED, "count", total
    yield (
        AGGREGATED,
        "errors",
        _errors(total, number(report.get("success")), {k: number(v) or 0 for k, v in codes.items()}),
    )
    yield AGGREGATED, "throughput_per_s", number(report.get("rate"))


def _errors(total: float | None, success: float | None, codes: dict[str, float]) -> float | None:
    """vegeta's success is the share of answers from 200 to 399; the counts by status hold it exactly."""
    if codes and total == counts(codes):
        return sum(count for code, count in codes.items() if not "200" <= code < "400")
    return None if total is None or success is None else round(total * (1 - success))


def _printed(found: Printout) -> tuple[list[tuple[str, str, Any]], float]:
    fields = {}
    for match in found.matches(_LINE):
        fields[match[1]] = dict(zip(match[2].split(", "), match[3].split(", "), strict=False)) | {"": match[3]}
    requests, latencies = fields.get("Requests", {}), fields.get("Latencies", {})
    rows: list[tuple[str, str, Any]] = []
    for name, text in latencies.items():
        if name in ("min", "mean", "max", "50", "90", "95", "99"):
            rows.append((AGGREGATED, f"p{name}" if name.isdecimal() else name, common.go_duration(text)))
    total = _plain(requests.get("total"))
    codes = {c: float(n) for c, n in re.findall(r"(\d+):(\d{1,15})", fields.get("Status Codes", {}).get("", ""))}
    success = _plain(fields.get("Success", {}).get("ratio", "").rstrip("%"))
    rows += [
        (AGGREGATED, "count", total),
        (AGGREGATED, "errors", _errors(total, None if success is None else success / 100, codes)),
        (AGGREGATED, "throughput_per_s", _plain(requests.get("rate"))),
    ]
    return rows, codes.get("0", 0)


def _plain(text: str | None) -> float | None:
    try:
        return number(float(text or ""))
    except ValueError:
        return None
