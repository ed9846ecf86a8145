"""A row of a comparison: its verdict with the reasons, and the tables made of rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric, format_margin
from perflab.notes import Note, count, joined
from perflab.stats import circumstances, doubts, ranks, tests
from perflab.stats.design import ARMS, Design
from perflab.stats.judging import Judged
from perflab.stats.sequential import Level
from perflab.stats.verdicts import decide, runs_to_decide, worst_case
from perflab.stats.warmup import Warmup
from perflab.units import format_p

ERRORS = Metric.of("error_fraction")
_ODD = 0.1
"""A run whose share of failed requests exceeds the usual one of its arm by more than this is reported."""
DIRECTIONS = ("improved", "regressed")
Key = tuple[str, str]
"""The metric and endpoint of a row."""


@dataclass(frozen=True)
class Asked:
    """The arguments of a comparison, and the design of its runs."""

    metrics: tuple[Metric, ...]
    primaries: tuple[str, ...]
    margins: tuple[float, float]
    design: Design
    trim: Warmup
    level: Level
    adjust: str
    arms: tuple[str, str]
    weights: Mapping[str, float] | None = None

    @property
    def deciding(self) -> tuple[Key, ...]:
        """The rows that decide the verdict; they are not part of the corrected family."""
        return tuple((self.metrics[0].name, name) for name in self.primaries or (AGGREGATED,))

    def margin(self, metric: Metric) -> str:
        """The tolerance for a metric, as text."""
        return format_margin(metric, *self.margins)


@dataclass(frozen=True)
class Row:
    """A row of the table: the effect, its p-values, the verdict, and the reasons for it, the deciding one first.

    ``failing`` rules out "not worse" (more requests fail, or the load was lower); ``remarks`` must appear in its sentence.
    ``change``, ``limits`` (95 %), ``limits_90`` and ``worst``, the one-sided limit on the bad side, are on the scale of
    changes.
    """

    judged: Judged
    asked: Asked
    p_adjusted: float
    family: str
    verdict: str
    reasons: tuple[Note, ...]
    failing: bool = False
    remarks: tuple[Note, ...] = ()

    @property
    def endpoint(self) -> str:
        return self.judged.endpoint

    @property
    def metric(self) -> Metric:
        return self.judged.metric

    @property
    def why(self) -> Note:
        """The reasons as one note."""
        return joined(*self.reasons, *self.remarks)

    @property
    def reason(self) -> str:
        """The reasons as one text."""
        return str(self.why)

    @property
    def reason_code(self) -> str:
        """The code of the reason that decided."""
        return self.reasons[0].code if self.reasons else ""

    @property
    def advice(self) -> Note | None:
        """What would change the answer."""
        return next(filter(None, map(doubts.advice, self.reasons)), None)

    @property
    def typical(self) -> tuple[float, float]:
        """The mean over the runs of each arm, geometric for a ratio."""
        return self.metric.typical(self.judged.values[0]), self.metric.typical(self.judged.values[1])

    @property
    def change(self) -> float:
        one = self.judged
        if one.effect is not None:
            return self.metric.unscaled(float(one.effect.difference))
        alone = one.limits[0] == one.limits[0]
        return self.metric.unscaled(float(one.scaled[1][0] - one.scaled[0][0])) if alone else math.nan

    @property
    def confidence(self) -> float:
        """Confidence of the interval: 95 %, or more at a look before the last."""
        return 1 - self.asked.level.alpha if self.asked.level.alpha else 0.95

    @property
    def limits(self) -> tuple[float, float]:
        effect = self.judged.effect
        low, high = map(float, effect.interval(self.confidence)) if effect is not None else self.judged.limits
        return self.metric.unscaled(low), self.metric.unscaled(high)

    @property
    def limits_90(self) -> tuple[float, float]:
        if self.judged.effect is None:
            return math.nan, math.nan
        low, high = self.judged.effect.interval(0.9)
        return self.metric.unscaled(float(low)), self.metric.unscaled(float(high))

    @property
    def worst(self) -> float:
        """The largest deterioration that the data allow (95 %)."""
        if self.judged.effect is None:
            return math.nan
        worst = float(worst_case(self.judged.effect, self.metric.better, self.asked.level.alpha))
        return self.metric.unscaled(worst) if self.metric.better < 0 else -self.metric.unscaled(-worst)

    @property
    def p_value(self) -> float:
        return float(self.judged.effect.p_value) if self.judged.effect is not None else math.nan

    @property
    def least_p(self) -> float:
        """The smallest p that this many runs can give without assuming a distribution; 0 where there is no such limit."""
        first, second = len(self.asked.design.baseline), len(self.asked.design.candidate)
        if self.asked.design.paired:
            return 2.0 ** (1 - first)
        return 2 / math.comb(first + second, first) if self.asked.design.kind == "unpaired" else 0.0

    @property
    def p_text(self) -> str:
        """The corrected p as text, never below what the runs can show."""
        return format_p(self.p_adjusted, self.least_p)

    @property
    def possible(self) -> bool:
        """Whether anything can be claimed."""
        return self.judged.testable and not self.asked.design.capped

    @property
    def not_worse(self) -> bool:
        """The no-regression gate."""
        effect = self.judged.effect
        if effect is None or not self.possible or self.failing:
            return False
        return bool(worst_case(effect, self.metric.better, self.asked.level.alpha) < self.judged.margin)

    @property
    def randomisation_p(self) -> float:
        """The p by relabelling the runs."""
        if self.judged.effect is None or self.asked.design.covariates:
            return math.nan
        if self.asked.design.kind == "pairs":
            return tests.sign_flip_p(*self.judged.scaled)
        unpaired = self.asked.design.kind == "unpaired"
        return tests.label_permutation_p(*self.judged.scaled) if unpaired else math.nan

    @property
    def trimmed_p(self) -> float:
        """The p by the means of the middle three fifths of the runs (Yuen)."""
        design = self.asked.design
        if self.judged.effect is None or design.covariates or not (design.paired or design.kind == "unpaired"):
            return math.nan
        return tests.trimmed_p(*self.judged.scaled, pairs=self.asked.design.paired)

    @property
    def rank_p(self) -> float:
        """The p by ranks of the runs: Wilcoxon's signed ranks for pairs, else Mann-Whitney."""
        if self.judged.effect is None or self.asked.design.covariates:
            return math.nan
        if self.asked.design.paired:
            return ranks.signed_rank_p(*self.judged.scaled)
        return ranks.rank_sum_p(*self.judged.scaled) if self.asked.design.kind == "unpaired" else math.nan


def row_of(one: Judged, p_adjusted: float, family: str, asked: Asked) -> Row:
    verdict, reason = _verdict(one, p_adjusted, asked)
    return Row(one, asked, p_adjusted, family, verdict, (reason,) if reason else ())


def _verdict(one: Judged, p_adjusted: float, asked: Asked) -> tuple[str, Note | None]:
    effect = one.effect
    if one.obstacle or effect is None:
        return "inconclusive", one.obstacle or asked.design.obstacle
    if asked.design.capped:
        return "inconclusive", asked.design.capped
    word = str(decide(effect, one.margin, np.asarray(p_adjusted), one.metric.better, asked.level.alpha))
    margin = asked.margin(one.metric)
    if word == "equivalent":
        return word, doubts.WITHIN_TOLERANCE(margin=margin)
    if word == "inconclusive":
        return word, _undecided(one, effect, p_adjusted, asked)
    if one.undirected:
        return "inconclusive", one.undirected
    low, high = effect.interval(1 - asked.level.alpha)
    sure = low > one.margin or high < -one.margin
    near = one.metric.format_size(one.metric.unscaled(float(low if low > 0 else high)))
    how = one.metric.comparative(float(effect.difference))
    kind = doubts.AT_LEAST if sure else doubts.SIZE_UNCERTAIN
    return word, kind(margin=margin, near=near, how=how, arm=asked.arms[1])


def _undecided(one: Judged, effect: tests.Effect, p_adjusted: float, asked: Asked) -> Note:
    """Why a row is undecided, and how many runs would settle it if the effect is as large as measured (power .8)."""
    if asked.design.kind == "history":
        return doubts.LIKE_HISTORY(doubts.INTERLEAVE)
    if not asked.level.alpha and asked.level.note:
        return asked.level.note
    # Neither a direction nor equivalence is within reach of such a clock.
    if one.undirected and one.undirected.facts["tick_ms"] > one.margin * min(map(np.mean, one.values)):
        return one.undirected
    if float(effect.p_value) < asked.level.alpha <= p_adjusted:
        return doubts.ALONE(doubts.declaring(one.endpoint))
    runs = min(len(asked.design.baseline), len(asked.design.candidate))
    needed = max(runs + 1, runs_to_decide(effect, one.margin, runs))
    words = count(needed, "pair") if asked.design.paired else f"{count(needed, 'run')} of each arm"
    return doubts.WIDE(doubts.pairs_of(needed), runs=words, count=needed)


def failing_fast(row: Row, errors: Judged) -> Row:
    """Add that more requests fail; an improved or equivalent row becomes inconclusive."""
    if row.metric == ERRORS:
        return row
    before, after = (ERRORS.format(ERRORS.typical(values)) for values in errors.values)
    if row.verdict not in ("improved", "equivalent"):
        return replace(row, reasons=(circumstances.MORE_FAIL(before=before, after=after), *row.reasons), failing=True)
    kind = circumstances.FAILING_FAST if row.verdict == "improved" else circumstances.FAILING_ALIKE
    return capped(replace(row, failing=True), kind(before=before, after=after))


def capped(row: Row, reason: Note) -> Row:
    """The row as inconclusive, for this reason."""
    return replace(row, verdict="inconclusive", reasons=(reason,))


def both_ways(row: Row, filled: Row) -> Row:
    if row.verdict == filled.verdict:
        return row
    return capped(
        row, circumstances.OMISSION_DECIDES(circumstances.OPEN_MODEL, measured=row.verdict, filled=filled.verdict)
    )


def size_words(row: Row) -> str:
    return f"{row.verdict}, {row.metric.format_change(row.change)}" if row.judged.effect else row.verdict


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The table of a `Change`."""
    return pd.DataFrame(
        [
            {
                "endpoint": row.endpoint,
                "metric": row.metric.name,
                "unit": row.metric.unit,
                "runs_baseline": int((~np.isnan(row.judged.values[0])).sum()),
                "runs_candidate": int((~np.isnan(row.judged.values[1])).sum()),
                "baseline": row.typical[0],
                "candidate": row.typical[1],
                "change": row.change,
                "change_low": row.limits[0],
                "change_high": row.limits[1],
                "p_value": row.p_value,
                "p_adjusted": row.p_adjusted,
                "verdict": row.verdict,
                "reason": row.reason,
            }
            for row in rows
        ]
    )


def details_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The numbers behind each row, on the scale of the analysis unless noted."""
    return pd.DataFrame([_detail(row) for row in rows])


def _detail(row: Row) -> dict[str, object]:
    effect = row.judged.effect
    numbers = ("difference", "error", "degrees")
    return {
        "endpoint": row.endpoint,
        "metric": row.metric.name,
        "scale": "ln" if row.metric.relative else "difference",
        **{name: float(getattr(effect, name)) if effect is not None else math.nan for name in numbers},
        "randomisation_p": row.randomisation_p,
        "rank_p": row.rank_p,
        "low_90": row.limits_90[0],
        "high_90": row.limits_90[1],
        "worst_case": row.worst,
        "possible": row.possible,
        "not_worse": row.not_worse,
        "family": row.family,
        "reason": row.reason,
        "reason_code": row.reason_code,
        "advice": str(row.advice or ""),
    }


def failing_runs(values: pd.DataFrame) -> tuple[Note, ...]:
    """Notes on runs with far more failures than a typical run of their arm; ``values`` as from `by_run`, with side."""
    found = []
    if not (values[ERRORS.name] > _ODD).any():
        return ()
    whole = values[values["endpoint"] == AGGREGATED]
    for side, arm in enumerate(ARMS):
        own = whole[whole["side"] == side]
        failed = own[ERRORS.name]
        usual = float(failed.median())
        found += [
            circumstances.FAILING_RUN(run=run, arm=arm, failed_fraction=share, usual_fraction=usual)
            for run, share in zip(own["run"], failed, strict=True)
            if share > usual + _ODD
        ][:3]
    return tuple(found)


def values_of(
    values: pd.DataFrame, sides: tuple[Measurements, Measurements], metrics: Sequence[Metric], arms: tuple[str, str]
) -> pd.DataFrame:
    """The metric of each run: run, arm, pair, start, endpoint, metric, count, value."""
    parts = []
    for i, (side, arm) in enumerate(zip(sides, arms, strict=True)):
        own = values[values["side"] == i]
        runs = side.runs.set_index("run")
        pair = own["run"].map(runs["pair"]) if "pair" in runs.columns else pd.array([pd.NA] * len(own), dtype="Int64")
        known = own.assign(arm=arm, pair=pair, start=own["run"].map(runs["start"]))
        fixed = ["run", "arm", "pair", "start", "endpoint", "count"]
        parts += [known[fixed].assign(metric=m.name, value=known[m.name]) for m in metrics]
    joined = pd.concat(parts, ignore_index=True)
    return joined[["run", "arm", "pair", "start", "endpoint", "metric", "count", "value"]]


def arms_of(sides: tuple[Measurements, Measurements]) -> tuple[str, str]:
    """The names of the arms; "baseline" and "candidate" where they have no distinct ones."""
    names = [side.runs["arm"].dropna().unique() for side in sides]
    first, second = (str(n[0]) if len(n) == 1 else "" for n in names)
    return (first, second) if first and second and first != second else ("baseline", "candidate")
