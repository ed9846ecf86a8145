"""What a cache would be asked: keys over time with their cost and size, and the writes that invalidate them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Keys = str | Sequence[str] | Callable[[pd.DataFrame], Any] | None


@dataclass(frozen=True, eq=False)
class Writes:
    """Writes by time: each drops groups of keys. ``at_s`` is when it was done, by the clock of the accesses.

    ``by_key`` and ``by_table`` hold for each write the groups that it drops if only what it changed is dropped, and if all
    of its table is; ``run`` is a code like that of the accesses.
    """

    at_s: Floats
    run: Ints
    by_key: tuple[Ints, ...]
    by_table: tuple[Ints, ...]

    @classmethod
    def none(cls) -> Writes:
        return cls(np.zeros(0), np.zeros(0, dtype="int64"), (), ())

    def __len__(self) -> int:
        return len(self.at_s)


@dataclass(frozen=True, eq=False)
class Accesses:
    """Reads in the order of their start.

    Attributes
    ----------
    key : codes from 0 on; equal codes are answered by one entry.
    candidate : codes of ``candidates``: statements or endpoints, each of which could be cached by itself.
    groups : the groups (of `Writes`) of each key, one row a key; -1 is none.
    at_s, took_ms : when each started (seconds since the first of all) and how long it took.
    size_bytes : of the entry; NaN where it is not known.
    run : a code; each run starts with an empty cache.
    owner : the request that made each access, where it is known.
    """

    key: Ints
    candidate: Ints
    candidates: tuple[str, ...]
    at_s: Floats
    took_ms: Floats
    size_bytes: Floats
    run: Ints
    owner: npt.NDArray[Any]
    groups: Ints
    writes: Writes
    kind: str
    unknown: int = 0
    timed: bool = True

    def __len__(self) -> int:
        return len(self.key)

    @property
    def keys(self) -> int:
        """The number of different keys."""
        return len(np.unique(self.key))

    @property
    def lasts_s(self) -> float:
        """The length of the longest run."""
        if not len(self):
            return 0.0
        return max(float(np.ptp(self.at_s[self.run == run])) for run in np.unique(self.run).tolist())

    def of(self, candidate: int) -> Accesses:
        """The accesses of one candidate."""
        return self.where(self.candidate == candidate)

    def where(self, chosen: Flags) -> Accesses:
        """A part of the accesses."""
        return replace(
            self,
            key=self.key[chosen],
            candidate=self.candidate[chosen],
            at_s=self.at_s[chosen],
            took_ms=self.took_ms[chosen],
            size_bytes=self.size_bytes[chosen],
            run=self.run[chosen],
            owner=self.owner[chosen],
        )

    def with_sizes(self, entry_bytes: float | None, overhead_bytes: float) -> Accesses:
        """With the size of an entry where it is not known, and what a key costs beside its value."""
        known = (
            self.size_bytes
            if entry_bytes is None
            else np.where(np.isnan(self.size_bytes), entry_bytes, self.size_bytes)
        )
        return replace(self, size_bytes=known + overhead_bytes)

    def split_by(self, codes: Ints) -> Accesses:
        """With a cache of its own for each code (a process, a user)."""
        key, _ = pd.factorize(self.key * (int(codes.max(initial=0)) + 1) + codes)
        # The groups of a key stay those of the key that it is a copy of.
        _, first = np.unique(key, return_index=True)
        return replace(self, key=key.astype("int64"), groups=self.groups[self.key[first]])


def seconds(instants: Any) -> Floats:
    """Instants as seconds since the first; by their place where there are none."""
    times = pd.Series(instants).reset_index(drop=True)
    if len(times) and isinstance(times.iloc[0], str):
        times = pd.to_datetime(times, format="ISO8601", utc=True)
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        numbers = times.to_numpy(dtype="float64")
        return np.arange(len(numbers), dtype="float64") if np.isnan(numbers).all() else numbers - np.nanmin(numbers)
    if times.isna().all():
        return np.arange(len(times), dtype="float64")
    found: Floats = (times - times.min()).dt.total_seconds().to_numpy(dtype="float64")
    return found


def codes_of(*columns: Any) -> Ints:
    """A code for each row, equal where all columns are equal; -1 where one is missing."""
    found = np.zeros(len(columns[0]), dtype="int64")
    known = np.ones(len(found), dtype=bool)
    for column in columns:
        values = pd.Series(column).reset_index(drop=True)
        if values.dtype == object:
            # Lists and dicts as texts: they can't be hashed.
            values = values.map(lambda v: v if v is None or isinstance(v, (str, int, float)) else repr(v))
        codes, names = pd.factorize(values)
        known &= codes >= 0
        found = pd.factorize(found * (len(names) + 1) + codes)[0].astype("int64")
    return np.where(known, pd.factorize(found)[0], -1).astype("int64")
