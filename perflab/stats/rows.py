"""A row of a comparison: its verdict with the reason, and the tables that the rows become."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.stats import ranks, tests
from perflab.stats.arms import Design
from perflab.stats.estimates import Floats
from perflab.stats.judging import Judged
from perflab.stats.levels import Level
from perflab.stats.verdicts import decide, runs_to_decide, worst_case
from perflab.stats.warmup import Warmup
from perflab.stats.wording import points
from perflab.units import format_fraction

ERRORS = "error_fraction"
_ODD = 0.1
"""A run whose share of failed requests is larger than is usual in its arm by more than this is pointed at."""
Key = tuple[str, str]
"""Metric and endpoint: a row of the table."""
_COLUMNS = (
    *("endpoint", "metric", "unit", "runs_baseline", "runs_candidate", "baseline", "candidate"),
    *("change", "change_low", "change_high", "p_value", "p_adjusted", "verdict", "reason"),
)


@dataclass(frozen=True)
class Asked:
    """What was asked for, and what the runs are."""

    metrics: tuple[str, ...]
    primaries: tuple[str, ...]
    margins: tuple[float, float]
    design: Design
    trim: Warmup
    level: Level
    adjust: str

    @property
    def deciding(self) -> tuple[Key, ...]:
        """The rows that the verdict is about: they stand outside the family."""
        return tuple((self.metrics[0], name) for name in self.primaries or (AGGREGATED,))


@dataclass(frozen=True)
class Row:
    """A row of the table with what is behind it."""

    judged: Judged
    p_value: float
    p_adjusted: float
    family: str
    verdict: str
    reason: str
    failing: bool = False


def row_of(one: Judged, p_adjusted: float, family: str, asked: Asked) -> Row:
    p_value = float(one.effect.p_value) if one.effect is not None else math.nan
    verdict, reason = _verdict(one, p_adjusted, asked)
    return Row(one, p_value, p_adjusted, family, verdict, reason)


def _verdict(one: Judged, p_adjusted: float, asked: Asked) -> tuple[str, str]:
    effect = one.effect
    if one.obstacle or effect is None:
        return "inconclusive", one.obstacle or asked.design.obstacle
    if asked.design.capped:
        return "inconclusive", asked.design.capped
    word = str(decide(effect, one.margin, np.asarray(p_adjusted), one.better, asked.level.alpha))
    margin = (format_fraction(asked.margins[0]) if one.relative else points(asked.margins[1])).lstrip("+")
    if word == "equivalent":
        return word, f"the 90 % interval lies within the tolerance of {margin}"
    if word == "inconclusive":
        return word, _needed(one, effect, p_adjusted, asked)
    if one.undirected:
        return "inconclusive", one.undirected
    low, high = effect.interval(0.95)
    sure = low > one.margin or high < -one.margin
    return word, f"by at least {margin}" if sure else "the size of the change is not yet certain"


def _needed(one: Judged, effect: tests.Effect, p_adjusted: float, asked: Asked) -> str:
    """How many more runs would settle it, if the effect is as large as it looks (power .8)."""
    if asked.design.kind == "history":
        return (
            "not outside what the earlier runs do by themselves; interleaved pairs tell smaller differences (run_pairs)"
        )
    runs = min(len(asked.design.baseline), len(asked.design.candidate))
    more = max(1, runs_to_decide(effect, one.margin, runs) - runs)
    what = (
        ("pair" if asked.design.paired else "run of each arm")
        if more == 1
        else ("pairs" if asked.design.paired else "runs of each arm")
    )
    alone = float(effect.p_value) < asked.level.alpha <= p_adjusted
    why = (
        "significant alone, not among so many tests: declare it primary in the next experiment"
        if alone
        else "the interval holds both no change and a change that matters"
    )
    return f"{why}; about {more:,} more {what} would decide"


def failing_fast(row: Row, errors: Judged) -> Row:
    """More failed requests are always told; better is then not improved, nor as good equivalent."""
    if row.judged.metric == ERRORS:
        return row
    before, after = (format_fraction(_typical(values, errors.relative)) for values in errors.values)
    fail = f"{after} of the requests fail instead of {before}"
    if row.verdict not in ("improved", "equivalent"):
        return replace(row, reason="; ".join(filter(None, (fail, row.reason))), failing=True)
    why = (
        f"better, but {fail}: failing fast is no improvement; mend what fails and run again"
        if row.verdict == "improved"
        else f"as fast, but {fail}: that is a change; mend what fails and run again"
    )
    return replace(row, verdict="inconclusive", reason=why, failing=True)


def both_ways(row: Row, filled: Row) -> Row:
    if row.verdict == filled.verdict:
        return row
    why = f"{row.verdict} as measured, {filled.verdict} with the requests that were due and never sent (coordinated omission)"
    return replace(row, verdict="inconclusive", reason=why)


def size_words(row: Row) -> str:
    effect = row.judged.effect
    return f"{row.verdict}, {format_fraction(row.judged.out(float(effect.difference)))}" if effect else row.verdict


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The table that a `Change` shows."""
    return pd.DataFrame([_shown(row) for row in rows], columns=list(_COLUMNS))


def details_of(rows: Sequence[Row], asked: Asked) -> pd.DataFrame:
    """The numbers behind each row, on the scale of the analysis where not said otherwise."""
    return pd.DataFrame([_detail(row, asked) for row in rows])


def _shown(row: Row) -> dict[str, object]:
    one = row.judged
    typical = [_typical(values, one.relative) for values in one.values]
    size = _difference(one)
    return {
        "endpoint": one.endpoint,
        "metric": one.metric,
        "unit": one.unit,
        "runs_baseline": int((~np.isnan(one.values[0])).sum()),
        "runs_candidate": int((~np.isnan(one.values[1])).sum()),
        "baseline": typical[0],
        "candidate": typical[1],
        "change": one.out(size),
        "change_low": one.out(one.limits[0]),
        "change_high": one.out(one.limits[1]),
        "p_value": row.p_value,
        "p_adjusted": row.p_adjusted,
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _typical(values: Floats, relative: bool) -> float:
    """The mean of the runs, geometric for a ratio, so that the two arms' numbers and the change between them agree."""
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan
    if relative and (known > 0).all():
        return float(np.exp(np.log(known).mean()))
    return float(known.mean())


def _difference(one: Judged) -> float:
    """The size of the change on its scale: the test's, or that of two lone runs."""
    if one.effect is not None:
        return float(one.effect.difference)
    return float(one.scaled[1][0] - one.scaled[0][0]) if one.limits[0] == one.limits[0] else math.nan


def _detail(row: Row, asked: Asked) -> dict[str, object]:
    one, effect = row.judged, row.judged.effect
    found = {"endpoint": one.endpoint, "metric": one.metric, "scale": "ln" if one.relative else "difference"}
    if effect is None:
        numbers = dict.fromkeys(("difference", "error", "degrees", "randomisation_p", "rank_p"), math.nan)
        return {**found, **numbers, "low_90": math.nan, "high_90": math.nan, "worst_case": math.nan,
                "possible": False, "not_worse": False, "family": row.family}  # fmt: skip
    low, high = (one.out(float(v)) for v in effect.interval(0.9))
    worst = float(worst_case(effect, one.better))
    possible = one.testable and not asked.design.capped
    return {
        **found,
        "difference": float(effect.difference),
        "error": float(effect.error),
        "degrees": float(effect.degrees),
        "randomisation_p": _randomisation(one, asked.design),
        "rank_p": _ranked(one, asked.design),
        "low_90": low,
        "high_90": high,
        # On the bad side: how much slower, or how much less throughput.
        "worst_case": one.out(worst) if one.better < 0 else -one.out(-worst),
        "possible": possible,
        "not_worse": bool(possible and worst < one.margin and not row.failing),
        "family": row.family,
    }


def _randomisation(one: Judged, design: Design) -> float:
    if design.kind == "pairs":
        return tests.sign_flip_p(*one.scaled)
    return tests.label_permutation_p(*one.scaled) if design.kind == "unpaired" else math.nan


def _ranked(one: Judged, design: Design) -> float:
    """By the ranks of the runs alone: Wilcoxon's signed ranks of pairs, else Mann and Whitney's."""
    if design.paired:
        return ranks.signed_rank_p(*one.scaled)
    return ranks.rank_sum_p(*one.scaled) if design.kind == "unpaired" else math.nan


def failing_runs(values: pd.DataFrame) -> tuple[str, ...]:
    """Runs in which far more requests failed than in a typical one of their arm, in words; ``values`` as `by_run`, with side."""
    found = []
    whole = values[values["endpoint"] == AGGREGATED]
    for side, arm in enumerate(("baseline", "candidate")):
        own = whole[whole["side"] == side]
        usual = float(own[ERRORS].median())
        found += [
            f"in run {row.run} of the {arm} {format_fraction(getattr(row, ERRORS))} of the requests failed, in a typical one "
            f"{format_fraction(usual)}: find out what happened there before you trust either answer"
            for row in own[own[ERRORS] > usual + _ODD].head(3).itertuples()
        ]
    return tuple(found)


def values_of(
    values: pd.DataFrame, sides: tuple[Measurements, Measurements], metrics: Sequence[str], arms: tuple[str, str]
) -> pd.DataFrame:
    """The metric of each run: run, arm, pair, start, endpoint, metric, count, value."""
    parts = []
    for i, (side, arm) in enumerate(zip(sides, arms, strict=True)):
        own = values[values["side"] == i]
        runs = side.runs.set_index("run")
        pair = own["run"].map(runs["pair"]) if "pair" in runs.columns else pd.array([pd.NA] * len(own), dtype="Int64")
        known = own.assign(arm=arm, pair=pair, start=own["run"].map(runs["start"]))
        fixed = ["run", "arm", "pair", "start", "endpoint", "count"]
        parts += [known[fixed].assign(metric=m, value=known[m]) for m in metrics]
    joined = pd.concat(parts, ignore_index=True)
    return joined[["run", "arm", "pair", "start", "endpoint", "metric", "count", "value"]]


def arms_of(sides: tuple[Measurements, Measurements]) -> tuple[str, str]:
    """The names of the arms, or "baseline" and "candidate" where they have none of their own."""
    names = [side.runs["arm"].dropna().unique() for side in sides]
    first, second = (str(n[0]) if len(n) == 1 else "" for n in names)
    return (first, second) if first and second and first != second else ("baseline", "candidate")
