"""Spans for tests: rows of one trace, and programs in virtual time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pandas as pd

START = pd.Timestamp("2026-01-01T00:00:00Z")
Row = tuple[str, str | None, str, float, float]
"""Span, parent, name, start and end in ms."""


def spans_of(rows: list[Row], *, trace: str = "t", **more: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": "r", "trace": trace, "span": [r[0] for r in rows], "parent": [r[1] for r in rows], "service": "shop",
            "name": [r[2] for r in rows], "start": START + pd.to_timedelta([r[3] for r in rows], unit="ms"),
            "duration_ms": [r[4] - r[3] for r in rows],
        }
    ).assign(**more)  # fmt: skip


@dataclass
class Program:
    """Work, then a fork of programs that are joined, and so on; ``tail`` is the work at the end."""

    name: str
    stages: list[tuple[int, list[Program]]] = field(default_factory=list)
    tail: int = 0

    def run(self, at: float, rows: list[Row], parent: str | None, ids: itertools.count[int], changes: Changes) -> float:
        """Run it in virtual time: appends its span and returns its end."""
        span, begin, now = str(next(ids)), float(at), float(at)
        place = len(rows)
        rows.append((span, parent, self.name, 0, 0))
        waiting: list[float] = []  # calls that were started and are not joined yet
        for number, (work, fork) in enumerate(self.stages):
            now += work
            together = number and _overlaps(self.stages[number - 1][1], fork, changes)
            if not together and waiting:
                # The work before a stage comes after the calls before it were joined.
                now = max(now - work, *waiting) + work
                waiting = []
            ends = [child.run(now, rows, span, ids, changes) for child in fork]
            waiting += ends
        now = max([now, *waiting]) + self.tail
        now = begin + (now - begin) * changes.factor.get(self.name, 1.0)
        rows[place] = (span, parent, self.name, begin, now)
        return now


@dataclass(frozen=True)
class Changes:
    """Shares of time by name, and names that overlap where a stage of them follows another."""

    factor: Mapping[str, float] = field(default_factory=dict)
    parallel: Collection[str] = ()


def _overlaps(before: list[Program], after: list[Program], changes: Changes) -> bool:
    return all(child.name in changes.parallel for stage in (before, after) for child in stage)


def random_program(rng: random.Random, depth: int, name: str = "root", names: int = 6) -> Program:
    """The calls of one fork have one name."""
    stages = []
    for _ in range(rng.randrange(0, 5) if depth else 0):
        called, wide = f"call {rng.randrange(names)}", rng.choice([1, 1, 2, 3])
        stages.append((rng.randrange(1, 40), [random_program(rng, depth - 1, called) for _ in range(wide)]))
    return Program(name, stages, rng.randrange(1, 40))


def rows_of(program: Program, changes: Changes = Changes()) -> list[Row]:
    rows: list[Row] = []
    program.run(0, rows, None, itertools.count(), changes)
    return rows


def random_rows(rng: random.Random, trace: int) -> list[Row]:
    """A tree of spans as they come: outside of their parents, without length, at equal times."""
    rows: list[Row] = [(f"{trace}-0", None, "root", 0.0, float(rng.choice([0, 10, 100])))]
    for place in range(1, rng.randrange(2, 25)):
        above = rows[rng.randrange(len(rows))]
        if rng.random() < 0.3:
            low, took = float(round(rng.uniform(above[3], above[4]), -1)), float(rng.choice([0, 10, 20]))
        else:
            low, took = rng.uniform(above[3] - 5, above[4]), rng.uniform(0, above[4] - above[3] + 5)
        rows.append((f"{trace}-{place}", above[0], f"n{place % 5}", low, low + took))
    return rows
