"""Chrome's trace events (chrome://tracing, Perfetto, VizTracer, py-spy): the document "Trace Event Format",
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

Durations are B and E, or X, in microseconds. A list cut off without its ``]`` is legal. Each process and thread
stands by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.profiles.call_trees import MAX_DEPTH, Frames, Tree, from_parents

_PLACED = re.compile(r"(.+) \((.+):(\d{1,9})\)")
_PHASE = re.compile(rb'"ph"\s*:\s*"[BEXMbeisfPNODCSTFRcIn]"')
Interval = tuple[float, float, int]
Thread = tuple[object, object]


def sniff(head: bytes) -> bool:
    start = head.lstrip()[:1]
    return start in (b"[", b"{") and bool(_PHASE.search(head)) and b'"ts"' in head


def read(path: Path, *, lines: bool = False, max_bytes: int | None = None, **_: Any) -> Tables:
    """Each process and thread of the trace, in ms. ``lines=True`` keeps py-spy's lines apart, which are those that ran."""
    tally, frames = Tally(unit="event"), Frames()
    threads, names = _sorted_out(_events(path, max_bytes), frames, tally, lines=lines)
    trees: list[tuple[str | None, str, Tree]] = []
    for thread, intervals in threads.items():
        label = names.get(thread) or f"pid {thread[0]} tid {thread[1]}"
        trees.append((_profiles.name(label, tally), "ms", _nested(intervals, tally)))
    return _profiles.tables(path, trees, frames, tally, meta={"tool": "trace events"})


def _events(path: Path, max_bytes: int | None) -> list[Any]:
    data = _profiles.content(path, max_bytes).strip()
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        found = _cut_off(data)
        if found is None:
            raise FormatError(f"{path}:{problem.lineno}: expected trace events as JSON, found {problem.msg}") from None
    if isinstance(found, dict):
        found = found.get("traceEvents")
    if not isinstance(found, list):
        raise FormatError(f"{path}:1: expected a list of trace events, found none")
    return found


def _cut_off(data: bytes) -> Any:
    """The complete events of a list that was cut off; None where that is not what is wrong."""
    ends = [data.rfind(b"}")]
    for _ in range(4):
        ends.append(data.rfind(b"}", 0, max(ends[-1], 0)))
    closing = b"]" if data.startswith(b"[") else b"]}"
    for end in ends:
        if end > 0:
            try:
                return orjson.loads(data[: end + 1] + closing)
            except orjson.JSONDecodeError:
                continue
    return None


def _sorted_out(
    events: Sequence[Any], frames: Frames, tally: Tally, *, lines: bool
) -> tuple[dict[Thread, list[Interval]], dict[Thread, str]]:
    """The intervals (start, end, frame) of each thread, and the threads' names."""
    threads: dict[Thread, list[Interval]] = {}
    names: dict[Thread, str] = {}
    open_: dict[Thread, list[tuple[float, int, str]]] = {}
    last: dict[Thread, float] = {}
    tally.total = len(events)
    ordered = sorted(enumerate(events, start=1), key=_when)
    for number, event in ordered:
        phase = event.get("ph") if isinstance(event, dict) else None
        if not isinstance(event, dict) or not isinstance(phase, str):
            tally.skip(number, why="malformed")
            continue
        thread = (_scalar(event.get("pid")), _scalar(event.get("tid")))
        if phase == "M":
            tally.known += 1
            _named(event, thread, names)
            continue
        if phase not in "BEX":
            tally.known += 1
            tally.note(kinds.NO_DURATION, 1, f"event {number}")
            continue
        at = _profiles.weight(event.get("ts"))
        if at is None:
            tally.skip(number, why="malformed")
            continue
        last[thread] = max(last.get(thread, at), at)
        if phase == "X":
            length = _profiles.weight(event.get("dur", 0))
            if length is None:
                tally.skip(number, why="malformed")
                continue
            tally.rows += 1
            threads.setdefault(thread, []).append((at, at + length, _code(event, frames, tally, lines)))
        elif phase == "B":
            tally.rows += 1
            name = str(event.get("name"))[:200]
            open_.setdefault(thread, []).append((at, _code(event, frames, tally, lines), name))
        else:
            _close(event, at, open_.get(thread, []), threads.setdefault(thread, []), tally, number)
    for thread, stack in open_.items():
        tally.note(kinds.NOT_CLOSED, len(stack), f"thread {thread[1]}")
        threads.setdefault(thread, []).extend((at, max(last[thread], at), code) for at, code, _ in stack)
    return threads, names


def _when(numbered: tuple[int, Any]) -> float:
    event = numbered[1]
    at = event.get("ts") if isinstance(event, dict) else None
    return float(at) if isinstance(at, (int, float)) and at == at else 0.0


def _close(
    event: Mapping[str, Any],
    at: float,
    stack: list[tuple[float, int, str]],
    into: list[Interval],
    tally: Tally,
    number: int,
) -> None:
    """End the innermost event of that name (an E may leave the name out)."""
    name = event.get("name")
    if stack and (name is None or stack[-1][2] == str(name)[:200]):
        begun, code, _ = stack.pop()
        into.append((begun, at, code))
        tally.continued += 1
        return
    wanted = str(name)[:200]
    # Looked for among the innermost only, so that a file of wrong ends can't take the square of its length.
    place = next((i for i in range(len(stack) - 1, max(-1, len(stack) - 200), -1) if stack[i][2] == wanted), None)
    if place is None:
        tally.known += 1
        tally.note(kinds.NOT_OPENED, 1, f"event {number}")
        return
    tally.continued += 1
    tally.note(kinds.MISNESTED, len(stack) - place - 1, f"event {number}")
    into.extend((begun, at, code) for begun, code, _ in stack[place:])
    del stack[place:]


def _scalar(value: Any) -> object:
    return value if isinstance(value, (str, int, float)) else None


def _named(event: Mapping[str, Any], thread: Thread, names: dict[Thread, str]) -> None:
    arguments = event.get("args")
    if event.get("name") == "thread_name" and isinstance(arguments, dict) and isinstance(arguments.get("name"), str):
        names[thread] = f"{arguments['name'][:200]} (pid {thread[0]} tid {thread[1]})"


def _code(event: Mapping[str, Any], frames: Frames, tally: Tally, lines: bool) -> int:
    name = _profiles.name(event.get("name"), tally)
    arguments = event.get("args")
    if event.get("cat") == "py-spy" and isinstance(arguments, dict):
        file, line = arguments.get("filename"), _profiles.line_number(arguments.get("line"))
        return frames.number(name, _profiles.name(file, tally) if file else None, line if lines else None)
    if match := _PLACED.fullmatch(name):
        return frames.number(match[1], match[2], int(match[3]) or None)
    return frames.number(name)


def _nested(intervals: list[Interval], tally: Tally) -> Tree:
    """Intervals within intervals as a tree; one that outlasts the interval it began in ends with it."""
    intervals.sort(key=lambda i: (i[0], -i[1]))
    parent: list[int] = []
    codes: list[int] = []
    weights: list[float] = []
    stack: list[tuple[float, int]] = []
    for start, end, code in intervals:
        while stack and stack[-1][0] <= start:
            stack.pop()
        if stack and end > stack[-1][0]:
            tally.note(kinds.OUTLASTS, 1, f"{start} µs")
            end = stack[-1][0]
        if len(stack) >= MAX_DEPTH:
            tally.note(kinds.TOO_DEEP, 1, f"{start} µs")
            continue
        above = stack[-1][1] if stack else -1
        if above >= 0:
            weights[above] -= end - start
        stack.append((end, len(parent)))
        parent.append(above)
        codes.append(code)
        weights.append(end - start)
    own = np.maximum(np.array(weights, dtype="float64"), 0.0) / 1e3
    return from_parents(_profiles.integers(parent), _profiles.integers(codes), own)[0]
