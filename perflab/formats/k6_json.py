"""k6's JSON lines (``k6 run --out json=...``): https://grafana.com/docs/k6/latest/results-output/real-time/json/"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, _json_lines, _k6, join
from perflab.formats import _requests as common
from perflab.formats._coded import Coded

if TYPE_CHECKING:
    import pyarrow as pa


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

    def parse(block: _blocks.Block, own: Tally) -> pa.Table:
        return _json_lines.json_table(block, schema, own).combine_chunks()

    points, defined = _k6.Points(), list[str]()
    for block, found in _blocks.ahead(path, points.tally, parse, quotes=False, size=_blocks.BLOCK_BYTES):
        known = pc.equal(found["type"], "Point").fill_null(False).to_numpy()
        points.tally.known += int(np.count_nonzero(~known))
        defined += found["metric"].filter(pa.array(~known)).to_pylist()
        if len(set(defined)) < len(defined):
            raise FormatError(f"{path}: expected one run of k6, found a second: save each run to its own file")
        lines = np.flatnonzero(known) + block.line
        found = found.filter(pa.array(known))
        coded = {tag: Coded.of(pc.struct_field(found["data"], ["tags", tag])) for tag in _k6.TAGS}
        value, times = (pc.struct_field(found["data"], name) for name in ("value", "time"))
        metric = Coded.of(found["metric"])
        yield points.tables(metric, value.to_numpy(), coded, common.iso_microseconds(times), lines, block.done)
    yield from points.finish(path, "points of http_req_duration or grpc_req_duration in k6's JSON lines", [])
