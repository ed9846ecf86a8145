"""What vegeta's CSV and JSON lines share: https://github.com/tsenart/vegeta#encode-command"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _blocks
from perflab.formats import _requests as common


def stream(
    path: Path, tally: Tally, parts: Iterable[tuple[_blocks.Block, Any, Any, Any]], status: str
) -> Iterator[Tables]:
    """Requests of blocks: each with its columns, and the microseconds at which they started."""
    kept = common.Kept()
    for block, found, lines, start in parts:
        statuses, error = common.statuses(found[status].to_numpy()), common.texts(found["error"])
        ok = (statuses < 400).fillna(False).astype(bool) & error.isna()
        columns = {
            "endpoint": common.endpoints(found["method"], found["url"])
            if "url" in found.column_names
            else "all requests",
            "start": common.instants(start),
            "latency_ms": found["latency"].to_numpy() / 1e6,
            "ok": ok,
            "status": statuses,
            "error": common.failures(error, ok, statuses),
            "size_bytes": common.whole(found["bytes_in"].to_numpy()),
        }
        yield Tables({"requests": kept.add(common.usable(columns, tally, lines + block.line))}, done=block.done)
    yield from common.finish(path, tally, kept, "results of vegeta", generator="vegeta")
