"""What another order or speed of calls would give, predicted by replaying each trace (`replay`)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.metrics import quantile
from perflab.notes import Note
from perflab.results import Findings, count, findings
from perflab.stats.distributions import t_ppf
from perflab.traces import span_notes
from perflab.traces.operations import attributes_of, operations_of
from perflab.traces.pieces import whole_calls
from perflab.traces.replay import replayed
from perflab.traces.trees import Array, Ints, Trees, spans_of, texts_of, trees_of
from perflab.units import format_fraction, format_ms

_RUNS_FOR_TAIL = 6


def what_if(
    spans: pd.DataFrame | Measurements,
    *,
    parallel: str | Collection[str] | Collection[Collection[str]] = (),
    faster: Mapping[str, float] | None = None,
    without: str | Collection[str] = (),
) -> Findings:
    """Predict how long the traces would take if some of their calls overlapped, were faster, or were not made.

    Parameters
    ----------
    spans : DataFrame or Measurements
        A ``spans`` table, or measurements that hold one.
    parallel : str, collection of str, or several such collections
        Names of calls, as in ``operations`` of `find_sequential`; those that follow each other under one parent would start
        together. Several collections are groups of their own.
    faster : mapping of str to float
        By the name of a call, the share of its time that it would still take (0.5: half).
    without : str or collection of str
        Names of calls that would not be made.

    Returns
    -------
    Findings
        route, statistic ("mean", "p50", and "p95" from six runs on), traces, before_ms, after_ms, change_ms, change_low_ms,
        change_high_ms (95 % over runs; missing with fewer than two).

    Raises
    ------
    ValueError
        Nothing to change, a name that no span has, or a share below zero.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> at = pd.to_datetime(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.002Z", "2026-01-01T00:00:00.014Z"], format="ISO8601")
    >>> spans = pd.DataFrame({"trace": "t", "span": ["a", "b", "c"], "parent": [None, "a", "a"], "service": "shop",
    ...                       "name": ["GET /", "price", "stock"], "start": at, "duration_ms": [30.0, 12.0, 10.0]})
    >>> lab.what_if(spans, parallel=["price", "stock"])[["statistic", "before_ms", "after_ms"]].values.tolist()
    [['mean', 30.0, 20.0], ['p50', 30.0, 20.0]]
    """
    groups, factor = _groups(parallel), _factors(faster or {}, without)
    if not (groups or factor):
        raise ValueError("what_if needs parallel=, faster= or without=; got none of them")
    trees = trees_of(whole_calls(spans_of(spans)))
    names = _Names(trees)
    for parameter, asked in (
        ("parallel", set().union(*groups)),
        ("faster", set(faster or ())),
        ("without", _set(without)),
    ):
        names.check(parameter, asked)
    group = np.full(len(trees.parent), -1, dtype="int64")
    for number, members in enumerate(groups):
        group[names.places(members)] = number
    changed = {int(p): share for name, share in factor.items() for p in names.places([name])}
    before = (trees.last - trees.first)[trees.roots] / 1e6
    after = replayed(trees, group, changed) / 1e6
    rows = _rows(trees, before, after)
    notes = [*trees.notes, *_cautions(trees, group, bool((before == after).all()))]
    return findings(rows, _sentence(rows), notes)


class _Names:
    """Spans by their names, as recorded and without values."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.recorded = texts_of(trees.frame, "name")
        self.named = operations_of(trees.frame, np.arange(len(trees.parent)))

    def places(self, names: Collection[str]) -> Ints:
        chosen = list(names)
        return np.flatnonzero(np.isin(self.recorded, chosen) | np.isin(self.named, chosen))

    def check(self, parameter: str, names: Collection[str]) -> None:
        unknown = sorted(set(names) - set(self.recorded) - set(self.named))
        if unknown:
            below = self.named[self.trees.parent >= 0]
            there = ", ".join(repr(n) for n in pd.Series(below).value_counts().index[:8])
            raise ValueError(f"{parameter} must name spans ({there}); got {unknown[0]!r}")


def _set(names: str | Collection[str]) -> set[str]:
    return {names} if isinstance(names, str) else set(names)


def _groups(parallel: str | Collection[str] | Collection[Collection[str]]) -> list[set[str]]:
    if isinstance(parallel, str):
        return [{parallel}]
    names = {name for name in parallel if isinstance(name, str)}
    return ([names] if names else []) + [set(group) for group in parallel if not isinstance(group, str)]


def _factors(faster: Mapping[str, float], without: str | Collection[str]) -> dict[str, float]:
    for name, share in faster.items():
        if not (isinstance(share, (int, float)) and math.isfinite(share) and share >= 0):
            raise ValueError(f"faster must map names to shares of zero or more; got {name!r}: {share!r}")
    return {**{name: float(share) for name, share in faster.items()}, **dict.fromkeys(_set(without), 0.0)}


def _cautions(trees: Trees, group: Ints, same: bool) -> list[Note]:
    named = np.flatnonzero(group >= 0)
    beside = pd.Series(group[named]).groupby(trees.parent[named]).value_counts()
    notes = [span_notes.CAPACITY(most=int(beside.max()))] if len(named) and not same else []
    roots = np.unique(trees.root[named])
    served = attributes_of(trees.frame.iloc[roots[roots >= 0]])
    if notes and any(own.get("perflab.loop") is True for own in served):
        notes.append(span_notes.ONE_LOOP())
    if len(named) and same:
        notes.append(span_notes.NOTHING_FOLLOWS())
    runs = int(trees.frame["run"].nunique()) if "run" in trees.frame.columns else 1
    return notes if runs >= _RUNS_FOR_TAIL else [*notes, span_notes.NO_TAIL(needed=_RUNS_FOR_TAIL, runs=runs)]


def _rows(trees: Trees, before: Array, after: Array) -> pd.DataFrame:
    frame = trees.frame.iloc[trees.roots]
    run = frame["run"].to_numpy(dtype=object) if "run" in frame.columns else np.full(len(frame), "")
    roots = pd.DataFrame({"route": trees.routes, "run": run, "before": before, "after": after})
    changed = roots.loc[roots["before"] != roots["after"], "route"].unique()
    chosen = roots[roots["route"].isin(changed)] if len(changed) else roots
    # The route first that would change most in all.
    total = (chosen["after"] - chosen["before"]).abs().groupby(chosen["route"]).sum()
    rows = []
    for name in total.sort_values(ascending=False, kind="stable").index:
        own = chosen[chosen["route"] == name]
        runs = [(part["before"].to_numpy(), part["after"].to_numpy()) for _, part in own.groupby("run", sort=False)]
        statistics = {"mean": None, "p50": 0.5} | ({"p95": 0.95} if len(runs) >= _RUNS_FOR_TAIL else {})
        rows += [_row(str(name), runs, label, share) for label, share in statistics.items()]
    return pd.DataFrame(rows)


def _row(route: str, runs: list[tuple[Array, Array]], statistic: str, share: float | None) -> dict[str, object]:
    def of(values: Array) -> float:
        return float(values.mean() if share is None else quantile(values, [share])[0])

    sides = np.array([(of(before), of(after)) for before, after in runs])
    each = sides[:, 1] - sides[:, 0]
    low = high = math.nan
    if len(each) > 1:
        half = float(t_ppf(0.975, len(each) - 1) * each.std(ddof=1)) / math.sqrt(len(each))
        low, high = float(each.mean()) - half, float(each.mean()) + half
    before, change = float(sides[:, 0].mean()), float(each.mean())
    return {
        "route": route, "statistic": statistic, "traces": sum(len(b) for b, _ in runs), "before_ms": before,
        "after_ms": before + change, "change_ms": change, "change_low_ms": low, "change_high_ms": high,
    }  # fmt: skip


def _sentence(rows: pd.DataFrame) -> str:
    top = rows.iloc[0]
    if not top["change_ms"]:
        return f"{top['route']} would take as long as before, {format_ms(float(top['before_ms']))} on average"
    share = format_fraction(abs(float(top["change_ms"])) / float(top["before_ms"]))
    direction = "less" if top["change_ms"] < 0 else "more"
    return (
        f"{top['route']} would take {format_ms(float(top['after_ms']))} on average instead of "
        f"{format_ms(float(top['before_ms']))} ({share} {direction}), over {count(int(top['traces']), 'trace')}"
    )
