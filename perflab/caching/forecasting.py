"""`what_if_cache`: a recording replayed against caches that it did not have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from perflab.caching import cache_notes
from perflab.caching.access_sources import accesses_of
from perflab.caching.accesses import Accesses, Keys, checked_share
from perflab.caching.forecast import Forecast
from perflab.caching.latency_after import METRICS, after, verdict
from perflab.caching.replaying import BY_KEY, BY_TABLE, INVALIDATIONS, NONE, Replayed, replay
from perflab.caching.statement_accesses import STATEMENT
from perflab.data.tables import Measurements
from perflab.errors import one_of
from perflab.metrics import Metric, quantile
from perflab.notes import Note, Remedy
from perflab.results import count
from perflab.units import parse_duration, parse_size

HIT_MS = 1.0
REDIS_OVERHEAD = 190.0
"""Bytes that Redis 7 needs for a key beside its value, above 4 MB (`probe_redis` measures it)."""
_SMALL = 4_000_000
_SMALL_OFF = 6
"""Points: see bench/cache_redis_memory.csv."""
_CANDIDATES = 20

Spans = str | float | Sequence[str | float]


def what_if_cache(
    x: Any,
    *,
    keys: Keys = None,
    ttl: Spans = ("10s", "1m", "10m"),
    memory: Spans | None = None,
    hit_ms: float | Sequence[float] | None = None,
    miss_ms: float | None = None,
    invalidation: str = BY_KEY,
    entry_bytes: str | float | None = None,
    overhead_bytes: str | float | None = None,
    tolerance: str | float = 0.05,
    writes: pd.DataFrame | None = None,
    candidates: str | Sequence[str] | pd.DataFrame | None = None,
    dialect: str | None = None,
) -> Forecast:
    """What a cache would give: its hit ratio, memory, staleness, the load it takes off, and latencies after.

    The recorded accesses are replayed in their order: an entry is there once the access that made it has ended, so accesses
    that miss at the same time all miss; it leaves after its TTL, when a write drops it, or when memory is short (LRU).

    Parameters
    ----------
    x : Measurements, DataFrame or sequence
        A recording: queries, requests (with their addresses), spans, or a table with ``key`` and ``start``.
    keys : str, sequence of str, or callable
        What one entry answers: "statement" (a statement with its values), "url" (a request's address), "function" (a span
        with its values); or columns, or a function of the table that gives each row's key. Queries by statement, else
        requests by URL, if not given.
    ttl : str, float or sequence
        How long an entry lives ("30s"); several are replayed each.
    memory : str, float or sequence, optional
        What the values and keys of one candidate may take ("64MB"); unlimited if not given.
    hit_ms : float or sequence of float
        The latency of a hit, or many measured ones. 1 ms if not given, with a note.
    miss_ms : float
        What a miss takes longer than without a cache (the look-up and the store). For statements that of a hit, else none.
    invalidation : str
        What a recorded write drops: "key" (what it changed), "table" (everything of its table), or "none". The hit ratio of
        all three is in the table, as bounds.
    entry_bytes, overhead_bytes : str or float
        The size of an entry where the recording has none, and what a key costs beside its value.
    tolerance : str or float
        A percentile "stays" if the interval of its change lies within this.
    writes : DataFrame, optional
        Writes to a trace of keys: the same key columns, and ``start``.
    candidates : str, sequence of str, or DataFrame, optional
        Statements, endpoints or functions to replay (or what `find_duplicates` with ``across_units=True`` found); else the 20
        that take most time.
    dialect : str, optional
        Of the SQL.

    Returns
    -------
    Forecast
        ``.table``, the most worthwhile first. `perflab.caching.write_strategy` writes the plan down, and
        `perflab.caching.check_cache` compares it with what was measured once it is built.

    Raises
    ------
    ValueError
        No access with a known key, or an argument out of range.
    MissingTableError
        The recording does not have the addresses or the table that ``keys`` needs.

    Examples
    --------
    >>> import pandas as pd
    >>> start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta([0, 1, 2, 12], unit="s")
    >>> trace = pd.DataFrame({"key": ["a", "b", "a", "a"], "start": start, "duration_ms": 40.0})
    >>> lab.what_if_cache(trace, ttl=["5s", "15s"], hit_ms=1.0).table[["ttl_ms", "hit_fraction"]].values.tolist()
    [[15000.0, 0.5], [5000.0, 0.25]]
    """
    if invalidation not in INVALIDATIONS:
        raise one_of("invalidation", invalidation, INVALIDATIONS)
    accesses = accesses_of(x, keys, dialect=dialect, writes=writes)
    if not len(accesses):
        raise ValueError(
            f"x must hold reads with known keys; it holds {count(accesses.unknown, 'read')} without and no other"
        )
    given = None if entry_bytes is None else _size(entry_bytes, "entry_bytes")
    overhead = REDIS_OVERHEAD if overhead_bytes is None else _size(overhead_bytes, "overhead_bytes")
    sized = accesses.with_sizes(given, overhead)
    rooms = (
        [math.inf]
        if memory is None
        else [_positive(parse_size(m, parameter="memory"), "memory") for m in _several(memory, "memory")]
    )
    if memory is not None and np.isnan(sized.size_bytes).any():
        raise ValueError("memory= needs the size of every entry, which x does not have; give entry_bytes=")
    spans = [_positive(parse_duration(t, parameter="ttl"), "ttl") for t in _several(ttl, "ttl")]
    cost = HIT_MS if hit_ms is None else hit_ms
    measured = pd.to_numeric(pd.Series(np.atleast_1d(cost)), errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    if not len(measured) or not (np.isfinite(measured) & (measured >= 0)).all():
        raise ValueError(f"hit_ms must be a latency in ms, or many measured ones; got {hit_ms!r}")
    if miss_ms is not None and not miss_ms >= 0:
        raise ValueError(f"miss_ms must be a number of ms, not below zero; got {miss_ms!r}")
    typical = float(measured.mean())
    extra = (typical if accesses.kind == STATEMENT else 0.0) if miss_ms is None else float(miss_ms)
    requests = _requests_of(x, sized)
    limit = checked_share(tolerance, "tolerance")
    load = float(np.nansum(accesses.took_ms))
    rows = []
    for candidate in _chosen(sized, candidates):
        part = sized.of(candidate)
        for ttl_ms in spans:
            for room in rooms:
                bounds = {
                    how: replay(part, ttl_s=ttl_ms / 1e3, memory_bytes=room, invalidation=how)
                    for how in ((BY_TABLE, BY_KEY, NONE) if len(part.writes) else (NONE,))
                }
                row = _row(part, bounds, invalidation, load) | {"ttl_ms": ttl_ms, "memory_bytes": room}
                hit = bounds[invalidation if len(part.writes) else NONE].hit
                rows.append(
                    row
                    | _latencies(part, hit, cost, extra, requests, limit)
                    | {"candidate": sized.candidates[candidate]}
                )
    table = pd.DataFrame(rows)
    table["memory_bytes"] = table["memory_bytes"].replace(math.inf, math.nan)
    table = _ordered(table)
    notes = _notes(sized, table, hit_ms is None, typical, overhead_bytes is None, overhead)
    arguments = {"invalidation": invalidation, "hit_ms": typical, "overhead_bytes": overhead}
    return Forecast(table, tuple(notes), sized, arguments)


def _several(given: Spans, parameter: str) -> list[str | float]:
    if given is None:
        raise ValueError(f"{parameter} must be a value or several; got None")
    found = [given] if isinstance(given, (str, int, float)) else list(given)
    if not found:
        raise ValueError(f"{parameter} must hold at least one value; got none")
    return found


def _size(value: str | float, parameter: str) -> float:
    found = parse_size(value, parameter=parameter)
    if found < 0:
        raise ValueError(f"{parameter} must not be negative; got {value!r}")
    return found


def _positive(value: float, parameter: str) -> float:
    if not value > 0:
        raise ValueError(f"{parameter} must be above zero; got {value!r}")
    return value


def _chosen(accesses: Accesses, candidates: str | Sequence[str] | pd.DataFrame | None) -> list[int]:
    """The codes of the candidates: those named, or those that take most time (or have most accesses)."""
    names = list(accesses.candidates)
    if candidates is not None:
        if isinstance(candidates, pd.DataFrame) and "statement" not in candidates:
            raise ValueError("candidates must have a column statement, as what find_duplicates found has")
        named = candidates["statement"] if isinstance(candidates, pd.DataFrame) else candidates
        wanted = [named] if isinstance(named, str) else list(dict.fromkeys(named))
        if not wanted:
            raise ValueError("candidates must hold at least one; got none")
        for name in wanted:
            if name not in names:
                raise one_of("candidates", name, names[:30])
        return [names.index(name) for name in wanted]
    time = np.bincount(accesses.candidate, weights=np.nan_to_num(accesses.took_ms), minlength=len(names))
    often = np.bincount(accesses.candidate, minlength=len(names))
    distinct = pd.Series(accesses.key).groupby(accesses.candidate).nunique().reindex(range(len(names)), fill_value=0)
    again = np.flatnonzero(often > distinct.to_numpy())
    order = again[np.lexsort((-often[again], -time[again]))]
    return order[:_CANDIDATES].tolist() or [int(np.argmax(time))]


def _requests_of(x: Any, accesses: Accesses) -> pd.DataFrame | None:
    """The requests by id, where the statements' units of work are requests of the load."""
    if accesses.kind != STATEMENT or not isinstance(x, Measurements) or "requests" not in x.tables:
        return None
    requests = x.requests
    if "request" not in requests or not requests["request"].isin(set(accesses.owner.tolist())).any():
        return None
    return requests.dropna(subset="request").drop_duplicates("request", keep=False).set_index("request")


def _row(part: Accesses, bounds: Mapping[str, Replayed], invalidation: str, load: float) -> dict[str, Any]:
    found = bounds.get(invalidation, bounds[NONE])
    hits = found.hit
    ages = found.age_s[hits] * 1e3
    saved = float(np.nansum(part.took_ms[hits]))
    sized = not np.isnan(part.size_bytes).any()
    return {
        "accesses": len(part),
        "keys": part.keys,
        "first_fraction": part.keys / len(part),
        "hit_fraction": found.hit_fraction,
        "hit_low_fraction": min(bound.hit_fraction for bound in bounds.values()),
        "hit_high_fraction": max(bound.hit_fraction for bound in bounds.values()),
        "stale_fraction": float(found.stale.sum() / max(hits.sum(), 1)),
        "stale_high_fraction": float(bounds[NONE].stale.sum() / max(bounds[NONE].hit.sum(), 1)),
        "held_entries": found.most_entries,
        "held_bytes": found.most_bytes if sized else math.nan,
        "age_p95_ms": float(quantile(ages, [0.95])[0]) if len(ages) and part.timed else math.nan,
        "saved_ms": saved,
        "load_saved_fraction": saved / load if load else math.nan,
    }


def _latencies(
    part: Accesses,
    hit: np.ndarray[Any, np.dtype[np.bool_]],
    hit_ms: float | Sequence[float],
    miss_ms: float,
    requests: pd.DataFrame | None,
    tolerance: float,
) -> dict[str, Any]:
    latencies = after(part, hit, hit_ms, miss_ms, requests)
    found: dict[str, Any] = {"requests": len(latencies.before)}
    for metric in map(Metric.of, METRICS):
        before, then = latencies.of(metric)
        low, high = latencies.interval(metric)
        found |= {
            metric.column: before, f"{metric.name}_after_ms": then, f"{metric.name}_low_fraction": low,
            f"{metric.name}_high_fraction": high, f"{metric.name}_verdict": verdict(low, high, tolerance),
        }  # fmt: skip
    return found


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The candidate first that takes most load off; each by TTL and memory, the best first."""
    best = table.groupby("candidate")["saved_ms"].transform("max")
    hits = table["hit_fraction"] * table["accesses"]
    table = table.assign(_best=best, _hits=hits, _room=table["memory_bytes"].fillna(math.inf))
    by = ["_best", "candidate", "saved_ms", "_hits", "ttl_ms", "_room"]
    table = table.sort_values(by, ascending=[False, True, False, False, True, True], kind="stable")
    front = ["candidate", "ttl_ms", "memory_bytes"]
    rest = [c for c in table.columns if not c.startswith("_") and c not in front]
    return table[[*front, *rest]].reset_index(drop=True)


def _notes(
    accesses: Accesses, table: pd.DataFrame, assumed: bool, hit_ms: float, overhead_assumed: bool, overhead: float
) -> list[Note]:
    notes = []
    top = table.iloc[0]
    if assumed:
        notes.append(cache_notes.HIT_ASSUMED(Remedy("what_if_cache", {"hit_ms": hit_ms}), hit_ms=hit_ms))
    if accesses.unknown:
        notes.append(cache_notes.LEFT_OUT(accesses=accesses.unknown))
    if accesses.timed:
        cold = accesses.keys / len(accesses)
        notes.append(cache_notes.COLD(first_fraction=cold, lasts_ms=accesses.lasts_s * 1e3))
    if len(accesses.writes):
        notes.append(
            cache_notes.WRITES_SEEN(
                writes=len(accesses.writes), low_fraction=top["hit_low_fraction"], high_fraction=top["hit_high_fraction"],
                stale_fraction=top["stale_high_fraction"],
            )
        )  # fmt: skip
    elif accesses.timed:
        notes.append(cache_notes.NO_WRITES())
    if np.isnan(accesses.size_bytes).any():
        notes.append(cache_notes.SIZES_UNKNOWN(Remedy("what_if_cache", {"entry_bytes": "2kB"})))
    elif overhead_assumed:
        notes.append(cache_notes.OVERHEAD_ASSUMED(Remedy("probe_redis"), overhead_bytes=overhead))
    rooms = table["memory_bytes"].dropna()
    if len(rooms) and rooms.min() < _SMALL:
        notes.append(cache_notes.SMALL_MEMORY(off_points=_SMALL_OFF))
    if len(rooms) and (accesses.size_bytes > rooms.min()).any():
        notes.append(cache_notes.OVERSIZED(accesses=int((accesses.size_bytes > rooms.min()).sum())))
    untimed = np.isnan(accesses.took_ms).all()
    if untimed:
        notes.append(cache_notes.NO_LATENCIES())
    few = (
        []
        if untimed
        else [m for m in map(Metric.of, METRICS) if m.share is not None and top["requests"] < m.rows_floor]
    )
    if few:
        notes.append(
            cache_notes.FEW_BLOCKS(
                requests=int(top["requests"]),
                candidate=str(top["candidate"]),
                metric=few[0].name,
                needed=few[0].rows_floor,
            )
        )
    return [*notes, cache_notes.NOT_MODELLED()]
