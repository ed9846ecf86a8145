"""What the readers of profiles share: bounded reading and names, valid weights, and replayed events."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats import _profile_notes as kinds
from perflab.notes import Kind, Note
from perflab.profiles.call_trees import (
    MAX_DEPTH,
    Flags,
    Floats,
    Frames,
    Ints,
    Tree,
    frame_table,
    from_parents,
    from_stacks,
)

MAX_NAME = 4_000
MAX_WEIGHT = 1e18
MAX_BYTES = 2**30
MAX_EXPANSION = 60
_ALWAYS_ALLOWED = 64 * 2**20

MILLISECONDS: Mapping[str, float] = {
    "nanoseconds": 1e-6, "microseconds": 1e-3, "milliseconds": 1.0, "seconds": 1e3, "ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3
}  # fmt: skip


def flagged(tally: Tally, kind: Kind, what: str, flags: Flags) -> None:
    """Note what these flags mark, counted from 1."""
    if flags.any():
        tally.note(kind, int(flags.sum()), f"{what} {int(flags.argmax()) + 1}")


def content(path: Path, max_bytes: int | None = None) -> bytes:
    """All of a file, decompressed and as UTF-8 where it is marked as something else; bounded, so that no archive is a bomb."""
    packed = path.stat().st_size if path.exists() else 0
    plain = sources.is_plain(path)
    limit = max_bytes
    if limit is None:
        limit = MAX_BYTES if plain else min(MAX_BYTES, max(_ALWAYS_ALLOWED, packed * MAX_EXPANSION))
    # A plain file in one piece: putting pieces together would take its size a second time.
    piece = packed + 1 if plain else 2**24
    parts, size = [], 0
    with sources.open_bytes(path) as stream:
        while part := stream.read(min(piece, limit + 1 - size)):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise FormatError(
                    f"{path}: expected at most {limit:,} bytes of profile, found more; max_bytes= allows a larger one"
                )
    return sources.as_utf8(parts[0] if len(parts) == 1 else b"".join(parts))


def json_of(path: Path, max_bytes: int | None = None) -> Any:
    """The file as JSON, with a FormatError that names the line."""
    data = content(path, max_bytes)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        if "depth" in problem.msg or "ecursion" in problem.msg:
            return _deep_json(path, data.decode("utf-8", "replace"))
        raise FormatError(f"{path}:{problem.lineno}: expected JSON, found {problem.msg}") from None


_TOKEN = re.compile(r'[\s,:]*(?:([{\[])|([}\]])|"((?:[^"\\]|\\.)*+)"|([^\s,:{}\[\]"]+))', re.DOTALL)


def _deep_json(path: Path, text: str) -> Any:
    """JSON nested deeper than parsers that recurse will go (a tree of calls 5,000 deep); lenient about commas."""
    top: list[Any] = []
    open_: list[tuple[Any, str | None]] = [(top, None)]
    key: str | None = None
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise FormatError(
                f"{path}:{text.count(chr(10), 0, position) + 1}: expected JSON, found {text[position : position + 20]!r}"
            )
        position = match.end()
        opening, closing, quoted, bare = match.groups()
        if closing:
            if len(open_) == 1:
                raise FormatError(f"{path}: expected JSON, found a closing bracket too many")
            open_.pop()
            key = None
            continue
        value: Any = {} if opening == "{" else [] if opening else _scalar(path, quoted, bare)
        holder = open_[-1][0]
        if isinstance(holder, list):
            holder.append(value)
        elif key is None:
            key = str(value)
            continue
        else:
            holder[key], key = value, None
        if opening:
            open_.append((value, None))
    if len(open_) != 1 or len(top) != 1:
        raise FormatError(
            f"{path}: expected one JSON value, found {'an unfinished one' if len(open_) > 1 else len(top)}"
        )
    return top[0]


def _scalar(path: Path, quoted: str | None, bare: str) -> Any:
    try:
        return orjson.loads(bare if quoted is None else f'"{quoted}"')
    except orjson.JSONDecodeError:
        raise FormatError(f"{path}: expected a JSON value, found {(bare or quoted or '')[:40]!r}") from None


def name(value: object, tally: Tally, place: object = "record 1") -> str:
    """A name as text of bounded length; a longer one is cut, and stays different from others."""
    text = value if isinstance(value, str) else "" if value is None else str(value)[: MAX_NAME + 1]
    if len(text) <= MAX_NAME:
        return text
    tally.note(kinds.NAME_CUT, 1, place)
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{text[:MAX_NAME]}…{digest}"


def line_number(value: object) -> int | None:
    """A line from 1, or None where the tool knows none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def weight(value: object) -> float | None:
    """A weight that can be added up: finite, not negative, below 1e18; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= MAX_WEIGHT and math.isfinite(value) else None


def signed(value: object) -> float | None:
    """A weight that may be negative, as in a difference of two profiles; None if it is not finite or huge."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= MAX_WEIGHT and math.isfinite(value) else None


def good_weights(values: Sequence[Any], tally: Tally, what: str = "weight", *, least: float = 0.0) -> Floats:
    """Weights as numbers; invalid ones and those below ``least`` count as zero, with a note."""
    try:
        numbers = np.asarray(values, dtype="float64")
        if numbers.ndim != 1:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        numbers = np.array([math.nan if (w := signed(v)) is None else w for v in values], dtype="float64")
    bad = ~((numbers >= least) & (numbers <= MAX_WEIGHT))
    if bad.any():
        flagged(tally, kinds.BAD_WEIGHT, what, bad)
        numbers = np.where(bad, 0.0, numbers)
    return numbers


class Stacks:
    """Stacks with weights, equal ones added up while they come in."""

    def __init__(self) -> None:
        self.weights: dict[tuple[int, ...], float] = {}
        self.count = 0

    def add(self, stack: tuple[int, ...], value: float) -> None:
        self.count += 1
        self.weights[stack] = self.weights.get(stack, 0.0) + value

    def tree(self) -> Tree:
        lengths = np.fromiter(map(len, self.weights), dtype="int64", count=len(self.weights))
        codes = np.fromiter((c for stack in self.weights for c in stack), dtype="int64", count=int(lengths.sum()))
        return from_stacks(codes, lengths, np.fromiter(self.weights.values(), dtype="float64"))

    @property
    def idle(self) -> float:
        """The weight of empty stacks, which belongs to no function."""
        return self.weights.get((), 0.0)


class Replay:
    """Builds a tree from frames entered and left in order of time, and repairs unbalanced ones."""

    def __init__(self, tally: Tally, start: float = 0.0) -> None:
        self._tally, self._last = tally, start
        self._stack: list[int] = []
        self._frames_on: dict[int, int] = {}
        self._children: dict[tuple[int, int], int] = {}
        self._parent: list[int] = []
        self._frame: list[int] = []
        self._weight: list[float] = []
        self._too_deep = 0

    def advance(self, at: float, place: object) -> None:
        """Give the time since the last event to the frame on top."""
        if at < self._last:
            self._tally.note(kinds.TIME_BACKWARDS, 1, place)
            return
        if self._stack:
            self._weight[self._stack[-1]] += at - self._last
        self._last = at

    def enter(self, frame: int, at: float, place: object) -> None:
        self.advance(at, place)
        if len(self._stack) >= MAX_DEPTH:
            self._tally.note(kinds.TOO_DEEP, 1, place)
            self._too_deep += 1
            return
        parent = self._stack[-1] if self._stack else -1
        node = self._children.get((parent, frame))
        if node is None:
            node = self._children[parent, frame] = len(self._parent)
            self._parent.append(parent)
            self._frame.append(frame)
            self._weight.append(0.0)
        self._stack.append(node)
        self._frames_on[frame] = self._frames_on.get(frame, 0) + 1

    def leave(self, frame: int, at: float, place: object) -> None:
        self.advance(at, place)
        if self._too_deep:
            self._too_deep -= 1
            return
        if not self._frames_on.get(frame):
            self._tally.note(kinds.NOT_OPENED, 1, place)
            return
        skipped = 0
        while self._frame[self._stack[-1]] != frame:
            self._pop()
            skipped += 1
        self._pop()
        self._tally.note(kinds.MISNESTED, skipped, place)

    def _pop(self) -> None:
        self._frames_on[self._frame[self._stack.pop()]] -= 1

    def tree(self, end: float) -> Tree:
        if self._stack:
            self._tally.note(kinds.NOT_CLOSED, len(self._stack), "the end")
            self.advance(max(end, self._last), "its end")
        return from_parents(integers(self._parent), integers(self._frame), np.array(self._weight, dtype="float64"))[0]


def integers(values: Sequence[int]) -> Ints:
    return np.array(values, dtype="int64")


def scaled(tree: Tree, scale: float) -> Tree:
    """The same tree in another unit."""
    return replace(tree, self_weight=tree.self_weight * scale, total=tree.total * scale)


def flattened(stacks: Iterable[Sequence[int]], count: int) -> tuple[Ints, Ints]:
    """Codes one after another, and the length of each stack."""
    kept = list(stacks)
    lengths = np.fromiter(map(len, kept), dtype="int64", count=count)
    return np.fromiter((c for stack in kept for c in stack), dtype="int64", count=int(lengths.sum())), lengths


def tables(
    path: Path,
    trees: Sequence[tuple[str | None, str, Tree]],
    frames: Frames,
    tally: Tally,
    *,
    warnings: Iterable[Note] = (),
    meta: Mapping[str, object] | None = None,
) -> Tables:
    """The profile of a file; a FormatError when there is not one stack in it."""
    kept = [(thread, unit, tree) for thread, unit, tree in trees if len(tree)]
    tally.note(kinds.NEGATIVE, sum(int((tree.self_weight < 0).sum()) for _, _, tree in kept), "its stacks")
    if not kept:
        raise FormatError(
            f"{path}:1: expected a profile with at least one stack, found none{found_instead(path, tally)}"
        )
    return finished(path, {"profile": frame_table(kept, frames)}, tally, warnings, meta)


def found_instead(path: Path, tally: Tally) -> str:
    """In brackets what was wrong with the records, for an error."""
    notes = (*tally.account().notes(path.name), *tally.notes(path.name))
    return f" ({'; '.join(map(str, notes))})" if notes else ""


def finished(
    path: Path,
    found: Mapping[str, pd.DataFrame],
    tally: Tally,
    warnings: Iterable[Note] = (),
    meta: Mapping[str, object] | None = None,
) -> Tables:
    """The tables with the account of the file and its notes."""
    return Tables(found, warnings=[*tally.notes(path.name), *warnings], meta=meta, accounting=tally.account())
