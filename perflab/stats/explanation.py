"""A verdict told step by step, for somebody who is not a statistician."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from perflab import rendering
from perflab.stats.estimates import unit_of
from perflab.stats.wording import interval_words, points, signed
from perflab.units import format_fraction, format_p, format_value

if TYPE_CHECKING:
    from perflab.stats.change import Change


@dataclass(frozen=True, repr=False)
class Explanation:
    """How a verdict came about: ``steps`` has a row for each step (step, what was done, numbers, why)."""

    sentence: str
    steps: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """The steps, as reports take results."""
        return self.steps

    @property
    def warnings(self) -> tuple[str, ...]:
        """None of its own: the change has them."""
        return ()

    def __repr__(self) -> str:
        lines = [f"{r.step}. {r.what}\n     {r.numbers}\n     why: {r.why}" for r in self.steps.itertuples()]
        return "\n".join([self.sentence, *lines])

    def _repr_html_(self) -> str:
        return rendering.html(self.sentence, self.steps)


def explain(change: Change, row: pd.Series, detail: pd.Series, values: pd.DataFrame, sentence: str) -> Explanation:
    """The steps behind one row of a change."""
    steps = [
        _runs(change),
        _warmup(change, row),
        _estimates(change, row, values),
        _effect(change, row, detail),
        _chance(change, row, detail),
        _margin(change, row, detail),
        ("the verdict", f"{row['verdict']}: {row['reason'] or 'see above'}", _why_verdict(str(row["verdict"]))),
    ]
    frame = pd.DataFrame(
        [{"step": i, "what": what, "numbers": numbers, "why": why} for i, (what, numbers, why) in enumerate(steps, 1)]
    )
    return Explanation(sentence, frame)


Step = tuple[str, str, str]


def _runs(change: Change) -> Step:
    design = change.design
    counted = design.counted if design else ""
    cap = (design.obstacle or design.capped) if design else ""
    why = "requests of one run resemble each other and runs differ, so the run is what is counted, never the request"
    return "count the runs", counted + (f"; {cap}" if cap else ""), why


def _warmup(change: Change, row: pd.Series) -> Step:
    share = change.trim.of(str(row["endpoint"])) if change.trim else change.warmup
    numbers = f"the first {format_fraction(share)} of every run"
    if share > change.warmup:
        numbers += f" instead of {format_fraction(change.warmup)}: the latencies had not settled (MSER)"
    return "leave out the warm-up", numbers, "the same cut for every run of both arms, so it can't favour one"


def _estimates(change: Change, row: pd.Series, values: pd.DataFrame) -> Step:
    unit = {"ms": "_ms", "1/s": "_per_s", "fraction": "_fraction"}[unit_of(str(row["metric"]))]
    parts = []
    for arm, own in values.groupby("arm", sort=False):
        ordered = own.sort_values("pair") if own["pair"].notna().all() else own
        listed = ", ".join(format_value(unit, v) for v in ordered["value"].head(20))
        parts.append(f"{arm}: {listed}{', …' if len(own) > 20 else ''}")
    fewest = int(values["count"].min()) if len(values) else 0
    numbers = "; ".join(parts) + f" (at least {fewest:,} requests each)"
    return (
        f"take {row['metric']} of each run",
        numbers,
        "one number for each run; quantiles of type 8 (median-unbiased)",
    )


def _effect(change: Change, row: pd.Series, detail: pd.Series) -> Step:
    absolute = row["metric"] == "error_fraction"
    size = points(row["change"]) if absolute else signed(row["change"])
    interval = interval_words(row["change_low"], row["change_high"], absolute=absolute)
    numbers = f"{change.method}: {size}, 95 % interval {interval}"
    if detail["error"] == detail["error"]:
        scale = "differences" if absolute else "logarithms"
        numbers += f" (on {scale}: {detail['difference']:.4g}, standard error {detail['error']:.3g}, "
        numbers += f"{detail['degrees']:.3g} degrees of freedom)"
    why = "the design of the experiment chose the test, not the data"
    if not absolute:
        why += "; logarithms make +10 % and -10 % comparable and the answer independent of the unit"
    return "compare the arms", numbers, why


def _chance(change: Change, row: pd.Series, detail: pd.Series) -> Step:
    numbers = f"p = {format_p(row['p_value'])}"
    if detail["randomisation_p"] == detail["randomisation_p"]:
        numbers += f"; by relabelling the runs themselves: {format_p(detail['randomisation_p'])}"
    if detail["rank_p"] == detail["rank_p"]:
        test = (
            "signed ranks of the pairs"
            if change.design and change.design.paired
            else "ranks of the runs (Mann-Whitney)"
        )
        numbers += f"; by {test} alone, exactly: {format_p(detail['rank_p'])}"
    if detail["family"]:
        numbers += f"; corrected for the other rows ({detail['family']}): {format_p(row['p_adjusted'])}"
    alpha = change.level.alpha if change.level else 0.05
    numbers += f"; must be below {alpha:.3g}"
    return (
        "ask how often chance does that",
        numbers,
        "the share of experiments without any real change that would show this much",
    )


def _margin(change: Change, row: pd.Series, detail: pd.Series) -> Step:
    absolute = row["metric"] == "error_fraction"
    margin = change.error_tolerance if absolute else change.tolerance
    limit = (points(margin) if absolute else format_fraction(margin)).lstrip("+")
    words = interval_words(detail["low_90"], detail["high_90"], absolute=absolute)
    worst = points(detail["worst_case"]) if absolute else signed(detail["worst_case"])
    numbers = f"90 % interval {words}, tolerance {limit}; at worst {worst} (95 % sure): {_gate(detail, limit)}"
    return (
        "hold it against the tolerance",
        numbers,
        "equivalent only when even the ends of the 90 % interval do not matter",
    )


def _gate(detail: pd.Series, limit: str) -> str:
    if not detail["possible"]:
        return "nothing is claimed, see the verdict"
    return f"not worse by {limit} or more" if detail["not_worse"] else f"a regression by {limit} can't be excluded"


def _why_verdict(verdict: str) -> str:
    return {
        "improved": "chance is an unlikely explanation, and the direction is good",
        "regressed": "chance is an unlikely explanation, and the direction is bad",
        "equivalent": "whatever difference there is, it is too small to matter",
        "inconclusive": "no answer is not the same as no difference",
    }[verdict]
