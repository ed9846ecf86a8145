"""`compare_anytime`: a verdict that stays valid however often, and whenever, it is read."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError, one_of
from perflab.metrics import Floats, Metric
from perflab.notes import PYTHON, Note, Remedy, joined, written
from perflab.results import Result, Shown
from perflab.stats import doubts, sequential
from perflab.stats.change import Change
from perflab.stats.compare import compare
from perflab.stats.design import ONE_EXPERIMENT
from perflab.stats.estimates import endpoints_of, requests_of, whose
from perflab.stats.rows import ERRORS
from perflab.units import format_p

_ALPHA = 0.05
_SAME = 1e-12
"""Differences (of logarithms) within this are the same but for rounding."""
_COLUMNS = ("pairs", "change", "change_low", "change_high", "p_value", "verdict")


@dataclass(frozen=True, repr=False)
class Anytime(Result):
    """The result of `compare_anytime`.

    ``verdict`` is "improved", "regressed", "equivalent" or "inconclusive" after the last pair. ``table`` has a row for
    each pair from the second on, in run order: pairs, change, change_low, change_high (95 % simultaneously over all
    pairs), p_value (valid at any pair), verdict.
    """

    verdict: str
    table: pd.DataFrame
    metric: str
    endpoint: str
    tolerance: float
    reason: Note | None = None
    warnings: tuple[Note, ...] = ()
    remarks: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        return str(self.answer)

    @property
    def answer(self) -> Note:
        """The answer as a note, whose advice is written for the surface that shows it."""
        what = f"{Metric.of(self.metric).label} of {whose(self.endpoint)}"
        if self.table.empty or self.reason:
            return joined(joined(f"{what}: {self.verdict}", self.reason or "", by=": "), *self.remarks)
        last = self.table.iloc[-1]
        change = Metric.of(self.metric).format_change(last["change"])
        p = _p(last)
        p = p if "<" in p else f"= {p}"
        words = f"{what} after {last['pairs']} pairs: {change} ({self._limits(last)}): {self.verdict}; p {p}"
        return joined(words, *self.remarks)

    def _limits(self, row: pd.Series) -> str:
        if not math.isfinite(row["change_high"]):
            return "no limits yet"
        return f"always valid 95 % interval {Metric.of(self.metric).interval(row['change_low'], row['change_high'])}"

    @property
    def notes(self) -> tuple[Note, ...]:
        """The method, then the warnings."""
        registered = Remedy("run_pairs", {"looks": ...}, given="plan, baseline, candidate")
        return (doubts.ANYTIME(registered), *self.warnings)

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the table and the notes for a surface."""
        table = self.table
        shown = pd.DataFrame(
            {
                "pairs": table["pairs"],
                "change": list(map(Metric.of(self.metric).format_change, table["change"])),
                "limits": [self._limits(row) for _, row in table.iterrows()],
                "p": [_p(row) for _, row in table.iterrows()],
                "verdict": table["verdict"],
            }
        )
        return Shown(self.answer.written(surface), shown, written(self.notes, surface), ours=True)


def _p(row: pd.Series) -> str:
    """p as text, never below what so many pairs can show without assuming a distribution."""
    return format_p(float(row["p_value"]), 2.0 ** (1 - int(row["pairs"])))


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
    """Decide whether a metric changed, by a test that stays valid when read after every pair.

    For an experiment that is watched without registered looks. `compare` holds its error rate once, or at registered
    looks; read after each of twenty pairs, its false alarms add up to 25 %, those of this test to 5 %. The test assumes
    a constant effect (a note warns where later pairs contradict earlier ones) and independent pairs: at an
    autocorrelation of 0.5, 24 % of null experiments of thirty pairs were called a change.

    Parameters
    ----------
    baseline, candidate : Measurements or DataFrame
        The runs of both arms, in pairs (`run_pairs`).
    metric : str
        "p95" or any ``"p<q>"``, "mean", "throughput_per_s", or another metric that changes by a ratio.
    endpoint : str
        The endpoint to decide on; all requests by default.
    tolerance, warmup, allow : optional
        As in `compare`.

    Returns
    -------
    Anytime
        Its table has the verdict after each pair: improved or regressed when the always valid 95 % interval excludes
        no change, equivalent when it lies within the tolerance. Lai (1976), On confidence sequences, Annals of Statistics 4;
        Wang and Ramdas (2025), Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance,
        Sequential Analysis 44.

    Raises
    ------
    ComparisonError
        The runs are not in pairs, or `compare` refuses them.
    ValueError
        An argument is invalid.

    >>> runs = lab.load("datasets/shop_runs")
    >>> watched = lab.stats.compare_anytime(runs.where(arm="n+1"), runs.where(arm="eager"), endpoint="GET /orders")
    >>> watched.verdict, watched.table.pairs.to_list()
    ('improved', [2, 3, 4, 5, 6])
    """
    wanted = Metric.of(metric)
    if not wanted.relative:
        raise ValueError(f"metric must be one that changes by a ratio: differences of {wanted.label} are not normal")
    known = {
        AGGREGATED,
        *(e for side in (baseline, candidate) for e in endpoints_of(requests_of(side))),
    }
    if endpoint not in known:
        raise one_of("endpoint", endpoint, sorted(known))
    primary = () if endpoint == AGGREGATED else endpoint
    change = compare(
        baseline,
        candidate,
        metric=[metric, ERRORS.name],
        tolerance=tolerance,
        primary=primary,
        warmup=warmup,
        allow=allow,
    )
    differences = _differences(change.values, metric, endpoint, change.arms)
    if not len(differences) or not np.isfinite(differences).all():
        # Nothing to test: for the reason that `compare` gives, or because the runs are not in pairs.
        if not (why := _obstacle(change, metric, endpoint)):
            raise ComparisonError(doubts.NOT_PAIRED(doubts.INTERLEAVE))
        none = pd.DataFrame(columns=list(_COLUMNS))
        return Anytime("inconclusive", none, metric, endpoint, change.tolerance, why, change.warnings)
    margin = wanted.margin(change.tolerance)
    rows = [
        {
            "pairs": one.pairs,
            "change": math.expm1(one.difference),
            "change_low": _ratio(one.low),
            "change_high": _ratio(one.high),
            "p_value": one.p_value,
            "verdict": _verdict(one, margin, wanted.better),
        }
        for one in sequential.anytime(differences, alpha=_ALPHA)
    ]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    alike = len(differences) > 1 and differences[0] and np.ptp(differences) < _SAME
    obstacle = _obstacle(change, metric, endpoint) or (doubts.NO_VARIANCE() if alike else _changed(table))
    if obstacle:
        table = table.assign(verdict="inconclusive")
    verdict = "inconclusive" if table.empty else str(table["verdict"].iloc[-1])
    remarks = change.find(endpoint, metric).remarks
    return Anytime(verdict, table, metric, endpoint, change.tolerance, obstacle, change.warnings, remarks)


def _differences(values: pd.DataFrame, metric: str, endpoint: str, arms: tuple[str, str]) -> Floats:
    """ln candidate - ln baseline of each complete pair, in run order."""
    chosen = values[(values["metric"] == metric) & (values["endpoint"] == endpoint)].dropna(subset="pair")
    first, second = (chosen[chosen["arm"] == arm].set_index("pair") for arm in arms)
    if first.index.has_duplicates or second.index.has_duplicates:
        raise ComparisonError(doubts.MIXED_EXPERIMENTS(ONE_EXPERIMENT))
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
    if one.low > one.high:
        return "inconclusive"
    if -margin < one.low and one.high < margin:
        return "equivalent"
    if one.p_value < _ALPHA and one.difference:
        return "improved" if one.difference * better > 0 else "regressed"
    return "inconclusive"


def _obstacle(change: Change, metric: str, endpoint: str) -> Note | None:
    """What rules out a verdict according to `compare`, which the pairs themselves do not show: failures, load, a broken run."""
    row = change.find(endpoint, metric)
    capped = row.verdict == "inconclusive" and row.reason_code != doubts.WIDE.code
    return row.reasons[0] if capped or not row.possible else None


def _changed(table: pd.DataFrame) -> Note | None:
    """Why the pairs show no single effect: intervals that exclude one another, or an effect that changed its sign."""
    if table.empty:
        return None
    last, crossed = table.iloc[-1], table[table["p_value"] < _ALPHA]
    turned = len(crossed) and np.sign(crossed.iloc[0]["change"]) != np.sign(last["change"])
    outside = not last["change_low"] <= last["change"] <= last["change_high"]
    if last["change_low"] > last["change_high"] or turned or (outside and len(crossed)):
        return doubts.CHANGED_DURING()
    return None
