"""What ``perf script`` prints: https://www.man7.org/linux/man-pages/man1/perf-script.1.html

A sample is a line of facts and then its frames, the innermost first; without call graphs it is one line, its command
right-aligned. Command names may hold spaces. Events are kept apart: each has its own unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError, one_of
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import Stacks
from perflab.notes import Note, Remedy
from perflab.profiles.call_trees import MAX_DEPTH, Frames

_HEADER = re.compile(
    r"\s*(?P<command>\S.*?)\s+(?P<first>-?\d+)(?:/(?P<second>-?\d+))?\s+(?:\[\d+\]\s+)?(?:(?P<time>\d+\.\d+):)?"
    r"\s*(?:(?P<period>\d+)\s+)?(?P<event>[^\s()]+?):(?:\s+(?P<rest>\S.*?))?\s*$"
)
_FRAME = re.compile(
    r"\s*([0-9a-fA-F]+)(?:\s+(\S.*?))?\s+\(((?:[^()]|\(deleted\))*|[^()\s]*(?:\([^()]*\)[^()\s]*)*)\)\s*$"
)
_SOURCE_LINE = re.compile(r"\s+\S+:\d+\s*$")
_OFFSET = re.compile(r"\+0x[0-9a-f]+$")
_PYTHON = re.compile(r"py::(.+?):(.+)")
"""How Python with ``-X perf`` names its functions."""
_TRACEPOINT = re.compile(r"[\w-]+:(?![ukhGHpPSDeWI]+$)\w+")
_CLOCKS = ("cpu-clock", "task-clock")
"""Events whose period is in nanoseconds."""
_WEIGHTS = ("samples", "period", "time")


class Sample(NamedTuple):
    thread: str
    event: str
    time: float | None
    period: float | None
    stack: tuple[int, ...]


def sniff(head: bytes) -> bool:
    lines = [
        t for t in head.decode("utf-8", errors="replace").splitlines() if t.strip() and not t.lstrip().startswith("#")
    ]
    if not lines or lines[0][0] in "{[<" or (header := _header(lines[0])) is None:
        return False
    if header["rest"] and _FRAME.match(header["rest"]):
        return True
    return len(lines) > 1 and bool(_FRAME.match(lines[1])) and _header(lines[1]) is None


def _header(line: str) -> re.Match[str] | None:
    """The facts of a sample: they have a time, or nothing but a frame after the event."""
    found = _HEADER.match(line) if len(line) < _profiles.MAX_NAME else None
    if found is None or found["time"] or not found["rest"] or _FRAME.match(found["rest"]):
        return found
    return None


def read(path: Path, *, weight: str | None = None, **_: Any) -> Tables:
    """Read each thread and event separately.

    ``weight``: "samples" counts them; "period" adds up their periods (cycles; milliseconds of a clock event); "time" is the
    time to halfway between the neighbouring samples of the thread, in ms, as speedscope shows such files (it counts time
    asleep to the samples around it). The default is the period where the periods of an event differ, else samples.
    """
    if weight not in (None, *_WEIGHTS):
        raise one_of("weight", weight, _WEIGHTS)
    tally, frames = Tally(), Frames()
    stacks: dict[tuple[str, str], list[Sample]] = {}
    periods: dict[str, set[float | None]] = {}
    for sample in _samples(path, frames, tally):
        stacks.setdefault((sample.thread, sample.event), []).append(sample)
        known = periods.setdefault(sample.event, set())
        if len(known) < 2:
            known.add(sample.period)
    events = list(periods)
    # The first event of the file comes first, so that it is shown unless a unit is named.
    order = sorted(stacks, key=lambda key: events.index(key[1]))
    trees, units = [], dict[str, None]()
    for thread, event in order:
        chosen = weight or ("period" if len(periods[event] - {None}) > 1 else "samples")
        unit = _unit(chosen, event, several=len(events) > 1)
        units[unit] = None
        scale = 1e-6 if chosen == "period" and event in _CLOCKS else 1.0
        trees.append((thread, unit, _profiles.scaled(_weighed(stacks[thread, event], chosen, tally), scale)))
    notes = _notes(path, events, list(units))
    # Tracepoints count what happened (a switch to another task, a call of the system), not where the CPU was.
    meta = {"tool": "perf", **({} if any(map(_TRACEPOINT.fullmatch, events)) else {"clock": "cpu"})}
    return _profiles.tables(path, trees, frames, tally, warnings=notes, meta=meta)


def _notes(path: Path, events: list[str], units: list[str]) -> list[Note]:
    if len(events) < 2:
        return []
    return [kinds.SEVERAL_EVENTS(Remedy("flat_profile", {"unit": units[-1]}), source=path.name, events=events)]


def _unit(weight: str, event: str, *, several: bool) -> str:
    if weight == "samples":
        return f"samples of {event}" if several else "samples"
    if weight == "period" and event not in _CLOCKS:
        return event or "period"
    return f"ms by {event}" if several else "ms"


def _samples(path: Path, frames: Frames, tally: Tally) -> Iterator[Sample]:
    """Each line is the header of a sample, a frame of it, a comment or nothing."""
    header: re.Match[str] | None = None
    stack: list[int] = []
    size = number = 0
    codes: dict[str, int] = {}
    for number, line in enumerate(sources.lines(path), start=1):
        size += len(line)
        if size > _profiles.MAX_BYTES:
            raise FormatError(f"{path}:{number}: expected at most {_profiles.MAX_BYTES:,} characters, found more")
        code = codes.get(line)
        if (code is None and not line.strip()) or line.lstrip().startswith("#"):
            tally.known += 1
            if header is not None and not line.strip():
                yield _sample(header, stack, tally, number)
                header, stack = None, []
        elif code is None and (found := _header(line)):
            if header is not None:
                yield _sample(header, stack, tally, number)
            tally.rows += 1
            header, stack = found, []
            if found["rest"] and (match := _FRAME.match(found["rest"])):
                stack.append(_frame(match, frames, tally))
        elif header is None:
            tally.skip(number, why="expected a command, a thread and an event")
        elif code is not None or (match := _FRAME.match(line)):
            if code is None:
                assert match is not None
                code = codes[line] = _frame(match, frames, tally)
            tally.continued += 1
            stack.append(code)
        elif _SOURCE_LINE.match(line):
            tally.continued += 1
        else:
            tally.skip(number, why="expected a frame")
    if header is not None:
        yield _sample(header, stack, tally, number)
    tally.total = number


def _frame(match: re.Match[str], frames: Frames, tally: Tally) -> int:
    symbol = _OFFSET.sub("", match[2] or "").strip() or "[unknown]"
    if python := _PYTHON.fullmatch(symbol):
        return frames.number(_profiles.name(python[1], tally), _profiles.name(python[2], tally))
    return frames.number(_profiles.name(symbol, tally), _profiles.name(match[3], tally) or None)


def _sample(header: re.Match[str], stack: list[int], tally: Tally, number: int) -> Sample:
    first, second = header["first"], header["second"]
    process = f" pid: {first} tid: {second}" if second else f" tid: {first}"
    if len(stack) > MAX_DEPTH:
        tally.note(kinds.TOO_DEEP, 1, f"line {number}")
        stack = stack[-MAX_DEPTH:]
    time, period = header["time"], header["period"]
    return Sample(
        _profiles.name(header["command"] + process, tally),
        header["event"],
        float(time) if time and len(time) < 40 else None,
        float(period) if period and len(period) < 19 else None,
        tuple(reversed(stack)),
    )


def _weighed(samples: list[Sample], weight: str, tally: Tally) -> Any:
    stacks = Stacks()
    if weight == "time":
        tally.note(kinds.ONE_SAMPLE, len(samples) == 1, samples[0].thread)
        for sample, duration in zip(samples, _durations(samples, tally), strict=True):
            stacks.add(sample.stack, duration)
        return stacks.tree()
    for sample in samples:
        if weight == "period" and sample.period is None:
            tally.note(kinds.NO_PERIOD, 1, "a sample")
        stacks.add(sample.stack, 1.0 if weight == "samples" else sample.period or 0.0)
    return stacks.tree()


def _durations(samples: list[Sample], tally: Tally) -> list[float]:
    """From halfway to the sample before until halfway to the one after."""
    times: list[float] = []
    for sample in samples:
        before = times[-1] if times else 0.0
        if sample.time is None or sample.time < before:
            tally.note(kinds.NO_TIME, 1, "a sample")
        times.append(before if sample.time is None else max(sample.time, before))
    middles = [(a + b) / 2 for a, b in zip(times, times[1:], strict=False)]
    edges = [times[0], *middles, times[-1]]
    return [(b - a) * 1e3 for a, b in zip(edges, edges[1:], strict=False)]
