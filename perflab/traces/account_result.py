"""The result of `account`: components that add up, and what is behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, count, listed, written
from perflab.results import Result, Shown
from perflab.stats.estimates import whose
from perflab.traces.account_calls import counted
from perflab.traces.components import LABELS, REST
from perflab.units import format_ms

DIRECTIONS = ("improved", "regressed")
_NAMED = 4
_NOTHING_MS = 0.005


@dataclass(frozen=True, repr=False, eq=False)
class Account(Result):
    """The result of `account`.

    ``table`` has a row for each component (component, baseline_ms, candidate_ms, change_ms, change_low_ms, change_high_ms,
    p_adjusted, verdict), whose columns add up to ``baseline_ms``, ``candidate_ms`` and ``change_ms`` of the account itself;
    of one arm alone only component, baseline_ms, baseline_low_ms, baseline_high_ms. ``values`` has the components of each
    run (run, arm, component, value_ms); ``calls`` the statements and calls behind them (component, call, and for each
    request calls_baseline, calls_candidate, baseline_ms, candidate_ms, change_ms). ``low_ms`` and ``high_ms`` are the
    interval of the whole change. ``measured`` are before and after in the runs without the recorder, where there are some.

    ``functions`` has the wall-clock time of each function itself for a profiled request, where runs with a profile by
    endpoint were given too (function, file, baseline_ms, candidate_ms, change_ms); ``database`` what a request waited for
    the database, and what of it the server counted, where ``Target(database=...)`` was set (arm, client_ms, executing_ms,
    planning_ms, outside_ms: round trips and driver; all endpoints together).
    """

    endpoint: str
    metric: Metric
    table: pd.DataFrame
    values: pd.DataFrame
    calls: pd.DataFrame
    arms: tuple[str, ...]
    low_ms: float = math.nan
    high_ms: float = math.nan
    counted: str = ""
    measured: tuple[float, float] | None = None
    functions: pd.DataFrame = field(default_factory=pd.DataFrame)
    database: pd.DataFrame = field(default_factory=pd.DataFrame)
    warnings: tuple[Note, ...] = field(default=())

    @cached_property
    def baseline_ms(self) -> float:
        """The metric of the baseline: the mean over its runs."""
        return float(self.table["baseline_ms"].sum())

    @cached_property
    def candidate_ms(self) -> float:
        """The metric of the candidate; NaN of one arm alone."""
        return float(self.table["candidate_ms"].sum()) if len(self.arms) > 1 else math.nan

    @property
    def change_ms(self) -> float:
        """What the components' changes add up to."""
        return float(self.table["change_ms"].sum()) if len(self.arms) > 1 else math.nan

    @property
    def largest(self) -> str:
        """The component that changed most, or of one arm alone is largest."""
        column = "change_ms" if len(self.arms) > 1 else "baseline_ms"
        return str(self.table.loc[self.table[column].abs().idxmax(), "component"])

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        what = f"{self.metric.label} of {whose(self.endpoint)}"
        if len(self.arms) < 2:
            return f"{what} is {format_ms(self.baseline_ms)}: {listed(self._largest('baseline_ms'), _NAMED)}"
        size = f"{self.plain(abs(self.change_ms))} ms"
        direction = "fell" if self.change_ms < 0 else "rose"
        if not round(self.change_ms, self._decimals):
            return f"{what} did not change ({self.plain(self.baseline_ms)} ms){self._counts()}"
        moved = f"{what} {direction} by {size} ({self.plain(self.baseline_ms)} to {self.plain(self.candidate_ms)} ms)"
        verdicts = self.table["verdict"]
        if verdicts.isin(DIRECTIONS).any():
            how = ": "
        elif (verdicts == "equivalent").all():
            how = "; every component stayed within the tolerance, the largest changes are "
        else:
            how = "; no component's change is certain, the largest are "
        return f"{moved}{how}{', '.join(self._changes())}{self._counts()}"

    def _counts(self) -> str:
        """``; 33 statements became 2``, where they did."""
        texts = []
        for component, noun in (("database", "statement"), ("downstream", "downstream call")):
            before, after = map(_number, counted(self.calls, component))
            named = count(1 if before == "1" else 2, noun).partition(" ")[2]
            texts += [f"; {before} {named} became {after}"] if before != after else []
        return "".join(texts)

    def _largest(self, column: str) -> list[str]:
        rows = self.table.sort_values(column, ascending=False, kind="stable")
        return [f"{label_of(c)} {format_ms(v)}" for c, v in zip(rows["component"], rows[column], strict=True) if v > 0]

    def _changes(self) -> list[str]:
        """The components that changed for certain, largest first, then what is left; the largest of all where none did."""
        rows = self.table.sort_values("change_ms", key=abs, ascending=False, kind="stable")
        certain = rows[rows["verdict"].isin(DIRECTIONS) & (rows["component"] != REST)]
        named = (certain if len(certain) else rows[rows["component"] != REST]).head(_NAMED)
        texts = [f"{label_of(c)} {self.signed(v)}" for c, v in zip(named["component"], named["change_ms"], strict=True)]
        left = self.change_ms - float(named["change_ms"].sum())
        others = "all else" if len(named) < len(rows) - 1 else "rest"
        return [*texts, f"{others} {self.signed(left)}"]

    @cached_property
    def _decimals(self) -> int:
        """As many as the interval of the whole supports."""
        half = (self.high_ms - self.low_ms) / 2
        if half >= 5 and len(self.arms) > 1 and round(self.baseline_ms) == round(self.candidate_ms):
            return 1  # "14 to 14 ms" shows no change
        return 0 if half >= 5 else 2 if half < 0.05 else 1

    def plain(self, value: object) -> str:
        """Milliseconds, with the decimals that the interval of the whole supports."""
        return f"{float(str(value)):,.{self._decimals}f}"

    def signed(self, value: object, unit: str = " ms") -> str:
        """A change in milliseconds, with the decimals that the interval of the whole supports."""
        number = round(float(str(value)), self._decimals)
        return f"{number:+,.{self._decimals}f}{unit}" if number else f"{0:.{self._decimals}f}{unit}"

    def _interval(self, low: object, high: object) -> str:
        first, second = float(str(low)), float(str(high))
        if first != first:
            return "–"
        return f"{self.signed(first, unit='')} to {self.signed(second, unit='')}"

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the components with their sum, and the notes."""
        rows = [self._row(row) for row in self.table[self._noted].to_dict("records")]
        return Shown(self.sentence, pd.DataFrame([*rows, self._total()]), written(self.warnings, surface))

    @property
    def _noted(self) -> pd.Series:
        """The components of these requests, and the rest: others belong to other endpoints."""
        columns = [c for c in ("baseline_ms", "candidate_ms") if c in self.table]
        return (self.table[columns].abs() >= _NOTHING_MS).any(axis=1) | (self.table["component"] == REST)

    def _row(self, row: dict[str, object]) -> dict[str, str]:
        name = label_of(str(row["component"]))
        if len(self.arms) < 2:
            return {
                "Component": name,
                f"{self.metric.label}, ms": self.plain(row["baseline_ms"]),
                "95 % interval, ms": self._interval(row["baseline_low_ms"], row["baseline_high_ms"]),
            }
        return {
            "Component": name,
            f"{self.arms[0]}, ms": self.plain(row["baseline_ms"]),
            f"{self.arms[1]}, ms": self.plain(row["candidate_ms"]),
            "Change, ms": self.signed(row["change_ms"], unit=""),
            "95 % interval, ms": self._interval(row["change_low_ms"], row["change_high_ms"]),
            "Verdict": str(row["verdict"]),
        }

    def _total(self) -> dict[str, str]:
        if len(self.arms) < 2:
            return {
                "Component": self.metric.label,
                f"{self.metric.label}, ms": self.plain(self.baseline_ms),
                "95 % interval, ms": self._interval(self.low_ms, self.high_ms),
            }
        total = {"baseline_ms": self.baseline_ms, "candidate_ms": self.candidate_ms, "change_ms": self.change_ms}
        limits = {"change_low_ms": self.low_ms, "change_high_ms": self.high_ms, "verdict": ""}
        return self._row({"component": self.metric.label, **total, **limits})


def _number(calls: float) -> str:
    """How many calls a request makes: requests of one endpoint mostly make a whole number, those of several do not.

    >>> _number(33.0), _number(20.04), _number(2.2), _number(0.28), _number(1204.3)
    ('33', '20', '2.2', '0.3', '1,204')
    """
    whole = round(calls)
    return f"{whole:,}" if abs(calls - whole) < 0.05 or calls >= 100 else f"{calls:.1f}"


def label_of(component: str) -> str:
    """A component as people read it."""
    return LABELS.get(component, component)
