"""The latencies of several runs together: quantiles and counts, in memory or of a lazily opened store in bounded memory.

The exact quantile of more values than fit in memory takes two passes: one counts them in bins (by the first bits of the
number, 256 to a factor of two), the next collects those of the bins that the ranks fall into.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from perflab.data.kept_statistics import Arrays
from perflab.data.tables import AGGREGATED
from perflab.metrics import Floats
from perflab.reductions import between_ranks, quantile, ranks_of
from perflab.stats.coded_requests import Codes, Piece, Requests, Streamed

_BITS = 44
"""Bits of a float's 64 that a bin leaves out."""


class Pooled:
    """The latencies of some runs to an endpoint, after the warm-up, in memory."""

    def __init__(self, side: Requests, runs: Sequence[str], endpoint: str, cut: float) -> None:
        chosen = np.isin(np.array(side.runs, dtype=object), list(runs))
        self.values = side.latency[_kept(side, endpoint, cut) & chosen[side.run]]
        self.count = len(self.values)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Quantiles of type 8."""
        found: list[float] = quantile(self.values, shares).tolist()
        return found

    def apart(self, shares: tuple[float, float], factor: float) -> bool:
        """Whether two quantiles may differ by a factor (False is certain)."""
        return True

    def inside(self, low: float, high: float, *, ends: bool) -> int:
        """How many lie between two values, with those or without."""
        return _inside(self.values, low, high, ends)

    def above(self, limit: float) -> float:
        """The share above a limit."""
        return float((self.values > limit).mean())

    def ceiling(self, share: float) -> float:
        """The largest value, if this quantile is that value; NaN otherwise."""
        return _ceiling(self.values, (1 - share) * self.count)


class PooledRuns:
    """The same of runs that are read one at a time."""

    def __init__(self, side: Streamed, runs: Sequence[str], endpoint: str, cut: float) -> None:
        self._side, self._runs, self._what = side, set(runs), (endpoint, float(cut))
        pieces = self._each("bins")
        bins, place = np.unique(np.concatenate([p.found["bin"] for p in pieces]), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate([p.found["count"] for p in pieces]), minlength=len(bins))
        self._bins, self._ends = bins.astype("int64"), np.cumsum(counts).astype("int64")
        self.count = int(self._ends[-1]) if len(self._ends) else 0

    def _each(self, what: str, *arguments: float) -> list[Piece]:
        compute = _COMPUTE[what]
        pieces = self._side.each(compute, *self._what, *arguments, keep=what == "bins")
        return [p for p in pieces if self._side.runs[int(p.run[0])] in self._runs]

    def _bins_of(self, ranks: Codes) -> Codes:
        return self._bins[np.searchsorted(self._ends, ranks, side="right")]

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Quantiles of type 8."""
        below, above, part = ranks_of(self.count, shares)
        picked = {rank: self._value(rank) for rank in np.unique(np.concatenate([below, above])).tolist()}
        low, high = (np.array([picked[rank] for rank in ranks.tolist()]) for ranks in (below, above))
        found: list[float] = between_ranks(low, high, part).tolist()
        return found

    def _value(self, rank: int) -> float:
        place = int(np.searchsorted(self._ends, rank, side="right"))
        values = self._inside_bin(int(self._bins[place]))
        return float(values[rank - (int(self._ends[place - 1]) if place else 0)])

    def _inside_bin(self, code: int) -> Floats:
        if code not in self._held:
            self._held[code] = np.sort(np.concatenate([p.found["values"] for p in self._each("values", code)]))
        return self._held[code]

    @cached_property
    def _held(self) -> dict[int, Floats]:
        return {}

    def apart(self, shares: tuple[float, float], factor: float) -> bool:
        """Whether two quantiles may differ by a factor (False is certain)."""
        below, above, _ = ranks_of(self.count, shares)
        first, last = self._bins_of(below)[0], self._bins_of(above)[1]
        low, high = np.array([first << _BITS, (last + 1) << _BITS], dtype="int64").view("float64").tolist()
        return bool(low * factor < high)

    def inside(self, low: float, high: float, *, ends: bool) -> int:
        """How many lie between two values, with those or without."""
        return int(sum(p.found["inside"][0] for p in self._each("inside", low, high, ends)))

    def above(self, limit: float) -> float:
        """The share above a limit."""
        return self.inside(limit, float("inf"), ends=False) / self.count

    def ceiling(self, share: float) -> float:
        """The largest value, if this quantile is that value; NaN otherwise."""
        least = (1 - share) * self.count
        last = np.diff(self._ends, prepend=0)[-1:]
        return _ceiling(self._inside_bin(int(self._bins[-1])), least) if (last >= least).any() else math.nan


def pooled(side: Requests | Streamed, runs: Sequence[str], endpoint: str, cut: float) -> Pooled | PooledRuns:
    """The latencies of some runs to an endpoint, after the warm-up."""
    return (PooledRuns if isinstance(side, Streamed) else Pooled)(side, runs, endpoint, cut)  # type: ignore[arg-type]


def _latencies(side: Requests, endpoint: str, cut: float) -> Floats:
    return side.latency[_kept(side, endpoint, cut)]


def _kept(side: Requests, endpoint: str, cut: float) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = side.age >= cut
    if endpoint != AGGREGATED:
        kept &= side.endpoint == (side.endpoints.index(endpoint) if endpoint in side.endpoints else -1)
    return kept


def _ceiling(values: Floats, least: float) -> float:
    top = float(values.max(initial=-math.inf))
    return top if math.isfinite(top) and int((values == top).sum()) >= least else math.nan


def _inside(values: Floats, low: float, high: float, ends: bool) -> int:
    return int(((values >= low) & (values <= high) if ends else (values > low) & (values < high)).sum())


def bins_of(side: Requests, endpoint: str, cut: float) -> Arrays:
    """The binned distribution of latencies: bins that are not empty, and their counts."""
    bins, counts = np.unique(np.abs(_latencies(side, endpoint, cut)).view("int64") >> _BITS, return_counts=True)
    return {"bin": bins, "count": counts}


def values_of(side: Requests, endpoint: str, cut: float, code: float) -> Arrays:
    """The latencies of a bin."""
    values = _latencies(side, endpoint, cut)
    return {"values": values[np.abs(values).view("int64") >> _BITS == code]}


def inside_of(side: Requests, endpoint: str, cut: float, low: float, high: float, ends: bool) -> Arrays:
    """How many latencies lie between two values."""
    return {"inside": np.array([_inside(_latencies(side, endpoint, cut), low, high, ends)])}


_COMPUTE: Mapping[str, Callable[..., Arrays]] = {"bins": bins_of, "values": values_of, "inside": inside_of}
