"""What hey and oha share: CSV with a header, times in seconds since the start of the run, one URL that is not named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _block_tables, _blocks, join
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.notes import Note


@dataclass(frozen=True)
class Columns:
    """Which column holds what."""

    tool: str
    header: tuple[str, ...]
    start: str
    latency: str
    status: str
    size: str = ""
    only: str = ""
    notes: tuple[Note, ...] = ()


def read(path: Path, columns: Columns, **options: Any) -> Tables:
    return join(stream(path, columns, **options))


def stream(path: Path, columns: Columns, *, started: Any = None, endpoint: str = "", **_: Any) -> Iterator[Tables]:
    """Requests in blocks; ``started`` is when the run began, ``endpoint`` what was requested."""
    (first,) = _blocks.first_lines(path)
    if tuple(first.split(",")) != columns.header:
        raise FormatError(f"{path}:1: expected the columns {','.join(columns.header)}, found {first[:120]!r}")
    if started is not None:
        common.instant(started)
    tally, kept = Tally(), common.Kept()
    wanted = dict.fromkeys(filter(None, (columns.start, columns.latency, columns.status, columns.size)), "float")
    for block in _blocks.blocks(path, tally, quotes=False):
        block = _blocks.without_header(path, block, first, tally, columns.tool)
        found, lines = _block_tables.csv_table(block, columns.header, wanted, tally)
        status = common.statuses(found[columns.status].to_numpy())
        ok = (status < 400).fillna(False).astype(bool)
        frame = {
            "endpoint": endpoint or "all requests",
            "start": common.offsets(found[columns.start].to_numpy() * 1e6, started),
            "latency_ms": found[columns.latency].to_numpy() * 1e3,
            "ok": ok,
            "status": status,
            "error": common.failures(pd.Series(None, index=status.index, dtype="str"), ok, status),
        }
        if columns.size:
            frame["size_bytes"] = common.whole(found[columns.size].to_numpy())
        yield Tables({"requests": kept.add(common.usable(frame, tally, lines + block.line))}, done=block.done)
    notes = [*columns.notes, *([] if endpoint else [caveats.no_url()])]
    if started is None:
        notes.append(caveats.no_start(columns.tool))
    expected = f"requests of {columns.tool}{columns.only}"
    yield from common.finish(path, tally, kept, expected, generator=columns.tool, warnings=notes)
