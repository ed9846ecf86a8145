"""Coordinated omission: the requests that a generator did not send while it waited, and what that hides.

A user that should send every second but waits five for a response leaves four requests unsent that would have taken
4, 3, 2 and 1 s. Tene (2013), How not to measure latency; HdrHistogram's correction for an expected interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from perflab.data.kept_statistics import Arrays, computed
from perflab.data.stored import StoredRun, StoredTables
from perflab.data.tables import Measurements
from perflab.metrics import Floats
from perflab.notes import Note, Remedy
from perflab.stats import circumstances
from perflab.stats.coded_requests import Requests, Streamed

SHARE_OF_TAIL = 0.5
"""Unsent requests matter to a quantile from half of the share above it."""


def unsent(latency: Floats, interval: float | Floats) -> Floats:
    """How many requests came due while each one was in flight."""
    found: Floats = np.maximum(np.floor(latency / interval + 1e-9) - 1, 0).astype("float64")
    return found


def back_filled(requests: Requests, interval: float) -> Requests:
    """The requests with the unsent ones filled in at the latency they would have had (v - I, v - 2I, ...)."""
    missing = unsent(requests.latency, interval).astype("int64")
    rows = np.repeat(np.arange(len(missing)), missing)
    if not len(rows):
        return requests
    step = np.arange(len(rows)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    added = requests.take(np.concatenate([np.arange(len(missing)), rows]))
    latency = added.latency.copy()
    latency[len(missing) :] -= step * interval
    return replace(added, latency=latency)


def exposure(requests: Requests | Streamed, interval: Sequence[float]) -> dict[str, float]:
    """The share of each run's requests that is missing, relative to those sent; ``interval`` is that of each run."""
    found: dict[str, float] = {}
    if isinstance(requests, Requests):
        parts: Iterable[tuple[Requests, Floats]] = [(requests, np.asarray(interval, dtype="float64"))]
    elif not np.isfinite(interval).any():
        return dict.fromkeys(requests.runs, 0.0)
    else:
        parts = ((requests.only(run), np.array([own])) for run, own in zip(requests.runs, interval, strict=True))
    for part, own in parts:
        missing = unsent(part.latency, own[part.run])
        sums = np.bincount(part.run, weights=missing, minlength=len(part.runs))
        found |= dict(zip(part.runs, (sums / np.maximum(part.counts, 1)).tolist(), strict=True))
    return found


def cycles(measured: Measurements) -> dict[str, float]:
    """The median time between a user's starts in each run, in ms; closed loads only.

    Runs whose requests have due times (an open model does not wait) or no users are left out.
    """
    if isinstance(measured.tables, StoredTables):
        runs = list(measured.tables.stored.values())
        each = computed(runs, cycle_of.__name__, cycle_of, measured.tables.executor)
        if any(one["due"].any() for one in each):
            return {}
        return {run.name: float(one["cycle"][0]) for run, one in zip(runs, each, strict=True) if len(one["cycle"])}
    requests = measured.requests
    if "user" not in requests.columns or ("due" in requests.columns and requests["due"].notna().any()):
        return {}
    known = requests.loc[requests["user"].notna(), ["run", "user", "start"]].sort_values("start", kind="stable")
    gaps = known.groupby(["run", "user"], sort=False)["start"].diff().dt.total_seconds() * 1e3
    found = gaps.groupby(known["run"]).median()
    return {str(run): float(gap) for run, gap in found.items() if gap == gap and gap > 0}


def cycle_of(run: StoredRun) -> Arrays:
    """Of one stored run: whether any request has a due time, and the median time between a user's starts, if known."""
    requests = run.requests("user", "due", "start")
    due = "due" in requests.columns and bool(requests["due"].notna().any())
    found = {} if due else cycles(Measurements(MappingProxyType({"runs": run.row, "requests": requests})))
    return {"due": np.array([due]), "cycle": np.array([*found.values()], dtype="float64")}


def warnings_of(
    exposed: Mapping[str, float], share: float, *, declared: float | None, cycle: Mapping[str, float]
) -> tuple[Note, ...]:
    """A note on the runs in which unsent requests could move the quantile; empty where none could."""
    limit = SHARE_OF_TAIL * (1 - share)
    worst = max(exposed, key=lambda run: exposed[run], default="")
    if not worst or exposed[worst] <= limit:
        return ()
    count = sum(1 for value in exposed.values() if value > limit)
    facts = {"runs": count, "of": len(exposed), "worst": worst, "missing_fraction": exposed[worst]}
    if declared is not None:
        return (circumstances.OMISSION_DECLARED(pacing_ms=declared, **facts),)
    return (circumstances.OMISSION(Remedy("compare", {"pacing": ...}), cycle_ms=cycle[worst], **facts),)
