"""Callgrind's output: https://valgrind.org/docs/manual/cl-format.html

A graph of calls with counted events (instructions, cache misses), not times. Names are written once and then by
number; positions may be relative or left out. ``f'2`` is the second level of the recursive function f.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError, one_of
from perflab.formats import Tables, _profiles
from perflab.formats import _profile_notes as kinds
from perflab.notes import Remedy

_SPEC = re.compile(r"(c?fn|c?fl|c?fi|fe|c?ob)=\s*(?:\((\d+)\))?\s*(.*)")
_COST = re.compile(r"(?:[+*-]?(?:0x[0-9a-fA-F]+|\d+)|\*)(?:\s+(?:[+-]?(?:0x[0-9a-fA-F]+|\d+)|\*))*")
_LEVEL = re.compile(r"'\d+$")
_UNITS = {"Time_(10ns)": (1e-5, "ms"), "Memory_(bytes)": (1.0, "bytes")}
"""Those of Xdebug, which names the unit in the event."""
Place = tuple[str, str]


def sniff(head: bytes) -> bool:
    return not head.lstrip().startswith((b"{", b"[")) and bool(
        re.search(rb"^events:", head, re.MULTILINE)
        and re.search(rb"^(# callgrind format|fn=|positions:|creator:)", head, re.MULTILINE)
    )


def read(path: Path, *, event: str | None = None, **_: Any) -> Tables:
    """The graph of calls by one event (the first of the file when ``event`` is not given)."""
    tally = Tally()
    graph = _Graph(path, event, tally)
    size = number = 0
    for number, line in enumerate(sources.lines(path), start=1):
        size += len(line)
        if size > _profiles.MAX_BYTES:
            raise FormatError(f"{path}:{number}: expected at most {_profiles.MAX_BYTES:,} characters, found more")
        graph.line(line.strip(), number)
    tally.total = number
    if not graph.own:
        raise FormatError(
            f"{path}:1: expected callgrind's costs of functions, found none{_profiles.found_instead(path, tally)}"
        )
    others = [e for e in graph.events if e != graph.event]
    remedy = Remedy("read", {"event": others[0]}) if others else None
    notes = [kinds.OTHER_VALUES(remedy, source=path.name, chosen=graph.event, others=others)] if others else []
    meta = {"tool": "callgrind", "event": graph.event}
    return _profiles.finished(path, {"calls": graph.frame()}, tally, notes, meta)


class _Graph:
    """The state of the file while its lines come by."""

    def __init__(self, path: Path, event: str | None, tally: Tally) -> None:
        self.path, self.wanted, self.tally = path, event, tally
        self.events: list[str] = []
        self.event, self.column, self.positions = "", 0, 1
        self.names: dict[str, dict[str, str]] = {"fn": {}, "file": {}, "ob": {}}
        self.file = self.called_file = "???"
        self.function = self.called = ""
        self.home = "???"
        self.pending: int | None = None
        self.own: dict[Place, float] = {}
        self.calls: dict[tuple[Place, Place], list[float]] = {}

    def line(self, text: str, number: int) -> None:
        if not text or text.startswith("#"):
            self.tally.known += 1
        elif match := _SPEC.fullmatch(text):
            self.tally.known += 1
            self._name(match[1], match[2], match[3])
        elif text.startswith("calls="):
            self.tally.known += 1
            first = text[6:].split()[:1]
            good = bool(first) and first[0].isdigit() and len(first[0]) < 19
            self.tally.note(kinds.BAD_COUNT, not good, f"line {number}")
            self.pending = int(first[0]) if good else 0
        elif _COST.fullmatch(text):
            self._cost(text.split(), number)
        elif ":" in text:
            self.tally.known += 1
            name, _, value = text.partition(":")
            self._header(name, value, number)
        elif text.startswith(("jump=", "jcnd=", "jfi=", "jfn=")):
            self.tally.known += 1
        else:
            self.tally.skip(number, why="malformed")

    def _header(self, name: str, value: str, number: int) -> None:
        if name == "positions":
            self.positions = max(1, len(value.split()))
        elif name == "events":
            self.events = value.split()
            if not self.events:
                raise FormatError(f"{self.path}:{number}: expected the names of events, found none")
            if self.wanted is not None and self.wanted not in self.events:
                raise one_of("event", self.wanted, self.events)
            self.event = self.wanted or self.events[0]
            self.column = self.events.index(self.event)

    def _name(self, kind: str, number: str | None, name: str) -> None:
        family = "fn" if kind.endswith("fn") else "ob" if kind.endswith("ob") else "file"
        known = self.names[family]
        if number is not None:
            if name:
                known[number] = _profiles.name(name, self.tally)
            name = known.get(number, "???")
        else:
            name = _profiles.name(name, self.tally)
        if kind == "fn":
            self.function, self.home = name, self.file
            self.called_file = self.file
            self.own.setdefault((name, self.home), 0.0)
        elif kind == "cfn":
            self.called = name
        elif kind in ("cfi", "cfl"):
            self.called_file = name
        elif kind == "fl":
            self.file = self.called_file = name

    def _cost(self, parts: list[str], number: int) -> None:
        costs = parts[self.positions :]
        text = costs[self.column] if self.column < len(costs) else "0"  # zeros at the end are left out
        value = _profiles.weight(float(text)) if text.isdigit() and len(text) < 20 else None
        if value is None or not self.function:
            self.tally.skip(number, why="a cost that is malformed or belongs to no function")
            return
        self.tally.rows += 1
        place = (self.function, self.home)
        if self.pending is None:
            self.own[place] += value
            return
        edge = self.calls.setdefault((place, (self.called, self.called_file)), [0.0, 0.0])
        edge[0] += self.pending
        edge[1] += value
        self.pending, self.called_file = None, self.file

    def frame(self) -> pd.DataFrame:
        """A row for each function without a caller, and one for each call of one by another."""
        totals, counts = self._totals()
        own: dict[Place, float] = {}
        for place, value in self.own.items():
            own[_base(place)] = own.get(_base(place), 0.0) + value
        rows: list[tuple[str | None, str | None, str, str, float, float, float]] = [
            (None, None, *place, counts.get(place, 0.0), value, totals[place]) for place, value in own.items()
        ]
        for (caller, callee), (count, cost) in self.calls.items():
            rows.append((*caller, *callee, count, np.nan, cost))
        caller_name, caller_file, callee, callee_file, calls, self_weight, total = zip(*rows, strict=True)
        scale, unit = _UNITS.get(self.event, (1.0, self.event))
        return pd.DataFrame(
            {
                "caller": pd.array(caller_name, dtype="str"), "callee": pd.array(callee, dtype="str"),
                "calls": np.array(calls, dtype="int64"), "self_ms": np.nan, "total_ms": np.nan,
                "caller_file": pd.array(_files(caller_file), dtype="str"),
                "callee_file": pd.array(_files(callee_file), dtype="str"),
                "self": np.array(self_weight) * scale, "total": np.array(total) * scale, "unit": unit,
            }
        )  # fmt: skip

    def _totals(self) -> tuple[Mapping[Place, float], Mapping[Place, float]]:
        """What each function cost with all that it called, and how often it was called, by all callers.

        What a function's first level of recursion cost is in its total already when the second level is left out.
        """
        totals: dict[Place, float] = {}
        counts: dict[Place, float] = {}
        for place, value in self.own.items():
            totals.setdefault(_base(place), 0.0)
            if place == _base(place):
                totals[place] += value
        for (caller, callee), (count, cost) in self.calls.items():
            if caller == _base(caller) and callee != caller:
                totals[caller] = totals.get(caller, 0.0) + cost
            counts[_base(callee)] = counts.get(_base(callee), 0.0) + count
        return totals, counts


def _base(place: Place) -> Place:
    return (_LEVEL.sub("", place[0]), place[1])


def _files(files: tuple[str | None, ...]) -> list[str | None]:
    return [None if file in (None, "???") else file for file in files]
