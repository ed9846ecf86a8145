"""Collapsed (folded) stacks, a line each: https://github.com/brendangregg/FlameGraph

    main;read_orders;execute 42

py-spy writes this too (``-f raw``), its frames as ``name (file:line)``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import Stacks
from perflab.profiles.call_trees import MAX_DEPTH, Frames

_LINE = re.compile(r"(.*)\s(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)")
_PLACED = re.compile(r"(.+) \((.+):(\d+)\)")
_GROUP = re.compile(r"process \d+.*|thread \(?(?:0x)?[0-9A-Fa-f]+\)?.*")


def sniff(head: bytes) -> bool:
    text = head.decode("utf-8", errors="replace")
    lines = [line.rstrip() for line in text.splitlines()[:40] if line.strip() and not line.startswith("#")]
    if len(head) >= sources.HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]
    if not lines or lines[0].startswith("{") or b"\x00" in head:
        return False
    good = [m for line in lines if (m := _LINE.fullmatch(line))]
    return 2 * len(good) > len(lines) and 2 * sum(";" in m[1] for m in good) >= len(good)


def read(path: Path, *, lines: bool = False, unit: str = "samples", **_: Any) -> Tables:
    """Stacks and their weights, in ``unit`` (the file does not say what they count).

    ``lines=True`` keeps the lines of py-spy apart, which are those that ran, not those where functions begin.
    """
    tally = Tally()
    found = _stacks(path, tally)
    names = {name for stack in found if stack for name in stack.split(";")}
    placed = all(_PLACED.fullmatch(name) or _GROUP.fullmatch(name) for name in names) and bool(names)
    frames, stacks = Frames(), Stacks()
    codes: dict[str, int] = {}
    for stack, value in found.items():
        parts = stack.split(";") if stack else []
        if len(parts) > MAX_DEPTH:
            tally.note(kinds.TOO_DEEP, 1, _profiles.name(stack[:60], tally))
        numbers = []
        for part in parts[:MAX_DEPTH]:
            code = codes.get(part)
            if code is None:
                code = codes[part] = _frame(part, frames, tally, placed=placed, lines=lines)
            numbers.append(code)
        stacks.add(tuple(numbers), value)
    meta = {"tool": "py-spy"} if placed else None
    return _profiles.tables(path, [(None, unit, stacks.tree())], frames, tally, meta=meta)


def _stacks(path: Path, tally: Tally) -> dict[str, float]:
    found: dict[str, float] = {}
    number = size = 0
    for number, line in enumerate(sources.lines(path), start=1):
        size += len(line)
        if size > _profiles.MAX_BYTES:
            raise FormatError(f"{path}:{number}: expected at most {_profiles.MAX_BYTES:,} characters, found more")
        text = line.rstrip()
        if not text or text.startswith("#"):
            tally.known += 1
            continue
        match = _LINE.fullmatch(text)
        value = _profiles.weight(float(match[2])) if match else None
        if match is None or value is None:
            tally.skip(number, why="expected a stack and a weight")
        else:
            tally.rows += 1
            stack = match[1].strip()
            found[stack] = found.get(stack, 0.0) + value
    tally.total = number
    return found


def _frame(part: str, frames: Frames, tally: Tally, *, placed: bool, lines: bool) -> int:
    match = _PLACED.fullmatch(part) if placed and len(part) < _profiles.MAX_NAME else None
    if match is None:
        return frames.number(_profiles.name(part, tally))
    return frames.number(match[1], match[2], _profiles.line_number(int(match[3][:9])) if lines else None)
