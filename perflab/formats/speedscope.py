"""speedscope's own JSON: https://www.speedscope.app/file-format-schema.json (written by py-spy, pyinstrument and others).

A profile of it is a thread here. ``sampled`` profiles are stacks with weights, ``evented`` ones frames opened and
closed. py-spy writes the line that ran, pyinstrument adds "[self]" and dotnet-trace
"CPU_TIME": none of these makes a function of its own. "[await]" does: it is not time of its parent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import MILLISECONDS, Replay
from perflab.profiles.call_trees import MAX_DEPTH, Frames, Tree, from_stacks

_PROCESS = re.compile(r"process \d+:")


def sniff(head: bytes) -> bool:
    if not head.lstrip().startswith(b"{"):
        return False
    typed = (b'"evented"' in head or b'"sampled"' in head) and b'"startValue"' in head
    return b"speedscope.app/file-format-schema.json" in head or typed


def read(path: Path, *, lines: bool = False, max_bytes: int | None = None, **_: Any) -> Tables:
    """Each profile of the file as a thread, time in ms.

    ``lines=True`` keeps the lines of py-spy apart, which are those that ran, not those where functions begin.
    """
    found = _profiles.json_of(path, max_bytes)
    if not isinstance(found, dict) or not isinstance(found.get("profiles"), list):
        raise FormatError(f"{path}:1: expected speedscope's JSON with a list of profiles, found none")
    shared = found.get("shared")
    listed = shared.get("frames") if isinstance(shared, dict) else None
    if not isinstance(listed, list):
        raise FormatError(f"{path}:1: expected speedscope's JSON with shared.frames, found none")
    exporter = str(found.get("exporter", ""))[:100]
    tally, frames = Tally(unit="record"), Frames()
    codes = _codes(listed, frames, tally, drop_lines=exporter.startswith("py-spy") and not lines)
    folded = frozenset({"[self]"}) if exporter.startswith("pyinstrument") else frozenset({"CPU_TIME"})
    # With --subprocesses py-spy makes the process the root of each stack; the profile's name holds it too.
    process = _PROCESS if exporter.startswith("py-spy") else None
    leave_out = frozenset(
        i for i, f in enumerate(listed)
        if isinstance(f, dict) and isinstance(n := f.get("name"), str) and (n in folded or (process and process.match(n)))
    )  # fmt: skip
    trees: list[tuple[str | None, str, Tree]] = []
    for number, profile in enumerate(found["profiles"], start=1):
        tree = _tree(profile, codes, leave_out, tally, f"profile {number}")
        if tree is not None:
            scale, unit = _unit(profile.get("unit"))
            thread = _profiles.name(profile.get("name") or f"profile {number}", tally)
            trees.append((thread, unit, _profiles.scaled(tree, scale)))
    return _profiles.tables(path, trees, frames, tally, meta={"tool": exporter or "speedscope"})


def _codes(listed: Sequence[Any], frames: Frames, tally: Tally, *, drop_lines: bool) -> list[int]:
    codes = []
    for number, frame in enumerate(listed, start=1):
        if not isinstance(frame, dict):
            tally.note(kinds.UNKNOWN_FRAME, 1, f"frame {number}")
            frame = {"name": "(unknown)"}
        file = frame.get("file")
        codes.append(
            frames.number(
                _profiles.name(frame.get("name"), tally, f"frame {number}"),
                _profiles.name(file, tally, f"frame {number}") if file else None,
                None if drop_lines else _profiles.line_number(frame.get("line")),
            )
        )
    return codes


def _unit(unit: object) -> tuple[float, str]:
    if isinstance(unit, str) and unit in MILLISECONDS:
        return MILLISECONDS[unit], "ms"
    return 1.0, "bytes" if unit == "bytes" else "samples"


def _tree(profile: Any, codes: list[int], leave_out: frozenset[int], tally: Tally, place: str) -> Tree | None:
    kind = profile.get("type") if isinstance(profile, dict) else None
    if kind == "sampled":
        return _sampled(profile, codes, leave_out, tally, place)
    if kind == "evented":
        return _evented(profile, codes, leave_out, tally, place)
    return _unreadable(tally, f"{place} is neither sampled nor evented")


def _unreadable(tally: Tally, why: str) -> Tree | None:
    tally.total += 1
    tally.skip(tally.total, why=why)
    return None


def _sampled(
    profile: Mapping[str, Any], codes: list[int], leave_out: frozenset[int], tally: Tally, place: str
) -> Tree | None:
    samples, weights = profile.get("samples"), profile.get("weights")
    if not isinstance(samples, list) or not isinstance(weights, list):
        return _unreadable(tally, f"{place} has no samples and weights")
    count = min(len(samples), len(weights))
    tally.note(kinds.NO_PARTNER, max(len(samples), len(weights)) - count, place)
    before = tally.total
    tally.total += count
    numbers = _profiles.good_weights(weights[:count], tally, least=-_profiles.MAX_WEIGHT)
    known = len(codes)
    kept: list[list[int]] = []
    for number, stack in enumerate(samples[:count], start=1):
        if not (isinstance(stack, list) and all(type(f) is int and 0 <= f < known for f in stack)):
            tally.skip(before + number, why="it names a frame that is not there")
            numbers[number - 1], stack = 0.0, []
        elif stack:
            tally.rows += 1
        else:
            tally.known += 1
        if len(stack) > MAX_DEPTH:
            tally.note(kinds.TOO_DEEP, 1, f"{place}, sample {number}")
            stack = stack[:MAX_DEPTH]
        kept.append([f for f in stack if f not in leave_out] if leave_out else stack)
    flat, lengths = _profiles.flattened(kept, count)
    return from_stacks(np.array(codes, dtype="int64")[flat] if len(flat) else flat, lengths, numbers)


def _evented(
    profile: Mapping[str, Any], codes: list[int], leave_out: frozenset[int], tally: Tally, place: str
) -> Tree | None:
    events = profile.get("events")
    if not isinstance(events, list):
        return _unreadable(tally, f"{place} has no events")
    start = _profiles.weight(profile.get("startValue")) or 0.0
    replay, known, before = Replay(tally, start), len(codes), tally.total
    tally.total += len(events)
    for number, event in enumerate(events, start=1):
        where = f"{place}, event {number}"
        kind, at, frame = (event.get(k) for k in ("type", "at", "frame")) if isinstance(event, dict) else (None,) * 3
        time = _profiles.weight(at)
        if kind not in ("O", "C") or time is None or type(frame) is not int or not 0 <= frame < known:
            tally.skip(before + number, why="malformed")
            continue
        tally.rows += 1
        if frame in leave_out:
            replay.advance(time, where)
        elif kind == "O":
            replay.enter(codes[frame], time, where)
        else:
            replay.leave(codes[frame], time, where)
    return replay.tree(_profiles.weight(profile.get("endValue")) or 0.0)
