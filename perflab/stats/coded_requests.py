"""Requests as arrays: all of them at once, or of a store that was opened lazily, run by run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.kept_statistics import Arrays, computed
from perflab.data.run_blocks import Codes as Codes
from perflab.data.run_blocks import blocks_of, in_us
from perflab.data.stored_runs import StoredRun, StoredTables
from perflab.data.tables import Measurements
from perflab.metrics import Floats
from perflab.stats import visits

BINS = 100
"""Bins of each run's time, for the warm-up."""


Usual = Sequence[tuple[Callable[..., Arrays], tuple[Any, ...]]]
"""What is computed along with the facts of a run that is read for the first time: functions and their arguments."""


class Piece(NamedTuple):
    """What was computed of some runs: their codes, the codes of the endpoints that the result counts, and the result."""

    run: Codes
    endpoint: Codes
    found: Arrays


@dataclass(frozen=True)
class Requests:
    """The requests of several runs as arrays: codes of run and endpoint, latency (ms), failure, and age.

    ``age`` is the share of the run (until its last request started) that had passed when a request started, so it does
    not depend on latencies; ``seconds`` the length of each run; ``knows_failures`` whether it records which requests
    failed; ``size`` the bytes of each response; ``resources`` the samples of the target (run, age, ...); ``sending`` the
    seconds of each run until its last request started; ``first`` when its first one did (microseconds); ``vitals`` the metrics
    of visits, by name.
    """

    runs: tuple[str, ...]
    endpoints: tuple[str, ...]
    run: Codes
    endpoint: Codes
    latency: Floats
    failed: npt.NDArray[np.bool_]
    age: Floats
    seconds: Floats
    knows_failures: npt.NDArray[np.bool_]
    size: Floats | None = None
    resources: pd.DataFrame | None = None
    sending: Floats | None = None
    first: Codes | None = None
    vitals: Mapping[str, Floats] = field(default_factory=dict)

    def take(self, rows: npt.NDArray[Any]) -> Requests:
        """The chosen rows (a mask, or positions)."""
        columns = {c: getattr(self, c)[rows] for c in ("run", "endpoint", "latency", "failed", "age")}
        vitals = {name: values[rows] for name, values in self.vitals.items()}
        return replace(self, **columns, size=None if self.size is None else self.size[rows], vitals=vitals)

    def each(
        self, compute: Callable[..., Arrays], *arguments: Any, resources: bool = False, keep: bool = True
    ) -> list[Piece]:
        """What ``compute(requests, *arguments)`` makes of these requests: of all of them in one piece."""
        return [Piece(np.arange(len(self.runs)), np.arange(len(self.endpoints)), compute(self, *arguments))]

    def only(self, run: str) -> Requests:
        """These requests; those of a lazily opened store would be of this run only."""
        return self

    def changed(self, change: Callable[[Requests], Requests]) -> Requests:
        """The requests after a change that goes row by row."""
        return change(self)

    @cached_property
    def counts(self) -> Codes:
        """How many requests each run has."""
        return np.bincount(self.run, minlength=len(self.runs))

    @cached_property
    def slowest(self) -> Floats:
        """The highest latency of each run."""
        found = np.zeros(len(self.runs))
        np.maximum.at(found, self.run, self.latency)
        return found

    @cached_property
    def any_failed(self) -> bool:
        """Whether any request failed."""
        return bool(self.failed.any())

    @cached_property
    def ticks(self) -> npt.NDArray[np.int64]:
        """For steps of 1, 0.1 and 0.01 ms the greatest common divisor of the latencies; -1 where they are no multiples."""
        return np.array([_divisor(self.latency, 10.0**digits) for digits in range(3)], dtype="int64")

    @cached_property
    def binned(self) -> tuple[Floats, Floats]:
        """Sums of ln latency, and counts: endpoints x runs x bins of time."""
        values = np.log(np.maximum(self.latency, 1e-6))
        bins = np.clip((self.age * BINS).astype("int64"), 0, BINS - 1)
        endpoints, runs = len(self.endpoints), len(self.runs)
        key = (self.endpoint * runs + self.run) * BINS + bins
        shape = (endpoints, runs, BINS)
        sums = np.bincount(key, weights=values, minlength=endpoints * runs * BINS).reshape(shape)
        counts = np.bincount(key, minlength=endpoints * runs * BINS).reshape(shape)
        return np.asarray(sums, dtype="float64"), np.asarray(counts, dtype="float64")


def _divisor(latency: Floats, scale: float) -> int:
    for values in (latency[:100], latency):
        scaled = values * scale
        if (
            not (np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(scaled, 1.0)).all()
            or scaled.max(initial=0.0) > 2**52
        ):
            return -1
    return int(np.gcd.reduce(np.rint(scaled).astype("int64")))


@dataclass(frozen=True, eq=False)
class Streamed:
    """The requests of a lazily opened store: what `Requests` says of each run, and the rows only run by run.

    ``stored`` are the runs, ``own`` the code of each endpoint of each run, ``change`` a change to the rows with its name.
    """

    runs: tuple[str, ...]
    endpoints: tuple[str, ...]
    seconds: Floats
    knows_failures: npt.NDArray[np.bool_]
    sending: Floats
    stored: tuple[StoredRun, ...]
    own: tuple[Codes, ...]
    executor: Executor | None = None
    change: Callable[[Requests], Requests] | None = None

    def each(
        self, compute: Callable[..., Arrays], *arguments: Any, resources: bool = False, keep: bool = True
    ) -> list[Piece]:
        """What ``compute(requests, *arguments)`` makes of the requests of each run, as kept beside it or computed now.

        The samples of resources are read only if asked for.
        """
        changed = getattr(self.change, "__name__", "") if self.change else "as read"
        key = _key(compute, arguments, changed) if keep and changed else ""
        task = partial(_of_run, change=self.change, wanted={key: (compute, arguments)}, resources=resources)
        found = computed(self.stored, key, task, self.executor)
        return [Piece(np.array([i]), own, one) for i, (own, one) in enumerate(zip(self.own, found, strict=True))]

    def only(self, run: str) -> Requests:
        """The requests of one run."""
        return part_of(self.stored[self.runs.index(run)], self.change)

    def changed(self, change: Callable[[Requests], Requests]) -> Streamed:
        """The requests after a change that goes row by row."""
        return replace(self, change=change)

    @cached_property
    def _facts(self) -> list[Piece]:
        return self.each(facts_of)

    @cached_property
    def counts(self) -> Codes:
        """How many requests each run has."""
        return np.array([int(piece.found["count"][0]) for piece in self._facts])

    @cached_property
    def slowest(self) -> Floats:
        """The highest latency of each run."""
        return np.array([piece.found["slowest"][0] for piece in self._facts])

    @cached_property
    def any_failed(self) -> bool:
        """Whether any request failed."""
        return any(piece.found["failed"][0] for piece in self._facts)

    @cached_property
    def ticks(self) -> npt.NDArray[np.int64]:
        """As of `Requests`."""
        each = np.array([piece.found["ticks"] for piece in self._facts]).astype("int64")
        return np.where((each < 0).any(0), -1, np.gcd.reduce(np.maximum(each, 0), axis=0))

    @cached_property
    def binned(self) -> tuple[Floats, Floats]:
        """As of `Requests`."""
        sums, counts = (np.zeros((len(self.endpoints), len(self.runs), BINS)) for _ in range(2))
        for piece in self._facts:
            sums[piece.endpoint, piece.run[0]] = piece.found["bin_sums"].reshape(-1, BINS)
            counts[piece.endpoint, piece.run[0]] = piece.found["bin_counts"].reshape(-1, BINS)
        return sums, counts


def _key(compute: Callable[..., Arrays], arguments: tuple[Any, ...] = (), changed: str = "as read") -> str:
    return f"{compute.__name__}{arguments!r} {changed}"


def _of_run(
    run: StoredRun,
    change: Callable[[Requests], Requests] | None,
    wanted: Mapping[str, tuple[Callable[..., Arrays], tuple[Any, ...]]],
    resources: bool = False,
) -> dict[str, Arrays]:
    part = part_of(run, change, resources=resources)
    return {key: compute(part, *arguments) for key, (compute, arguments) in wanted.items()}


def part_of(
    run: StoredRun, change: Callable[[Requests], Requests] | None = None, *, resources: bool = False
) -> Requests:
    """The requests of one stored run as arrays."""
    tables = {"runs": run.row, "requests": run.requests()}
    if resources and "resources" in run.rows:
        tables["resources"] = run.table("resources")
    part = coded(Measurements(MappingProxyType(tables)))
    return change(part) if change else part


def facts_of(part: Requests) -> Arrays:
    """What comparisons need to know of a run besides its metrics."""
    sums, counts = part.binned
    assert part.first is not None and part.sending is not None
    return {
        "endpoints": np.array(part.endpoints, dtype=object),
        "count": part.counts,
        "slowest": part.slowest,
        "failed": np.array([part.any_failed]),
        "first": part.first,
        "sending": part.sending,
        "ticks": part.ticks,
        "bin_sums": sums.ravel(),
        "bin_counts": counts.ravel(),
    }


def streamed(measured: Measurements, usual: Usual = ()) -> Requests | Streamed:
    """The requests as arrays; of a lazily opened store to be read run by run.

    Most of the time is spent on reading: ``usual`` is what the caller will need of runs that are read for the first time now.
    """
    if not isinstance(measured.tables, StoredTables):
        return coded(measured)
    tables = measured.tables
    held = [run for run in tables.stored.values() if run.steps or run.rows.get("requests")]
    facts = _key(facts_of)
    wanted = {facts: (facts_of, ()), **{_key(*one): one for one in usual if not any(run.steps for run in held)}}
    found = computed(held, facts, partial(_of_run, change=None, wanted=wanted), tables.executor)
    some = [i for i, facts in enumerate(found) if len(facts["count"]) and facts["count"][0]]
    endpoints = list(dict.fromkeys(str(name) for i in some for name in found[i]["endpoints"]))
    places = {name: code for code, name in enumerate(endpoints)}
    # Runs in start order, as in `coded`.
    names = np.array([held[i].name for i in some], dtype=str)
    first = np.array([float(found[i]["first"][0]) for i in some])
    order = [some[i] for i in np.lexsort([names, first])]
    runs = [held[i].name for i in order]
    known = measured.runs.set_index("run").reindex(runs)
    return Streamed(
        runs=tuple(runs),
        endpoints=tuple(endpoints),
        seconds=known["duration_ms"].to_numpy(dtype="float64") / 1e3,
        knows_failures=knows_failures(known),
        sending=np.array([found[i]["sending"][0] for i in order], dtype="float64"),
        stored=tuple(held[i] for i in order),
        own=tuple(np.array([places[str(name)] for name in found[i]["endpoints"]], dtype="intp") for i in order),
        executor=tables.executor,
    )


def coded(measured: Measurements) -> Requests:
    """The requests as arrays, with runs in start order."""
    requests = measured.requests
    blocks = blocks_of(requests["run"])
    endpoint, endpoints = pd.factorize(requests["endpoint"])
    start = in_us(requests["start"])
    first = np.array([start[rows].min() for rows in blocks], dtype="int64")
    last = np.array([start[rows].max() for rows in blocks], dtype="int64")
    # Runs in start order, whatever the order of the rows.
    order = np.lexsort([np.asarray(blocks.names, dtype=str), first])
    runs, first, last = blocks.names[order], first[order], last[order]
    known = measured.runs.set_index("run").reindex(runs)
    begun = in_us(known["start"])
    # A run with an unknown start, or one later than its first request, starts with that request.
    begun = np.where(known["start"].isna().to_numpy() | (begun > first), first, begun)
    run, age = np.empty(len(requests), dtype="intp"), np.empty(len(requests))
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows, code in zip(blocks, np.argsort(order), strict=True):
            run[rows], age[rows] = code, (start[rows] - begun[code]) / (last[code] - begun[code])
    return Requests(
        runs=tuple(map(str, runs)),
        endpoints=tuple(map(str, endpoints)),
        run=run,
        endpoint=endpoint,
        latency=requests["latency_ms"].to_numpy(dtype="float64"),
        failed=~requests["ok"].to_numpy(dtype=bool),
        age=age if np.isfinite(age).all() else np.nan_to_num(age, nan=1.0, posinf=1.0),
        seconds=known["duration_ms"].to_numpy(dtype="float64") / 1e3,
        knows_failures=knows_failures(known),
        size=requests["size_bytes"].to_numpy(dtype="float64") if "size_bytes" in requests.columns else None,
        sending=(last - begun) / 1e6,
        first=first,
        vitals=visits.columns_of(requests),
        resources=_of_target(measured, list(runs), begun, last) if "resources" in measured.tables else None,
    )


def _of_target(measured: Measurements, runs: list[Any], begun: Codes, last: Codes) -> pd.DataFrame:
    """The samples of the target's process, with their age (share of the run)."""
    samples = measured.resources
    samples = samples[(samples["process"] == "target") & samples["run"].isin(runs)].sort_values("time", kind="stable")
    code = pd.Index(runs).get_indexer(samples["run"])
    time = in_us(samples["time"])
    with np.errstate(divide="ignore", invalid="ignore"):
        age = (time - begun[code]) / (last - begun)[code]
    return samples.assign(code=code, age=np.nan_to_num(age, nan=1.0, posinf=1.0))


def knows_failures(runs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether the tool of each run records which requests failed: ab -g does not, so its error rate is unknown."""
    known = mappings(runs, "environment") or [{}] * len(runs)
    return np.array([e.get("failures") != "unknown" for e in known], dtype=bool)


def mappings(runs: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """The plan or environment of each run, {} where it has none."""
    return [dict(v) if isinstance(v, Mapping) else {} for v in runs[column]] if column in runs.columns else []
