"""Gecko profiles: Firefox, samply, Python 3.15's profiling.sampling ``--gecko``; raw, processed, and old DevTools files.

https://github.com/firefox-devtools/profiler/tree/main/docs-developer (gecko-profile-format.md, processed-profile-format.md)
Each thread has tables of samples, stacks (each naming its prefix), frames and functions, as rows with a schema or as columns.
A sample lasts until the next one, or has a weight: bytes, milliseconds, or samples of ``meta.interval`` each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from perflab.data.accounting import Tally
from perflab.errors import FormatError, one_of
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.profiles.call_trees import Floats, Frames, Tree, from_parents

_LOCATION = re.compile(r"(.*)\s+\((.*?)(?::(\d+))?(?::(\d+))?\)")
_INTERNAL = ("resource:", "self-hosted")
_GAP, _GAPS_SHARE = 10.0, 0.1
"""So many intervals between two samples, where they hold such a share of the time, are worth a note."""
_UNITS = {"bytes": "bytes", "tracing-ms": "ms"}


def sniff(head: bytes) -> bool:
    if not head.lstrip().startswith(b"{"):
        return False
    marks = ((b'"preprocessedProfileVersion"',), (b'"breakpadId"', b'"debugPath"'), (b'"stackTable"', b'"frameTable"'))
    return any(all(part in head for part in mark) for mark in marks)


def read(path: Path, *, weight: str | None = None, max_bytes: int | None = None, **_: Any) -> Tables:
    """Each thread of each process, time in ms; ``weight="samples"`` counts the samples instead."""
    if weight not in (None, "samples"):
        raise one_of("weight", weight, ("samples",))
    found = _profiles.json_of(path, max_bytes)
    # Files of the old DevTools wrap the profile, and show pages: Firefox's own scripts belong to their callers.
    pages = isinstance(found, dict) and isinstance(found.get("profile"), dict)
    profile = found["profile"] if pages else found
    if not isinstance(profile, dict) or not isinstance(profile.get("threads"), list):
        raise FormatError(f"{path}:1: expected a Gecko profile with threads, found none")
    tally, frames = Tally(unit="sample"), Frames()
    trees = [*_of_process(profile, frames, tally, pages=pages, counted=weight is not None)]
    meta = profile.get("meta")
    product = meta.get("product") if isinstance(meta, dict) else None
    return _profiles.tables(path, trees, frames, tally, meta={"tool": str(product or "Gecko")[:100]})


def _of_process(
    profile: Mapping[str, Any], frames: Frames, tally: Tally, *, pages: bool, counted: bool
) -> Iterator[tuple[str | None, str, Tree]]:
    meta, shared = profile.get("meta"), profile.get("shared")
    units = meta.get("sampleUnits") if isinstance(meta, dict) else None
    clock = "bytes" if isinstance(units, dict) and units.get("time") == "bytes" else "ms"
    interval = (_profiles.weight(meta.get("interval")) if isinstance(meta, dict) else None) or 1.0
    for number, thread in enumerate(profile["threads"], start=1):
        if isinstance(thread, str) and (process := _in_text(thread)):  # how old versions hold a process of a page
            yield from _of_process(process, frames, tally, pages=pages, counted=counted)
        elif isinstance(thread, dict) and isinstance(thread.get("samples"), dict):
            table = _Thread(thread, shared if isinstance(shared, dict) else {}, frames, tally, pages=pages)
            unit, tree = table.tree(interval, clock, counted=counted)
            label = f"{thread.get('name') or 'thread'} (pid {thread.get('pid')} tid {thread.get('tid')})"
            yield _profiles.name(label, tally), unit, tree
        else:
            tally.note(kinds.UNKNOWN_FRAME, 1, f"thread {number}")
    processes = profile.get("processes")
    for process in processes if isinstance(processes, list) else ():
        if isinstance(process, dict) and isinstance(process.get("threads"), list):
            yield from _of_process({**process, "processes": None}, frames, tally, pages=pages, counted=counted)


def _in_text(text: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("threads"), list) else None


class _Thread:
    """The tables of one thread; those it does not have itself are shared by all."""

    def __init__(
        self, thread: Mapping[str, Any], shared: Mapping[str, Any], frames: Frames, tally: Tally, *, pages: bool
    ) -> None:
        self.thread, self.shared, self.frames, self.tally, self.pages = thread, shared, frames, tally, pages
        strings = next((t for n in ("stringArray", "stringTable") if isinstance(t := self._of(n), list)), [])
        self.strings: list[Any] = strings

    def _of(self, name: str) -> Any:
        return self.thread.get(name, self.shared.get(name))

    def _column(self, table: str, name: str) -> list[Any]:
        """A column of a table that is columns, or rows with a schema."""
        found = self._of(table)
        if not isinstance(found, dict):
            return []
        rows, schema = found.get("data"), found.get("schema")
        if isinstance(rows, list) and isinstance(schema, dict):
            place = schema.get(name)
            if type(place) is not int or place < 0:
                return []
            return [row[place] if isinstance(row, list) and place < len(row) else None for row in rows]
        column = found.get(name)
        return column if isinstance(column, list) else []

    def tree(self, interval: float, clock: str, *, counted: bool) -> tuple[str, Tree]:
        stacks = self._column("samples", "stack")
        unit, weights = ("samples", np.ones(len(stacks))) if counted else self._weights(len(stacks), interval, clock)
        prefixes, of_frame = self._prefixes(), self._column("stackTable", "frame")
        count = min(len(prefixes), len(of_frame))
        codes = self._codes()
        # A prefix comes before what extends it, so that one pass resolves frames that are left out.
        parent: list[int] = []
        code: list[int] = []
        kept: list[int] = []
        for number in range(count):
            prefix, frame = prefixes[number], of_frame[number]
            above = kept[prefix] if type(prefix) is int and 0 <= prefix < number else -1
            found = codes[frame] if type(frame) is int and 0 <= frame < len(codes) else -1
            if found < 0:
                kept.append(above)
                continue
            kept.append(len(parent))
            parent.append(above)
            code.append(found)
        own = np.zeros(len(parent))
        before = self.tally.total
        self.tally.total += len(stacks)
        for number, stack in enumerate(stacks):
            if stack is not None and not (type(stack) is int and 0 <= stack < count):
                self.tally.skip(before + number + 1, why="it names a stack that is not there")
            elif stack is None or kept[stack] < 0:
                self.tally.known += 1
            else:
                self.tally.rows += 1
                own[kept[stack]] += weights[number]
        tree, lost = from_parents(_profiles.integers(parent), _profiles.integers(code), own)
        self.tally.note(kinds.TOO_DEEP, lost, "the deepest")
        return unit, tree

    def _prefixes(self) -> list[Any]:
        """The stack above each; since version 66 as the distance to it, 0 for none."""
        offsets = enumerate(self._column("stackTable", "prefixOffset"))
        return self._column("stackTable", "prefix") or [
            number - offset if type(offset) is int and offset > 0 else None for number, offset in offsets
        ]

    def _weights(self, count: int, interval: float, clock: str) -> tuple[str, Floats]:
        samples = self._of("samples")
        kind = samples.get("weightType")
        given = self._column("samples", "weight")
        if len(given) == count and any(w is not None for w in given):
            least = -_profiles.MAX_WEIGHT if kind == "bytes" else 0.0
            numbers = _profiles.good_weights([0 if w is None else w for w in given], self.tally, least=least)
            unit = _UNITS.get(str(kind), "ms")
            return unit, numbers * (1.0 if kind in _UNITS else interval)
        times = self._column("samples", "time")
        deltas = self._column("samples", "timeDeltas")
        if len(times) == count:
            at = _profiles.good_weights([0 if t is None else t for t in times], self.tally, "time")
        elif len(deltas) == count:
            at = np.cumsum(_profiles.good_weights(deltas, self.tally, "time"))
        else:
            return "samples", np.ones(count)
        steps = np.diff(np.maximum.accumulate(at), append=at[-1:] if count else [])
        where = str(self.thread.get("name"))[:100]
        self.tally.note(kinds.ONE_SAMPLE, count == 1, where)
        gaps = steps > _GAP * max(interval, float(np.median(steps)) if count else 0.0)
        if clock == "ms" and steps[gaps].sum() > _GAPS_SHARE * steps.sum():
            self.tally.note(kinds.IDLE_GAPS, int(gaps.sum()), where)
        return clock, steps

    def _codes(self) -> list[int]:
        """The frame of each row of the frame table; -1 for one that is left out."""
        functions = self._column("frameTable", "func")
        if functions:
            names, files = self._column("funcTable", "name"), self._column("funcTable", "fileName")
            sources, lines = self._column("funcTable", "source"), self._column("funcTable", "lineNumber")
            urls = self._column("sources", "filename") or self._column("sources", "url")
            return [self._processed(f, names, files, sources, urls, lines) for f in functions]
        return [self._raw(self._text(location)) for location in self._column("frameTable", "location")]

    def _processed(
        self, function: Any, names: list[Any], files: list[Any], sources: list[Any], urls: list[Any], lines: list[Any]
    ) -> int:
        if type(function) is not int or not 0 <= function < len(names):
            return -1
        file = self._text(files[function]) if function < len(files) else None
        if file is None and function < len(sources):
            source = sources[function]
            file = self._text(urls[source]) if type(source) is int and 0 <= source < len(urls) else None
        line = lines[function] if function < len(lines) else None
        return self._frame(self._text(names[function]) or "(unknown)", file, line)

    def _raw(self, location: str | None) -> int:
        if location is None:
            return -1
        match = _LOCATION.fullmatch(location) if len(location) < _profiles.MAX_NAME else None
        if self.pages and (match is None or match[2].startswith(_INTERNAL)):
            return -1
        if match is None:
            return self._frame(location, None, None)
        return self._frame(match[1], match[2], int(match[3]) if match[3] and len(match[3]) < 10 else None)

    def _frame(self, name: str, file: str | None, line: Any) -> int:
        text = _profiles.name(file, self.tally) if file else None
        return self.frames.number(_profiles.name(name, self.tally), text, _profiles.line_number(line))

    def _text(self, number: Any) -> str | None:
        if isinstance(number, str):
            return number
        found = self.strings[number] if type(number) is int and 0 <= number < len(self.strings) else None
        return found if isinstance(found, str) else None
