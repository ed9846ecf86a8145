"""The result of `compare`, and how it shows itself: a sentence for anybody, the table, how it was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from perflab import rendering
from perflab.errors import one_of
from perflab.notes import Note
from perflab.stats.arms import Design
from perflab.stats.estimates import unit_of
from perflab.stats.explanation import Explanation, explain
from perflab.stats.levels import Level
from perflab.stats.warmup import Warmup
from perflab.stats.wording import interval_words, points, signed, whose
from perflab.units import format_fraction, format_p, format_value

_MAX_REASON = 120


@dataclass(frozen=True, repr=False, eq=False)
class Change:
    """The result of `compare`.

    ``verdict`` is "improved", "regressed", "equivalent" or "inconclusive": Aggregated's, or the declared primary's, on the
    first metric. ``table`` has a row for each metric and endpoint; ``details`` the same rows with the numbers behind them
    (difference, error, degrees, randomisation_p, rank_p, worst_case, not_worse, ...); ``values`` the metric of each run (run,
    arm, pair, endpoint, metric, count, value). ``warnings`` say what to be careful about.
    """

    verdict: str
    table: pd.DataFrame
    metric: str
    tolerance: float
    endpoint: str
    arms: tuple[str, str]
    method: str
    values: pd.DataFrame
    warmup: float
    warnings: tuple[Note, ...] = field(default=())
    details: pd.DataFrame = field(default_factory=pd.DataFrame)
    design: Design | None = None
    trim: Warmup | None = None
    level: Level | None = None
    family: str = ""
    primaries: tuple[str, ...] = ()
    error_tolerance: float = 0.01

    @property
    def row(self) -> pd.Series:
        """The row of the table that the verdict is taken from."""
        return self.row_of()

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that were compared, the deciding one first."""
        return tuple(self.table["metric"].unique())

    @property
    def not_worse(self) -> bool:
        """The no-regression gate: the one-sided 95 % limit on the bad side is within the tolerance, where a verdict can be.

        Never where more requests fail than before.
        """
        return bool(self._detail(self.endpoint, self.metric)["not_worse"])

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        own = sentence_of(self, self.row)
        if len(self.primaries) < 2:
            return own
        rows = [self.row_of(name) for name in self.primaries]
        listed = ", ".join(f"{r['endpoint']} {r['verdict']}" for r in rows)
        return f"{self.metric} of {len(rows)} declared endpoints: {self.verdict} ({listed}). {own}"

    def row_of(self, endpoint: str | None = None, metric: str | None = None) -> pd.Series:
        """The row of an endpoint and metric, the deciding ones if not given; ValueError with what there is."""
        endpoint, metric = self._named(endpoint, metric)
        return self.table[(self.table["endpoint"] == endpoint) & (self.table["metric"] == metric)].iloc[0]

    def explain(self, endpoint: str | None = None, metric: str | None = None) -> Explanation:
        """How the verdict on an endpoint came about, step by step with the numbers.

        Parameters
        ----------
        endpoint, metric : a row of the table; the deciding one if not given.

        Raises
        ------
        ValueError : an endpoint or metric that was not compared.
        """
        endpoint, metric = self._named(endpoint, metric)
        row = self.row_of(endpoint, metric)
        values = self.values[(self.values["endpoint"] == endpoint) & (self.values["metric"] == metric)]
        return explain(self, row, self._detail(endpoint, metric), values, sentence_of(self, row))

    def __repr__(self) -> str:
        return rendering.text(self.sentence, self._shown(), self.notes)

    def _repr_html_(self) -> str:
        return rendering.html(self.sentence, self._shown(), self.notes)

    @property
    def notes(self) -> tuple[object, ...]:
        """How it was decided, what would change the answer, and the warnings."""
        names = ", ".join(self.metrics)
        decided = (
            f"decided by: {self.method}; {names} of each run after the first {format_fraction(self.warmup)} "
            f"(warm-up); tolerance {format_fraction(self.tolerance)}"
        )
        decided += f"; {self.family}" if self.family else ""
        level = (self.level.note,) if self.level and self.level.note else ()
        return (decided, *level, f"what would change the answer: {what_would_change(self)}", *self.warnings)

    def _named(self, endpoint: str | None, metric: str | None) -> tuple[str, str]:
        endpoint, metric = endpoint or self.endpoint, metric or self.metric
        for parameter, given, column in (("endpoint", endpoint, "endpoint"), ("metric", metric, "metric")):
            known = list(self.table[column].unique())
            if given not in known:
                raise one_of(parameter, given, known)
        return endpoint, metric

    def _detail(self, endpoint: str, metric: str) -> pd.Series:
        details = self.details
        return details[(details["endpoint"] == endpoint) & (details["metric"] == metric)].iloc[0]

    def _shown(self) -> pd.DataFrame:
        rows = [self._shown_row(row) for _, row in self.table.iterrows()]
        shown = pd.DataFrame(rows)
        return shown.drop(columns="metric") if len(self.metrics) == 1 else shown

    def _shown_row(self, row: pd.Series) -> dict[str, str]:
        unit = {"ms": "_ms", "1/s": "_per_s", "fraction": "_fraction"}[unit_of(row["metric"])]
        absolute = row["metric"] == "error_fraction"
        return {
            "endpoint": row["endpoint"],
            "metric": row["metric"],
            "verdict": row["verdict"],
            self.arms[0]: format_value(unit, row["baseline"]),
            self.arms[1]: format_value(unit, row["candidate"]),
            "change": points(row["change"]) if absolute else signed(row["change"]),
            "95 % interval": interval_words(row["change_low"], row["change_high"], absolute=absolute),
            "p": format_p(row["p_adjusted"]),
            "reason": rendering.shortened(str(row["reason"]), _MAX_REASON),
        }


def sentence_of(change: Change, row: pd.Series) -> str:
    """One row in one line, for a reader who knows no statistics."""
    absolute = row["metric"] == "error_fraction"
    name = {"error_fraction": "the share of failed requests", "throughput_per_s": "throughput"}.get(
        row["metric"], row["metric"]
    )
    what = f"{name} of {whose(row['endpoint'])}"
    verdict, size = row["verdict"], float(row["change"])
    if size != size:
        return f"{what}: {verdict}: {row['reason']}"
    amount = points(abs(size)).lstrip("+") if absolute else format_fraction(abs(size))
    moved = "did not move" if size == 0 else f"{'fell' if size < 0 else 'rose'} by {amount}"
    interval = interval_words(float(row["change_low"]), float(row["change_high"]), absolute=absolute, plain=True)
    if change.design and change.design.kind == "one against one":
        interval += " for these two runs only"
    words = f"{what} {moved} ({interval})" if interval != "–" else f"{what} {moved}"
    runs = change.design.counted if change.design else ""
    if verdict in ("improved", "regressed"):
        chance = f"the chance of such a difference without a real change is {format_p(float(row['p_adjusted']))}"
        return f"{words}: {verdict}; {runs}; {chance}"
    return f"{words}: {verdict}; {runs}: {row['reason']}"


def what_would_change(change: Change) -> str:
    """What to do, or to see, for another answer."""
    row, verdict = change.row, change.verdict
    limit = points(change.error_tolerance) if change.metric == "error_fraction" else format_fraction(change.tolerance)
    if verdict == "equivalent":
        return (
            f"a tolerance smaller than {limit.lstrip('+')}, if smaller differences matter to you: say so before looking"
        )
    if verdict == "inconclusive":
        # The sentence has told the reason, which ends with what to do.
        return str(row["reason"]).rsplit("; ", 1)[-1]
    low, high = float(row["change_low"]), float(row["change_high"])
    near = min(abs(low), abs(high))
    written = points(near) if change.metric == "error_fraction" else format_fraction(near)
    return (
        f"a cause of at least {written.lstrip('+')} that has nothing to do with the change and acts on every "
        f"{change.arms[1]} run (another machine, other data, a cache); more runs would only narrow the interval"
    )


def overall(verdicts: Sequence[str]) -> str:
    """The verdict on several declared endpoints together: the worst that is certain."""
    for word in ("regressed", "inconclusive", "improved"):
        if word in verdicts:
            return word
    return "equivalent"
