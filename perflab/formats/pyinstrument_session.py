"""pyinstrument's saved sessions (``-r session``, .pyisession): https://pyinstrument.readthedocs.io/en/latest/reference.html

Each record is a stack, outermost frame first, and its seconds. A frame is its function, file and line separated by NUL, then
attributes after U+0001. "[self]" is part of the frame above, "[await]" stays apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import Stacks
from perflab.profiles.call_trees import MAX_DEPTH, Frames

_THREAD = "<thread>"


def sniff(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and b'"min_interval"' in head and b'"start_call_stack"' in head


def read(path: Path, *, max_bytes: int | None = None, **_: Any) -> Tables:
    found = _profiles.json_of(path, max_bytes)
    records = found.get("frame_records") if isinstance(found, dict) else None
    if not isinstance(records, list):
        raise FormatError(f"{path}:1: expected pyinstrument's session with frame_records, found none")
    tally, frames = Tally(unit="record", total=len(records)), Frames()
    threads: dict[str | None, Stacks] = {}
    codes: dict[str, int | None] = {}
    start = found.get("start_call_stack")
    above = [_place(f) for f in start if isinstance(f, str)] if isinstance(start, list) else []
    for number, record in enumerate(records, start=1):
        good = isinstance(record, list) and len(record) == 2 and isinstance(record[0], list)
        seconds = _profiles.weight(record[1]) if good else None
        if seconds is None or not all(isinstance(frame, str) for frame in record[0]):
            tally.skip(number, why="expected a stack and its seconds")
            continue
        tally.rows += 1
        tally.note(kinds.TOO_DEEP, len(record[0]) > MAX_DEPTH, f"record {number}")
        stack, listed = [], record[0][:MAX_DEPTH]
        thread = next((_profiles.name(f.split("\x00")[0], tally) for f in listed[:1] if _place(f)[1] == _THREAD), None)
        # What was on the stack when the profiler started is no part of the profile.
        same = next(
            (i for i, (f, a) in enumerate(zip(listed, above, strict=False)) if _place(f) != a),
            min(len(listed), len(above)),
        )
        for frame in listed[max(same, thread is not None) :]:
            if frame not in codes:
                codes[frame] = _code(frame, frames, tally)
            code = codes[frame]
            if code is not None:
                stack.append(code)
        threads.setdefault(thread, Stacks()).add(tuple(stack), seconds * 1e3)
    meta = {"tool": "pyinstrument", **facts(found)}
    trees = [(thread, "ms", stacks.tree()) for thread, stacks in threads.items()]
    return _profiles.tables(path, trees, frames, tally, meta=meta)


def _place(frame: str) -> list[str]:
    """Function, file and line."""
    return [*frame.split("\x01", 1)[0].split("\x00"), "", ""][:3]


def _code(frame: str, frames: Frames, tally: Tally) -> int | None:
    function, file, line = _place(frame)
    if function == "[self]":
        return None
    number = int(line) if line.isdigit() and len(line) < 10 else None
    return frames.number(
        _profiles.name(function, tally), _profiles.name(file, tally) or None, _profiles.line_number(number)
    )


def facts(found: dict[str, Any]) -> dict[str, object]:
    """Duration and start."""
    duration, start = _profiles.weight(found.get("duration")), _profiles.weight(found.get("start_time"))
    known: dict[str, object] = {} if duration is None else {"duration_ms": duration * 1e3}
    if start and start < 1e11:
        known["start"] = pd.Timestamp(start, unit="s", tz="UTC").isoformat()
    return known
