"""`account`: why a percentile changed, in milliseconds that add up to the change.

Harrell and Davis' p95 of a run is a weighted sum of its sorted latencies; the same weights on the components of the same
requests add up to it exactly. The run is the unit of replication, as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, MissingTableError
from perflab.metrics import Floats, Metric
from perflab.notes import Note, Remedy, count, listed
from perflab.stats import families
from perflab.stats.design import SAME, Design, design, without_copies
from perflab.stats.estimates import by_run, streamed, warmup_of, whose
from perflab.stats.judging import effect_of
from perflab.stats.rows import arms_of
from perflab.stats.tests import Effect
from perflab.stats.verdicts import decide_all
from perflab.traces import account_notes
from perflab.traces.account_calls import calls_of, layer, waits
from perflab.traces.account_layers import database_sides, functions_of
from perflab.traces.account_result import Account
from perflab.traces.components import LABELS, REST, Parts, parts_of, recorded_runs
from perflab.units import parse_fraction

_LARGE_REST = 0.15
_ODD = 0.01
_CALLS, _ODD_REST = ("database", "downstream"), 0.5


def account(
    before: Measurements,
    after: Measurements | None = None,
    *,
    endpoint: str = AGGREGATED,
    metric: str = "p95",
    tolerance: float | str = 0.05,
    warmup: float | str | None = None,
    order: str = "auto",
    allow: str | Collection[str] = (),
) -> Account:
    """Of which components a latency consists, and of which its change: milliseconds that add up.

    Parameters
    ----------
    before, after : Measurements
        Runs whose target recorded its requests (``run_pairs(..., account=True)`` or ``Target(record_requests=True)``). Runs
        without components are left out, but for profiles by endpoint (``run(..., profile="pyinstrument")``), which add the
        functions behind the CPU time. Without ``after``, of what the metric of one arm consists.
    endpoint : str
        One endpoint, or all of them ("Aggregated").
    metric : str
        "p95" or any "p<q>", or "mean". A percentile is Harrell and Davis' here, the mean over the runs.
    tolerance : float or str
        The share of the baseline below which a component's change does not matter.
    warmup, order, allow
        As in `compare`.

    Returns
    -------
    Account
        A row for each component. The intervals (95 %) come from the differences between runs, the verdicts from the same test
        as `compare`'s, corrected for all components together (Holm). ``rest`` is what nothing was measured for.

    Raises
    ------
    MissingTableError
        No components, or requests without ids.
    ComparisonError
        As in `compare`.
    ValueError
        A metric that is no latency, an unknown endpoint.

    >>> import perflab as lab
    >>> at = pd.to_datetime(["2026-01-01T00:00:00Z"] * 2)
    >>> requests = pd.DataFrame({"run": "r", "endpoint": "GET /", "start": at, "latency_ms": [10.0, 20.0], "ok": True,
    ...                          "request": ["a", "b"]})
    >>> components = pd.DataFrame({"run": "r", "request": ["a", "b"], "component": "database", "duration_ms": [4.0, 15.0]})
    >>> lab.account(lab.Measurements.of(requests=requests, components=components), metric="mean").sentence
    'mean latency of all requests is 15 ms: database 9.5 ms, rest 5.5 ms'
    """
    kind = Metric.of(metric)
    if not kind.is_latency:
        raise ValueError(
            f'metric must be "p95" or any "p<q>", or "mean": components add up to a latency; got {metric!r}'
        )
    margin = parse_fraction(tolerance, parameter="tolerance")
    given = [before] if after is None else [before, after]
    sides = [_recorded(side, arm) for side, arm in zip(given, ("before", "after"), strict=False)]
    share = max(warmup_of(side.runs, warmup) for side in sides)
    parts = [parts_of(side, endpoint, warmup=share) for side in sides]
    names = [*dict.fromkeys(n for own in parts for n in own.names if n != REST), REST]
    if len(sides) == 1:
        return _with_layers(_of_one(sides[0], parts[0], names, endpoint, kind), given, sides)
    found = design(sides[0], sides[1], order=order, allow=(allow,) if isinstance(allow, str) else tuple(allow))
    found = without_copies(found, (streamed(sides[0]), streamed(sides[1])))
    made = _with_layers(_of_both(sides, parts, names, (endpoint, kind, margin), found), given, sides)
    return made if (plain := _unrecorded(given, endpoint, kind, share)) is None else _beside(made, plain)


def _with_layers(made: Account, given: Sequence[Measurements], sides: Sequence[Measurements]) -> Account:
    """With what profiles and the database's own counts say of these arms."""
    functions = functions_of(given, made.endpoint)
    database = database_sides(sides, made.arms)
    notes = [
        account_notes.DATABASE_SIDES(
            client_ms=row["client_ms"], arm=row["arm"], executing_ms=row["executing_ms"], planning_ms=row["planning_ms"],
            outside_ms=row["outside_ms"],
        )
        for row in database.to_dict("records")
    ]  # fmt: skip
    return replace(made, functions=functions, database=database, warnings=(*made.warnings, *notes))


def _recorded(measured: Measurements, parameter: str) -> Measurements:
    if not isinstance(measured, Measurements):
        raise ValueError(f"{parameter} must be Measurements; got {type(measured).__name__}")
    runs = recorded_runs(measured)
    if not runs:
        raise MissingTableError(
            f"{parameter} has no run with components: make them by run_pairs(..., account=True) or "
            "Target(record_requests=True), with perflab's request recorder in the application"
        )
    return measured if len(runs) == len(measured.runs) else measured.where(run=runs)


def _matrix(parts: Parts, runs: Sequence[str], names: Sequence[str], metric: Metric) -> tuple[Floats, Floats]:
    """The metric of each run, and components x runs."""
    totals, rows = [], []
    for run in runs:
        total, own = parts.consists(run, metric)
        by_name = dict(zip(parts.names, own.tolist(), strict=True))
        totals.append(total)
        rows.append([by_name.get(name, 0.0) if total == total else math.nan for name in names])
    return np.array(totals), np.array(rows).T


def _of_one(measured: Measurements, parts: Parts, names: list[str], endpoint: str, metric: Metric) -> Account:
    runs = [run for run in measured.runs["run"] if parts.count(run)]
    totals, own = _matrix(parts, runs, names, metric)
    effect = _over_runs(np.vstack([own, totals[None, :]]))
    low, high = effect.interval(0.95)
    calls = calls_of(measured, parts, runs, metric)
    table = pd.DataFrame(
        {"component": names, "baseline_ms": own.mean(1), "baseline_low_ms": low[:-1], "baseline_high_ms": high[:-1]}
    )
    arm = str(measured.runs["arm"].iloc[0] or "runs")
    values = _values([arm], [runs], [own], names)
    notes = _notes([parts], [runs], metric, [arm]) + waits(measured, runs, endpoint)
    limits = float(low[-1]), float(high[-1])
    return Account(
        endpoint, metric, table, values, layer(calls, calls), (arm,), *limits, count(len(runs), "run"), warnings=notes
    )


def _over_runs(values: Floats) -> Effect:
    """The mean over runs with Student's error; no error from one run."""
    count = values.shape[-1]
    error = values.std(-1, ddof=1) / math.sqrt(count) if count > 1 else np.full(len(values), math.nan)
    return Effect(values.mean(-1), error, np.full(len(values), max(count - 1.0, 1.0)))


def _of_both(
    sides: Sequence[Measurements],
    parts: Sequence[Parts],
    names: list[str],
    asked: tuple[str, Metric, float],
    found: Design,
) -> Account:
    endpoint, metric, tolerance = asked
    both = [_matrix(p, runs, names, metric) for p, runs in zip(parts, found.sides, strict=True)]
    without = [
        run for (totals, _), runs in zip(both, found.sides, strict=True) for run in np.array(runs)[np.isnan(totals)]
    ]
    if without:
        raise ComparisonError(
            f"{count(len(without), 'run')} ({listed(without, 3)}) have no request to {whose(endpoint)} after the warm-up; use "
            "longer runs, or leave these out"
        )
    stacked = [np.vstack([own, totals[None, :]]) for totals, own in both]
    few = min(own.shape[1] for own in stacked) < 2 or found.kind == SAME
    effect = (None if few else effect_of(stacked[0], stacked[1], np.zeros(len(names) + 1), found)) or _no_error(stacked)
    before, after = (own.mean(1) for _, own in both)
    own = Effect(effect.difference[:-1], effect.error[:-1], effect.degrees[:-1])
    decided = decide_all(own, tolerance * float(both[0][0].mean()), adjust=families.FAMILYWISE)
    low, high = effect.interval(0.95)
    obstacle = found.obstacle or found.capped
    table = pd.DataFrame(
        {
            "component": names,
            "baseline_ms": before,
            "candidate_ms": after,
            "change_ms": after - before,
            "change_low_ms": low[:-1],
            "change_high_ms": high[:-1],
            "p_adjusted": decided.p_adjusted,
            "verdict": "inconclusive" if obstacle else decided.verdict,
        }
    )
    arms = arms_of((sides[0], sides[1]))
    notes = _notes(parts, found.sides, metric, arms) + found.warnings + waits(sides[-1], found.sides[-1], endpoint)
    if few and not obstacle:
        remedy = Remedy("run_pairs", {"pairs": 6, "account": True}, given="plan, before, after")
        notes = (account_notes.NO_INTERVAL(remedy, runs=found.counted), *notes)
    elif obstacle:
        notes = (account_notes.NO_VERDICT(problem=str(obstacle)), *notes)
    total = float((after - before).sum())
    left = float(table["change_ms"].iloc[-1]) / total if total else 0.0
    if abs(left) > _LARGE_REST and float(low[-1]) * float(high[-1]) > 0:
        notes += (account_notes.MORE_IN_REST(share_fraction=abs(left)),)
    notes += _recorded_in_one(table, arms)
    values = _values(arms, found.sides, [own for _, own in both], names)
    limits = float(low[-1]), float(high[-1])
    calls = [calls_of(s, p, runs, metric) for s, p, runs in zip(sides, parts, found.sides, strict=True)]
    return Account(endpoint, metric, table, values, layer(*calls), arms, *limits, found.counted, warnings=notes)


def _recorded_in_one(table: pd.DataFrame, arms: Sequence[str]) -> tuple[Note, ...]:
    """A component that moved to the rest between the arms: a client that the recorder does not hook, on one side."""
    grew = -float(table["change_ms"].iloc[-1])
    found = []
    for name, before, after in zip(table["component"], table["baseline_ms"], table["candidate_ms"], strict=True):
        change = after - before
        if (
            name in _CALLS
            and (before == 0) != (after == 0)
            and grew * change > 0
            and abs(grew) > _ODD_REST * abs(change)
        ):
            with_it, other = (arms[0], arms[1]) if after == 0 else (arms[1], arms[0])
            facts = {"component": LABELS[name], "arm": with_it, "other": other, "rest_ms": abs(grew)}
            found.append(account_notes.ONE_SIDED(**facts))
    return tuple(found)


def _no_error(stacked: Sequence[Floats]) -> Effect:
    difference = stacked[1].mean(1) - stacked[0].mean(1)
    return Effect(difference, np.full(len(difference), math.nan), np.ones(len(difference)))


def _values(
    arms: Sequence[str], runs: Sequence[Sequence[str]], own: Sequence[Floats], names: Sequence[str]
) -> pd.DataFrame:
    def of_arm(arm: str, r: Sequence[str], v: Floats) -> pd.DataFrame:
        held = {
            "run": np.repeat(list(r), len(names)),
            "arm": arm,
            "component": list(names) * len(r),
            "value_ms": v.T.ravel(),
        }
        return pd.DataFrame(held)

    frames = [of_arm(arm, r, v) for arm, r, v in zip(arms, runs, own, strict=True)]
    return pd.concat(frames, ignore_index=True)


def _notes(
    parts: Sequence[Parts], runs: Sequence[Sequence[str]], metric: Metric, arms: Sequence[str]
) -> tuple[Note, ...]:
    those = "all requests" if metric.share is None else f"the requests at the {metric.label}"
    notes = [account_notes.NO_CAUSE(requests=those)] if len(parts) > 1 else []
    for own, arm in zip(parts, arms, strict=True):
        if own.unrecorded > _ODD:
            notes.append(account_notes.UNRECORDED(share_fraction=own.unrecorded, arm=arm))
        if "queue" in own.names:
            queue = own.parts[:, own.names.index("queue")]
            if float((queue < -1.0).mean()) > _ODD:
                notes.append(
                    account_notes.NEGATIVE_QUEUE(share_fraction=float((queue < 0).mean()), most_ms=-queue.min())
                )
    fewest = min(own.count(run) for own, names in zip(parts, runs, strict=True) for run in names)
    if fewest < metric.rows_needed:
        notes.append(account_notes.FEW(found=fewest, metric=metric.label, needed=metric.rows_needed))
    return tuple(notes)


def _unrecorded(
    given: Sequence[Measurements], endpoint: str, metric: Metric, warmup: float
) -> tuple[float, ...] | None:
    """The metric of both arms in the runs without the recorder, as `compare` has it; None where an arm has none."""
    found = []
    for side in given:
        recorded = set(recorded_runs(side))
        held = [name for name in ("profile", "calls") if name in side.tables]
        profiled = {str(run) for name in held for run in side.count(name).index}
        others = [run for run in side.runs["run"] if run not in recorded | profiled]
        if not others:
            return None
        values = by_run(side.where(run=others), [metric], warmup=warmup)
        own = values.loc[values["endpoint"] == endpoint, metric.name].to_numpy(dtype="float64")
        if not len(own):
            return None
        found.append(metric.typical(own))
    return tuple(found)


def _beside(made: Account, plain: tuple[float, ...]) -> Account:
    before, after = plain
    note = account_notes.TWO_TOTALS(
        metric=made.metric.label, change=made.signed(after - before), before_ms=before, after_ms=after
    )
    return replace(made, measured=(before, after), warnings=(note, *made.warnings))
