"""k6's CSV output (``k6 run --out csv=...``): https://grafana.com/docs/k6/latest/results-output/real-time/csv/"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perflab import sources
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, _k6, join
from perflab.formats import _requests as common

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST = ("metric_name", "timestamp", "metric_value")
_SECONDS = (
    "k6 wrote whole seconds (its default), so starts are right to a second only and may be up to one too early; "
    "set K6_CSV_TIME_FORMAT=unix_micro and run again where the order of requests matters"
)


def sniff(head: bytes) -> bool:
    return head.startswith(",".join(_FIRST).encode() + b",")


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    names, unit_us = _header(path)
    tags = [tag for tag in _k6.TAGS if tag in names]
    wanted = {
        "metric_name": "text",
        "timestamp": "float" if unit_us else "text",
        "metric_value": "float",
        **dict.fromkeys(tags, "text"),
    }
    points = _k6.Points()
    for block in _blocks.blocks(path, points.tally, quotes=True):
        if block.line == 1:
            block = _blocks.Block(block.data[block.data.find(b"\n") + 1 :], 2, block.done)
        found = _blocks.csv_table(block, names, wanted, points.tally)
        yield points.tables(*_chosen(found, tags, unit_us, block.line), done=block.done)
    notes = [_SECONDS] if unit_us == 1e6 else []
    yield from points.finish(path, "points of http_req_duration in k6's CSV", notes)


def _header(path: Path) -> tuple[list[str], float]:
    """The names of the columns, and the unit of the times in microseconds (0 for RFC 3339)."""
    lines = sources.lines(path)
    names = _blocks.fields(next(lines, ""))
    if tuple(names[:3]) != _FIRST or len(set(names)) != len(names):
        raise FormatError(
            f"{path}:1: expected the columns {', '.join(_FIRST)} and tags, found {', '.join(names)[:120]}"
        )
    first = next(lines, "")
    time = first.split(",", 2)[1] if first.count(",") >= 2 else ""
    return names, {10: 1e6, 13: 1e3, 16: 1.0, 19: 1e-3}.get(len(time), 1e6) if time.isdecimal() else 0.0


def _chosen(found: pa.Table, tags: list[str], unit_us: float, line: int) -> tuple[pa.Table, Any, Any]:
    """Points of the metrics that matter, their times in microseconds, and their lines."""
    import pyarrow as pa
    import pyarrow.compute as pc

    matter = pc.is_in(found["metric_name"], value_set=pa.array(_k6.METRICS))
    lines = np.flatnonzero(matter.to_numpy()) + line
    found = found.filter(matter)
    empty = pa.nulls(len(found), pa.string())
    columns = {tag: found[tag] if tag in tags else empty for tag in _k6.TAGS}
    points = pa.table({"metric": found["metric_name"], "value": found["metric_value"], **columns})
    times = found["timestamp"]
    end_us = common.microseconds(times.to_numpy(), unit_us) if unit_us else common.iso_microseconds(times)
    return points, end_us, lines
