"""JMeter's reports of a run: the aggregate or summary report as CSV, and the dashboard's statistics.json; percentiles only.

https://jmeter.apache.org/usermanual/component_reference.html#Aggregate_Report, .../generating-dashboard.html
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, _documents
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._documents import mapping, number

_CSV = re.compile(r'"?(?:Label|sampler_label)"?[,;\t]"?(?:# Samples|aggregate_report_count)"?[,;\t]')
_JSON = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*\{\s*"transaction"\s*:')
_COLUMNS = {
    "# Samples": "count", "aggregate_report_count": "count", "Average": "mean", "average": "mean",
    "Median": "p50", "aggregate_report_median": "p50", "Min": "min", "aggregate_report_min": "min",
    "Max": "max", "aggregate_report_max": "max", "Throughput": "throughput_per_s", "aggregate_report_rate": "throughput_per_s",
    "Error %": "error_fraction", "aggregate_report_error%": "error_fraction",
}  # fmt: skip
_PERCENTILE = re.compile(r"(?:aggregate_report_)?(\d+(?:\.\d+)?)%(?: Line|_line)")
_KEYS = {
    "sampleCount": "count", "errorCount": "errors", "meanResTime": "mean", "medianResTime": "p50", "minResTime": "min",
    "maxResTime": "max", "pct1ResTime": "p90", "pct2ResTime": "p95", "pct3ResTime": "p99", "throughput": "throughput_per_s",
}  # fmt: skip
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(sec|min|hour)")
_PER_S = {"sec": 1.0, "min": 60.0, "hour": 3600.0}


def sniff(head: bytes) -> bool:
    return _CSV.match(head[:4096].decode("utf-8", "replace")) is not None or (
        _JSON.match(head) is not None and b'"pct1ResTime"' in head
    )


def read(path: Path, **_: Any) -> Tables:
    expected = "a report of JMeter"
    known: dict[str, Any] = {"generator": "JMeter", "instead": "read the JTL it was made of"}
    if not _CSV.match(_blocks.first_lines(path)[0]):
        found = mapping(_documents.document(path, expected))
        entries = [entry for entry in found.values() if isinstance(entry, dict) and "sampleCount" in entry]
        tally = Tally("entry", total=len(found), rows=len(entries))
        tally.skip(1, len(found) - len(entries), "no statistics")
        return common.summarized(
            path, _written(entries), expected, tally=tally, warnings=[caveats.PERCENTILES_BY_SETTING()], **known
        )
    tally = Tally()
    rows = list(_listed(path, tally))
    return common.summarized(path, rows, expected, tally=tally, **known)


def _written(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for entry in entries:
        where = _endpoint(str(entry.get("transaction", "")))
        for key, statistic in _KEYS.items():
            yield where, statistic, number(entry.get(key))


def _endpoint(label: str) -> str:
    return AGGREGATED if label in ("TOTAL", "Total") else common.one_line(common.endpoint(None, label))


def _listed(path: Path, tally: Tally) -> Iterator[tuple[str, str, Any]]:
    first = _blocks.first_lines(path)[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(sources.lines(path), delimiter=delimiter)
    names: list[str] = []
    before = 0
    for cells in _rows(path, lines):
        tally.total = lines.line_num
        read, before = lines.line_num - before, lines.line_num
        if not names:
            names, tally.known = cells, tally.known + read
            continue
        if not cells:
            tally.known += read
            continue
        row = dict(zip(names, cells, strict=False))
        found = dict(_statistics(row)) if len(cells) == len(names) else {}
        if not found.get("count"):
            if cells == names:
                raise FormatError(f"{path}:{before}: expected one report, found a second header")
            tally.skip(before, read, "no number of samples")
            continue
        tally.rows, tally.continued = tally.rows + 1, tally.continued + read - 1
        where = _endpoint(cells[0])
        share = found.pop("error_fraction", None)
        if share is not None and share <= 1:
            found["errors"] = round(found["count"] * share)
        for statistic, value in found.items():
            yield where, statistic, value


def _rows(path: Path, lines: Any) -> Iterator[list[str]]:
    try:
        yield from lines
    except csv.Error as problem:
        raise FormatError(
            f"{path}:{lines.line_num}: expected a report of JMeter, found what is no CSV: {problem}"
        ) from problem


def _statistics(row: dict[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in row.items():
        percentile = _PERCENTILE.fullmatch(name)
        statistic = f"p{float(percentile[1]):g}" if percentile else _COLUMNS.get(name)
        if statistic and (value := _value(text, statistic)) is not None:
            yield statistic, value


def _value(text: str, statistic: str) -> float | None:
    text = text.strip()
    if rate := _RATE.fullmatch(text):
        return float(rate[1]) / _PER_S[rate[2]]
    percent = text.endswith("%")
    try:
        value = number(float(text.rstrip("%").replace(",", "") if percent else text))
    except ValueError:
        return None
    return value / 100 if value is not None and percent else value
