"""What cProfile and profile save: https://docs.python.org/3/library/profile.html (a dictionary in marshal's format)

A graph of calls, not stacks: a function's own row has no caller, and each other row is what one caller had of it.
``marshal.loads`` is unsafe on files from others (it believes the sizes they declare), so this module reads the few
types that such a file consists of, and nothing else: https://github.com/python/cpython/blob/main/Python/marshal.c
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _profiles
from perflab.profiles.call_trees import Floats

_KEEP = 0x80
_LONGEST_S = 1e9
_FOUR = struct.Struct("<BiBiBdBd")
_INT, _DOUBLE = struct.Struct("<i"), struct.Struct("<d")
_END = ord("0")
_NUMBERS = (int, float)


def sniff(head: bytes) -> bool:
    """A dictionary whose first key is a tuple of three, or the mark of sampled statistics."""
    if len(head) < 4 or head[0] & ~_KEEP != ord("{") or head[1] & ~_KEEP != ord(")"):
        return False
    return head[2] == 3 or (head[2] == 1 and b"__sampled__" in head[:24])


def read(path: Path, *, max_bytes: int | None = None, **_: Any) -> Tables:
    data = _profiles.content(path, max_bytes)
    reader = _Reader(data)
    try:
        reader.stats()
    except (IndexError, struct.error, ValueError, OverflowError, TypeError) as problem:
        raise FormatError(f"{path}:1: expected cProfile's statistics, found {problem} at byte {reader.at:,}") from None
    if not reader.functions:
        raise FormatError(f"{path}:1: expected cProfile's statistics, found no function in them")
    # The file and its references are freed before the table takes its memory.
    del data
    reader.refs, reader.data = [], b""
    tally = Tally(unit="record")
    reader.sampled |= _counts_only(reader)
    unknown = bool(reader.numbers) and max(reader.numbers[1::4]) < 0  # only pyinstrument writes no count at all
    tool = "pyinstrument" if unknown else "profiling.sampling" if reader.sampled else "cProfile"
    return _profiles.finished(path, {"calls": _frame(reader, path, tally)}, tally, meta={"tool": tool})


def _frame(reader: _Reader, path: Path, tally: Tally) -> pd.DataFrame:
    keys = list(reader.keys)
    names = pd.array([_profiles.name(function, tally) for _, _, function in keys], dtype="str")
    files = pd.array([None if file == "~" else _profiles.name(file, tally) for file, _, _ in keys], dtype="str")
    lines = pd.array([line if 0 < line < 2**31 else pd.NA for _, line, _ in keys], dtype="Int64")
    whole = len(reader.functions)
    callee = np.concatenate([reader.functions, reader.callees]).astype("int64")
    caller = np.concatenate([np.full(whole, -1), reader.callers]).astype("int64")
    numbers = np.concatenate([reader.numbers, reader.edges]).reshape(-1, 4)
    if reader.sampled:
        numbers = _of_samples(numbers, whole)
    # Some tools write -1 for calls that they do not know.
    good = ((numbers >= 0) | ((numbers == -1) & [True, True, False, False])) & (
        numbers <= [_profiles.MAX_WEIGHT, _profiles.MAX_WEIGHT, _LONGEST_S, _LONGEST_S]
    )
    bad = np.logical_not(np.all(good, axis=1))
    if bad.all():
        raise FormatError(f"{path}:1: expected cProfile's statistics, found none with valid numbers")
    tally.total, tally.rows = len(bad), int((~bad).sum())
    tally.skip(int(bad.argmax()) + 1, int(bad.sum()), "a negative or huge number")
    callee, caller, numbers = callee[~bad], caller[~bad], numbers[~bad]
    return pd.DataFrame(
        {
            "caller": names.take(caller, allow_fill=True),
            "callee": names.take(callee),
            "calls": _known(numbers[:, 1]),
            "self_ms": numbers[:, 2] * 1e3,
            "total_ms": numbers[:, 3] * 1e3,
            "caller_file": files.take(caller, allow_fill=True),
            "caller_line": lines.take(caller, allow_fill=True),
            "callee_file": files.take(callee),
            "callee_line": lines.take(callee),
            "primitive_calls": _known(numbers[:, 0]),
        },
        copy=False,
    )


def _known(counts: Floats) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.IntegerArray(np.maximum(counts, 0).astype("int64"), counts < 0)


def _counts_only(reader: _Reader) -> bool:
    """Whether callers have no times and each call of any function took the same time: these are samples."""
    functions, edges = (np.asarray(n).reshape(-1, 4) for n in (reader.numbers, reader.edges))
    called = functions[functions[:, 1] > 0]
    if not len(edges) or edges[:, 3].any() or not len(called):
        return False
    interval = called[:, 3] / called[:, 1]
    return bool(interval[0] > 0 and np.ptp(interval) <= 1e-6 * interval[0])


def _of_samples(numbers: Floats, functions: int) -> Floats:
    """Numbers of calls are unknown, and callers' samples become times: each sample lasts as long as those of functions."""
    samples, totals = numbers[:functions, 1], numbers[:functions, 3]
    usable = (samples > 0) & (totals > 0)
    interval = float(np.median(totals[usable] / samples[usable])) if usable.any() else 0.0
    found = numbers.copy()
    found[functions:, 3] = np.where(
        numbers[functions:, 3] > 0, numbers[functions:, 3], numbers[functions:, 1] * interval
    )
    found[:, :2] = -1
    return found


class _Reader:
    """The statistics: functions by number, a row of (primitive calls, calls, self, total) for each, and for each call."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.sampled = False
        self.refs: list[Any] = []
        self.keys: dict[tuple[str, int, str], int] = {}
        self.slots: dict[int, int] = {}
        """The numbers of functions by their places among the references."""
        # Arrays, not lists: a number is 8 bytes in them, and not an object of 32.
        self.functions, self.numbers = array("q"), array("d")
        self.callers, self.callees, self.edges = array("q"), array("q"), array("d")

    def stats(self) -> None:
        self._open(ord("{"))
        data = self.data
        while data[self.at] != _END:
            if self._is_mark():
                continue
            callee = self._key()
            self._tuple(5)
            self.functions.append(callee)
            self.numbers.extend(self._four())
            self._open(ord("{"))
            while data[self.at] != _END:
                self.callers.append(self._key())
                self.callees.append(callee)
                if data[self.at] & ~_KEEP != ord(")"):  # the first versions of pstats held the count alone
                    count = self._number()
                    self.edges.extend((count, count, 0.0, 0.0))
                    continue
                self._tuple(4)
                calls, primitive, own, total = self._four()
                self.edges.extend((primitive, calls, own, total))
            self.at += 1

    def _is_mark(self) -> bool:
        """Whether here is the key ``("__sampled__",)`` of Python 3.15's profiling.sampling, and its value, which are skipped."""
        data, at = self.data, self.at
        if data[at] & ~_KEEP not in (ord(")"), ord("(")) or data[at + 1] != 1:
            return False
        self._tuple(1)
        if self._text() != "__sampled__" or data[self.at] & ~_KEEP != ord("T"):
            raise ValueError("a key that is no function")
        self.at += 1
        self.sampled = True
        return True

    def _open(self, kind: int) -> None:
        found = self.data[self.at]
        if found & ~_KEEP != kind:
            raise ValueError(f"type {chr(found & ~_KEEP)!r} in place of {chr(kind)!r}")
        if found & _KEEP:
            self.refs.append(None)
        self.at += 1

    def _tuple(self, length: int) -> None:
        kind, found = self.data[self.at], self.data[self.at + 1]
        if kind & ~_KEEP != ord(")"):
            raise ValueError(f"type {chr(kind & ~_KEEP)!r} in place of a tuple")
        if found != length:
            raise ValueError(f"a tuple of {found} in place of {length}")
        if kind & _KEEP:
            self.refs.append(None)
        self.at += 2

    def _key(self) -> int:
        """The number of a function: a tuple (file, line, name), or a reference to an earlier one."""
        data, at = self.data, self.at
        kind = data[at]
        if kind & ~_KEEP == ord("r"):
            self.at = at + 5
            slot = _index(_INT.unpack_from(data, at + 1)[0])
            number = self.slots.get(slot)
            if number is None:
                raise ValueError("a reference to no function")
            return number
        slot = len(self.refs)
        self._tuple(3)
        file, line, function = self._text(), self._number(), self._text()
        number = self.keys.setdefault((file, int(line), function), len(self.keys))
        if kind & _KEEP:
            self.slots[slot] = number
        return number

    def _four(self) -> tuple[float, float, float, float]:
        """Two counts and two times; nearly always two integers (or references) and two doubles."""
        if len(self.data) - self.at < _FOUR.size:  # references at the end of a file are shorter than numbers
            return self._number(), self._number(), self._number(), self._number()
        a, first, b, second, c, third, d, fourth = _FOUR.unpack_from(self.data, self.at)
        if c & ~_KEEP != 0x67 or d & ~_KEEP != 0x67 or a & ~_KEEP not in (0x69, 0x72) or b & ~_KEEP not in (0x69, 0x72):
            return self._number(), self._number(), self._number(), self._number()
        self.at += 28
        refs = self.refs
        if a == 0x72:
            first = refs[first] if first >= 0 else None
            if type(first) not in _NUMBERS:
                raise ValueError("a reference to no number")
        elif a & _KEEP:
            refs.append(first)
        if b == 0x72:
            second = refs[second] if second >= 0 else None
            if type(second) not in _NUMBERS:
                raise ValueError("a reference to no number")
        elif b & _KEEP:
            refs.append(second)
        if c & _KEEP:
            refs.append(third)
        if d & _KEEP:
            refs.append(fourth)
        return first, second, third, fourth

    def _number(self) -> float:
        data, at = self.data, self.at
        kind = data[at]
        plain = kind & ~_KEEP
        if plain == ord("r"):
            self.at = at + 5
            return _as_number(self.refs[_index(_INT.unpack_from(data, at + 1)[0])])
        if plain == ord("i"):
            value, self.at = _INT.unpack_from(data, at + 1)[0], at + 5
        elif plain == ord("g"):
            value, self.at = _DOUBLE.unpack_from(data, at + 1)[0], at + 9
        elif plain == ord("l"):
            value = self._long()
        elif plain == ord("f"):
            length = data[at + 1]
            value, self.at = float(data[at + 2 : at + 2 + length]), at + 2 + length
        else:
            raise ValueError(f"type {chr(plain)!r} in place of a number")
        if kind & _KEEP:
            self.refs.append(value)
        return float(value) if plain != ord("i") else value

    def _long(self) -> float:
        size = _INT.unpack_from(self.data, self.at + 1)[0]
        count = abs(size)
        if count > 8:
            raise ValueError("a number of more than 120 bits")
        digits = struct.unpack_from(f"<{count}H", self.data, self.at + 5)
        self.at += 5 + 2 * count
        value = float(sum(digit << (15 * i) for i, digit in enumerate(digits)))
        return -value if size < 0 else value

    def _text(self) -> str:
        data, at = self.data, self.at
        kind = data[at]
        plain = kind & ~_KEEP
        if plain == ord("r"):
            self.at = at + 5
            found = self.refs[_index(_INT.unpack_from(data, at + 1)[0])]
            if not isinstance(found, str):
                raise ValueError("a reference to no text")
            return found
        if plain in (ord("z"), ord("Z")):
            begin, length = at + 2, data[at + 1]
        elif plain in (ord("a"), ord("A"), ord("u"), ord("t"), ord("s")):
            begin, length = at + 5, _INT.unpack_from(data, at + 1)[0]
        else:
            raise ValueError(f"type {chr(plain)!r} in place of a text")
        if length < 0 or begin + length > len(data):
            raise ValueError(f"a text of {length:,} bytes, more than there are")
        self.at = begin + length
        text = data[begin : self.at].decode("utf-8", errors="replace")
        if kind & _KEEP:
            self.refs.append(text)
        return text


def _index(value: int) -> int:
    if value < 0:
        raise ValueError("a reference below zero")
    return value


def _as_number(value: Any) -> float:
    if not isinstance(value, (int, float)):
        raise ValueError("a reference to no number")
    return value
