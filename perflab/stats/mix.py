"""The mix of endpoints: whether it moved between the arms, and totals on one common mix.

In a closed model a faster endpoint is called more often, so its weight among all requests changes with it: the total
may improve although the only endpoint that changed became slower (Simpson's paradox).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from perflab.data.kept_statistics import Arrays
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import one_of
from perflab.metrics import QUANTILE, SHARE, SLOW, Floats, Metric
from perflab.notes import Note
from perflab.stats import circumstances, families, tests
from perflab.stats.coded_requests import Requests, Streamed, streamed
from perflab.stats.design import Design
from perflab.stats.estimates import by_run

AS_OFFERED = f"{AGGREGATED} (as offered)"
_LEVEL = 0.01
_MANY_ERRORS, _POINTS = 5.0, 0.02
_LEAST = 0.005
"""A smaller move in a share of the requests changes no total that matters."""


@dataclass(frozen=True)
class Mix:
    """One mix for both arms: the ``share`` of each stratum, and the stratum of each endpoint that both arms have.

    Endpoints that every run has are strata of their own; the others that both arms have form one stratum. ``moved`` maps
    each endpoint whose share moved to its shares in baseline and candidate, the largest move first; ``lone`` the endpoints
    that only one arm has to the shares of its requests (of the arm with more of them), or those without a given weight.
    """

    stratum: Mapping[str, int]
    share: Floats
    moved: Mapping[str, tuple[float, float]]
    lone: Mapping[str, float] = field(default_factory=dict)


def mix_of(
    requests: tuple[Requests | Streamed, Requests | Streamed],
    design: Design,
    warmup: float,
    weights: Mapping[str, float] | None = None,
) -> Mix | None:
    """The given mix, or a common one where the mixes of the arms differ; None where they do not, or cannot be tested."""
    names = list(dict.fromkeys(name for side in requests for name in side.endpoints))
    if weights is not None:
        share = np.array(list(weights.values()), dtype="float64")
        without = {name: math.nan for name in names if name not in weights}
        return Mix({name: place for place, name in enumerate(weights)}, share / share.sum(), {}, without)
    if len(names) < 2 or design.kind not in ("pairs", "few pairs", "unpaired", "history"):
        return None
    counts = [counts_by_run(side, runs, names, warmup) for side, runs in zip(requests, design.sides, strict=True)]
    if any((c.sum(0) == 0).any() for c in counts):
        return None
    first, second = (c / c.sum(0) for c in counts)
    pooled = sum(c.sum(1) for c in counts) / sum(c.sum() for c in counts)
    # The counting variance: a mix fixed by a script does not vary, but that is not certainty.
    floor = pooled * (1 - pooled) * sum((1 / c.sum(0)).sum() / c.shape[1] ** 2 for c in counts)
    if design.paired:
        effect = tests.paired(first, second, floor)
    elif design.kind == "history":
        effect = tests.against_history(first, second[:, 0], floor)
    else:
        effect = tests.welch(first, second, floor)
    sure = (families.holm(effect.p_value) < _LEVEL) & (np.abs(effect.difference) >= _LEAST)
    if not sure.any():
        return None
    shares = first.mean(1), second.mean(1)
    largest = [i for i in np.argsort(-np.abs(effect.difference), kind="stable") if sure[i]]
    moved = {names[i]: (float(shares[0][i]), float(shares[1][i])) for i in largest}
    return _common(names, counts, shares, moved)


def mix_of_history(requests: Requests | Streamed, warmup: float) -> Mix | None:
    """One mix for a history whose runs differ in mix by more than counting gives, and by several points."""
    names = list(requests.endpoints)
    counts = counts_by_run(requests, requests.runs, names, warmup)
    if len(names) < 2 or (counts.sum(0) == 0).any():
        return None
    share = counts / counts.sum(0)
    pooled = counts.sum(1) / counts.sum()
    error = np.sqrt(pooled * (1 - pooled))[:, None] / np.sqrt(counts.sum(0))
    off = np.abs(share - pooled[:, None])
    if not ((off > _MANY_ERRORS * error) & (off >= _POINTS)).any():
        return None
    place = int((share.max(1) - share.min(1)).argmax())
    moved = {names[place]: (float(share[place].min()), float(share[place].max()))}
    return _common(names, [counts, counts], (share.mean(1), share.mean(1)), moved)


def _common(
    names: list[str], counts: list[Floats], shares: tuple[Floats, Floats], moved: Mapping[str, tuple[float, float]]
) -> Mix:
    everywhere = (counts[0] > 0).all(1) & (counts[1] > 0).all(1)
    rest = (counts[0] > 0).any(1) & (counts[1] > 0).any(1) & ~everywhere
    if any((c[rest].sum(0) == 0).any() for c in counts):
        rest = np.zeros_like(everywhere)
    own = np.flatnonzero(everywhere).tolist()
    stratum = {names[place]: code for code, place in enumerate(own)}
    stratum |= {names[place]: len(own) for place in np.flatnonzero(rest)}
    both = (shares[0] + shares[1]) / 2
    share = np.array([*both[own], *([both[rest].sum()] if rest.any() else [])])
    absent = [~(c > 0).any(1) for c in counts]
    arm = int(shares[1][absent[0]].sum() > shares[0][absent[1]].sum())
    lone = {names[place]: float(shares[arm][place]) for place in np.flatnonzero(absent[1 - arm])}
    return Mix(stratum, share / share.sum() if len(share) else share, moved, lone)


def checked_weights(
    mix: Mapping[str, float], requests: tuple[Requests | Streamed, Requests | Streamed]
) -> Mapping[str, float]:
    """The weights of a given mix; ValueError for an endpoint that an arm lacks, or a weight that is not positive."""
    known = [name for name in requests[0].endpoints if name in requests[1].endpoints]
    if not isinstance(mix, Mapping):
        raise ValueError(f"mix must be a mapping of endpoints to weights; got {mix!r}")
    for name, weight in mix.items():
        if name not in known:
            raise one_of("mix", name, sorted(known))
        if not 0 < float(weight) < math.inf:
            raise ValueError(f"mix must give each endpoint a positive weight; got {weight!r} for {name!r}")
    if not mix:
        raise ValueError("mix must give at least one endpoint a weight")
    return mix


def counts_by_run(side: Requests | Streamed, runs: Sequence[str], names: Sequence[str], warmup: float) -> Floats:
    """Requests of each endpoint in each run after the warm-up: endpoints x runs."""
    found = np.zeros((len(side.runs), len(side.endpoints)))
    for piece in side.each(counts_of, warmup):
        found[np.ix_(piece.run, piece.endpoint)] = piece.found["count"].reshape(len(piece.run), -1)
    table = pd.DataFrame(found, index=list(side.runs), columns=list(side.endpoints))
    return np.asarray(table.reindex(index=list(runs), columns=names).fillna(0), dtype="float64").T


def counts_of(side: Requests, warmup: float) -> Arrays:
    """Requests of each run and endpoint after the warm-up."""
    kept, size = side.age >= warmup, len(side.endpoints)
    return {"count": np.bincount(side.run[kept] * size + side.endpoint[kept], minlength=len(side.runs) * size)}


def mixes(metric: Metric) -> bool:
    """Whether the mix of endpoints weighs on this metric of all requests: not on their number, nor on resources."""
    return metric.kind in (QUANTILE, SHARE, SLOW) or metric.is_latency


def on_one_mix(
    table: pd.DataFrame, requests: Requests | Streamed, mix: Mix, metrics: tuple[Metric, ...], cut: float
) -> pd.DataFrame:
    """A `by_run` table with the total on the common mix, and the total as offered as a separate row."""
    whole = table[table["endpoint"] == AGGREGATED]
    mixed = whole.copy()
    moving = tuple(filter(mixes, metrics))
    pieces = requests.each(mixed_of, tuple(m.name for m in moving), Weights(mix), cut) if moving else []
    for metric in moving:
        values = {requests.runs[c]: v for p in pieces for c, v in zip(p.run, p.found[metric.name], strict=True)}
        mixed[metric.name] = [values[run] for run in whole["run"]]
    others = table[table["endpoint"] != AGGREGATED]
    return pd.concat([mixed, whole.assign(endpoint=AS_OFFERED), others], ignore_index=True)


@dataclass(frozen=True)
class Weights:
    """A mix as an argument: its text is all of it."""

    mix: Mix

    def __repr__(self) -> str:
        return repr((dict(self.mix.stratum), self.mix.share.tolist(), bool(self.mix.moved)))


def mixed_of(requests: Requests, metrics: tuple[str, ...], weights: Weights, cut: float) -> Arrays:
    """Metrics of all requests of each run on a common mix."""
    groups = weighted(requests, weights.mix, cut)
    return {name: np.array([_value(Metric.of(name), groups.get(run)) for run in requests.runs]) for name in metrics}


def on_a_mix(measured: Measurements, metric: Metric, cut: float, endpoint: str) -> tuple[pd.DataFrame, Note | None]:
    """`by_run` of a history, the total on one mix where the mix moved, and the note that says so."""
    requests = streamed(measured)
    table = by_run(requests, [metric], warmup=cut)
    mix = mix_of_history(requests, cut) if endpoint == AGGREGATED else None
    if mix is None or not len(mix.share):
        return table, None
    table = on_one_mix(table, requests, mix, (metric,), cut)
    return table[table["endpoint"] != AS_OFFERED], one_mix(mix)


def one_mix(mix: Mix) -> Note:
    """The note that all requests are on one mix."""
    endpoint, (before, after) = next(iter(mix.moved.items()))
    return circumstances.ONE_MIX(endpoint=endpoint, before_fraction=before, after_fraction=after)


Weighted = tuple[Floats, Floats, Floats]
"""Sorted latencies, failures and weights of the requests of one run."""


def weighted(requests: Requests, mix: Mix, cut: float) -> dict[str, Weighted]:
    """The requests of each run, weighted to the common mix."""
    codes = np.array([mix.stratum.get(name, -1) for name in requests.endpoints])
    stratum = codes[requests.endpoint]
    rows = np.flatnonzero((requests.age >= cut) & (stratum >= 0))
    run, stratum, size = requests.run[rows], stratum[rows], len(mix.share)
    counts = np.bincount(run * size + stratum, minlength=len(requests.runs) * size)
    weight = mix.share[stratum] / counts[run * size + stratum]
    lacking = (counts.reshape(-1, size) == 0).any(axis=1)
    order = np.lexsort([requests.latency[rows], run])
    edges = np.searchsorted(run[order], np.arange(len(requests.runs) + 1))
    values, failed = requests.latency[rows][order], requests.failed[rows][order].astype("float64")
    weight = weight[order]
    return {
        name: (values[low:high], failed[low:high], weight[low:high])
        for name, low, high, without in zip(requests.runs, edges, edges[1:], lacking, strict=False)
        if high > low and not (without and not mix.moved)
    }


def _value(metric: Metric, group: Weighted | None) -> float:
    if group is None:
        return float("nan")
    latency, failed, weight = group
    if metric.share is not None:
        return weighted_quantile(latency, weight, metric.share)
    if metric.slower_ms is not None:
        return float(np.average(latency > metric.slower_ms, weights=weight))
    return float(np.average(failed if metric.kind == SHARE else latency, weights=weight))


def weighted_quantile(ordered: Floats, weight: Floats, share: float) -> float:
    """The weighted quantile of type 8 of sorted values; with equal weights the ordinary one.

    >>> weighted_quantile(np.array([1.0, 2.0, 3.0, 9.0]), np.ones(4), 0.5)
    2.5
    """
    count = len(ordered)
    scaled = weight * (count / weight.sum())
    place = (np.cumsum(scaled) - scaled / 3) / (count + 1 / 3)
    at = int(np.searchsorted(place, share))
    if at in (0, count):
        return float(ordered[min(at, count - 1)])
    low, high = float(ordered[at - 1]), float(ordered[at])
    part = (share - place[at - 1]) / (place[at] - place[at - 1])
    return low if low == high or part == 0 else float(low + part * (high - low))
