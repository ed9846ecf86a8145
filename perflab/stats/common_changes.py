"""`find_changes`: lasting changes across metrics and endpoints of one history, simultaneous ones as one event."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import one_of
from perflab.metrics import Floats, Metric
from perflab.notes import count, listed
from perflab.results import Findings, findings
from perflab.stats import doubts, replications
from perflab.stats.divisive import LEAST_CHANGE, P_VALUE, p_value, steps_in
from perflab.stats.estimates import by_run, requests_of, streamed, whose
from perflab.stats.mix import AS_OFFERED, mix_of_history, on_one_mix, one_mix
from perflab.units import format_fraction, parse_fraction

_TOGETHER = 2
"""Changes at most this many runs apart are one event: each is located to about a run."""


@dataclass(frozen=True)
class _Event:
    """A lasting change of one series; ``place`` is its first run."""

    place: int
    metric: Metric
    endpoint: str
    before: float
    after: float
    change: float
    p_value: float


def find_changes(
    history: Measurements | pd.DataFrame,
    *,
    metrics: str | Sequence[str] = ("p50", "p95", "throughput_per_s", "error_fraction"),
    endpoints: str | Sequence[str] | None = None,
    minimum: float | str = LEAST_CHANGE,
    warmup: float | str | None = None,
    allow: str | Collection[str] = (),
) -> Findings:
    """Find where any of many metrics and endpoints changed for good, with simultaneous changes as one event.

    Parameters
    ----------
    history : Measurements or DataFrame
        Many runs, or their requests table.
    metrics : str or sequence of str
        Metrics as `change_points` takes one.
    endpoints : str or sequence of str, optional
        Endpoints to search; by default all of them and all requests together.
    minimum, warmup, allow : optional
        As in `change_points`.

    Returns
    -------
    Findings
        A row for each event, in run order: run and start of its first run, ``series`` (how many metrics and endpoints
        changed there), ``of`` (how many were searched), the ``metric`` and ``endpoint`` that changed most clearly with
        ``before``, ``after``, ``change`` (relative) and ``p_value``, and ``others`` (the rest by name). Changes of
        different series within two runs of each other are one event. The level of each test is divided by the number
        of series (Bonferroni), so the false-alarm rate does not grow with them; a series that drifts has no event.

    Raises
    ------
    As `change_points`.

    >>> runs = lab.load("datasets/shop_runs", arm="eager")
    >>> lab.stats.find_changes(runs, metrics="p95").attrs["sentence"]
    'No lasting change in 10 series of 6 runs'
    """
    least = parse_fraction(minimum, parameter="minimum")
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    wanted = [Metric.of(name) for name in dict.fromkeys(names)]
    if not wanted:
        raise ValueError("metrics must name at least one metric")
    held = requests_of(history)
    warnings = replications.refusals(held.runs, allow, call="find_changes")
    table, more = _values(held, wanted, replications.warmup_of(held.runs, warmup))
    runs = held.runs.sort_values("start", kind="stable")[["run", "start"]].reset_index(drop=True)
    if runs["start"].isna().any():
        more.append(doubts.START_UNKNOWN())
    known = list(dict.fromkeys(table["endpoint"].to_list()))
    chosen = (
        known if endpoints is None else [endpoints] if isinstance(endpoints, str) else list(dict.fromkeys(endpoints))
    )
    if unknown := [name for name in chosen if name not in known]:
        raise one_of("endpoints", unknown[0], known[:12])
    series = _series(table, wanted, chosen, runs["run"].to_list())
    level = P_VALUE / max(1, len(series))
    found = [event for key, values in series.items() for event in _events(*key, values, least, level)]
    groups: list[list[_Event]] = []
    for event in sorted(found, key=lambda each: each.place):
        if groups and event.place - groups[-1][0].place <= _TOGETHER:
            groups[-1].append(event)
        else:
            groups.append([event])
    rows = [_row(group, runs, len(series)) for group in groups]
    columns = ["run", "start", "series", "of", "metric", "endpoint", "before", "after", "change", "p_value", "others"]
    return findings(pd.DataFrame(rows, columns=columns), _sentence(rows, len(series), len(runs)), [*warnings, *more])


def _values(held: Measurements, metrics: list[Metric], cut: float) -> tuple[pd.DataFrame, list[object]]:
    requests = streamed(held)
    table = by_run(requests, metrics, warmup=cut)
    mix = mix_of_history(requests, cut)
    if mix is None or not len(mix.share):
        return table, []
    table = on_one_mix(table, requests, mix, tuple(metrics), cut)
    return table[table["endpoint"] != AS_OFFERED], [one_mix(mix)]


def _series(
    table: pd.DataFrame, metrics: list[Metric], endpoints: list[str], runs: list[str]
) -> dict[tuple[Metric, str], Floats]:
    """The values of each metric and endpoint over all runs, NaN where a run has none."""
    found = {}
    for endpoint in endpoints:
        own = table[table["endpoint"] == endpoint].set_index("run").reindex(runs)
        for metric in metrics:
            if not metric.has_endpoints and endpoint != AGGREGATED:
                continue
            values = own[metric.name].to_numpy(dtype="float64")
            if metric.share is not None:
                values = np.where(own["count"] >= metric.needs(1), values, math.nan)
            found[metric, endpoint] = values
    return found


def _events(metric: Metric, endpoint: str, values: Floats, least: float, level: float) -> list[_Event]:
    known = np.flatnonzero(np.isfinite(values))
    own = values[known]
    if len(own) < 2 or own.std() == 0:
        return []
    relative = bool((own > 0).all())
    scaled = np.log(own) if relative else own
    steps = steps_in(scaled, least, relative=relative, level=level)
    edges = [0, *steps.places, len(own)]
    events = []
    for begin, place, end in zip(edges, edges[1:], edges[2:], strict=False):
        before, after = float(scaled[begin:place].mean()), float(scaled[place:end].mean())
        change = math.expm1(after - before) if relative else ((after - before) / abs(before) if before else math.inf)
        p = p_value(scaled[begin:place], scaled[place:end], steps.demand.widened)
        typical = (math.exp(before), math.exp(after)) if relative else (before, after)
        events.append(_Event(int(known[place]), metric, endpoint, *typical, change, p))
    return events


def _row(group: list[_Event], runs: pd.DataFrame, of: int) -> dict[str, Any]:
    """One event from simultaneous changes."""
    first, *others = sorted(group, key=lambda event: event.p_value)
    return {
        "run": runs["run"][first.place],
        "start": runs["start"][first.place],
        "series": len(group),
        "of": of,
        "metric": first.metric.name,
        "endpoint": first.endpoint,
        "before": first.before,
        "after": first.after,
        "change": first.change,
        "p_value": first.p_value,
        "others": "; ".join(f"{event.metric.label} of {whose(event.endpoint)}" for event in others),
    }


def _sentence(rows: list[dict[str, Any]], series: int, runs: int) -> str:
    searched = f"{count(series, 'series')} of {count(runs, 'run')}"
    if not rows:
        return f"No lasting change in {searched}"
    named = []
    for row in rows:
        what = f"{Metric.of(row['metric']).label} of {whose(row['endpoint'])}"
        more = f" and {count(row['series'] - 1, 'other')}" if row["series"] > 1 else ""
        named.append(
            f"{what} {'+' if row['change'] > 0 else ''}{format_fraction(row['change'])}{more} from run {row['run']} on"
        )
    return f"{count(len(rows), 'change')} in {searched}: {listed(named, 3)}"
