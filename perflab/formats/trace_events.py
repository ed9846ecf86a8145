"""Chrome's trace events (chrome://tracing, Perfetto, VizTracer, py-spy, React Native): the document "Trace Event Format",
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

Durations are B and E, or X, in microseconds, and nest in the order of their begins, in the file for equal times. A list
cut off without its ``]`` is legal. Each process and thread is separate. A trace of Chrome DevTools holds V8's CPU samples,
others a list of samples with stack frames: these are the profile then, and the durations around them are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles, _v8
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import Replay, Stacks
from perflab.profiles.call_trees import MAX_DEPTH, Frames, Tree

_PLACED = re.compile(r"(.+) \((.+):(\d{1,9})\)")
_PHASE = re.compile(rb'"ph"\s*:\s*"[BEXMbeisfPNODCSTFRcIn]"')
_V8_EVENTS = ("CpuProfile", "Profile", "ProfileChunk")
_NEAR = 200
"""So many events are searched for a match, so that a file of wrong ends can't take the square of its length."""
Thread = tuple[object, object]


class _Event(NamedTuple):
    """One begin or end."""

    at: float
    name: str | None
    args: Any
    code: int
    number: int


@dataclass
class _Durations:
    """The begins and ends of a thread."""

    begins: list[_Event] = field(default_factory=list)
    ends: list[_Event] = field(default_factory=list)


def sniff(head: bytes) -> bool:
    start = head.lstrip()[:1]
    if start not in (b"[", b"{"):
        return False
    return (bool(_PHASE.search(head)) and b'"ts"' in head) or (b'"traceEvents"' in head and b'"stackFrames"' in head)


def read(path: Path, *, lines: bool = False, max_bytes: int | None = None, **_: Any) -> Tables:
    """Each process and thread of the trace, in ms. ``lines=True`` keeps py-spy's lines apart, which are those that ran."""
    frames = Frames()
    found = _document(path, max_bytes)
    events: list[Any] = found["traceEvents"]
    names = _thread_names(events)
    meta: dict[str, object] = {"tool": "trace events"}
    if isinstance(found.get("samples"), list) and isinstance(found.get("stackFrames"), dict):
        tally = Tally(unit="sample", total=len(found["samples"]))
        trees = [*_sampled(found["samples"], found["stackFrames"], names, frames, tally)]
    elif any(isinstance(e, dict) and e.get("name") in _V8_EVENTS[:2] for e in events):
        tally = Tally(unit="sample")
        tally.note(kinds.TIMELINE, sum(isinstance(e, dict) and e.get("ph") in ("B", "X") for e in events), "its start")
        trees = [*_of_v8(events, names, frames, tally)]
        meta |= {"tool": "V8", "clock": "cpu"}
    else:
        tally = Tally(unit="event", total=len(events))
        threads = _sorted_out(events, frames, tally, lines=lines)
        trees = [(_label(thread, names, tally), "ms", _replayed(kept, tally)) for thread, kept in threads.items()]
    by_py_spy = any(isinstance(event, dict) and event.get("cat") == "py-spy" for event in events[:1000])
    notes = [kinds.ASLEEP(source=path.name)] if by_py_spy else []
    return _profiles.tables(path, trees, frames, tally, warnings=notes, meta=meta)


def _document(path: Path, max_bytes: int | None) -> dict[str, Any]:
    """The object of the trace; a bare list is its events."""
    data = _profiles.content(path, max_bytes).strip()
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        found = _cut_off(data)
        if found is None:
            raise FormatError(f"{path}:{problem.lineno}: expected trace events as JSON, found {problem.msg}") from None
    if isinstance(found, list):
        found = {"traceEvents": found}
    if not isinstance(found, dict) or not isinstance(found.get("traceEvents"), list):
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


def _scalar(value: Any) -> object:
    return value if isinstance(value, (str, int, float)) else None


def _thread(event: Mapping[str, Any]) -> Thread:
    return _scalar(event.get("pid")), _scalar(event.get("tid"))


def _thread_names(events: Sequence[Any]) -> dict[Thread, str]:
    names = {}
    for event in events:
        if isinstance(event, dict) and event.get("ph") == "M" and event.get("name") == "thread_name":
            arguments = event.get("args")
            if isinstance(arguments, dict) and isinstance(arguments.get("name"), str):
                names[_thread(event)] = arguments["name"][:200]
    return names


def _label(thread: Thread, names: Mapping[Thread, str], tally: Tally) -> str:
    place = f"pid {thread[0]} tid {thread[1]}"
    return _profiles.name(f"{names[thread]} ({place})" if thread in names else place, tally)


def _of_v8(
    events: Sequence[Any], names: Mapping[Thread, str], frames: Frames, tally: Tally
) -> Iterator[tuple[str, str, Tree]]:
    """The CPU profiles of a trace of Chrome DevTools, each put together from its chunks."""
    profiles: dict[object, tuple[Thread, dict[str, Any]]] = {}
    for _, event in sorted(enumerate(events), key=_when):
        name = event.get("name") if isinstance(event, dict) else None
        arguments = event.get("args") if name in _V8_EVENTS else None
        data = arguments.get("data") if isinstance(arguments, dict) else None
        if not isinstance(data, dict):
            continue
        thread = _thread(event)
        key = (thread[0], _scalar(event.get("id")) or thread[1])
        if name == "CpuProfile":
            whole = data.get("cpuProfile")
            if isinstance(whole, dict):
                profiles[key] = (thread, whole)
        elif name == "Profile":
            profiles[key] = (thread, {"nodes": [], "samples": [], "timeDeltas": []})
        elif key in profiles:
            chunk = data.get("cpuProfile")
            chunk = chunk if isinstance(chunk, dict) else {}
            for part, more in (("nodes", chunk), ("samples", chunk), ("timeDeltas", data)):
                if isinstance(more.get(part), list) and isinstance(profiles[key][1].get(part), list):
                    profiles[key][1][part] += more[part]
    for thread, found in profiles.values():
        profile = _v8.tree_of(found, frames, tally)
        if profile is not None:
            yield _label(thread, names, tally), profile[0], profile[1]


def _sampled(
    samples: Sequence[Any], listed: Mapping[str, Any], names: Mapping[Thread, str], frames: Frames, tally: Tally
) -> Iterator[tuple[str, str, Tree]]:
    """Samples that name their stack; each lasts until the next of its thread."""
    stacks = _StackFrames(listed, frames, tally)
    threads: dict[Thread, list[tuple[float, tuple[int, ...]]]] = {}
    for number, sample in enumerate(samples, start=1):
        at = _number(sample.get("ts")) if isinstance(sample, dict) else None
        stack = stacks.of(sample.get("sf")) if at is not None else None
        if at is None or stack is None:
            tally.skip(number, why="expected a time and the number of a stack frame")
        else:
            tally.rows += 1
            threads.setdefault(_thread(sample), []).append((at, stack))
    for thread, found in threads.items():
        found.sort(key=lambda pair: pair[0])
        counted = Stacks()
        for (at, stack), (after, _) in zip(found, [*found[1:], found[-1]], strict=True):
            counted.add(stack, (after - at) / 1e3)
        yield _label(thread, names, tally), "ms", counted.tree()


class _StackFrames:
    """The stacks of a trace's ``stackFrames``, each frame naming its parent."""

    def __init__(self, listed: Mapping[str, Any], frames: Frames, tally: Tally) -> None:
        self.listed, self.frames, self.tally = listed, frames, tally
        self.known: dict[str, tuple[int, ...]] = {}

    def of(self, number: object) -> tuple[int, ...] | None:
        """Root first; None where a frame is missing or its own ancestor."""
        path: list[str] = []
        key = str(number)
        while key not in self.known:
            frame = self.listed.get(key)
            if not isinstance(frame, dict) or len(path) > min(len(self.listed), MAX_DEPTH):
                return None
            path.append(key)
            above = frame.get("parent")
            if above is None:
                break
            key = str(above)
        stack = self.known.get(key, ())
        for step in reversed(path):
            frame = self.listed[step]
            stack = (*stack, self.frames.number(_profiles.name(frame.get("name"), self.tally)))
            self.known[step] = stack
        return stack


def _number(value: Any) -> float | None:
    if isinstance(value, str) and len(value) < 40:
        try:
            value = float(value)
        except ValueError:
            return None
    return _profiles.weight(value)


def _when(numbered: tuple[int, Any]) -> float:
    event = numbered[1]
    at = event.get("ts") if isinstance(event, dict) else None
    return float(at) if isinstance(at, (int, float)) and at == at else 0.0


def _sorted_out(events: Sequence[Any], frames: Frames, tally: Tally, *, lines: bool) -> dict[Thread, _Durations]:
    """The begins and ends of each thread in the order of the file."""
    threads: dict[Thread, _Durations] = {}
    for number, event in enumerate(events, start=1):
        phase = event.get("ph") if isinstance(event, dict) else None
        if not isinstance(event, dict) or not isinstance(phase, str):
            tally.skip(number, why="malformed")
        elif phase == "M":
            tally.known += 1
        elif phase not in ("B", "E", "X"):
            tally.known += 1
            tally.note(kinds.NO_DURATION, 1, f"event {number}")
        else:
            at = _number(event.get("ts"))
            given = event.get("dur", event.get("tdur")) if phase == "X" else 0
            length = _number(0 if given is None else given)
            if at is None or length is None:
                tally.skip(number, why="malformed")
                continue
            kept = threads.setdefault(_thread(event), _Durations())
            name = event.get("name")
            text = None if name is None else str(name)[:200]
            if phase == "E":
                tally.continued += 1
                kept.ends.append(_Event(at, text, event.get("args"), -1, number))
                continue
            tally.rows += 1
            if given is None:
                tally.note(kinds.ZERO_DURATION, 1, f"event {number}")
            begin = _Event(at, text or "", event.get("args"), _code(event, frames, tally, lines), number)
            kept.begins.append(begin if phase == "B" else begin._replace(number=-number))
            if phase == "X":
                kept.ends.append(begin._replace(at=at + length))
    return threads


def _code(event: Mapping[str, Any], frames: Frames, tally: Tally, lines: bool) -> int:
    name = _profiles.name(event.get("name"), tally)
    arguments = event.get("args")
    if event.get("cat") == "py-spy" and isinstance(arguments, dict):
        file, line = arguments.get("filename"), _profiles.line_number(arguments.get("line"))
        return frames.number(name, _profiles.name(file, tally) if file else None, line if lines else None)
    if isinstance(arguments, dict) and isinstance(arguments.get("url"), str) and "funcVirtAddr" in arguments:
        return frames.number(name, _profiles.name(arguments["url"], tally) or None, _hermes_line(arguments))
    if match := _PLACED.fullmatch(name):
        return frames.number(match[1], match[2], int(match[3]) or None)
    return frames.number(name)


def _hermes_line(arguments: Mapping[str, Any]) -> int | None:
    line = arguments.get("funcLine") or arguments.get("line")
    return _profiles.line_number(int(line) if isinstance(line, str) and line.isdigit() and len(line) < 10 else line)


def _replayed(kept: _Durations, tally: Tally) -> Tree:
    """Begins in the order of time and file; of ends at one time first those that match the innermost open frame."""
    longest = {-end.number: end.at for end in kept.ends if end.number > 0 and end.code >= 0}
    # Of complete events that begin together the longer one is outside; else the order of the file holds.
    begins = sorted(
        kept.begins, key=lambda b: (b.at, b.number < 0, -longest.get(b.number, 0.0) if b.number < 0 else 0.0)
    )
    ends = sorted(kept.ends, key=lambda e: e.at)
    nesting = _Nesting(kept, tally)
    i = j = 0
    while i < len(begins) or j < len(ends):
        if j == len(ends) or (i < len(begins) and _first(begins[i], ends[j])):
            nesting.open(begins[i])
            i += 1
            continue
        _prefer_match(ends, j, nesting.stack)
        nesting.close(ends[j])
        j += 1
    return _profiles.scaled(nesting.replay.tree(0.0), 1e-3)


class _Nesting:
    """The open frames of a thread. One that ends before a frame inside it waits for that one's own end, until another begins."""

    def __init__(self, kept: _Durations, tally: Tally) -> None:
        self.replay, self.tally, self.stack = Replay(tally), tally, list[_Event]()
        self._waiting = 0
        # Ends that are left, less the begins that are left, are ends of frames that are open.
        self._ends = Counter(end.name for end in kept.ends)
        self._ends.subtract(begin.name for begin in kept.begins)

    def open(self, begin: _Event) -> None:
        where = f"event {abs(begin.number)}"
        if self._waiting:
            lowest = next(i for i, event in enumerate(self.stack) if event.code < 0)
            self._leave(lowest, begin.at, where)
        self._ends[begin.name] += 1
        self.replay.enter(begin.code, begin.at, where)
        self.stack.append(begin)

    def close(self, end: _Event) -> None:
        """Close the innermost open frame of that name (an E may leave it out), and what inside it has no end of its own."""
        where = f"event {end.number}"
        self._ends[end.name] -= 1
        below = range(len(self.stack) - 1, max(-1, len(self.stack) - _NEAR), -1)
        place = next((k for k in below if end.name is None or self.stack[k].name == end.name), None)
        if place is None:
            self.replay.advance(end.at, where)
            self.tally.note(kinds.NOT_OPENED, 1, where)
            return
        inside = len(self.stack)
        while inside > place + 1 and self._ends[self.stack[inside - 1].name] <= 0:
            inside -= 1
        if inside > place + 1:
            self._leave(inside, end.at, where)
            self.stack[place] = self.stack[place]._replace(name=None, code=~self.stack[place].code)
            self._waiting += 1
            self.tally.note(kinds.WAITED, 1, where)
            return
        self._leave(place, end.at, where, own=1)
        while self.stack and self.stack[-1].code < 0:
            self._leave(len(self.stack) - 1, end.at, where, own=1)

    def _leave(self, place: int, at: float, where: str, own: int = 0) -> None:
        """Close all frames from a place on, of which so many end by themselves."""
        closed = self.stack[place:]
        waited = sum(event.code < 0 for event in closed)
        self._waiting -= waited
        self.tally.note(kinds.MISNESTED, len(closed) - max(own, waited), where)
        for event in reversed(closed):
            self.replay.leave(max(event.code, ~event.code), at, where)
        del self.stack[place:]


def _first(begin: _Event, end: _Event) -> bool:
    """Whether the begin comes before the end: at one time only if the end is its own."""
    return begin.at < end.at or (begin.at == end.at and begin.name == end.name and begin.args == end.args)


def _prefer_match(ends: list[_Event], at: int, stack: Sequence[_Event]) -> None:
    """Put the end that matches the innermost frame in place ``at``, from among those of the same time."""
    if not stack or at + 1 == len(ends) or ends[at + 1].at > ends[at].at:
        return
    top = stack[-1]
    together = [k for k in range(at, min(at + _NEAR, len(ends))) if ends[k].at == ends[at].at]
    exact = (k for k in together if ends[k].name == top.name and ends[k].args == top.args)
    named = (k for k in together if ends[k].name == top.name)
    place = next(exact, next(named, at))
    ends[at], ends[place] = ends[place], ends[at]
