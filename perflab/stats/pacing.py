"""Coordinated omission: the requests that a generator did not send while it waited, and what that hides.

A user that should send every second but waits five for a response leaves four requests unsent that would have taken
4, 3, 2 and 1 s. Tene (2013), How not to measure latency; HdrHistogram's correction for an expected interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from perflab.data.kept_statistics import Arrays, computed
from perflab.data.run_blocks import blocks_of, grouping_order, in_us
from perflab.data.stored_runs import StoredRun
from perflab.data.tables import Measurements
from perflab.metrics import Floats
from perflab.notes import Note, Remedy
from perflab.stats import circumstances
from perflab.stats.coded_requests import Requests, Streamed, coded

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


def exposure(
    measured: Measurements, requests: Requests | Streamed, interval: float | None
) -> tuple[dict[str, float], dict[str, float]]:
    """The cycle of each run's users where no interval is declared, and the share of each run's requests that is missing."""
    if isinstance(requests, Streamed):
        if interval is not None:
            pieces = requests.each(missing_of, interval)
            return {}, {requests.runs[int(p.run[0])]: float(p.found["missing"][0]) for p in pieces}
        each = computed(requests.stored, cycle_of.__name__, cycle_of, requests.executor)
        known = not any(one["due"].any() for one in each)
        found = {run: one for run, one in zip(requests.runs, each, strict=True) if known and len(one["cycle"])}
        cycle = {run: float(one["cycle"][0]) for run, one in found.items()}
        return cycle, {run: float(found[run]["missing"][0]) if run in found else 0.0 for run in requests.runs}
    cycle = cycles(measured) if interval is None else {}
    steps = [cycle.get(run, np.inf) if interval is None else interval for run in requests.runs]
    missing = missing_of(requests, np.array(steps)[requests.run])["missing"]
    return cycle, dict(zip(requests.runs, missing.tolist(), strict=True))


def missing_of(requests: Requests, interval: float | Floats) -> Arrays:
    """The share of each run's requests that is missing, relative to those sent."""
    missing = unsent(requests.latency, interval)
    sums = np.bincount(requests.run, weights=missing, minlength=len(requests.runs))
    return {"missing": sums / np.maximum(requests.counts, 1)}


def cycles(measured: Measurements) -> dict[str, float]:
    """The median time between a user's starts in each run, in ms; closed loads only.

    Runs whose requests have due times (an open model does not wait) or no users are left out.
    """
    requests = measured.requests
    if "user" not in requests.columns or ("due" in requests.columns and requests["due"].notna().any()):
        return {}
    user, users = pd.factorize(requests["user"])
    start = in_us(requests["start"])
    blocks, found = blocks_of(requests["run"]), {}
    for run, rows in zip(blocks.names, blocks, strict=True):
        own, at = user[rows], start[rows]
        if (np.diff(at) < 0).any():
            order = np.argsort(at, kind="stable")
            own, at = own[order], at[order]
        order = grouping_order(own + 1, len(users) + 1)  # 0 is no user
        own, at = own[order], at[order]
        gaps = np.diff(at)[(own[1:] == own[:-1]) & (own[1:] >= 0)]
        cycle = float(np.median(gaps)) / 1e3 if len(gaps) else 0.0
        if cycle > 0:
            found[str(run)] = cycle
    return found


def cycle_of(run: StoredRun) -> dict[str, Arrays]:
    """Of one stored run: whether any request has a due time; the cycle of its users, and what is missing then, if known."""
    requests = run.requests("user", "due")
    due = "due" in requests.columns and bool(requests["due"].notna().any())
    held = Measurements(MappingProxyType({"runs": run.row, "requests": requests}))
    found = np.array([] if due else [*cycles(held).values()])
    missing = [missing_of(coded(held), float(cycle))["missing"][0] for cycle in found]
    return {cycle_of.__name__: {"due": np.array([due]), "cycle": found, "missing": np.array(missing)}}


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
    declare = Remedy("compare", {"pacing": ...}, given="before, after")
    return (circumstances.OMISSION(declare, open=circumstances.AN_OPEN_MODEL, cycle_ms=cycle[worst], **facts),)
