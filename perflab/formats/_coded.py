"""Columns of few distinct texts as numbers and a list of the texts: what is asked of a text is asked once for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


_COUNTED = 1_000_000


@dataclass(frozen=True)
class Coded:
    """A text column: ``values[codes[i]]`` is the text of row i."""

    codes: np.ndarray[Any, np.dtype[np.int64]]
    values: Sequence[str]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Coded:
        """A dictionary or text column of Arrow; missing texts are empty."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not pa.types.is_dictionary(column.type):
            if not pc.max(pc.binary_length(column)).as_py():
                return cls(np.zeros(len(column), dtype="int64"), [""])
            column = column.fill_null("").dictionary_encode()
        column = column.unify_dictionaries()
        if not column.num_chunks:
            return cls(np.array([], dtype="int64"), [])
        parts = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in column.chunks]
        values = [value or "" for value in column.chunk(0).dictionary.to_pylist()]
        return cls(np.concatenate(parts).astype("int64", copy=False), values)

    def __len__(self) -> int:
        return len(self.codes)

    def mapped(self, function: Callable[[str], str]) -> Coded:
        """What the function makes of the texts."""
        return Coded(self.codes, [function(value) for value in self.values])

    def where(self, mask: Any) -> Coded:
        return Coded(self.codes[mask], self.values)

    def test(self, function: Callable[[str], bool]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether the function holds for the text of each row."""
        found = np.fromiter(map(function, self.values), dtype=bool, count=len(self.values))
        if found.all() or not found.any():
            return np.full(len(self.codes), bool(len(found) and found.all()))
        rows: np.ndarray[Any, np.dtype[np.bool_]] = found[self.codes]
        return rows

    def numbers(self, function: Callable[[Any], Any] | None = None) -> np.ndarray[Any, np.dtype[Any]]:
        """The texts as numbers, NaN where they are none, or what the function makes of an array of these."""
        found = np.array([_number(value) for value in self.values], dtype="float64")
        rows: np.ndarray[Any, np.dtype[Any]] = (found if function is None else function(found))[self.codes]
        return rows

    def texts(self, function: Callable[[str], str | None] | None = None) -> pd.Series[Any]:
        """The texts, or what the function makes of each; None is a missing value."""
        found: pd.Series[Any] = self.array(function).to_pandas()
        return found

    def array(self, function: Callable[[str], str | None] | None = None) -> pa.Array:
        """As `texts`, for Arrow."""
        import pyarrow as pa

        made = [value if function is None else function(value) for value in self.values]
        # Large strings are what pandas holds: no conversion follows.
        return pa.array(made, pa.large_string()).take(pa.array(self.codes))


def joined(first: Coded, second: Coded, function: Callable[[str, str], str]) -> Coded:
    """Two columns as one, the function asked once for each pair of texts that comes up."""
    width = max(1, len(second.values))
    both = first.codes * width + second.codes
    if len(first.values) * width <= _COUNTED:
        # Counting is faster than sorting where there are few pairs.
        pairs = np.flatnonzero(np.bincount(both, minlength=1))
        place = np.zeros(len(first.values) * width + 1, dtype="int64")
        place[pairs] = np.arange(len(pairs))
        codes = place[both]
    else:
        pairs, codes = np.unique(both, return_inverse=True)
    values = [function(first.values[pair // width], second.values[pair % width]) for pair in pairs.tolist()]
    return Coded(codes.astype("int64", copy=False), values)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
