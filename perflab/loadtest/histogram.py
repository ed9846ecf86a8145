"""The distribution of many millions of values in constant memory: counts on a logarithmic scale.

Used to judge a run (quantiles are accurate to one per cent); what is reported is computed from the raw records.
The idea is HdrHistogram's (Gil Tene, 2012).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

_LOWEST, _STEP = 1e-3, math.log(1.01)
_BINS = int(math.log(1e10) / _STEP) + 2
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Histogram:
    """Counts, sums and the maximum of non-negative values; everything below 0.001 is one bin."""

    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, dtype="int64")
        self.sums = np.zeros(_BINS)
        self.count, self.largest = 0, 0.0

    def add(self, values: Floats) -> None:
        """Count the finite values; a negative one counts as 0."""
        kept = np.maximum(values[np.isfinite(values)], 0.0)
        if not len(kept):
            return
        place = np.log(np.maximum(kept, _LOWEST) / _LOWEST) / _STEP + 1
        bins = np.clip(place.astype("int64"), 0, _BINS - 1)
        bins[kept < _LOWEST] = 0
        self.counts += np.bincount(bins, minlength=_BINS)
        self.sums += np.bincount(bins, weights=kept, minlength=_BINS)
        self.count += len(kept)
        self.largest = max(self.largest, float(kept.max()))

    def copy(self) -> Histogram:
        """The same counts, which no longer change."""
        return self._with(self.counts.copy(), self.sums.copy())

    def since(self, before: Histogram) -> Histogram:
        """What was counted after an earlier copy."""
        return self._with(self.counts - before.counts, self.sums - before.sums)

    def _with(self, counts: Any, sums: Floats) -> Histogram:
        found = Histogram()
        found.counts, found.sums, found.count, found.largest = counts, sums, int(counts.sum()), self.largest
        return found

    def quantile(self, share: float) -> float:
        """The quantile to one per cent; NaN without values."""
        if not self.count:
            return math.nan
        index = int(np.searchsorted(np.cumsum(self.counts), share * self.count, side="left"))
        index = min(index, int(np.flatnonzero(self.counts)[-1]))
        return float(self.sums[index] / self.counts[index]) if self.counts[index] else 0.0

    def above(self, limit: float, of: Callable[[Floats], Floats]) -> float:
        """The sum of a (nearly linear) function over all values above a limit."""
        some = np.flatnonzero(self.counts)
        means = self.sums[some] / self.counts[some]
        chosen = means > limit
        return float((of(means[chosen]) * self.counts[some][chosen]).sum())
