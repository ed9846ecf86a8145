"""autocannon --json: https://github.com/mcollina/autocannon#autocannonopts-cb (latencies are whole milliseconds)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _documents
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._documents import mapping, number

_PERCENTILE = re.compile(r"p(\d+)(?:_(\d+))?")
_SHOWN = ("p50", "p75", "p90", "p97_5", "p99", "p99_9", "p99_99")


def sniff(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and all(
        key in head for key in (b'"latency"', b'"p97_5"', b'"connections"', b'"pipelining"')
    )


def read(path: Path, **_: Any) -> Tables:
    found = _documents.document(path, "a result of autocannon --json")
    latency, requests = mapping(found, "latency"), mapping(found, "requests")
    notes = [caveats.coarse("autocannon", "whole milliseconds and no p95")]
    measured, total = number(latency.get("totalCount")), number(requests.get("total"))
    if measured is not None and total is not None and measured != total:
        notes.append(caveats.CORRECTED(requests=total, latencies=measured))
    plain = mapping(found)
    url = str(plain.get("url", ""))
    return common.summarized(
        path, common.of_url(_rows(plain, latency, requests), url), "a result of autocannon --json",
        warnings=[*notes, *caveats.unanswered(number(plain.get("errors")))], generator="autocannon", url=url,
        instead="measure with a tool that writes every request (k6 --out csv, vegeta, hey -o csv)",
    )  # fmt: skip


def _rows(found: dict[str, Any], latency: dict[str, Any], requests: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key in _SHOWN:
        whole, fraction = _PERCENTILE.fullmatch(key).groups()  # type: ignore[union-attr]
        yield AGGREGATED, f"p{whole}.{fraction}" if fraction else f"p{whole}", number(latency.get(key))
    for key, statistic in (("mean", "mean"), ("min", "min"), ("max", "max")):
        yield AGGREGATED, statistic, number(latency.get(key))
    lost = number(found.get("errors")) or 0
    # Its total is of those that were answered.
    yield AGGREGATED, "count", (number(requests.get("total")) or 0) + lost
    yield AGGREGATED, "errors", (number(found.get("non2xx")) or 0) + lost
    yield AGGREGATED, "throughput_per_s", number(requests.get("mean"))
