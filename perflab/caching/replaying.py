"""A recording replayed against a cache that it did not have: which accesses would have been hits.

An entry is there from the end of the access that made it, so accesses that miss at the same time all miss. It leaves when its
time is over, when a write drops it, or when others need its room (least recently used first).
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from perflab.caching.accesses import Accesses, Flags, Floats, Ints

NONE, BY_KEY, BY_TABLE = INVALIDATIONS = ("none", "key", "table")


@dataclass(frozen=True, eq=False)
class Replayed:
    """For each access whether it was a hit, how old its entry was (NaN: a miss), and whether a write had changed it since.

    ``most_bytes`` and ``most_entries`` are the peaks of what was held.
    """

    hit: Flags
    age_s: Floats
    stale: Flags
    most_bytes: float
    most_entries: int

    @property
    def hit_fraction(self) -> float:
        return float(self.hit.mean()) if len(self.hit) else math.nan


def replay(
    accesses: Accesses,
    *,
    ttl_s: float = math.inf,
    memory_bytes: float = math.inf,
    invalidation: str = NONE,
    shared: bool = False,
) -> Replayed:
    """Replay each run, from an empty cache.

    ``shared``: the candidates compete for the memory, as in one server; else each has it for itself.
    """
    total = len(accesses)
    hit, stale = np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
    age = np.full(total, math.nan)
    most_bytes, most_entries = 0.0, 0
    for part in _parts(accesses, shared):
        cache = _Cache(accesses, part, ttl_s, memory_bytes, invalidation)
        cache.play(hit, age, stale)
        most_bytes, most_entries = max(most_bytes, cache.most), max(most_entries, cache.most_entries)
    return Replayed(hit, age, stale, most_bytes, most_entries)


def _parts(accesses: Accesses, shared: bool) -> Iterator[Ints]:
    code = accesses.run if shared else accesses.run * (len(accesses.candidates) + 1) + accesses.candidate
    for value in np.unique(code).tolist():
        part = np.flatnonzero(code == value)
        yield part[np.argsort(accesses.at_s[part], kind="stable")]


class _Cache:
    """One cache over one run."""

    def __init__(self, accesses: Accesses, part: Ints, ttl_s: float, room: float, invalidation: str) -> None:
        self.part, self.ttl_s, self.room = part, ttl_s, room
        self.key = accesses.key[part].tolist()
        self.at = accesses.at_s[part].tolist()
        self.ends = (accesses.at_s[part] + np.nan_to_num(accesses.took_ms[part]) / 1e3).tolist()
        self.size = np.nan_to_num(accesses.size_bytes[part]).tolist()
        writes = accesses.writes
        mine = np.flatnonzero((writes.run == accesses.run[part[0]]) | (writes.run < 0)).tolist()
        self.write_at = writes.at_s[mine].tolist()
        self.changes = [writes.by_key[w].tolist() for w in mine]
        drops = {NONE: (), BY_KEY: writes.by_key, BY_TABLE: writes.by_table}[invalidation]
        self.drops = [drops[w].tolist() for w in mine] if drops else [[] for _ in mine]
        self.groups = [[g for g in row if g >= 0] for row in accesses.groups.tolist()] if mine else []
        # By key: when it was read, until when it is kept, its size; the least recently used first.
        self.held: OrderedDict[int, tuple[float, float, float]] = OrderedDict()
        self.expiring: deque[tuple[float, int]] = deque()
        self.members: dict[int, set[int]] = {}
        self.changed: dict[int, float] = {}
        self.used = self.most = 0.0
        self.most_entries = 0

    def play(self, hit: Flags, age: Floats, stale: Flags) -> None:
        """Mark the hits, their age, and whether they were stale."""
        held, touch = self.held, self.held.move_to_end if math.isfinite(self.room) else None
        pending: list[tuple[float, int]] = []
        writes = [*self.write_at, math.inf]
        write = 0
        for place, (row, key, now) in enumerate(zip(self.part.tolist(), self.key, self.at, strict=True)):
            # What ended before: fills and writes, in order.
            while (pending and pending[0][0] <= now) or writes[write] <= now:
                if pending and pending[0][0] < writes[write]:
                    self._fill(*heappop(pending))
                else:
                    self._write(write)
                    write += 1
            entry = held.get(key)
            if entry is None or entry[1] <= now:
                heappush(pending, (self.ends[place], place))
                continue
            hit[row] = True
            age[row] = now - entry[0]
            if touch is not None:
                touch(key)
            if self.changed:
                stale[row] = any(self.changed.get(group, -math.inf) > entry[0] for group in self.groups[key])
        while pending:
            self._fill(*heappop(pending))

    def _fill(self, end: float, place: int) -> None:
        key, size = self.key[place], self.size[place]
        self._drop(key)
        while self.expiring and self.expiring[0][0] <= end:
            until, old = self.expiring.popleft()
            if old in self.held and self.held[old][1] == until:
                self._drop(old)
        while self.used + size > self.room and self.held:
            self._drop(next(iter(self.held)))
        if size > self.room:
            return
        until = end + self.ttl_s
        self.held[key] = (self.at[place], until, size)
        if until < math.inf:
            self.expiring.append((until, key))
        for group in self.groups[key] if self.groups else ():
            self.members.setdefault(group, set()).add(key)
        self.used += size
        self.most = max(self.most, self.used)
        self.most_entries = max(self.most_entries, len(self.held))

    def _drop(self, key: int) -> None:
        entry = self.held.pop(key, None)
        if entry is not None:
            self.used -= entry[2]
            for group in self.groups[key] if self.groups else ():
                self.members[group].discard(key)

    def _write(self, write: int) -> None:
        for group in self.changes[write]:
            self.changed[group] = self.write_at[write]
        for group in self.drops[write]:
            for key in list(self.members.get(group, ())):
                self._drop(key)
