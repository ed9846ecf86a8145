"""memray's statistics (``memray stats --json``): https://bloomberg.github.io/memray/stats.html

The places that allocated most, in bytes: no stacks. The .bin files are memray's own: ``memray stats --json`` reads them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.profiles.call_trees import Frames, Tree, from_parents

_PLACE = re.compile(r"(.+?):(.+):(\d+)")
OTHERS = "(other places)"


def sniff(head: bytes) -> bool:
    if head.startswith(b"memray\x00"):
        return True
    return head.lstrip().startswith(b"{") and b'"total_bytes_allocated"' in head


def read(path: Path, *, max_bytes: int | None = None, **_: Any) -> Tables:
    data_start = sources.head(path, 8)
    if data_start.startswith(b"memray\x00"):
        raise FormatError(f"{path}: memray's own format; write what can be read with: memray stats --json {path.name}")
    found = _profiles.json_of(path, max_bytes)
    listed = found.get("top_allocations_by_size") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise FormatError(f"{path}:1: expected memray's statistics with top_allocations_by_size, found none")
    tally, frames = Tally(unit="place", total=len(listed)), Frames()
    codes, weights = [], []
    for number, entry in enumerate(listed, start=1):
        place = entry.get("location") if isinstance(entry, dict) else None
        value = _profiles.weight(entry.get("size")) if isinstance(entry, dict) else None
        if not isinstance(place, str) or value is None:
            tally.skip(number, why="expected a location and a size")
            continue
        tally.rows += 1
        match = _PLACE.fullmatch(place) if len(place) < _profiles.MAX_NAME else None
        name = match[1] if match else _profiles.name(place, tally)
        codes.append(frames.number(name, match[2] if match else None, int(match[3][:9]) or None if match else None))
        weights.append(value)
    rest = (_profiles.weight(found.get("total_bytes_allocated")) or 0.0) - sum(weights)
    notes = []
    if rest > 0 and weights:
        codes.append(frames.number(OTHERS))
        weights.append(rest)
        notes = [kinds.LARGEST_ONLY(source=path.name, places=len(listed))]
    return _profiles.tables(
        path, [(None, "bytes", _flat(codes, weights))], frames, tally, warnings=notes, meta={"tool": "memray"}
    )


def _flat(codes: list[int], weights: list[float]) -> Tree:
    roots = np.full(len(codes), -1, dtype="int64")
    return from_parents(roots, np.array(codes, dtype="int64"), np.array(weights, dtype="float64"))[0]
