"""`compare_arms`: more than two arms: each against the baseline, and the order among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import one_of
from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, count, joined, listed, notes_of, written
from perflab.rendering import shortened
from perflab.results import Result, Shown
from perflab.stats import circumstances, doubts, families
from perflab.stats.change import MAX_REASON, Change
from perflab.stats.coded_requests import mappings
from perflab.stats.compare import compare
from perflab.stats.estimates import endpoints_of, evidence_of, whose
from perflab.stats.experiment_checks import CARRIED, fitted
from perflab.stats.rows import Row

_UNDECIDED = (
    doubts.WIDE.code,
    doubts.ALONE.code,
    doubts.TICK.code,
    circumstances.BROKEN_RUN.code,
    circumstances.TWO_MODES.code,
    circumstances.EFFECT_MOVED.code,
)


@dataclass(frozen=True, repr=False, eq=False)
class ArmsCompared(Result):
    """The result of `compare_arms`.

    ``table`` has a row for each arm against the baseline, then one for each pair of the others: arm, against, baseline
    and candidate (values of ``against`` and of ``arm``), change, change_low, change_high, p_value, p_adjusted, verdict,
    reason. ``ranking`` is the arms from best to worst as measured, last those that cannot be ranked; ``changes`` the
    comparison behind each row.
    """

    table: pd.DataFrame
    metric: str
    endpoint: str
    baseline: str
    ranking: tuple[str, ...]
    changes: tuple[Change, ...]
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """The arms in order, which neighbours differ for certain, and which cannot be ranked."""
        return str(self.answer)

    @property
    def answer(self) -> Note:
        """The answer as a note, whose advice is written for the surface that shows it."""
        without = _unranked(self.table, self.changes)
        ranked = [arm for arm in self.ranking if arm not in without]
        parts = ranked[:1]
        for better, worse in zip(ranked, ranked[1:], strict=False):
            parts.append(f"{'<' if self._differ(better, worse) else '≈'} {worse}")
        what = f"{Metric.of(self.metric).label} of {whose(self.endpoint, Metric.of(self.metric))}"
        family = f"(< certain, ≈ not; Holm over {count(len(self.table), 'comparison')})"
        order = f"{what}, best first: {' '.join(parts)} {family}" if len(ranked) > 1 else f"{what}: no ranking"
        why = {reason: listed(a for a, r in without.items() if r == reason) for reason in without.values()}
        return joined(order, *(joined(f"not ranked: {arms} (", reason, ")", by="") for reason, arms in why.items()))

    @property
    def reasons(self) -> tuple[Note, ...]:
        """The reason for each row of the table, whose advice is written for the surface that shows it."""
        corrected = zip(self.changes, self.table["p_adjusted"], strict=True)
        return tuple(_reason(change.find(), p, change.level.alpha) for change, p in corrected)

    def _differ(self, better: str, worse: str) -> bool:
        found = zip(self.table["arm"], self.table["against"], self.table["verdict"], strict=True)
        return bool({(better, worse, "improved"), (worse, better, "regressed")} & set(found))

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the comparisons and the notes for a surface."""
        metric, corrected = Metric.of(self.metric), self.table["p_adjusted"].to_list()
        shown = pd.DataFrame(
            {
                "arm": self.table["arm"],
                "against": self.table["against"],
                "change": list(map(metric.format_change, self.table["change"])),
                "95 % interval": list(map(metric.interval, self.table["change_low"], self.table["change_high"])),
                "p": [
                    replace(change.find(), p_adjusted=p).p_text
                    for change, p in zip(self.changes, corrected, strict=True)
                ],
                "verdict": self.table["verdict"],
                "reason": [shortened(text, MAX_REASON) for text in written(self.reasons, surface)],
            }
        )
        return Shown(self.answer.written(surface), shown, written(self.warnings, surface), ours=True)


def compare_arms(
    runs: Measurements | Sequence[Measurements],
    *,
    baseline: str | None = None,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    tolerance: float | str = 0.05,
    warmup: float | str | None = None,
    order: str = "auto",
    allow: str | Collection[str] = (),
) -> ArmsCompared:
    """Compare more than two arms: each against the baseline, and each with every other.

    Parameters
    ----------
    runs : Measurements or sequence of Measurements
        The runs of all arms, or those of each; preferably from rounds in which every arm runs once, in random order. The
        runs of a round have the same ``pair``.
    baseline : str, optional
        The arm that the others are compared with; by default the first that `run_arms` was given, or the first of ``runs``.
    metric, endpoint, tolerance, warmup, order, allow : optional
        As in `compare`, with ``endpoint`` as its primary.

    Returns
    -------
    ArmsCompared
        A direction in its table holds for all comparisons at once: p is corrected by Holm (1979) over all of them, so the
        order in the sentence has any error in at most 5 % of experiments.

    Raises
    ------
    ComparisonError
        The comparison is one that `compare` refuses.
    ValueError
        Fewer than two arms, an unknown arm, or another invalid argument.

    >>> lab.stats.compare_arms(lab.load("datasets/shop_runs"), endpoint="GET /orders").ranking
    ('eager', 'n+1')
    """
    held = runs if isinstance(runs, Measurements) else sum(runs[1:], runs[0])
    arms = list(dict.fromkeys(held.runs["arm"].dropna()))
    recorded = _recorded(held.runs) if isinstance(runs, Measurements) else None
    if len(arms) < 2:
        raise ValueError(f"runs must hold two or more arms; got {len(arms)}")
    first = baseline if baseline is not None else recorded if recorded and recorded in arms else arms[0]
    if first not in arms:
        raise one_of("baseline", first, arms)
    if endpoint != AGGREGATED and endpoint not in (known := endpoints_of(evidence_of(held, Metric.of(metric)))):
        raise one_of("endpoint", endpoint, (AGGREGATED, *sorted(known)))
    arms.sort(key=lambda name: name != first)
    primary = () if endpoint == AGGREGATED else endpoint
    found = [
        (old, new, compare(held.where(arm=old), held.where(arm=new), metric=metric, tolerance=tolerance, primary=primary,
                           warmup=warmup, order=order, allow=allow))
        for old, new in combinations(arms, 2)
    ]  # fmt: skip
    p_values = np.array([change.find().p_value for _, _, change in found])
    known = np.isfinite(p_values)
    adjusted = np.full(len(p_values), np.nan)
    adjusted[known] = families.holm(p_values[known])
    rows = [_row(old, new, change, float(p)) for (old, new, change), p in zip(found, adjusted, strict=True)]
    table, changes = pd.DataFrame(rows), tuple(change for _, _, change in found)
    # Of two arms only, "the run before" is not the one that ran before.
    skipped = (circumstances.CARRY_OVER.code,) if len(arms) > 2 else ()
    warnings = notes_of(note for change in changes for note in change.warnings if note.code not in skipped)
    if len(arms) > 2:
        warnings = (*warnings, *_carried(changes, arms))
    return ArmsCompared(table, metric, endpoint, first, _ranked(first, table, changes, metric), changes, warnings)


def _carried(changes: Sequence[Change], arms: Sequence[str]) -> list[Note]:
    """A note on the arm after which runs differ most, where that is more than chance."""
    metric, values = Metric.of(changes[0].metric), pd.concat([change.values for change in changes])
    values = values[(values["endpoint"] == changes[0].endpoint) & (values["metric"] == metric.name)]
    values = values.drop_duplicates("run").sort_values("start", kind="stable")
    scaled = metric.scaled(values["value"].to_numpy("float64"))
    if values["start"].isna().any() or not np.isfinite(scaled).all():
        return []
    ran = values["arm"].to_numpy()
    own = np.column_stack([np.ones(len(ran)), *(ran == arm for arm in arms[1:])])[1:]
    found = [(arm, fitted(scaled[1:], np.column_stack([own, ran[:-1] == arm]).astype("float64"))) for arm in arms]
    likely = [(float(fit[1][-1]), arm, float(fit[0][-1])) for arm, fit in found if fit]
    if not likely or min(likely)[0] * len(arms) >= CARRIED:
        return []
    _, arm, size = min(likely)
    return [circumstances.CARRIED(arm=arm, carried=metric.format_change(metric.unscaled(size)))]


def _recorded(runs: pd.DataFrame) -> str | None:
    """The baseline that the experiments of these runs were made with, if it is one. Loaded runs are in order of time."""
    found = {each.get("baseline") for each in mappings(runs, "environment")}
    return found.pop() if len(found) == 1 else None


def _row(old: str, new: str, change: Change, p_adjusted: float) -> dict[str, object]:
    row = change.find()
    alone = _alone(row, p_adjusted, change.level.alpha)
    return {
        "arm": new,
        "against": old,
        "baseline": row.typical[0],
        "candidate": row.typical[1],
        "change": row.change,
        "change_low": row.limits[0],
        "change_high": row.limits[1],
        "p_value": row.p_value,
        "p_adjusted": p_adjusted,
        "verdict": "inconclusive" if alone else row.verdict,
        "reason": str(_reason(row, p_adjusted, change.level.alpha)),
    }


def _alone(row: Row, p_adjusted: float, alpha: float) -> bool:
    """Whether a direction holds for this comparison by itself only."""
    return row.verdict in ("improved", "regressed") and not p_adjusted < alpha


def _reason(row: Row, p_adjusted: float, alpha: float) -> Note:
    return doubts.ALONE() if _alone(row, p_adjusted, alpha) else row.why


def _unranked(table: pd.DataFrame, changes: Sequence[Change]) -> dict[str, Note]:
    """The arms whose comparison with the baseline shows no order, and why: they fail, their load or order differs ..."""
    compared = zip(table["arm"], table["against"], changes, strict=True)
    rows = {arm: change.find() for arm, against, change in compared if against == table["against"].iloc[0]}
    return {
        arm: row.reasons[0]
        for arm, row in rows.items()
        if row.verdict == "inconclusive" and row.reason_code not in _UNDECIDED
    }


def _ranked(baseline: str, table: pd.DataFrame, changes: Sequence[Change], metric: str) -> tuple[str, ...]:
    """The arms from best to worst by their change from the baseline; last those that cannot be ranked."""
    own, without = table[table["against"] == baseline], _unranked(table, changes)
    found = {baseline: 0.0, **dict(zip(own["arm"], own["change"], strict=True))}
    scores = {arm: -Metric.of(metric).better * change for arm, change in found.items()}
    return tuple(sorted(scores, key=lambda arm: (arm in without, scores[arm])))
