"""Of what the latency of each request consists: its components, whose sum is the latency to the last digit.

What nothing was measured for is ``rest``: it is always there, and never divided among the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import MissingTableError, one_of
from perflab.metrics import Floats, Metric
from perflab.stats.estimates import endpoints_of, harrell_davis_weights, of_endpoint, without_warmup

REST = "rest"
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "generator": "late start",
        "queue": "queueing",
        "database": "database",
        "downstream": "downstream",
        "cpu": "CPU",
        "pool": "connection pool",
        "lock": "lock wait",
        "gc": "garbage collection",
        "back": "way back",
        REST: "rest",
    }
)
"""The components that perflab records, in the order of a request, as sentences and figures name them."""
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Parts:
    """The requests of an endpoint after the warm-up: their run (a position in ``runs``), latency, and parts (requests x
    components, ``rest`` last), and id; ``unrecorded`` is the share of them that no recorder knows."""

    runs: tuple[str, ...]
    names: tuple[str, ...]
    run: Ints
    latency: Floats
    parts: Floats
    request: npt.NDArray[Any]
    unrecorded: float

    def consists(self, run: str, metric: Metric) -> tuple[float, Floats]:
        """The metric of a run and its components; NaN where it has no request."""
        rows = np.flatnonzero(self.run == self.runs.index(run)) if run in self.runs else np.empty(0, dtype="intp")
        if not len(rows):
            return float("nan"), np.full(len(self.names), np.nan)
        chosen, weights = weighted(self.latency[rows], metric)
        return float(weights @ self.latency[rows[chosen]]), weights @ self.parts[rows[chosen]]

    def count(self, run: str) -> int:
        """How many requests a run has."""
        return int((self.run == self.runs.index(run)).sum()) if run in self.runs else 0


def weighted(latency: Floats, metric: Metric) -> tuple[Ints, Floats]:
    """The positions of the requests that a metric is a weighted sum of, and their weights, which add up to 1.

    Of a quantile Harrell and Davis' weights of the sorted latencies: the same weights on the components of the same
    requests allocate the quantile to them (Tasche 2007, Capital allocation to business units and sub-portfolios: the Euler
    principle). Requests of one latency have one weight, so that the order of rows does not matter.
    """
    order = np.argsort(latency, kind="stable")
    if metric.share is None:
        return order, np.full(len(order), 1 / len(order))
    if metric.share in (0.0, 1.0):
        weights = (latency[order] == latency[order[-1 if metric.share else 0]]).astype("float64")
        return order, weights / weights.sum()
    low, inside = harrell_davis_weights(len(order), metric.share)
    weights = np.zeros(len(order))
    weights[low : low + len(inside)] = inside
    tied = np.cumsum(np.r_[False, np.diff(latency[order]) > 0])
    shared = np.bincount(tied, weights=weights) / np.bincount(tied)
    return order, shared[tied]


def parts_of(measured: Measurements, endpoint: str = AGGREGATED, *, warmup: float = 0.0) -> Parts:
    """The parts of each request; MissingTableError where none were recorded, ValueError with the endpoints there are."""
    if not measured.lazy or "components" not in measured.tables:
        return _parts(measured, endpoint, warmup)
    if endpoint != AGGREGATED and endpoint not in (known := endpoints_of(measured)):
        raise one_of("endpoint", endpoint, known[:12])
    return _stacked([_parts(one, endpoint, warmup, strict=False) for one in measured.each()])


def _stacked(parts: Sequence[Parts]) -> Parts:
    """The parts of several runs, the components in one order."""
    held = {name for own in parts for name in own.names}
    names = (*(n for n in LABELS if n in held and n != REST), *sorted(held - set(LABELS) - {REST}), REST)
    kept = [own for own in parts if len(own.latency)]
    wide = [np.zeros((len(own.latency), len(names))) for own in kept]
    for own, found in zip(kept, wide, strict=True):
        found[:, [names.index(name) for name in own.names]] = own.parts
        found[:, -1] = own.latency - found[:, :-1].sum(axis=1)
    counts = [len(own.latency) for own in kept]
    unrecorded = sum(round(own.unrecorded * n) for own, n in zip(kept, counts, strict=True))
    return Parts(
        tuple(run for own in kept for run in own.runs),
        names,
        np.repeat(np.arange(len(kept)), counts),
        np.concatenate([np.empty(0), *(own.latency for own in kept)]),
        np.concatenate([np.empty((0, len(names))), *wide]),
        np.concatenate([np.empty(0, dtype=object), *(own.request for own in kept)]),
        unrecorded / sum(counts) if kept else 1.0,
    )


def _parts(measured: Measurements, endpoint: str, warmup: float, *, strict: bool = True) -> Parts:
    components = measured.components
    if "request" not in measured.requests.columns:
        raise MissingTableError(
            "the requests of these measurements have no ids (a column 'request'), so nothing joins them to their components"
        )
    requests = without_warmup(measured, warmup)
    if endpoint != AGGREGATED:
        requests = of_endpoint(requests, endpoint) if strict else requests[requests["endpoint"] == endpoint]
    known = components[components["component"] != REST]
    names = [name for name in LABELS if name != REST and (known["component"] == name).any()]
    names += sorted(set(known["component"].unique()) - set(names))
    keys = pd.MultiIndex.from_frame(requests[["run", "request"]].astype(str))
    own = known.assign(request=known["request"].astype(str), run=known["run"].astype(str))
    wide = own.pivot_table(
        index=["run", "request"], columns="component", values="duration_ms", aggfunc="sum", observed=True
    )
    recorded = keys.isin(pd.MultiIndex.from_frame(components[["run", "request"]].astype(str).drop_duplicates()))
    found = wide.reindex(index=keys, columns=names).fillna(0.0).to_numpy(dtype="float64")
    latency = requests["latency_ms"].to_numpy(dtype="float64")
    rest = latency - found.sum(axis=1)
    run, runs = pd.factorize(requests["run"])
    return Parts(
        tuple(map(str, runs)),
        (*names, REST),
        run,
        latency,
        np.column_stack([found, rest]),
        requests["request"].astype(str).to_numpy(dtype=object),
        float((~recorded).mean()) if len(recorded) else 1.0,
    )


def recorded_runs(measured: Measurements) -> list[str]:
    """The runs that have components."""
    if "components" not in measured.tables:
        return []
    held = set(measured.count("components").index.astype(str))
    return [run for run in measured.runs["run"] if run in held]
