"""What ``perf script`` prints: https://www.man7.org/linux/man-pages/man1/perf-script.1.html

A sample is a line of facts and then its frames, the innermost first. Command names may hold spaces. Several events
in a file are kept apart: each has its own unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError, one_of
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import Stacks
from perflab.notes import Note, Remedy
from perflab.profiles.call_trees import MAX_DEPTH, Frames

_HEADER = re.compile(r"(?P<command>\S.*?)\s+(?P<first>\d+)(?:/(?P<second>\d+))?\s+(?=\S)")
_TIME = re.compile(r"\s(\d+\.\d+):\s")
_EVENT = re.compile(r"(?:\s(\d+))?\s+(\S+):\s*$")
_INLINE_EVENT = re.compile(r"\d+\.\d+:\s+(?:(\d+)\s+)?(\S+?):\s+([0-9a-fA-F]+\s.+ \(.*\))\s*$")
_FRAME = re.compile(r"\s*([0-9a-fA-F]+)\s+(.+) \(((?:[^()]|\(deleted\))*|[^()\s]*(?:\([^()]*\)[^()\s]*)*)\)\s*$")
_OFFSET = re.compile(r"\+0x[0-9a-f]+$")
_WEIGHTS = ("samples", "period", "time")
Sample = tuple[str, str, float | None, float | None, tuple[int, ...]]


def sniff(head: bytes) -> bool:
    lines = [
        t for t in head.decode("utf-8", errors="replace").splitlines() if t.strip() and not t.lstrip().startswith("#")
    ]
    if not lines or lines[0][0] in "{[<" or not _HEADER.match(lines[0].lstrip()):
        return False
    if _INLINE_EVENT.search(lines[0]):
        return True
    return bool(_EVENT.search(lines[0])) and len(lines) > 1 and bool(_FRAME.match(lines[1])) and lines[1][0] in " \t"


def read(path: Path, *, weight: str = "samples", **_: Any) -> Tables:
    """Each thread and event separately.

    ``weight``: "samples" counts them; "period" adds up their periods (cycles, nanoseconds of a clock event);
    "time" is the time to halfway between the neighbouring samples of the thread, in ms, which is how speedscope shows
    such files (it counts the time asleep to the samples around it).
    """
    if weight not in _WEIGHTS:
        raise one_of("weight", weight, _WEIGHTS)
    tally, frames = Tally(), Frames()
    stacks: dict[tuple[str, str], list[Sample]] = {}
    for sample in _samples(path, frames, tally):
        stacks.setdefault((sample[0], sample[1]), []).append(sample)
    events = list(dict.fromkeys(event for _, event in stacks))
    # The first event of the file comes first, so that it is what is shown when no unit is asked for.
    order = sorted(stacks, key=lambda key: events.index(key[1]))
    trees = [
        (thread, _unit(weight, event, several=len(events) > 1), _weighed(stacks[thread, event], weight, tally))
        for thread, event in order
    ]
    return _profiles.tables(path, trees, frames, tally, warnings=_notes(path, events), meta={"tool": "perf"})


def _notes(path: Path, events: list[str]) -> list[Note]:
    if len(events) < 2:
        return []
    return [
        kinds.SEVERAL_EVENTS(
            Remedy("flat_profile", {"unit": f"samples of {events[-1]}"}), source=path.name, events=events
        )
    ]


def _unit(weight: str, event: str, *, several: bool) -> str:
    if weight == "samples":
        return f"samples of {event}" if several else "samples"
    if weight == "period":
        return event or "period"
    return f"ms by {event}" if several else "ms"


def _samples(path: Path, frames: Frames, tally: Tally) -> Iterator[Sample]:
    block: list[str] = []
    first = size = 0
    codes: dict[str, int] = {}
    for number, line in enumerate(sources.lines(path), start=1):
        size += len(line)
        if size > _profiles.MAX_BYTES:
            raise FormatError(f"{path}:{number}: expected at most {_profiles.MAX_BYTES:,} characters, found more")
        tally.total = number
        if not line.strip():
            tally.known += 1
            if block and (sample := _sample(block, first, codes, frames, tally)):
                yield sample
            block = []
        elif not line.lstrip().startswith("#"):
            if block and not line[0].isspace() and _HEADER.match(line):  # without frames there are no empty lines
                if sample := _sample(block, first, codes, frames, tally):
                    yield sample
                block = []
            first = first if block else number
            block.append(line)
        else:
            tally.known += 1
    if block and (sample := _sample(block, first, codes, frames, tally)):
        yield sample


def _sample(block: list[str], first: int, codes: dict[str, int], frames: Frames, tally: Tally) -> Sample | None:
    header = _HEADER.match(block[0].lstrip())
    if header is None:
        tally.skip(first, len(block), "expected a command and a thread")
        return None
    tally.rows += 1
    process = f" pid: {header['first']} tid: {header['second']}" if header["second"] else f" tid: {header['first']}"
    time = _TIME.search(block[0])
    rest = block[1:]
    inline_frame = None
    if inline := _INLINE_EVENT.search(block[0]):
        period, event, inline_frame = inline[1], inline[2], inline[3]
        rest = [inline_frame, *rest]
    else:
        found = _EVENT.search(block[0])
        period, event = (found[1], found[2]) if found else (None, "")
    stack = []
    for offset, line in enumerate(rest, start=1):
        code = codes.get(line)
        if code is None:
            match = _FRAME.match(line)
            if match is None:
                tally.skip(first + offset, why="expected a frame")
                continue
            symbol, file = _OFFSET.sub("", match[2]), match[3]
            code = codes[line] = frames.number(_profiles.name(symbol, tally), _profiles.name(file, tally) or None)
        stack.append(code)
        tally.continued += line is not inline_frame
    if len(stack) > MAX_DEPTH:
        tally.note(kinds.TOO_DEEP, 1, f"line {first}")
        stack = stack[-MAX_DEPTH:]
    thread = _profiles.name(header["command"] + process, tally)
    at = float(time[1]) if time and len(time[1]) < 40 else None
    return thread, event, at, float(period) if period and len(period) < 19 else None, tuple(reversed(stack))


def _weighed(samples: list[Sample], weight: str, tally: Tally) -> Any:
    stacks = Stacks()
    if weight == "time":
        for sample, duration in zip(samples, _durations(samples, tally), strict=True):
            stacks.add(sample[4], duration)
        return stacks.tree()
    for _, _, _, period, stack in samples:
        if weight == "period" and period is None:
            tally.note(kinds.NO_PERIOD, 1, "a sample")
        stacks.add(stack, 1.0 if weight == "samples" else period or 0.0)
    return stacks.tree()


def _durations(samples: list[Sample], tally: Tally) -> list[float]:
    """From halfway to the sample before until halfway to the one after."""
    times: list[float] = []
    for sample in samples:
        before = times[-1] if times else 0.0
        if sample[2] is None or sample[2] < before:
            tally.note(kinds.NO_TIME, 1, "a sample")
        times.append(before if sample[2] is None else max(sample[2], before))
    middles = [(a + b) / 2 for a, b in zip(times, times[1:], strict=False)]
    edges = [times[0], *middles, times[-1]]
    return [(b - a) * 1e3 for a, b in zip(edges, edges[1:], strict=False)]
