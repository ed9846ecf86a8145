"""`miss_ratio_curve`: the miss ratio of an LRU cache of every size, from one pass over a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from perflab.caching import cache_notes
from perflab.caching.access_sources import keys_of
from perflab.caching.accesses import Floats, Ints, Keys, checked_share
from perflab.caching.stack_distances import stack_distances
from perflab.errors import one_of
from perflab.notes import PYTHON, Note, Remedy, written
from perflab.results import Result, Shown, count
from perflab.units import format_bytes, format_fraction, format_number, parse_fraction, parse_size

WEIGHTS = ("bytes", "keys")
EXACT_TO = 10_000_000
_LARGE_SAMPLE = 0.1
_POINTS = 200
_HOT = 0.0005
"""Keys with more than this share of the accesses are in every sample."""
_GROUPS = 10
"""Disjoint parts of the sampled keys, whose differences give the sampling error."""
_FEWEST = 10
"""Sampled keys: from fewer the curve is a guess."""
_SHOWN = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)

Curve = tuple[Floats, Floats]
Sampled = tuple[Floats, Floats, list[Curve], float]


@dataclass(frozen=True, repr=False)
class MissRatioCurve(Result):
    """The miss ratio by size of the cache.

    Attributes
    ----------
    table : size_bytes (or keys), miss_fraction, low_fraction, high_fraction (95 %; of sampled keys only), and
        share_fraction: the size as a share of all that was accessed.
    weight : "bytes" or "keys".
    working_set : the size that holds everything: from there on only first accesses miss.
    accesses, keys : how many there were.
    sample : the share of the keys that it was computed from.
    """

    table: pd.DataFrame
    weight: str
    working_set: float
    accesses: int
    keys: int
    sample: float
    warnings: tuple[Note, ...] = ()
    _distance: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    _miss: Floats = field(default_factory=lambda: np.zeros(0), repr=False)

    def miss_ratio(self, size: str | float) -> float:
        """The miss ratio of a cache of this size ("64MB", or a number of keys)."""
        if self.weight == "bytes":
            limit = parse_size(size)
        elif isinstance(size, str) and not size.strip().isdecimal():
            raise ValueError(f"size must be a number of keys, because this curve counts keys; got {size!r}")
        else:
            limit = float(size)
        if not limit >= 0:
            raise ValueError(f"size must not be negative; got {size!r}")
        place = int(np.searchsorted(self._distance, limit, side="right"))
        return float(self._miss[place])

    def size_for(self, hit_ratio: str | float) -> float:
        """The smallest cache with this hit ratio; infinite where first accesses make it unreachable."""
        wanted = 1 - checked_share(hit_ratio, "hit_ratio")
        place = int(np.argmax(self._miss <= wanted + 1e-12)) if (self._miss <= wanted + 1e-12).any() else -1
        return math.inf if place < 0 else (0.0 if place == 0 else float(self._distance[place - 1]))

    @property
    def sentence(self) -> str:
        best = 1 - float(self._miss[-1])
        half = self.size_for(best / 2)
        size = (
            format_bytes
            if self.weight == "bytes"
            else lambda v: "1 key" if v == 1 else f"{format_number(float(f'{v:.3g}'))} keys"
        )
        if not best:
            return f"none of {self.accesses:,} accesses repeats a key: no cache would help"
        return (
            f"an LRU cache answers at most {format_fraction(best)} of {self.accesses:,} accesses to {count(self.keys, 'key')}, "
            f"with {size(self.working_set)}, and half of that with {size(half)}"
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The curve at a few sizes."""
        share = self.table["share_fraction"].to_numpy()
        places = sorted({int(np.argmin(np.abs(share - wanted))) for wanted in _SHOWN})
        columns = [c for c in self.table.columns if not c.startswith(("low", "high")) or self.sample < 1]
        return Shown(self.sentence, self.table.iloc[places][columns], written(self.warnings, surface), ours=True)


def miss_ratio_curve(
    x: Any,
    weight: str = "",
    *,
    keys: Keys = None,
    sample: str | float | None = None,
    entry_bytes: str | float | None = None,
    overhead_bytes: float = 0.0,
    seed: int = 0,
) -> MissRatioCurve:
    """How many accesses an LRU cache of any size would miss, from a recording.

    Parameters
    ----------
    x : Measurements, DataFrame or sequence
        Queries, requests, an access log, a table with a column ``key`` (and ``size_bytes``), or keys in their order.
    weight : str
        "bytes": the size of the cache in bytes; "keys": in entries. Bytes where sizes are known, if not given.
    keys : str, sequence of str, or callable
        What one entry answers: as in `what_if_cache`.
    sample : str or float, optional
        The share of the keys to compute from (SHARDS). Everything, if not given, up to 10 million accesses; 10 % above.
    entry_bytes : str or float, optional
        The size of an entry where the recording has none.
    overhead_bytes : float
        What a key costs beside its value: `perflab.loadtest.probe_redis` measures it.
    seed : int
        Chooses which keys are sampled.

    Returns
    -------
    MissRatioCurve
        ``.table``, ``.miss_ratio("64MB")``, ``.size_for(0.9)``; `plot_miss_ratio` draws it.

    Raises
    ------
    ValueError
        No access with a known key, an unknown weight, or bytes without sizes.

    Examples
    --------
    >>> curve = lab.miss_ratio_curve(["a", "b", "a", "c", "a", "b"])
    >>> curve.miss_ratio(3), curve.size_for(0.5)
    (0.5, 3.0)
    """
    if weight and weight not in WEIGHTS:
        raise one_of("weight", weight, WEIGHTS)
    key, sizes, unknown = keys_of(x, keys)
    if not math.isfinite(overhead_bytes) or overhead_bytes < 0:
        raise ValueError(f"overhead_bytes must be a number of bytes, not negative; got {overhead_bytes!r}")
    if not len(key):
        raise ValueError(f"x must hold accesses with known keys; {unknown:,} are without one")
    given = None if entry_bytes is None else parse_size(entry_bytes, parameter="entry_bytes")
    missing = np.isnan(sizes)
    known = given is not None or not missing.all()
    if weight == "bytes" and not known:
        raise ValueError('weight="bytes" needs sizes, which x has not; give entry_bytes= or weight="keys"')
    weight = weight or ("bytes" if known else "keys")
    if weight == "keys":
        sizes = np.ones(len(key))
    elif missing.any():
        # The one given, else the mean of those that are known.
        sizes = np.where(missing, np.nanmean(sizes) if given is None else given, sizes)
    if weight == "bytes" and overhead_bytes:
        sizes = sizes + overhead_bytes
    total, distinct = len(key), int(key.max()) + 1
    share = _share(sample, total)
    found = _curve(key, sizes, share, seed)
    distance, miss, *_ = found
    table, working_set = _table(*found, weight)
    notes = [cache_notes.LEFT_OUT(accesses=unknown)] if unknown else []
    if share < 1:
        error = float((table["high_fraction"] - table["low_fraction"]).mean()) / (2 * 1.96)
        notes.append(cache_notes.SAMPLED(sampled_fraction=share, error_points=round(100 * error, 2)))
    if weight == "bytes" and not overhead_bytes:
        notes.append(cache_notes.NO_OVERHEAD(Remedy("miss_ratio_curve", {"overhead_bytes": 190})))
    return MissRatioCurve(table, weight, working_set, total, distinct, share, tuple(notes), distance, miss)


def _share(sample: str | float | None, accesses: int) -> float:
    share = (
        (1.0 if accesses <= EXACT_TO else _LARGE_SAMPLE)
        if sample is None
        else parse_fraction(sample, parameter="sample")
    )
    if not 0 < share <= 1:
        raise ValueError(f"sample must be a share above 0 and up to 1; got {sample!r}")
    return share


def _curve(key: Ints, sizes: Floats, share: float, seed: int) -> Sampled:
    """Sizes, and the miss ratio from each on (one more: below the first); of a sample, the same of its disjoint parts, and what
    one of its keys counts for.

    From a sample of the keys by their hashes (SHARDS). The few keys that have most of the accesses are always in it: without
    them the curve would depend on which of them were drawn.
    """
    total = len(key)
    if share == 1.0:
        distance, miss = _steps(stack_distances(key, sizes), np.ones(total), total)
        return distance, miss, [], 0.0
    hot_keys = np.bincount(key) > total * _HOT
    drawn = hot_keys | (hashed(np.arange(len(hot_keys)), seed) < share)
    cold, kept = int((~hot_keys).sum()), int((drawn & ~hot_keys).sum())
    if cold <= _FEWEST:
        drawn[:] = True
    elif kept < _FEWEST:
        raise ValueError(
            f"sample must keep {_FEWEST} keys or more; {share:g} of {cold:,} keeps {kept}. Leave it out, or use "
            f"sample={min(1.0, 10 * _FEWEST / cold):.2g}"
        )
    footprint = np.zeros(len(hot_keys))
    footprint[key] = sizes
    # The footprint of all keys is known, so that of the sample is scaled to it exactly.
    scale = float(footprint[~hot_keys].sum()) / (float(footprint[drawn & ~hot_keys].sum()) or 1.0)
    chosen = drawn[key]
    part = key[chosen]
    hot = hot_keys[part]
    others = total - int(np.count_nonzero(hot))
    stands_for = np.where(hot, 1.0, others / max(len(part) - int(np.count_nonzero(hot)), 1))
    codes = pd.factorize(part)[0].astype("int64")
    scaled = sizes[chosen] * np.where(hot, 1.0, scale)
    found = stack_distances(codes, scaled) - scaled + sizes[chosen]
    distance, miss = _steps(found, stands_for, total)
    # Disjoint parts of the sample: how much the curve depends on which keys are in it.
    group = (hashed(part, seed + 1) * _GROUPS).astype("int64")
    parts = [
        _steps(found[mine], np.where(hot, 1.0, others / max(int(np.count_nonzero(mine & ~hot)), 1))[mine], total)
        for mine in (hot | (group == g) for g in range(_GROUPS))
    ]
    grain = float(scaled[~hot].mean()) if (~hot).any() else 0.0
    return distance, miss, parts, grain


def _steps(distance: Floats, stands_for: Floats, total: float) -> tuple[Floats, Floats]:
    """The different finite distances in order, and the miss ratio from each on.

    Each access stands for a number of accesses, ``total`` in all.
    """
    finite = np.isfinite(distance)
    order = np.argsort(distance[finite], kind="stable")
    ordered = distance[finite][order]
    last = np.concatenate([ordered[1:] != ordered[:-1], [True]]) if len(ordered) else np.zeros(0, dtype=bool)
    hits = np.cumsum(stands_for[finite][order])[last] + (total - stands_for.sum())
    return ordered[last], 1 - np.concatenate([[0.0], np.clip(hits, 0.0, total)]) / total


def hashed(key: Ints, seed: int) -> Floats:
    """A uniform number for each key: splitmix64."""
    with np.errstate(over="ignore"):
        z = key.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(2 * seed + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype("float64") / 2**53


def _table(distance: Floats, miss: Floats, parts: list[Curve], grain: float, weight: str) -> tuple[pd.DataFrame, float]:
    """The curve at up to 200 sizes, evenly spaced in its logarithm."""
    working_set = float(distance[-1]) if len(distance) else 0.0
    if len(distance):
        wanted = np.geomspace(max(float(distance[0]), working_set / 1e4, 1e-9), max(working_set, 1e-9), _POINTS)
        places = np.unique(
            np.concatenate([np.searchsorted(distance, wanted * (1 + 1e-12), side="right"), [len(distance)]])
        )
        places = places[places > 0]
        sizes = distance[places - 1]
    else:
        places, sizes = np.array([0]), np.array([1.0])
    each = [m[np.searchsorted(d, sizes, side="right")] for d, m in parts]
    error = np.zeros(len(sizes))
    if parts:
        # A size that holds n of the sampled keys is known to about the root of n of them.
        off = grain * np.sqrt(np.maximum(sizes / grain, 1.0)) if grain else 0.0
        below, above = (miss[np.searchsorted(distance, sizes + by, side="right")] for by in (-off, off))
        error = np.hypot(np.std(each, axis=0, ddof=1) / math.sqrt(len(parts)), (below - above) / 2)
    table = pd.DataFrame(
        {
            ("size_bytes" if weight == "bytes" else "keys"): sizes,
            "share_fraction": sizes / working_set if working_set else 0.0,
            "miss_fraction": miss[places],
            "low_fraction": np.clip(miss[places] - 1.96 * error, 0, 1),
            "high_fraction": np.clip(miss[places] + 1.96 * error, 0, 1),
        }
    )
    return table, working_set
