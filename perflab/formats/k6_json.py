"""k6's JSON lines (``k6 run --out json=...``): https://grafana.com/docs/k6/latest/results-output/real-time/json/"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from perflab.formats import Tables, _blocks, _k6, join
from perflab.formats import _requests as common


def sniff(head: bytes) -> bool:
    line = head.lstrip().split(b"\n", 1)[0]
    if not line.startswith(b"{"):
        return False
    try:
        first = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return first.get("type") in ("Metric", "Point") and "metric" in first and isinstance(first.get("data"), dict)


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    import pyarrow as pa
    import pyarrow.compute as pc

    tags = pa.struct([(tag, pa.string()) for tag in _k6.TAGS])
    data = pa.struct([("time", pa.string()), ("value", pa.float64()), ("tags", tags)])
    schema = pa.schema([("metric", pa.string()), ("type", pa.string()), ("data", data)])
    points = _k6.Points()
    for block in _blocks.blocks(path, points.tally, quotes=False):
        found = _blocks.json_table(block, schema, points.tally).combine_chunks()
        matter = pc.and_kleene(
            pc.equal(found["type"], "Point"), pc.is_in(found["metric"], value_set=pa.array(_k6.METRICS))
        ).fill_null(False)
        lines = np.flatnonzero(matter.to_numpy()) + block.line
        found = found.filter(matter)
        columns = {tag: pc.struct_field(found["data"], ["tags", tag]) for tag in _k6.TAGS}
        value, times = (pc.struct_field(found["data"], name) for name in ("value", "time"))
        chosen = pa.table({"metric": found["metric"], "value": value, **columns})
        yield points.tables(chosen, common.iso_microseconds(times), lines, done=block.done)
    yield from points.finish(path, "points of http_req_duration in k6's JSON lines", [])
