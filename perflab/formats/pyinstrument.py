"""pyinstrument's JSON (``pyinstrument -r json``): https://pyinstrument.readthedocs.io/en/latest/reference.html

``time`` of a frame is its total, in seconds; leaves named "[self]" are part of their parent, while "[await]" stays apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.profiles.call_trees import Frames, from_parents

_SYNTHETIC = frozenset({"[self]"})


def sniff(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and b'"root_frame"' in head and b'"file_path_short"' in head


def read(path: Path, *, max_bytes: int | None = None, **_: Any) -> Tables:
    found = _profiles.json_of(path, max_bytes)
    root = found.get("root_frame") if isinstance(found, dict) else None
    if not isinstance(root, dict):
        raise FormatError(f"{path}:1: expected pyinstrument's JSON with a root_frame, found none")
    tally, frames = Tally(unit="frame"), Frames()
    parent, codes, times = _nodes(root, frames, tally)
    above, numbers = np.array(parent, dtype="int64"), _profiles.good_weights(times, tally, "time")
    inner = above >= 0
    children = np.bincount(above[inner], weights=numbers[inner], minlength=len(numbers))
    own = numbers - children
    # Times are rounded to a microsecond each, so a parent may seem shorter than its children by a few.
    short = own < -1e-5 - 1e-6 * len(numbers)
    _profiles.flagged(tally, kinds.SHORTER_THAN_CALLS, "frame", short)
    tree, lost = from_parents(above, np.array(codes, dtype="int64"), np.maximum(own, 0.0) * 1e3)
    tally.note(kinds.TOO_DEEP, lost, "the deepest")
    tally.rows = len(parent)
    meta = {"tool": "pyinstrument", **_facts(found)}
    return _profiles.tables(path, [(None, "ms", tree)], frames, tally, meta=meta)


def _nodes(root: dict[str, Any], frames: Frames, tally: Tally) -> tuple[list[int], list[int], list[Any]]:
    """Parent, frame and total time of each frame, those of no function left to their parents."""
    parent, codes, times = [-1], [_code(root, frames, tally)], [root.get("time")]
    tally.total = 1
    # Frames come in thousands, of few functions: what is looked up by its own texts needs no checks a second time.
    known: dict[tuple[Any, Any, Any], int] = {}
    pending: list[tuple[Any, int]] = [(root.pop("children", None), 0)]
    while pending:
        children, above = pending.pop()
        # What has been read is let go of as we go, so that the file and the table are never in memory together.
        if not isinstance(children, list):
            continue
        for child in children:
            tally.total += 1
            if not isinstance(child, dict):
                tally.skip(tally.total, why="not an object")
                continue
            function = child.get("function")
            if function in _SYNTHETIC if isinstance(function, str) else False:
                tally.known += 1
                continue
            try:
                key = (function, child.get("file_path"), child.get("line_no"))
                code = known.get(key)
                if code is None:
                    code = known[key] = _code(child, frames, tally)
            except TypeError:
                code = _code(child, frames, tally)
            below = child.pop("children", None)
            if below:
                pending.append((below, len(parent)))
            parent.append(above)
            codes.append(code)
            times.append(child.get("time"))
    return parent, codes, times


def _code(frame: Mapping[str, Any], frames: Frames, tally: Tally) -> int:
    file = frame.get("file_path") or frame.get("file_path_short")
    return frames.number(
        _profiles.name(frame.get("function"), tally),
        _profiles.name(file, tally) if file else None,
        _profiles.line_number(frame.get("line_no")),
    )


def _facts(found: Mapping[str, Any]) -> dict[str, object]:
    duration, start = _profiles.weight(found.get("duration")), _profiles.weight(found.get("start_time"))
    facts: dict[str, object] = {} if duration is None else {"duration_ms": duration * 1e3}
    if start and start < 1e11:
        facts["start"] = pd.Timestamp(start, unit="s", tz="UTC").isoformat()
    return facts
