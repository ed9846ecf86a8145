"""What a cache would be asked: keys over time with their cost and size, and the writes that invalidate them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.units import parse_fraction

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
    by : what makes a key, where it is not the address or the statement: columns, or "key" for a function's.
    queried : the candidates with addresses that have a query string.
    row : the row of the recording that each access is.
    """

    key: Ints
    candidate: Ints
    candidates: tuple[str, ...]
    at_s: Floats
    took_ms: Floats
    size_bytes: Floats
    run: Ints
    owner: npt.NDArray[Any]
    row: Ints
    groups: Ints
    writes: Writes
    kind: str
    by: tuple[str, ...] = ()
    queried: frozenset[int] = frozenset()
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
            row=self.row[chosen],
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


_WORDS = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False, "no": False}


def truth(value: object) -> bool | None:
    """Yes or no as files write it; None for anything else."""
    return _WORDS.get(str(value).strip().lower())


def checked_share(value: str | float, parameter: str) -> float:
    """A share from 0 to 1: 0.9 or "90%"."""
    found = parse_fraction(value if isinstance(value, str) else float(value), parameter=parameter)
    if not 0 <= found <= 1:
        raise ValueError(f'{parameter} must be from 0 to 1, or "0%" to "100%"; got {value!r}')
    return found


def milliseconds(durations: pd.Series[Any]) -> Floats:
    """Durations in ms, NaN where there are none; timedeltas are converted."""
    name = durations.name
    if pd.api.types.is_timedelta64_dtype(durations.dtype):
        durations = durations.dt.total_seconds() * 1e3
    numbers = pd.to_numeric(durations, errors="coerce")
    odd = durations[numbers.isna() & durations.notna()]
    found: Floats = numbers.to_numpy(dtype="float64", na_value=np.nan)
    wrong = [*odd, *found[(found < 0) | np.isinf(found)].tolist()]
    if wrong:
        raise ValueError(f"{name} must hold milliseconds, not below zero; got {wrong[0]!r}")
    return found


_ZONE = r"(?:[Zz]|[+-]\d\d:?\d\d)$"
_LARGEST_S = 1e11
"""Numbers above this are no seconds since 1970, but milliseconds or finer."""
_NUMBER, _SPAN, _NAIVE, _ZONED = "numbers", "timedeltas", "times without a zone", "times with a zone"


def seconds(*columns: Any) -> Floats:
    """Instants as seconds since the first of all columns; NaN where one is missing, their place where all are.

    >>> seconds(["2026-01-01T01:00:02+01:00", None, "2026-01-01T00:00:00Z"]).tolist()
    [2.0, nan, 0.0]
    """
    found = [_instants(pd.Series(column).reset_index(drop=True)) for column in columns]
    kinds = {kind for kind, _ in found if kind}
    if len(kinds) > 1:
        raise ValueError(f"start must be of one kind; got {' and '.join(sorted(kinds))}")
    every = np.concatenate([values for _, values in found])
    return every - np.nanmin(every) if kinds else np.arange(len(every), dtype="float64")


def _instants(times: pd.Series[Any]) -> tuple[str, Floats]:
    """The kind of a column of instants ("": all missing), and their seconds."""
    if times.isna().all():
        return "", np.full(len(times), np.nan)
    if times.dtype == object or isinstance(times.dtype, pd.StringDtype):
        return _of_objects(times)
    if pd.api.types.is_timedelta64_dtype(times.dtype):
        return _SPAN, times.dt.total_seconds().to_numpy(dtype="float64")
    if pd.api.types.is_datetime64_any_dtype(times.dtype):
        zoned = times.dt.tz is not None
        naive = times.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else times
        return _ZONED if zoned else _NAIVE, (naive - pd.Timestamp(0)).dt.total_seconds().to_numpy(dtype="float64")
    numbers = times.to_numpy(dtype="float64", na_value=np.nan)
    if np.nanmax(np.abs(numbers)) > _LARGEST_S:
        raise ValueError(
            f"start must be in seconds where it is a number; got {np.nanmax(numbers):,.0f}. Convert it: "
            'pd.to_datetime(start, unit="ms", utc=True)'
        )
    return _NUMBER, numbers


def _of_objects(times: pd.Series[Any]) -> tuple[str, Floats]:
    known = times.dropna()
    if known.map(lambda v: isinstance(v, (int, float))).all():
        return _instants(times.astype("float64"))
    texts = known.astype("str")
    zoned = texts.str.contains(_ZONE, regex=True)
    if zoned.nunique() > 1:
        raise ValueError(f"start must have a zone in every row or in none; got {texts[~zoned].iat[0]!r}")
    try:
        moments = pd.to_datetime(texts, format="ISO8601", utc=True).reindex(times.index)
    except ValueError as problem:
        raise ValueError(f"start must hold times in ISO 8601, or seconds: {problem}") from None
    return (_ZONED if zoned.iat[0] else _NAIVE), _instants(moments)[1]


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
