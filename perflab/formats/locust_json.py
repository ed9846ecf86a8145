"""Locust's JSON (``--json`` on standard output, ``--json-file NAME``): https://docs.locust.io/en/stable/retrieving-stats.html

A list with an entry for each endpoint; ``response_times`` counts rounded latencies, and gives the percentiles as Locust does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError
from perflab.formats import Tables, _documents, _locust
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._documents import mapping, number

_SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


def sniff(head: bytes) -> bool:
    return head.lstrip().startswith(b"[") and b'"num_requests"' in head and b'"response_times"' in head


def read(path: Path, **_: Any) -> Tables:
    found = _documents.document(path, "Locust's JSON")
    if not isinstance(found, list):
        raise FormatError(f"{path}: expected a list of endpoints, found {type(found).__name__}")
    entries = [entry for entry in found if isinstance(entry, dict) and number(entry.get("num_requests"))]
    account = Tally("entry", total=len(found), rows=len(entries), known=len(found) - len(entries))
    return common.summarized(
        path, _rows(entries), "Locust's JSON", tally=account, warnings=[caveats.ROUNDED(), caveats.NO_TOTAL()],
        generator="locust", instead=_locust.INSTEAD,
    )  # fmt: skip


def _rows(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    total: Counter[float] = Counter()
    for entry in entries:
        where = _locust.endpoint(entry.get("method"), entry.get("name"))
        times = _histogram(entry)
        total.update(times)
        yield from _statistics(where, [entry], times)
    yield from _statistics(AGGREGATED, entries, total)


def _histogram(entry: dict[str, Any]) -> Counter[float]:
    found: Counter[float] = Counter()
    for text, count in mapping(entry, "response_times").items():
        latency, times = _locust.number(text), number(count)
        if latency is not None and times is not None:
            found[latency] += int(min(times, 2**60))
    return found


def _statistics(where: str, entries: list[dict[str, Any]], times: Counter[float]) -> Iterator[tuple[str, str, Any]]:
    def added(key: str) -> float:
        return sum(number(entry.get(key)) or 0.0 for entry in entries)

    count = added("num_requests")
    yield where, "count", count
    yield where, "errors", added("num_failures")
    if timed := count - added("num_none_requests"):
        yield where, "mean", added("total_response_time") / timed
    for statistic, choose in (("min", min), ("max", max)):
        known = [v for e in entries if (v := number(e.get(f"{statistic}_response_time"))) is not None]
        yield where, statistic, choose(known) if known else None
    for share in _SHARES:
        yield where, f"p{share * 100:g}", _percentile(times, share)


def _percentile(times: Mapping[float, int], share: float) -> float | None:
    """Locust's own rule (stats.py, calculate_response_time_percentile): counted down from the slowest."""
    total = sum(times.values())
    seen = 0
    for latency in sorted(times, reverse=True):
        seen += times[latency]
        if total - seen <= int(total * share):
            return latency
    return None
