"""The rows of each run, and how long after its start they are.

In almost every table the rows of a run are next to each other: a million rows are then read a run at a time, which stays in the
processor's cache. Each further array as long as the table costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The rows of each run: those of ``names[i]`` are ``ends[i]`` to ``ends[i + 1]`` of ``order`` (None: of the table).

    Iterating yields what selects the rows of each run in an array: a slice, or positions.
    """

    names: pd.Index[Any]
    ends: Codes
    order: Codes | None = None

    def __iter__(self) -> Iterator[slice | Codes]:
        for begin, end in pairwise(self.ends.tolist()):
            yield slice(begin, end) if self.order is None else self.order[begin:end]


def blocks_of(run: pd.Series[Any]) -> Blocks:
    """The rows of each run of a column with their names.

    >>> blocks = blocks_of(pd.Series(["b", "b", "a"]))
    >>> list(blocks.names), list(blocks)
    (['b', 'a'], [slice(0, 2, None), slice(2, 3, None)])
    """
    if isinstance(run.dtype, pd.CategoricalDtype):
        codes, names = run.cat.codes.to_numpy(), run.cat.categories
    else:
        codes, names = pd.factorize(run)
    begins = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])[: len(codes)]
    if len(begins) <= len(names) and len(np.unique(codes[begins])) == len(begins):
        return Blocks(names[codes[begins]], np.append(begins, len(codes)))
    counts = np.bincount(codes, minlength=len(names))
    held = np.flatnonzero(counts)
    return Blocks(names[held], np.concatenate([[0], np.cumsum(counts[held])]), grouping_order(codes, len(names)))


def grouping_order(codes: npt.NDArray[Any], size: int) -> Codes:
    """The stable order that groups equal codes (0 to ``size`` - 1); 16 bits use a radix sort, which is much faster."""
    return np.argsort(codes.astype("uint16") if size < 2**16 else codes, kind="stable")


def since_start(frame: pd.DataFrame, instants: str, runs: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Microseconds of each row since the start of its run, or since the run's first row where the start is unknown."""
    blocks = blocks_of(frame["run"])
    begun = pd.DatetimeIndex(runs.set_index("run")["start"].reindex(blocks.names))
    at = in_us(frame[instants])
    ages = np.empty_like(at)
    for rows, start, known in zip(blocks, in_us(begun), begun.notna(), strict=True):
        own = at[rows]
        ages[rows] = own - (start if known else own.min())
    return ages


def in_us(instants: Any) -> npt.NDArray[np.int64]:
    """Instants as microseconds since 1970."""
    found: npt.NDArray[np.int64] = pd.DatetimeIndex(instants).as_unit("us").asi8
    return found
