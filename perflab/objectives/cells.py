"""The requests of each run after its warm-up by endpoint: coded once, sliced for each objective."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.stored_runs import StoredTables
from perflab.data.tables import AGGREGATED, Measurements
from perflab.stats.estimates import Floats, endpoints_of, knows_failures, without_warmup

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """The requests of one run: latency, whether it succeeded, start in seconds since the first; in order of start."""

    latency: Floats
    ok: Flags
    at: Floats

    def __len__(self) -> int:
        return len(self.latency)


class Reduced(NamedTuple):
    """What an objective needs of a run: requests, those that failed, the value, and the requests of an only run."""

    requests: int
    failed: int
    value: float
    part: Part | None


Reduce = Callable[[Part], float]


class _Coded:
    """A requests table as arrays, run after run, each in order of start."""

    def __init__(self, requests: pd.DataFrame) -> None:
        run, runs = pd.factorize(requests["run"])
        self.runs = [str(r) for r in runs]
        start = requests["start"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
        # Most tables are in this order already, and checking costs less than sorting.
        step = np.diff(run)
        ordered = bool(((step > 0) | ((step == 0) & (np.diff(start) >= 0))).all())
        order = slice(None) if ordered else np.lexsort([start, run])
        self.edges = np.searchsorted(run[order], np.arange(len(runs) + 1))
        self.start = start[order]
        self.latency = requests["latency_ms"].to_numpy(dtype="float64")[order]
        self.ok = requests["ok"].to_numpy(dtype=bool)[order]
        code, endpoints = pd.factorize(requests["endpoint"])
        self.endpoint, self.codes = code[order], {str(e): i for i, e in enumerate(endpoints)}

    def parts(self, endpoint: str, *, only_ok: bool) -> dict[str, Part]:
        found = {}
        for name, begin, end in zip(self.runs, self.edges, self.edges[1:], strict=False):
            chosen: Any = slice(begin, end)
            if endpoint != AGGREGATED:
                chosen = begin + np.flatnonzero(self.endpoint[begin:end] == self.codes.get(endpoint, -1))
            latency, ok, start = self.latency[chosen], self.ok[chosen], self.start[chosen]
            if only_ok:
                latency, start, ok = latency[ok], start[ok], ok[ok]
            if len(latency):
                found[name] = Part(latency, ok, (start - start[0]) / 1e6)
        return found


class Evidence:
    """What objectives are checked against: requests after (and with) the warm-up, the length of each run, checks."""

    def __init__(self, measured: Measurements, warmup: float) -> None:
        self.measured = measured
        self.warmup = warmup
        self.runs = [str(r) for r in measured.runs["run"]]
        seconds = measured.runs["duration_ms"].to_numpy(dtype="float64") * (1 - warmup) / 1e3
        self.seconds = dict(zip(self.runs, seconds.tolist(), strict=True))
        self.knows_failures = bool(knows_failures(measured.runs).all())

    @cached_property
    def _kept(self) -> _Coded:
        return _Coded(without_warmup(self.measured, self.warmup)) if self.warmup else self._whole

    @cached_property
    def _whole(self) -> _Coded:
        return _Coded(self.measured.requests)

    @cached_property
    def endpoints(self) -> list[str]:
        """Those with any request, within the warm-up or after it."""
        return endpoints_of(self.measured)

    def reduced(self, wanted: Sequence[tuple[str, bool, bool, Reduce]]) -> list[dict[str, Reduced]]:
        """For each (endpoint, only_ok, whole, value): what is needed of each run that has any such request.

        A lazily opened store is read once, run by run.
        """
        found: list[dict[str, Reduced]] = [{} for _ in wanted]
        for source in self._sources():
            for own, (endpoint, only_ok, whole, value) in zip(found, wanted, strict=True):
                for run, part in source.parts(endpoint, only_ok=only_ok, whole=whole).items():
                    kept = None if own else part
                    own |= {name: one._replace(part=None) for name, one in own.items() if one.part is not None}
                    own[run] = Reduced(len(part), int((~part.ok).sum()), value(part), kept)
        return found

    def _sources(self) -> Iterator[Evidence]:
        if not isinstance(self.measured.tables, StoredTables):
            yield self
            return
        for run in self.measured.tables.stored.values():
            yield Evidence(Measurements(MappingProxyType({"runs": run.row, "requests": run.requests()})), self.warmup)

    def parts(self, endpoint: str, *, only_ok: bool = False, whole: bool = False) -> dict[str, Part]:
        """The requests to an endpoint by run, for the runs that have any."""
        return (self._whole if whole else self._kept).parts(endpoint, only_ok=only_ok)

    def checks(self, endpoint: str) -> list[Flags]:
        """Whether each check of each run passed, in order of time."""
        if self.measured.lazy:
            self.measured.count("checks")
            return [own for one in self.measured.each() for own in Evidence(one, self.warmup).checks(endpoint)]
        checks = self.measured.checks
        if endpoint != AGGREGATED and "endpoint" in checks.columns:
            checks = checks[checks["endpoint"] == endpoint]
        ordered = checks.sort_values("start", kind="stable").groupby("run", sort=False)
        return [part["ok"].to_numpy(dtype=bool) for _, part in ordered]

    def cached(self, endpoint: str) -> list[Flags]:
        """Whether each response of each run was a cache hit, in order of time, of those whose headers say."""
        if self.measured.lazy:
            return [own for one in self.measured.each() for own in Evidence(one, self.warmup).cached(endpoint)]
        requests = without_warmup(self.measured, self.warmup) if self.warmup else self.measured.requests
        if endpoint != AGGREGATED:
            requests = requests[requests["endpoint"] == endpoint]
        known = requests[requests["cached"].notna()] if "cached" in requests else requests.iloc[:0]
        ordered = known.sort_values("start", kind="stable").groupby("run", sort=False, observed=True)
        return [part["cached"].to_numpy(dtype=bool) for _, part in ordered]

    def named(self, endpoint: str) -> list[str]:
        """The measured endpoints that a name means: the equal one, or those equal but for how parameters are written."""
        if endpoint in self.endpoints:
            return [endpoint]
        wanted = _plain(endpoint)
        same = [e for e in self.endpoints if _plain(e) == wanted]
        return same or [e for e in self.endpoints if _plain(e).partition(" ")[2] == wanted]


def _plain(endpoint: str) -> str:
    return re.sub(r"\{[^}]*\}|<[^>]*>|\[[^\]]*\]|(?<=/):\w+", "{}", endpoint).rstrip("/").casefold()
