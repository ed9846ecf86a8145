"""`cache_hits`: the hit ratio that a cache has really had, from response headers or Redis' counters; checked by `check_cache`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from perflab.caching import cache_headers, cache_notes
from perflab.caching.accesses import checked_share, truth
from perflab.caching.forecast import Forecast
from perflab.data.run_blocks import blocks_of
from perflab.data.selection import without_recorded
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import MissingTableError
from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, written
from perflab.results import Findings, Result, Shown, count, findings
from perflab.stats.intervals import BATCHES, share
from perflab.units import format_fraction

HIT_RATIO = Metric.of("hit_fraction")
HOLDS, DIFFERS = "holds", "differs"
_WITHIN = 0.02
Infos = tuple[Mapping[str, Any], Mapping[str, Any]]


def cache_hits(x: Measurements | pd.DataFrame | Infos | Sequence[Infos]) -> Findings:
    """The measured hit ratio of each run and endpoint, with its 95 % interval.

    Parameters
    ----------
    x : Measurements, DataFrame, or INFO before and after
        Runs whose responses have ``Cache-Status``, ``X-Cache`` or ``CF-Cache-Status`` headers (perflab records the outcome as
        the column ``cached``); exchanges or requests with a column ``headers``; or ``(before, after)``, Redis' INFO as a mapping
        around a run (several pairs for several runs).

    Returns
    -------
    DataFrame
        run, endpoint, hits, misses, hit_fraction, low_fraction, high_fraction; and "Aggregated" over all runs.

    Raises
    ------
    MissingTableError
        No response says whether it was a hit.

    Examples
    --------
    >>> before, after = {"keyspace_hits": "10", "keyspace_misses": "90"}, {"keyspace_hits": "40", "keyspace_misses": "150"}
    >>> lab.caching.cache_hits((before, after))["hit_fraction"].round(3).tolist()
    [0.333, 0.333]
    """
    if isinstance(x, (Measurements, pd.DataFrame)):
        rows, batches = _of_requests(x)
    else:
        pairs = [x] if isinstance(x[0], Mapping) else list(x)
        rows, batches = _of_info(pairs)  # type: ignore[arg-type]
    runs = len({row["run"] for row in rows})
    table = pd.DataFrame([*rows, _all(rows, batches)])
    whole = table.iloc[-1]
    sentence = (
        f"{format_fraction(whole['hit_fraction'])} of {count(int(whole['hits'] + whole['misses']), 'look-up')} were hits (95 % "
        f"interval {_interval(whole['low_fraction'], whole['high_fraction'])}), over {count(runs, 'run')}"
    )
    few = [] if batches is not None or runs > 1 else [cache_notes.FEW_RUNS(runs=runs)]
    return findings(table, sentence, few if batches is not None else [*few, cache_notes.SERVER_WIDE()])


@dataclass(frozen=True, repr=False)
class CacheCheck(Result):
    """A prediction beside what was measured.

    Attributes
    ----------
    verdict : "holds" where the prediction lies within 2 points of the measured hit ratio, or within its interval; "differs".
    predicted, measured, low, high : hit ratios.
    """

    predicted: float
    measured: float
    low: float
    high: float
    warnings: tuple[Note, ...] = ()

    @property
    def verdict(self) -> str:
        near = abs(self.predicted - self.measured) <= _WITHIN
        return HOLDS if near or self.low <= self.predicted <= self.high else DIFFERS

    @property
    def sentence(self) -> str:
        return (
            f"the prediction {self.verdict}: {HIT_RATIO.format(self.predicted)} predicted, "
            f"{HIT_RATIO.format(self.measured)} measured "
            f"(95 % interval {_interval(self.low, self.high)})"
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row."""
        return pd.DataFrame(
            {
                "predicted_fraction": [self.predicted], "measured_fraction": [self.measured], "low_fraction": [self.low],
                "high_fraction": [self.high], "verdict": [self.verdict],
            }
        )  # fmt: skip

    def show(self, surface: str = PYTHON) -> Shown:
        return Shown(self.sentence, self.table, written(self.warnings, surface), ours=True)


def check_cache(
    forecast: Forecast | str | float, measured: Any, *, candidate: str | None = None, ttl: str | float | None = None
) -> CacheCheck:
    """Whether a cache that was built has the hit ratio that was predicted.

    Parameters
    ----------
    forecast : Forecast, str or float
        From `what_if_cache`, or a predicted hit ratio (0.45 or "45%").
    measured : what `cache_hits` takes, or its result
    candidate : str
        The predicted candidate, which is also the endpoint measured where the measurements have it.
    ttl : str or float
        The TTL ("5s", or seconds), where several were predicted.

    Returns
    -------
    CacheCheck
        ``.verdict`` is "holds" or "differs".

    Examples
    --------
    >>> before, after = {"keyspace_hits": 0, "keyspace_misses": 0}, {"keyspace_hits": 33, "keyspace_misses": 67}
    >>> lab.caching.check_cache(0.34, (before, after)).verdict
    'holds'
    """
    row = forecast.find(candidate, ttl=ttl) if isinstance(forecast, Forecast) else None
    predicted = checked_share(forecast, "forecast") if row is None else float(row["hit_fraction"])  # type: ignore[arg-type]
    hits = measured if isinstance(measured, Findings) else cache_hits(measured)
    name = str(row["candidate"]) if row is not None else candidate
    chosen = hits[hits["endpoint"] == name] if name in set(hits["endpoint"]) else hits[hits["run"] == AGGREGATED]
    events = chosen["hits"].to_numpy(dtype="float64")
    middle, low, high = share(events, events + chosen["misses"].to_numpy(dtype="float64"))
    if len(chosen) == 1:
        middle, low, high = (float(chosen.iloc[0][c]) for c in ("hit_fraction", "low_fraction", "high_fraction"))
    found = CacheCheck(predicted, middle, low, high, hits.warnings)
    if found.verdict == HOLDS:
        return found
    note = cache_notes.DIFFERS(off_points=round(100 * abs(predicted - middle), 1))
    return CacheCheck(predicted, middle, low, high, (note, *hits.warnings))


def _interval(low: float, high: float) -> str:
    return f"{HIT_RATIO.format(low)} to {HIT_RATIO.format(high)}"


def _of_requests(x: Measurements | pd.DataFrame) -> tuple[list[dict[str, Any]], Any]:
    tables = (one.requests for one in without_recorded(x).pieces()) if isinstance(x, Measurements) else (x,)
    rows, batches = [], []
    for run, outcomes in (own for table in tables for own in _by_run(_known(table))):
        for endpoint, part in outcomes.groupby("endpoint", observed=True, sort=False):
            hits = part["cached"].to_numpy(dtype="float64")
            rows.append({"run": run, "endpoint": str(endpoint), **_share(*_stretches(hits))})
        batches.append(np.column_stack(_stretches(outcomes["cached"].to_numpy(dtype="float64"))))
    if not rows:
        raise MissingTableError(cache_notes.NO_OUTCOMES())
    return rows, np.concatenate(batches)


def _known(requests: pd.DataFrame) -> pd.DataFrame:
    """run, endpoint, cached and start of the responses that say whether they were hits."""
    if "cached" not in requests and "headers" in requests:
        requests = requests.assign(cached=[_outcome(headers) for headers in requests["headers"]])
    if "cached" in requests:
        requests = requests.assign(cached=_booleans(requests["cached"]))
    if "cached" not in requests:
        return pd.DataFrame(columns=["run", "endpoint", "cached"])
    known = requests[requests["cached"].notna()]
    if "run" not in known:
        known = known.assign(run="run")
    if "endpoint" not in known:
        known = known.assign(endpoint=AGGREGATED)
    known = known.assign(cached=known["cached"].astype(bool))
    return known[["run", "endpoint", "cached", *(c for c in ("start",) if c in known)]]


def _by_run(known: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The responses of each run in the order of time."""
    blocks = blocks_of(known["run"])
    for run, rows in zip(blocks.names, blocks, strict=True):
        own = known.iloc[rows]
        yield str(run), own.sort_values("start", kind="stable") if "start" in own else own


def _stretches(hits: Any) -> tuple[Any, Any]:
    """Hits and look-ups of 20 stretches of a run: those close in time are alike."""
    parts = np.array_split(hits, min(BATCHES, max(len(hits), 1)))
    return np.array([p.sum() for p in parts]), np.array([len(p) for p in parts], dtype="float64")


def _share(events: Any, counts: Any) -> dict[str, Any]:
    middle, low, high = share(events, counts)
    return {
        "hits": int(events.sum()), "misses": int((counts - events).sum()), "hit_fraction": middle, "low_fraction": low,
        "high_fraction": high,
    }  # fmt: skip


def _all(rows: list[dict[str, Any]], batches: Any) -> dict[str, Any]:
    """All runs together: clusters are runs where there are four or more, else stretches of them."""
    by_run = pd.DataFrame(rows).groupby("run")[["hits", "misses"]].sum().to_numpy(dtype="float64")
    whole = {"run": AGGREGATED, "endpoint": AGGREGATED}
    if batches is not None and len(by_run) < 4:
        return {**whole, **_share(batches[:, 0], batches[:, 1])}
    return {**whole, **_share(by_run[:, 0], by_run.sum(axis=1))}


def _of_info(pairs: Iterable[Infos]) -> tuple[list[dict[str, Any]], None]:
    rows = []
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2 or not all(isinstance(info, Mapping) for info in pair):
            raise ValueError(
                "INFO must be a mapping from before the run and one from after, as a client's info() gives them"
            )
        before, after = pair
        hits, misses = (_counted(before, after, name) for name in ("keyspace_hits", "keyspace_misses"))
        if hits < 0 or misses < 0:
            raise ValueError(
                f"INFO of pair {number} counts fewer hits or misses after than before: the server was restarted or reset"
            )
        if not hits + misses:
            raise ValueError(f"INFO of pair {number} counts no look-up in between")
        row = _share(np.array([float(hits)]), np.array([float(hits + misses)]))
        rows.append({"run": f"run {number}", "endpoint": AGGREGATED, **row})
    return rows, None


def _counted(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> int:
    if name not in before or name not in after:
        raise ValueError(f"INFO must hold {name} (its section stats)")
    return int(after[name]) - int(before[name])


def _booleans(cached: pd.Series[Any]) -> pd.Series[Any]:
    """Outcomes as booleans; texts as a header or a file may have them ("HIT", "false"), missing where they say neither."""
    if pd.api.types.is_bool_dtype(cached.dtype):
        return cached
    outcomes = {value: _truth(value) for value in cached.dropna().unique()}
    return cached.map(outcomes).astype("boolean")


def _truth(value: object) -> bool | None:
    word = truth(value)
    if word is not None:
        return word
    found = cache_headers.of_value("X-Cache", str(value))
    return None if found == cache_headers.UNKNOWN else found == cache_headers.HIT


def _outcome(headers: Any) -> bool | None:
    """Hit or miss by a mapping of headers, or a list of (name, value)."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    lowered = {str(name).lower(): value for name, value in pairs}
    found = cache_headers.outcome(lambda name: lowered.get(name.lower()))
    return None if found == cache_headers.UNKNOWN else found == cache_headers.HIT
