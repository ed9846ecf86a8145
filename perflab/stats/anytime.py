"""`compare_anytime`: a verdict that stays valid however often, and whenever, one looks."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab import rendering
from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, one_of
from perflab.notes import Note
from perflab.stats import sequential
from perflab.stats.change import Change
from perflab.stats.compare import compare
from perflab.stats.estimates import requests_of
from perflab.stats.sequential import Floats
from perflab.stats.wording import signed, whose
from perflab.units import format_p

_ALPHA = 0.05
_COLUMNS = ("pairs", "change", "change_low", "change_high", "p_value", "verdict")


@dataclass(frozen=True, repr=False)
class Anytime:
    """The result of `compare_anytime`.

    ``verdict`` is "improved", "regressed", "equivalent" or "inconclusive" after the last pair. ``table`` has a row for
    each pair from the second on, in the order they ran: pairs, change, change_low, change_high (95 % at all of them
    together), p_value (may be read at any of them), verdict.
    """

    verdict: str
    table: pd.DataFrame
    metric: str
    endpoint: str
    tolerance: float
    reason: str = ""
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        what = f"{self.metric} of {whose(self.endpoint)}"
        if self.table.empty or self.reason:
            return f"{what}: {self.verdict}: {self.reason}"
        last = self.table.iloc[-1]
        limits = (
            f"always valid 95 % interval {signed(float(last['change_low']))} to {signed(float(last['change_high']))}"
        )
        limits = limits if math.isfinite(last["change_high"]) else "no limits yet"
        return (
            f"{what} after {last['pairs']} pairs: {signed(float(last['change']))} ({limits}): {self.verdict}; "
            f"p {format_p(float(last['p_value']))}"
        )

    @property
    def notes(self) -> tuple[object, ...]:
        """How it was decided, and the warnings."""
        return (
            "decided by: mixture sequential t-test of the pairs' differences; valid at every pair, looked at as often as one "
            "likes. It needs more pairs than looks registered beforehand (run_pairs(..., looks=...))",
            *self.warnings,
        )

    def _shown(self) -> pd.DataFrame:
        table = self.table
        return pd.DataFrame(
            {
                "pairs": table["pairs"],
                "change": [signed(v) for v in table["change"]],
                "always valid 95 % interval": [
                    f"{signed(low)} to {signed(high)}" if math.isfinite(high) else "no limits yet"
                    for low, high in zip(table["change_low"], table["change_high"], strict=True)
                ],
                "p": [format_p(v) for v in table["p_value"]],
                "verdict": table["verdict"],
            }
        )

    def __repr__(self) -> str:
        return rendering.text(self.sentence, self._shown(), self.notes)

    def _repr_html_(self) -> str:
        return rendering.html(self.sentence, self._shown(), self.notes)


def compare_anytime(
    baseline: Measurements | pd.DataFrame,
    candidate: Measurements | pd.DataFrame,
    *,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    tolerance: float | str = 0.05,
    warmup: float | str | None = None,
    allow: str | Collection[str] = (),
) -> Anytime:
    """Decide whether a metric changed, by a test that may be looked at after every pair.

    For an experiment that somebody watches without having said beforehand when. `compare` is right once, or at looks that
    were registered; read after every pair its false alarms add up to 25 % over twenty pairs, those of this test to 5 %.

    Parameters
    ----------
    baseline, candidate : the runs of both arms, in pairs (`run_pairs`).
    metric : "p95" or any "p<q>", "mean" or "throughput_per_s".
    endpoint : the one endpoint that it is about, or all requests.
    tolerance, warmup, allow : as in `compare`.

    Returns
    -------
    Anytime. Its table tells what could be said after each pair: improved or regressed when the always valid 95 % interval
    excludes no change, equivalent when it lies within the tolerance. Lai (1976), On confidence sequences, Annals of
    Statistics 4; Wang and Ramdas (2025), Anytime-valid t-tests and confidence sequences for Gaussian means with unknown
    variance, Sequential Analysis 44.

    Raises
    ------
    ComparisonError : runs that are not in pairs, and what `compare` raises. ValueError : bad arguments.

    >>> runs = lab.load("datasets/shop_runs")
    >>> watched = lab.stats.compare_anytime(runs.where(arm="n+1"), runs.where(arm="eager"), endpoint="GET /orders")
    >>> watched.verdict, watched.table.pairs.to_list()
    ('improved', [2, 3, 4, 5, 6])
    """
    if metric == "error_fraction":
        raise ValueError(
            'metric must be a latency or "throughput_per_s" here: differences of error shares are no normal ones'
        )
    known = {
        AGGREGATED,
        *(e for side in (baseline, candidate) for e in requests_of(side).requests["endpoint"].unique()),
    }
    if endpoint not in known:
        raise one_of("endpoint", endpoint, sorted(known))
    primary = () if endpoint == AGGREGATED else endpoint
    change = compare(
        baseline,
        candidate,
        metric=[metric, "error_fraction"],
        tolerance=tolerance,
        primary=primary,
        warmup=warmup,
        allow=allow,
    )
    differences = _differences(change.values, metric, endpoint, change.arms)
    if not len(differences) or not np.isfinite(differences).all():
        # Nothing to look at: with the reason that `compare` has, or because the runs were never in pairs.
        if not (why := _obstacle(change, metric, endpoint)):
            raise ComparisonError("these runs are not in pairs: run_pairs makes them, or give the runs a pair column")
        none = pd.DataFrame(columns=list(_COLUMNS))
        return Anytime("inconclusive", none, metric, endpoint, change.tolerance, why, change.warnings)
    better = 1 if metric == "throughput_per_s" else -1
    margin = math.log1p(change.tolerance)
    rows = [
        {
            "pairs": one.pairs,
            "change": math.expm1(one.difference),
            "change_low": _ratio(one.low),
            "change_high": _ratio(one.high),
            "p_value": one.p_value,
            "verdict": _verdict(one, margin, better),
        }
        for one in sequential.anytime(differences, alpha=_ALPHA)
    ]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    obstacle = _obstacle(change, metric, endpoint) or _failing(change, endpoint, table)
    if obstacle:
        table = table.assign(verdict="inconclusive")
    verdict = "inconclusive" if table.empty else str(table["verdict"].iloc[-1])
    return Anytime(verdict, table, metric, endpoint, change.tolerance, obstacle, change.warnings)


def _differences(values: pd.DataFrame, metric: str, endpoint: str, arms: tuple[str, str]) -> Floats:
    """ln candidate - ln baseline of each complete pair, in the order in which they ran."""
    chosen = values[(values["metric"] == metric) & (values["endpoint"] == endpoint)].dropna(subset="pair")
    first, second = (chosen[chosen["arm"] == arm].set_index("pair") for arm in arms)
    if first.index.has_duplicates or second.index.has_duplicates:
        raise ComparisonError("the runs come from more than one experiment: load one with load(store, experiment=...)")
    both = first.merge(second, left_index=True, right_index=True, suffixes=("_baseline", "_candidate"))
    both = both.assign(start=both[["start_baseline", "start_candidate"]].max(axis=1)).sort_values(
        "start", kind="stable"
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.log(both["value_candidate"].astype("float64")) - np.log(both["value_baseline"].astype("float64"))
        )


def _ratio(logarithm: float) -> float:
    return math.expm1(logarithm) if logarithm < 700 else math.inf


def _verdict(one: sequential.Anytime, margin: float, better: int) -> str:
    if -margin < one.low and one.high < margin:
        return "equivalent"
    if one.p_value < _ALPHA and one.difference:
        return "improved" if one.difference * better > 0 else "regressed"
    return "inconclusive"


def _obstacle(change: Change, metric: str, endpoint: str) -> str:
    """What stands in the way of a verdict, as `compare` sees it; empty when nothing does."""
    detail = change.details[(change.details["endpoint"] == endpoint) & (change.details["metric"] == metric)].iloc[0]
    return "" if detail["possible"] else str(change.row_of(endpoint, metric)["reason"])


def _failing(change: Change, endpoint: str, table: pd.DataFrame) -> str:
    """Why faster is not better here; empty where it is."""
    good = not table.empty and table["verdict"].iloc[-1] in ("improved", "equivalent")
    if good and change.row_of(endpoint, "error_fraction")["verdict"] == "regressed":
        return "as fast or faster, but more requests fail than before: failing fast is no improvement"
    return ""
