"""pprof's protocol buffer (Go, Node.js, Rust, gperftools): https://github.com/google/pprof/blob/main/proto/profile.proto

Locations of a sample are innermost first, and so are the lines of a location where functions were inlined into it:
each makes a frame. The type of value is the profile's default_sample_type, or else the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError, one_of
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.formats._profiles import MILLISECONDS, Stacks
from perflab.notes import Remedy
from perflab.profiles.call_trees import MAX_DEPTH, Frames

_BYTES = {"bytes": 1.0, "byte": 1.0, "kilobytes": 1e3, "kb": 1024.0, "megabytes": 1e6, "mb": 2.0**20}
_WIRE = {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, 7: 0, 8: 0, 9: 0, 10: 0, 11: 2, 12: 0, 13: 2, 14: 0, 15: 0}
"""The wire type of each field of Profile; repeated numbers (13) may also come one by one."""

Field = tuple[int, int | memoryview]

_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def sniff(head: bytes) -> bool:
    """The first fields are those of a Profile, and the first of its value types is one; its tags are no printable text."""
    if not _BINARY.search(head[:4096]):
        return False
    seen = 0
    try:
        for number, value in _fields(memoryview(head), whole=False):
            if number not in _WIRE or (isinstance(value, int) != (_WIRE[number] == 0) and number != 13):
                return False
            if number == 1 and not (isinstance(value, memoryview) and {n for n, _ in _fields(value)} <= {1, 2}):
                return False
            seen += 1
            if seen == 8:
                break
    except ValueError:
        return False
    return seen >= 3


def read(
    path: Path,
    *,
    sample_type: str | None = None,
    lines: bool = False,
    inlined: bool = True,
    max_bytes: int | None = None,
    **_: Any,
) -> Tables:
    """One type of value of the profile (``sample_type="cpu"``), times in ms.

    ``lines=True`` separates the lines of a function; ``inlined=False`` gives the time of functions that the compiler
    inlined to the one that they were inlined into, as some viewers do.
    """
    data = _profiles.content(path, max_bytes)
    tally = Tally(unit="sample")
    try:
        profile = _profile(memoryview(data))
        chosen = _chosen(profile, sample_type)
        frames = Frames()
        stacks = _stacks(profile, chosen, _locations(profile, frames, tally, lines=lines, whole=inlined), tally)
    except (_Malformed, IndexError, UnicodeDecodeError) as problem:
        raise FormatError(f"{path}: expected a profile of pprof, found {problem}") from None
    kind, unit = profile.types[chosen]
    scale, name = _unit(kind, unit)
    tree = _profiles.scaled(stacks.tree(), scale)
    meta = {"tool": "pprof", "sample_type": kind, **({"clock": "cpu"} if kind == "cpu" else {}), **_facts(profile)}
    others = [k for i, (k, _) in enumerate(profile.types) if i != chosen]
    remedy = Remedy("read", {"sample_type": others[0]}) if others else None
    notes = [kinds.OTHER_VALUES(remedy, source=path.name, chosen=kind, others=others)] if others else []
    return _profiles.tables(path, [(None, name, tree)], frames, tally, warnings=notes, meta=meta)


class _Malformed(ValueError):
    """The bytes are no protocol buffer of that kind."""


@dataclass
class _Profile:
    types: list[tuple[str, str]] = field(default_factory=list)
    raw_types: list[tuple[int, int]] = field(default_factory=list)
    samples: list[memoryview] = field(default_factory=list)
    mappings: dict[int, int] = field(default_factory=dict)
    locations: list[memoryview] = field(default_factory=list)
    functions: list[memoryview] = field(default_factory=list)
    strings: list[bytes] = field(default_factory=list)
    time_ns: int = 0
    duration_ns: int = 0
    default_type: int = 0

    def text(self, index: int) -> str:
        if not 0 <= index < len(self.strings):
            raise _Malformed(f"text {index:,} of {len(self.strings):,}")
        return self.strings[index].decode("utf-8", errors="replace")


def _profile(data: memoryview) -> _Profile:
    profile = _Profile()
    for number, value in _fields(data):
        if isinstance(value, int):
            if number == 9:
                profile.time_ns = value
            elif number == 10:
                profile.duration_ns = value
            elif number == 14:
                profile.default_type = value
        elif number == 1:
            pair = _numbers(value)
            profile.raw_types.append((pair.get(1, 0), pair.get(2, 0)))
        elif number == 2:
            profile.samples.append(value)
        elif number == 3:
            mapping = _numbers(value)
            profile.mappings[mapping.get(1, 0)] = mapping.get(5, 0)
        elif number == 4:
            profile.locations.append(value)
        elif number == 5:
            profile.functions.append(value)
        elif number == 6:
            profile.strings.append(bytes(value))
    profile.types = [(profile.text(kind), profile.text(unit)) for kind, unit in profile.raw_types]
    if not profile.types:
        raise _Malformed("no type of value")
    return profile


def _chosen(profile: _Profile, wanted: str | None) -> int:
    kinds = [kind for kind, _ in profile.types]
    if wanted is not None:
        if wanted not in kinds:
            raise one_of("sample_type", wanted, kinds)
        return kinds.index(wanted)
    default = profile.text(profile.default_type) if profile.default_type else ""
    return kinds.index(default) if default in kinds else len(kinds) - 1


def _unit(kind: str, unit: str) -> tuple[float, str]:
    if unit in MILLISECONDS:
        return MILLISECONDS[unit], "ms"
    if unit.lower() in _BYTES:
        return _BYTES[unit.lower()], "bytes"
    return 1.0, kind if unit in ("count", "") else unit


def _facts(profile: _Profile) -> dict[str, object]:
    facts: dict[str, object] = {}
    if 0 < profile.duration_ns < 2**62:
        facts["duration_ms"] = profile.duration_ns / 1e6
    if 0 < profile.time_ns < 2**62:
        facts["start"] = pd.Timestamp(profile.time_ns, unit="ns", tz="UTC").isoformat()
    return facts


def _locations(
    profile: _Profile, frames: Frames, tally: Tally, *, lines: bool, whole: bool
) -> dict[int, tuple[int, ...]]:
    """The frames of each location, innermost first."""
    functions = {}
    for data in profile.functions:
        found = _numbers(data)
        name = profile.text(found.get(2, 0)) or profile.text(found.get(3, 0)) or "(unknown)"
        file = profile.text(found.get(4, 0))
        functions[found.get(1, 0)] = (
            _profiles.name(name, tally),
            _profiles.name(file, tally) if file else None,
            _profiles.line_number(found.get(5, 0)),
        )
    locations: dict[int, tuple[int, ...]] = {}
    for data in profile.locations:
        number, address, mapping = 0, 0, 0
        inlined: list[int] = []
        for key, value in _fields(data):
            if key == 4 and isinstance(value, memoryview):
                line = _numbers(value)
                function = functions.get(line.get(1, 0))
                if function is None:
                    tally.note(kinds.UNKNOWN_FRAME, 1, f"location {number}")
                    continue
                at = _profiles.line_number(line.get(2, 0)) if lines else function[2]
                inlined.append(frames.number(function[0], function[1], at))
            elif isinstance(value, int):
                number, mapping, address = (
                    value if key == 1 else number, value if key == 2 else mapping, value if key == 3 else address
                )  # fmt: skip
        if not inlined:
            file = profile.text(profile.mappings[mapping]) if mapping in profile.mappings else ""
            inlined = [frames.number(f"0x{address:x}", _profiles.name(file, tally) or None)]
        locations[number] = tuple(inlined) if whole else (inlined[-1],)
    return locations


def _stacks(profile: _Profile, chosen: int, locations: dict[int, tuple[int, ...]], tally: Tally) -> Stacks:
    stacks = Stacks()
    tally.total = len(profile.samples)
    for number, data in enumerate(profile.samples, start=1):
        ids: list[int] = []
        values: list[int] = []
        for key, value in _fields(data):
            if key in (1, 2):
                (ids if key == 1 else values).extend([value] if isinstance(value, int) else _varints(value))
        if len(values) != len(profile.types):
            tally.skip(number, why="expected a value of each type")
            continue
        weight = values[chosen] - 2**64 if values[chosen] >= 2**63 else values[chosen]
        if abs(weight) > _profiles.MAX_WEIGHT:
            tally.skip(number, why="a huge value")
            continue
        tally.rows += 1
        stack = [frame for i in ids for frame in locations.get(i, ())]
        tally.note(kinds.UNKNOWN_FRAME, sum(i not in locations for i in ids), f"sample {number}")
        if len(stack) > MAX_DEPTH:
            tally.note(kinds.TOO_DEEP, 1, f"sample {number}")
            stack = stack[-MAX_DEPTH:]
        stacks.add(tuple(reversed(stack)), float(weight))
    return stacks


def _numbers(data: memoryview) -> dict[int, int]:
    """The whole numbers of a message by field."""
    return {key: value for key, value in _fields(data) if isinstance(value, int)}


def _fields(data: memoryview, *, whole: bool = True) -> Iterator[Field]:
    """(field number, value) of a message; with ``whole=False`` a message that is cut off just ends."""
    at, size = 0, len(data)
    while at < size:
        try:
            key, at = _varint(data, at)
            wire = key & 7
            value: int | memoryview
            if wire == 0:
                value, at = _varint(data, at)
            elif wire == 2:
                length, at = _varint(data, at)
                value, at = data[at : at + length], at + length
            elif wire in (1, 5):
                width = 8 if wire == 1 else 4
                value, at = data[at : at + width], at + width
            else:
                raise _Malformed(f"wire type {wire} at byte {at:,}")
        except IndexError:
            at = size + 1
        if at > size:
            if whole:
                raise _Malformed("an end in the middle of a field")
            return
        yield key >> 3, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise _Malformed(f"a number of more than 64 bits at byte {at:,}")


def _varints(data: memoryview) -> list[int]:
    """Packed numbers."""
    values, at, size = [], 0, len(data)
    try:
        while at < size:
            value, at = _varint(data, at)
            values.append(value)
    except IndexError:
        raise _Malformed("an end in the middle of a number") from None
    return values
