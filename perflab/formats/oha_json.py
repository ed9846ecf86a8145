"""oha's JSON (``oha --output-format json``; ``-j`` in older versions): https://github.com/hatoo/oha/blob/master/schema.json"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.tables import AGGREGATED
from perflab.formats import Tables, _documents
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._documents import counts, mapping, number

_PERCENTILE = re.compile(r"p\d+(\.\d+)?")


def sniff(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and b'"successRate"' in head and b'"requestsPerSec"' in head


def read(path: Path, **_: Any) -> Tables:
    found = _documents.document(path, "a result of oha")
    lost = counts(mapping(found, "errorDistribution"))
    return common.summarized(
        path, _rows(found, lost), "a result of oha with latencyPercentiles", warnings=caveats.unanswered(lost), generator="oha",
        instead="run oha with --output-format csv",
    )  # fmt: skip


def _rows(found: Any, lost: float) -> Iterator[tuple[str, str, Any]]:
    for key, value in mapping(found, "latencyPercentiles").items():
        if _PERCENTILE.fullmatch(key):
            yield AGGREGATED, key, _ms(value)
    summary = mapping(found, "summary")
    for key, statistic in (("average", "mean"), ("fastest", "min"), ("slowest", "max")):
        yield AGGREGATED, statistic, _ms(summary.get(key))
    codes = mapping(found, "statusCodeDistribution")
    if not codes and not lost:
        return
    answered = counts(codes)
    yield AGGREGATED, "count", answered + lost
    yield AGGREGATED, "errors", counts({k: v for k, v in codes.items() if k[:1] in "45"}) + lost
    yield AGGREGATED, "throughput_per_s", number(summary.get("requestsPerSec"))


def _ms(value: Any) -> float | None:
    seconds = number(value)
    return None if seconds is None else seconds * 1e3
