"""The second layer of an account: by statement and by call to another service, how often and how long.

With the weights of the account itself: of the requests at the percentile. Times of calls that overlap are each counted in
full, so these rows explain a component and need not add up to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from perflab.data.run_blocks import blocks_of
from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.notes import Note, Remedy
from perflab.queries.fingerprint import of_text
from perflab.traces import account_notes
from perflab.traces.calls_in_a_row import find_sequential
from perflab.traces.components import Parts, weighted
from perflab.traces.independence import CLAIMS

_COLUMNS = ("component", "call", "calls", "ms")
_NUMBERS = ("calls_baseline", "calls_candidate", "baseline_ms", "candidate_ms", "change_ms")
_ENOUGH = 300
"""So many requests show which calls follow each other."""
_LOOPBACK = re.compile(r"^(\S+ (?:127\.0\.0\.1|localhost|\[::1\])):\d+")
"""A service on this machine, whose port may differ from start to start."""
_NOT_CALLS = ("server", "gc", "lock", "pool")


def calls_of(measured: Measurements, parts: Parts, runs: Sequence[str], metric: Metric) -> pd.DataFrame:
    """component, call, calls and ms for each request at the metric, the mean over the runs; empty without spans."""
    weights = _weights(parts, runs, metric)
    found = [_calls_of_one(spans, weights) for spans in _spans_by_run(measured, runs) if "request" in spans.columns]
    if not found:
        return pd.DataFrame(columns=list(_COLUMNS))
    table = pd.concat(found).groupby(["component", "call"], as_index=False)[["calls", "ms"]].sum()
    return table.assign(calls=table["calls"] / len(runs), ms=table["ms"] / len(runs))


def _spans_by_run(measured: Measurements, runs: Sequence[str]) -> Iterator[pd.DataFrame]:
    """The spans of each of these runs; those of a lazily opened store are read one run at a time."""
    held = measured.where(run=list(runs)) if measured.lazy else measured
    for spans in (one.spans for one in held.pieces()) if "spans" in measured.tables else ():
        blocks = blocks_of(spans["run"])
        wanted = (name in runs for name in blocks.names)
        yield from (spans.iloc[rows] for rows, chosen in zip(blocks, wanted, strict=True) if chosen)


def _calls_of_one(spans: pd.DataFrame, weights: pd.Series) -> pd.DataFrame:
    """component, call, calls and ms in one run."""
    spans = spans[~spans["kind"].isin(_NOT_CALLS)]
    weight = weights.reindex(pd.MultiIndex.from_frame(spans[["run", "request"]].astype(str))).to_numpy()
    chosen = spans.assign(weight=np.nan_to_num(weight))
    chosen = chosen[chosen["weight"] > 0]
    names = {name: _named(name, kind) for name, kind in set(zip(chosen["name"], chosen["kind"], strict=True))}
    found = chosen.assign(
        call=chosen["name"].map(names),
        component=chosen["kind"],
        ms=chosen["duration_ms"] * chosen["weight"],
        # Connecting, fetching rows and reading a body belong to a call that is counted already.
        calls=np.where(chosen["name"].str.startswith("("), 0.0, chosen["weight"]),
    )
    return found.groupby(["component", "call"], as_index=False)[["calls", "ms"]].sum()


def _weights(parts: Parts, runs: Sequence[str], metric: Metric) -> pd.Series:
    """The weight of each request within its run."""
    pieces = []
    for run in runs:
        rows = np.flatnonzero(parts.run == parts.runs.index(run))
        chosen, weights = weighted(parts.latency[rows], metric)
        index = pd.MultiIndex.from_arrays([np.full(len(rows), run), parts.request[rows[chosen]]])
        pieces.append(pd.Series(weights, index=index))
    joined = pd.concat(pieces)
    return joined[~joined.index.duplicated()]


def _named(name: str, kind: str) -> str:
    if kind == "database":
        return name if name.startswith("(") else of_text(name)
    return _LOOPBACK.sub(r"\1", name)


def layer(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Both arms side by side, the largest change first."""
    if before.empty and after.empty:
        texts, numbers = dict.fromkeys(("component", "call"), "str"), dict.fromkeys(_NUMBERS, "float64")
        return pd.DataFrame(columns=[*texts, *numbers]).astype({**texts, **numbers})
    joined = before.merge(after, on=["component", "call"], how="outer", suffixes=("_baseline", "_candidate")).fillna(
        {f"{c}_{arm}": 0.0 for c in ("calls", "ms") for arm in ("baseline", "candidate")}
    )
    table = pd.DataFrame(
        {
            "component": joined["component"],
            "call": joined["call"],
            "calls_baseline": joined["calls_baseline"].astype("float64"),
            "calls_candidate": joined["calls_candidate"].astype("float64"),
            "baseline_ms": joined["ms_baseline"].astype("float64"),
            "candidate_ms": joined["ms_candidate"].astype("float64"),
        }
    )
    table = table.assign(change_ms=table["candidate_ms"] - table["baseline_ms"])
    return table.sort_values("change_ms", key=abs, ascending=False, kind="stable").reset_index(drop=True)


def counted(calls: pd.DataFrame, component: str) -> tuple[float, float]:
    """How many calls of a component a request made, before and after."""
    own = calls[calls["component"] == component]
    return float(own["calls_baseline"].sum()), float(own["calls_candidate"].sum())


def waits(measured: Measurements, runs: Sequence[str], endpoint: str) -> tuple[Note, ...]:
    """A note where calls of these requests run one after another and could overlap."""
    some, left = [], _ENOUGH
    for spans in _spans_by_run(measured, runs):
        if endpoint != AGGREGATED and "route" in spans.columns:
            spans = spans[spans["route"] == endpoint]
        traces = spans.loc[spans["parent"].isna(), "trace"].head(left)
        some.append(spans[spans["trace"].isin(traces)])
        if not (left := left - len(traces)):
            break
    if not sum(map(len, some)):
        return ()
    found = find_sequential(pd.concat(some, ignore_index=True))
    claimed = found[found["evidence"].isin(CLAIMS)]
    if not len(claimed):
        return ()
    top = claimed.iloc[0]
    facts = {name: top[name] for name in ("calls", "evidence", "route", "saved_mean_ms", "condition")}
    return (account_notes.IN_A_ROW(Remedy("find_sequential", {}, given="spans"), at_once=int(top["at_once"]), **facts),)
