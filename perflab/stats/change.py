"""The result of `compare`: the sentence, the table, and how the verdict was reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import pandas as pd

from perflab.errors import one_of
from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, joined, written
from perflab.rendering import shortened
from perflab.results import Result, Shown, count
from perflab.stats import doubts, visits
from perflab.stats.design import Design
from perflab.stats.estimates import whose
from perflab.stats.rows import Asked, Row, details_of, table_of
from perflab.stats.sequential import Level
from perflab.stats.warmup import Warmup
from perflab.units import format_fraction, format_p

MAX_REASON = 120


@runtime_checkable
class Accounted(Protocol):
    """The part of an account that `explain` uses; accounts are made in a package above this one."""

    @property
    def endpoint(self) -> str: ...

    @property
    def metric(self) -> Metric: ...

    @property
    def sentence(self) -> str: ...


@dataclass(frozen=True, repr=False, eq=False)
class Change(Result):
    """The result of `compare`.

    ``verdict`` is "improved", "regressed", "equivalent" or "inconclusive": that of Aggregated, or of the declared primary
    endpoints, on the first metric. ``rows`` holds the typed rows; ``table`` has a row for each metric and endpoint;
    ``details`` adds the numbers behind them (difference, error, degrees, randomisation_p, rank_p, worst_case, not_worse,
    reason_code, advice ...); ``values`` is the metric of each run (run, arm, pair, endpoint, metric, count, value).
    ``warnings`` are notes on what to be careful about.
    """

    verdict: str
    rows: tuple[Row, ...]
    asked: Asked
    metric: str
    endpoint: str
    per_run: Callable[[], pd.DataFrame]
    primaries: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = field(default=())

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each metric and endpoint."""
        return table_of(self.rows)

    @cached_property
    def details(self) -> pd.DataFrame:
        """The numbers behind each row of the table."""
        return details_of(self.rows)

    @cached_property
    def values(self) -> pd.DataFrame:
        """The metric of each run."""
        return self.per_run()

    @property
    def design(self) -> Design:
        """How the runs relate."""
        return self.asked.design

    @property
    def trim(self) -> Warmup:
        """What is left out of each run as warm-up."""
        return self.asked.trim

    @property
    def warmup(self) -> float:
        """The share of each run that is left out, before any endpoint's is raised."""
        return self.asked.trim.share

    @property
    def level(self) -> Level:
        """The level that p must be below."""
        return self.asked.level

    @property
    def tolerance(self) -> float:
        """The relative difference that does not matter."""
        return self.asked.margins[0]

    @property
    def error_tolerance(self) -> float:
        """The difference of shares that does not matter."""
        return self.asked.margins[1]

    @property
    def arms(self) -> tuple[str, str]:
        """The names of baseline and candidate."""
        return self.asked.arms

    @property
    def method(self) -> str:
        """The test that follows from the design."""
        return self.design.method

    @property
    def family(self) -> str:
        """How the non-deciding rows were corrected; empty where they were not."""
        names = [row.family for row in self.rows if row.family]
        return f"other rows corrected by {max(set(names), key=names.count)}" if names and len(self.rows) > 1 else ""

    @property
    def row(self) -> pd.Series:
        """The row of the table that decides."""
        return self.row_of()

    @property
    def metrics(self) -> tuple[str, ...]:
        """All compared metrics, the deciding one first."""
        return tuple(dict.fromkeys(row.metric.name for row in self.rows))

    @property
    def not_worse(self) -> bool:
        """The no-regression gate: whether the one-sided 95 % limit on the bad side is within the tolerance.

        False where no verdict is possible, and where more requests fail than before.
        """
        return self.find().not_worse

    @property
    def advice(self) -> Note | None:
        """What would change the answer."""
        return self.find().advice

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        return str(self.answer)

    @property
    def answer(self) -> Note:
        """The answer as a note, whose advice is written for the surface that shows it."""
        own = self.answer_of()
        if len(self.primaries) < 2:
            return own
        named = ", ".join(f"{name} {self.find(name).verdict}" for name in self.primaries)
        label = Metric.of(self.metric).label
        whole = f"{label} of {len(self.primaries)} declared endpoints: {self.verdict} ({named})"
        return joined(whole, own, by=". ")

    def find(self, endpoint: str | None = None, metric: str | None = None) -> Row:
        """The typed row of an endpoint and metric, by default the deciding ones; ValueError lists the known ones."""
        endpoint, metric = endpoint or self.endpoint, metric or self.metric
        for parameter, given, known in (
            ("endpoint", endpoint, [row.endpoint for row in self.rows]),
            ("metric", metric, self.metrics),
        ):
            if given not in known:
                raise one_of(parameter, given, dict.fromkeys(known))
        return next(row for row in self.rows if (row.endpoint, row.metric.name) == (endpoint, metric))

    def row_of(self, endpoint: str | None = None, metric: str | None = None) -> pd.Series:
        """The row of the table for an endpoint and metric, by default the deciding ones."""
        return self.table.iloc[self.rows.index(self.find(endpoint, metric))]

    def sentence_of(self, endpoint: str | None = None, metric: str | None = None) -> str:
        """One row in one line, for a reader without statistics."""
        return str(self.answer_of(endpoint, metric))

    def answer_of(self, endpoint: str | None = None, metric: str | None = None) -> Note:
        """One row as a note, whose advice is written for the surface that shows it."""
        row = self.find(endpoint, metric)
        what = f"{row.metric.label} of {whose(row.endpoint, row.metric)}"
        if row.change != row.change:
            return joined(f"{what}: {row.verdict}", row.why, by=": ")
        interval = row.metric.interval(*row.limits, plain=True, confidence=row.confidence)
        if self.design.kind == "one against one":
            interval += " for these two runs only"
        words = f"{what} {row.metric.moved(row.change)}{'' if interval == '–' else f' ({interval})'}"
        if row.verdict in ("improved", "regressed"):
            p = f"p {row.p_text if '<' in row.p_text else f'= {row.p_text}'}"
            p += f" ({self.design.counted} can show no less)" if row.p_adjusted < row.least_p else ""
            near = [n for n in row.reasons if n.code == doubts.SIZE_UNCERTAIN.code]
            return joined(f"{words}: {row.verdict}", self.design.counted, p, *near, *row.remarks)
        return joined(f"{words}: {row.verdict}", self.design.counted, row.why)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The method, what would change the answer, and the warnings."""
        metrics = [Metric.of(name) for name in self.metrics]
        facts = {
            "method": self.method,
            "metrics": [metric.label for metric in metrics],
            "family": f"; {self.family}" if self.family else "",
        }
        if visits.of_pages(metrics):
            decided = doubts.DECIDED_ON_PAGES(**facts, tolerance=self.asked.margin(metrics[0]))
        else:
            decided = doubts.DECIDED(**facts, warmup_fraction=self.warmup, tolerance_fraction=self.tolerance)
        return tuple(filter(None, (decided, self.level.note, self.advice, *self.warnings)))

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the table and the notes for a surface."""
        advice = self.advice
        notes = [doubts.WOULD_CHANGE(advice=n.written(surface)) if n == advice else n for n in self.notes]
        shown = pd.DataFrame([self._shown(row, surface) for row in self.rows])
        return Shown(
            self.answer.written(surface),
            shown.drop(columns="Metric") if len(self.metrics) == 1 else shown,
            written(notes, surface),
        )

    def _shown(self, row: Row, surface: str) -> dict[str, str]:
        return {
            "Endpoint": row.endpoint,
            "Metric": row.metric.label,
            "Verdict": row.verdict,
            self.arms[0]: row.metric.format(row.typical[0]),
            self.arms[1]: row.metric.format(row.typical[1]),
            "Change": row.metric.format_change(row.change),
            f"{row.confidence * 100:.3g} % interval": row.metric.interval(*row.limits),
            "p": row.p_text,
            "Reason": shortened(row.why.written(surface), MAX_REASON),
        }

    def explain(self, endpoint: str | Accounted | None = None, metric: str | None = None) -> Explanation:
        """Explain how the verdict on an endpoint was reached, step by step with the numbers.

        Parameters
        ----------
        endpoint, metric : str, optional
            A row of the table; by default the deciding one. An `account` in place of the endpoint adds what its change
            consists of.

        Raises
        ------
        ValueError
            The endpoint or metric was not compared.
        """
        account = endpoint if isinstance(endpoint, Accounted) else None
        if account is not None:
            endpoint, metric = account.endpoint, account.metric.name
        assert endpoint is None or isinstance(endpoint, str)
        row = self.find(endpoint, metric)
        steps = [
            (
                "count the runs",
                _runs(self.design),
                "requests of one run share its conditions: the run is the unit of replication",
            ),
            *_measuring(self, row),
            ("compare the arms", _effect(self, row), "the design determines the test, not the data"),
            ("test against chance", _chance(self, row), "p: the probability of such a difference without a change"),
            ("compare with the tolerance", _margin(row), "equivalent only if the whole 90 % interval is within it"),
            ("the verdict", f"{row.verdict}: {row.reason or 'see above'}", _WHY[row.verdict]),
        ]
        if account is not None:
            steps.append(
                ("account for it", account.sentence, "milliseconds that add up, of the requests at the percentile")
            )
        columns = {"step": range(1, len(steps) + 1)} | {
            name: [step[i] for step in steps] for i, name in enumerate(("what", "numbers", "why"))
        }
        return Explanation(self.sentence_of(endpoint, metric), pd.DataFrame(columns))


@dataclass(frozen=True, repr=False)
class Explanation(Result):
    """How a verdict was reached: ``steps`` has a row for each step (step, what, numbers, why)."""

    sentence: str
    steps: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """The steps, under the name that reports use."""
        return self.steps

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Empty: the warnings are the change's."""
        return ()

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence and the steps."""
        return Shown(self.sentence, self.steps[["step", "what", "why", "numbers"]], ours=True)


_WHY = {
    "improved": "chance is an unlikely explanation, and the direction is good",
    "regressed": "chance is an unlikely explanation, and the direction is bad",
    "equivalent": "any difference is too small to matter",
    "inconclusive": "no answer is not the same as no difference",
}


def _measuring(change: Change, row: Row) -> list[tuple[str, str, str]]:
    """The steps from what was recorded to a value of each run."""
    if visits.of_pages([row.metric]):
        why = "a visit that stalled hardly moves a median, and no page counts for more because it is slower"
        return [(f"take the median {row.metric.label} of each run's visits", _estimates(change, row), why)]
    cut = ("leave out the warm-up", _warmup(change, row), "one cut for all runs of both arms cannot favour one")
    why = "quantiles are of type 8 (median-unbiased)"
    return [cut, (f"take {row.metric.label} of each run", _estimates(change, row), why)]


def _runs(design: Design) -> str:
    cap = design.obstacle or design.capped
    return design.counted + (f"; {cap}" if cap else "")


def _warmup(change: Change, row: Row) -> str:
    share = change.trim.of(row.endpoint)
    numbers = f"the first {format_fraction(share)} of every run"
    if share > change.warmup:
        numbers += f" instead of {format_fraction(change.warmup)}: the latencies had not settled (MSER)"
    return numbers


def _estimates(change: Change, row: Row) -> str:
    values = change.values
    values = values[(values["endpoint"] == row.endpoint) & (values["metric"] == row.metric.name)]
    parts = []
    for arm, own in values.groupby("arm", sort=False):
        ordered = own.sort_values("pair") if own["pair"].notna().all() else own
        shown = ", ".join(map(row.metric.format, ordered["value"].head(20)))
        parts.append(f"{arm}: {shown}{', …' if len(own) > 20 else ''}")
    fewest = int(values["count"].min()) if len(values) else 0
    return f"at least {count(fewest, row.metric.sampled)} each; " + "; ".join(parts)


def _effect(change: Change, row: Row) -> str:
    numbers = f"{change.method}: {row.metric.format_change(row.change)}, {row.confidence * 100:.3g} % "
    numbers += f"interval {row.metric.interval(*row.limits)}"
    if (effect := row.judged.effect) is None:
        return numbers
    scale = "logarithms" if row.metric.relative else "differences"
    return (
        f"{numbers} (on {scale}: {float(effect.difference):.4g}, standard error {float(effect.error):.3g}, "
        f"{float(effect.degrees):.3g} degrees of freedom)"
    )


def _chance(change: Change, row: Row) -> str:
    parts = [f"p = {format_p(row.p_value)}"]
    if (p := row.randomisation_p) == p:
        parts.append(f"by relabelling the runs themselves: {format_p(p)}")
    if (p := row.trimmed_p) == p:
        parts.append(f"by trimmed means, which a broken run hardly moves: {format_p(p)}")
    if (p := row.rank_p) == p:
        test = "signed ranks of the pairs" if change.design.paired else "ranks of the runs (Mann-Whitney)"
        parts.append(f"by {test} alone, exactly: {format_p(p)}")
    if row.family:
        parts.append(f"corrected for the other rows ({row.family}): {format_p(row.p_adjusted)}")
    return "; ".join([*parts, f"must be below {change.level.alpha:.3g}"])


def _margin(row: Row) -> str:
    limit = row.asked.margin(row.metric)
    gate = f"not worse by {limit} or more" if row.not_worse else f"a regression by {limit} cannot be excluded"
    return (
        f"90 % interval {row.metric.interval(*row.limits_90)}, tolerance {limit}; at worst "
        f"{row.metric.format_change(row.worst)} (95 % confidence): {gate if row.possible else 'nothing is claimed'}"
    )


def overall(verdicts: Sequence[str]) -> str:
    """The verdict on several declared endpoints together: the worst one that is certain."""
    return next((word for word in ("regressed", "inconclusive", "improved") if word in verdicts), "equivalent")
