"""Collapsed (folded) stacks, a line each: https://github.com/brendangregg/FlameGraph

    main;read_orders;execute 42

py-spy (``-f raw``) writes frames as ``name (file:line)``, rbspy as ``name - file:line``, Austin and Python 3.15's
profiling.sampling as ``file:name:line``, Austin before version 2 as ``name (file);L12`` or ``name (file:12)`` below
``Process 7;Thread 0x7f``, async-profiler with suffixes (``run_[j]``) for how a method was compiled. Their processes and
threads are the outermost frames.
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
from perflab.notes import Remedy
from perflab.profiles.call_trees import MAX_DEPTH, Frames

_LINE = re.compile(r"(.*)\s(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)")
_PLACED = re.compile(r"(.+) \((.+?)(?::(\d+))?\)")
_DASHED = re.compile(r"(.+) - (.+):(\d+)")
_LOCATED = re.compile(r"(.+):([^:;]+):(\d+)")
_GROUP = re.compile(
    r"[Pp]rocess \d+.*|[Tt]hread \(?(?:0x)?[0-9A-Fa-f]+\)?.*|P\d+|T(?:\d+:)?[0-9a-fA-F]+|tid:\d+|\[.*\btid=\d+\]"
)
_COMPILED = re.compile(r"(.+?)_\[([0ijk1])\]")
_JAVA = re.compile(r".+_\[[0ij1]\]")
_CLASS = re.compile(r"(?:.*[./])?[A-Z][\w$]*|.*\[\]")
"""What async-profiler marks so for an allocation outside of a thread's buffer: a class, while the kernel has functions."""
_OUTERMOST = re.compile(r'(process \d+:".*?"|\[[^\]]*\btid=\d+\]);')
"""A process or thread whose name may hold semicolons, as the command line of a process that multiprocessing starts does."""
_AUSTIN_1 = re.compile(r"(?:Process \d+;)?Thread (?:0x)?[0-9A-Fa-f]+(?:;.+|$)")
_AUSTIN_1_FRAME = re.compile(r"([^;]+?) \(([^;]*?)(?:\);L(\d+)|:(\d+)\))(?=;|$)")
_FULL = re.compile(r"(.*)\s(\d+)\s(-?\d+)")
"""The time and the first of two memory metrics of ``austin --full``, the last having been taken as the weight."""
_DATED = re.compile(r".{0,60}\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d|.{0,200}\[\d{1,2}/\w{3}/\d{4}[: ]\d\d:\d\d:\d\d")
"""A line of a log: its text may have semicolons and end in a number, too."""
_HEADER = re.compile(r"#\s*(austin|mode|duration|interval):\s*(.*)")


def sniff(head: bytes) -> bool:
    text = head.decode("utf-8", errors="replace")
    lines = [line.rstrip() for line in text.splitlines()[:40] if line.strip() and not line.startswith("#")]
    if len(head) >= sources.HEAD_BYTES and len(lines) > 1:
        lines = lines[:-1]
    if (
        not lines
        or lines[0].startswith("{")
        or b"\x00" in head
        or 2 * sum(map(bool, map(_DATED.match, lines))) > len(lines)
    ):
        return False
    good = [m for line in lines if (m := _LINE.fullmatch(line))]
    return 2 * len(good) > len(lines) and 2 * sum(";" in m[1] for m in good) >= len(good)


def read(path: Path, *, lines: bool = False, unit: str | None = None, **_: Any) -> Tables:
    """Stacks and their weights, in ``unit`` ("samples" by default: only Austin's files name theirs).

    ``lines=True`` keeps apart the lines that ran, which py-spy, Austin and profiling.sampling write.
    """
    tally = Tally()
    found, facts = _stacks(path, tally)
    if found and all(map(_AUSTIN_1.match, found)):
        facts.setdefault("austin", "1")
    found = _austins(found, facts, tally) if "austin" in facts else _second_weights(found, tally)
    assumed = facts.get("austin") == "1" and "mode" not in facts and unit is None
    warnings = [kinds.METRIC_ASSUMED(Remedy("read", {"unit": "kB"}), source=path.name)] if assumed else []
    parts_of = {stack: _parts(stack) for stack in found}
    names = {name for parts in parts_of.values() for name in parts if not _GROUP.fullmatch(name)}
    style = _LOCATED if "austin" in facts else _style({name for name in names if name[:1] not in ("<", ":")})
    frames, threads = Frames(), dict[str | None, Stacks]()
    codes: dict[str, int] = {}
    for stack, value in found.items():
        parts = parts_of[stack]
        groups = next((i for i, part in enumerate(parts) if not _GROUP.fullmatch(part)), len(parts)) if style else 0
        if len(parts) - groups > MAX_DEPTH:
            tally.note(kinds.TOO_DEEP, 1, _profiles.name(stack[:60], tally))
        numbers = []
        for part in parts[groups : groups + MAX_DEPTH]:
            code = codes.get(part)
            if code is None:
                code = codes[part] = _frame(part, style, frames, tally, lines=lines)
            numbers.append(code)
        thread = _profiles.name(" ".join(parts[:groups]), tally) or None
        threads.setdefault(thread, Stacks()).add(tuple(numbers), value)
    scale, default = (1e-3, "ms") if "austin" in facts and facts.get("mode") != "memory" else (1.0, "samples")
    if "austin" in facts and facts.get("mode") == "memory":
        default = "bytes"
    trees = [
        (thread, unit or default, _profiles.scaled(stacks.tree(), 1.0 if unit else scale))
        for thread, stacks in threads.items()
    ]
    tool = "austin" if "austin" in facts else "py-spy" if style is _PLACED else (
        "profiling.sampling" if style is _LOCATED else "async-profiler" if any(map(_JAVA.fullmatch, names)) else None
    )  # fmt: skip
    meta = {**({"tool": tool} if tool else {}), **({"clock": "cpu"} if facts.get("mode") == "cpu" else {})}
    return _profiles.tables(path, trees, frames, tally, warnings=warnings, meta=meta)


def _stacks(path: Path, tally: Tally) -> tuple[dict[str, float], dict[str, str]]:
    """The weights by stack, and the facts that Austin writes as comments."""
    facts: dict[str, str] = {}
    found: dict[str, float] = {}
    number = size = 0
    for number, line in enumerate(sources.lines(path), start=1):
        size += len(line)
        if size > _profiles.MAX_BYTES:
            raise FormatError(f"{path}:{number}: expected at most {_profiles.MAX_BYTES:,} characters, found more")
        text = line.rstrip()
        if not text or text.startswith("#"):
            tally.known += 1
            if fact := _HEADER.match(text):
                facts[fact[1]] = fact[2].strip()
            continue
        match = _LINE.fullmatch(text)
        value = _profiles.weight(float(match[2])) if match else None
        if match and value is None and _FULL.fullmatch(match[1]):
            value = 0.0  # memory that was given back
        if match is None or value is None:
            tally.skip(number, why="expected a stack and a weight")
        else:
            tally.rows += 1
            stack = match[1].strip()
            found[stack] = found.get(stack, 0.0) + value
    tally.total = number
    return found, facts


def _austins(found: dict[str, float], facts: dict[str, str], tally: Tally) -> dict[str, float]:
    """Austin's stacks in the layout of version 2 and later, ``file:name:line``; of three metrics only the time is kept."""
    if full := all(map(_FULL.fullmatch, found)):
        facts.setdefault("mode", "full")
        tally.note(kinds.TIME_ONLY, tally.rows, "line 1")
    after: dict[str, float] = {}
    for stack, value in found.items():
        metrics = _FULL.fullmatch(stack) if full else None
        frames = metrics[1] if metrics else stack
        if facts["austin"] == "1":
            frames = _AUSTIN_1_FRAME.sub(lambda m: f"{m[2]}:{m[1]}:{m[3] or m[4]}", frames)
        after[frames] = after.get(frames, 0.0) + (float(metrics[2]) if metrics else value)
    return after


def _second_weights(found: dict[str, float], tally: Tally) -> dict[str, float]:
    """Where each line has two weights, those of a baseline are no part of the names."""
    after: dict[str, float] = {}
    for stack, weight in found.items():
        pair = _LINE.fullmatch(stack)
        if pair is None or len(found) < 2:
            return found
        after[pair[1].strip()] = after.get(pair[1].strip(), 0.0) + weight
    tally.note(kinds.TWO_WEIGHTS, tally.rows, "line 1")
    return after


def _parts(stack: str) -> list[str]:
    parts, start = list[str](), 0
    while match := _OUTERMOST.match(stack, start):
        parts.append(match[1])
        start = match.end()
    return [*parts, *stack[start:].split(";")] if stack else parts


def _style(names: set[str]) -> re.Pattern[str] | None:
    """How most frames are written: native frames, "<GC>" and the like have no place or suffix."""
    for style in (_PLACED, _DASHED, _LOCATED):
        if names and 2 * sum(bool(style.fullmatch(name)) for name in names) >= len(names):
            return style
    return _COMPILED if any(map(_COMPILED.fullmatch, names)) else None


def _frame(part: str, style: re.Pattern[str] | None, frames: Frames, tally: Tally, *, lines: bool) -> int:
    match = style.fullmatch(part) if style is not None and len(part) < _profiles.MAX_NAME else None
    if match is None:
        return frames.number(_profiles.name(part, tally))
    if style is _COMPILED:
        # A Java class is where its method is; functions of the kernel have none.
        kernel = match[2] == "k" and not _CLASS.fullmatch(match[1])
        file = "[kernel]" if kernel else match[1].rpartition(".")[0] or None
        return frames.number(match[1], file)
    name, file = (match[2], match[1]) if style is _LOCATED else (match[1], match[2])
    return frames.number(name, file, _profiles.line_number(int(match[3][:9])) if lines and match[3] else None)
