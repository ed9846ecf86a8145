"""Coordinated omission: the requests that a generator did not send while it waited, and what that hides.

A user that should send every second but waits five for a response leaves four requests unsent that would have taken
4, 3, 2 and 1 s. Tene (2013), How not to measure latency; HdrHistogram's correction for an expected interval.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perflab.data.tables import Measurements
from perflab.metrics import Floats
from perflab.notes import Note, Remedy
from perflab.stats import circumstances
from perflab.stats.estimates import Requests

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
    return Requests(**{**vars(added), "latency": latency})


def exposure(requests: Requests, interval: float | Floats) -> dict[str, float]:
    """The share of each run's requests that is missing, relative to those sent."""
    missing = unsent(requests.latency, interval)
    counts = np.bincount(requests.run, minlength=len(requests.runs))
    sums = np.bincount(requests.run, weights=missing, minlength=len(requests.runs))
    return dict(zip(requests.runs, (sums / np.maximum(counts, 1)).tolist(), strict=True))


def cycles(measured: Measurements) -> dict[str, float]:
    """The median time between a user's starts in each run, in ms; closed loads only.

    Runs whose requests have due times (an open model does not wait) or no users are left out.
    """
    requests = measured.requests
    if "user" not in requests.columns or ("due" in requests.columns and requests["due"].notna().any()):
        return {}
    known = requests.loc[requests["user"].notna(), ["run", "user", "start"]].sort_values("start", kind="stable")
    gaps = known.groupby(["run", "user"], sort=False)["start"].diff().dt.total_seconds() * 1e3
    found = gaps.groupby(known["run"]).median()
    return {str(run): float(gap) for run, gap in found.items() if gap == gap and gap > 0}


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
