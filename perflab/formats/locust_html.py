"""Locust's HTML report (``--html report.html``): the data of its page, ``window.templateArgs = {...}`` (2.19 and later).

https://docs.locust.io/en/stable/quickstart.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from perflab.data import sources
from perflab.errors import FormatError
from perflab.formats import Tables, _documents, _locust
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._documents import mapping, number

_FIRST = re.compile(rb"\s*<!DOCTYPE html>.*?<title>\s*Locust\b", re.IGNORECASE | re.DOTALL)
_DATA = re.compile(rb"window\.templateArgs\s*=\s*")
_KEYS = {
    "num_requests": "count",
    "num_failures": "errors",
    "avg_response_time": "mean",
    "min_response_time": "min",
    "max_response_time": "max",
    "median_response_time": "p50",
    "total_rps": "throughput_per_s",
}
_PERCENTILE = re.compile(r"response_time_percentile_(0?\.\d+)")


def sniff(head: bytes) -> bool:
    return _FIRST.match(head) is not None


def read(path: Path, **_: Any) -> Tables:
    with sources.open_bytes(path) as stream:
        page = sources.as_utf8(stream.read(_documents.MAX_BYTES))
    found = _data(path, page)
    return common.summarized(
        path, _rows(found), "the statistics in Locust's report", warnings=[caveats.ROUNDED()], generator="locust",
        instead=_locust.INSTEAD, started=str(mapping(found).get("start_time", ""))[:40],
    )  # fmt: skip


def _data(path: Path, page: bytes) -> Any:
    """The data assigned in the page; its script before mentions the same name, so the last assignment that parses counts."""
    for match in reversed(list(_DATA.finditer(page))):
        end = page.find(b"</script>", match.end())
        text = page[match.end() : end if end >= 0 else len(page)].strip().rstrip(b";").rstrip()
        try:
            return orjson.loads(text.split(b"\n", 1)[0].rstrip().rstrip(b";"))
        except orjson.JSONDecodeError:
            try:
                return orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
    raise FormatError(
        f"{path}: expected window.templateArgs with Locust's statistics, found none that can be read; "
        "reports before 2.19 hold a table only: read the CSV of --csv instead"
    )


def _rows(found: Any) -> Iterator[tuple[str, str, Any]]:
    entries = mapping(found).get("requests_statistics")
    quantiles = mapping(found).get("response_time_statistics")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or number(entry.get("num_requests")) is None:
            continue
        where = _locust.endpoint(entry.get("method"), entry.get("name"))
        for key, statistic in _KEYS.items():
            yield where, statistic, number(entry.get(key))
        for key, value in entry.items():
            if match := _PERCENTILE.fullmatch(key):
                yield where, f"p{float(match[1]) * 100:g}", number(value)
    for entry in quantiles if isinstance(quantiles, list) else []:
        if isinstance(entry, dict) and (p90 := number(entry.get("0.9"))) is not None:
            yield _locust.endpoint(entry.get("method"), entry.get("name")), "p90", p90
