"""`Objective`: a metric, an operator, a limit and the endpoint they are about; `Objectives`: what a text held of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from perflab import rendering
from perflab.data.tables import AGGREGATED
from perflab.errors import one_of
from perflab.metrics import Metric
from perflab.stats.estimates import whose
from perflab.units import format_fraction, format_ms, format_number, format_rate, parse_duration, parse_fraction

OPERATORS = ("<", "<=", ">", ">=", "==", "!=")
_SAME_OPERATOR = {"≤": "<=", "≥": ">=", "=": "==", "===": "==", "≠": "!=", "!==": "!="}
METHODS = ("median_unbiased", "linear")
SHARES = ("error_fraction", "check_fraction")
EXTREMES = {"min": 0.0, "max": 1.0}
_SAME_METRIC = {
    **dict.fromkeys(("median", "med"), "p50"),
    **dict.fromkeys(("average", "avg"), "mean"),
    **dict.fromkeys(("minimum",), "min"),
    **dict.fromkeys(("maximum", "p100"), "max"),
    **dict.fromkeys(("throughput", "rps", "requests_per_s"), "throughput_per_s"),
    **dict.fromkeys(("errors", "error_rate", "failure_rate", "error rate"), "error_fraction"),
    **dict.fromkeys(("checks", "check_rate"), "check_fraction"),
}


@dataclass(frozen=True)
class Objective:
    """What one metric must be.

    Parameters
    ----------
    metric : "p95" or any "p<q>", "mean", "min", "max" (latencies), "throughput_per_s", "error_fraction",
        "check_fraction" (passed assertions) or "count" (requests in a run).
    operator : one of < <= > >= == !=.
    limit : ``"200ms"``; a bare number of a latency is in milliseconds. ``"1%"`` or 0.01 for a share, ``"100/s"`` or
        100 for throughput.
    endpoint : one endpoint, or all requests of a run together ("Aggregated").
    method : how a quantile is interpolated: "median_unbiased" (type 8) or "linear" (k6's).
    only_ok : leave failed requests out (k6's ``expected_response:true``).
    abort, delay_ms : whether a run may be ended as soon as the objective fails, and after how long at the earliest.
    source : where it is written.

    >>> print(Objective("p95", "<", "200ms", endpoint="GET /orders"))
    p95 of GET /orders < 200 ms
    """

    metric: str
    operator: str
    limit: str | float
    endpoint: str = AGGREGATED
    method: str = "median_unbiased"
    only_ok: bool = False
    abort: bool = False
    delay_ms: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        metric = str(self.metric).strip().lower()
        metric = re.sub(r"^p\((.*)\)$", r"p\1", metric)
        object.__setattr__(self, "metric", _SAME_METRIC.get(metric, metric))
        object.__setattr__(self, "operator", _SAME_OPERATOR.get(str(self.operator).strip(), str(self.operator).strip()))
        if self.metric not in (*EXTREMES, "check_fraction", "count"):
            Metric.of(self.metric)
        if self.operator not in OPERATORS:
            raise one_of("operator", self.operator, OPERATORS)
        if self.method not in METHODS:
            raise one_of("method", self.method, METHODS)
        if not isinstance(self.endpoint, str) or not self.endpoint.strip():
            raise ValueError(f"endpoint must be a name like 'GET /orders'; got {self.endpoint!r}")
        if self.bound < 0:
            raise ValueError(f"limit must be zero or more; got {self.limit!r}")
        if self.metric in SHARES and self.bound > 1:
            raise ValueError(f'limit of {self.metric} must be between 0 and 1 ("1%" or 0.01); got {self.limit!r}')
        if self.metric == "error_fraction" and self.bound == 1 and self.operator in ("<", "<="):
            # "error rate < 1" means 1 %, and would hold while requests fail.
            raise ValueError(f'an error rate below 100 % is no objective: write "1%" or 0.01; got {self.limit!r}')

    @property
    def share(self) -> float | None:
        """The share that the metric's quantile names (0.95 for p95), None where it is no quantile."""
        if self.metric in EXTREMES:
            return EXTREMES[self.metric]
        return None if self.metric in ("check_fraction", "count") else Metric.of(self.metric).share

    @property
    def unit(self) -> str:
        """The unit of the limit and of what is measured."""
        named = {"throughput_per_s": "1/s", "count": "requests"} | dict.fromkeys(SHARES, "fraction")
        return named.get(self.metric, "ms")

    @cached_property
    def bound(self) -> float:
        """The limit as a number in the metric's unit."""
        if self.unit == "ms":
            return parse_duration(self.limit, parameter="limit", bare="ms")
        if self.unit == "fraction":
            return parse_fraction(self.limit, parameter="limit")
        text = re.sub(r"\s*(?:requests?|reqs?|rps)?\s*(?:/\s*s|per second)?$", "", str(self.limit).replace(",", ""))
        return parse_fraction(text, parameter="limit")

    def met_by(self, value: float) -> bool:
        """Whether one number satisfies the objective, as it stands; `check` asks how sure that is.

        >>> Objective("p95", "<", "200ms").met_by(180.0)
        True
        """
        return {
            "<": value < self.bound,
            "<=": value <= self.bound,
            ">": value > self.bound,
            ">=": value >= self.bound,
            "==": value == self.bound,
            "!=": value != self.bound,
        }[self.operator]

    def written(self, value: float) -> str:
        """A value of the metric for people.

        >>> Objective("error_fraction", "<", "1%").written(0.0042)
        '0.42 %'
        """
        write = {"ms": format_ms, "fraction": format_fraction, "1/s": format_rate}.get(self.unit, format_number)
        return "–" if value != value else write(value)

    @property
    def subject(self) -> str:
        """What is measured, of what."""
        names = {"throughput_per_s": "throughput", "error_fraction": "error rate", "check_fraction": "passed checks"}
        where = whose(self.endpoint)
        ok = "successful requests to " if self.only_ok and self.endpoint != AGGREGATED else ""
        where = "all successful requests" if self.only_ok and self.endpoint == AGGREGATED else ok + where
        return f"{names.get(self.metric, self.metric)} of {where}"

    def __str__(self) -> str:
        return f"{self.subject} {self.operator} {self.written(self.bound)}"


@dataclass(frozen=True, repr=False)
class Objectives:
    """The objectives that a text holds, and what looked like one and was not understood (line, text, reason).

    It is a sequence of its objectives: ``check(runs, objectives)``, ``len(objectives)``, ``objectives[0]``.
    """

    objectives: tuple[Objective, ...]
    not_understood: pd.DataFrame
    source: str = ""
    warnings: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[Objective]:
        return iter(self.objectives)

    def __len__(self) -> int:
        return len(self.objectives)

    def __getitem__(self, position: int) -> Objective:
        return self.objectives[position]

    @property
    def sentence(self) -> str:
        """How many were found, and how many were not understood."""
        count, lost = len(self.objectives), len(self.not_understood)
        found = f"{count} objective{'' if count == 1 else 's'}" + (f" in {self.source}" if self.source else "")
        return found + (f"; {lost} line{'' if lost == 1 else 's'} not understood" if lost else "")

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings and each line that was not understood."""
        lost = [f"not understood: {row.where}: {row.text} ({row.reason})" for row in self.not_understood.itertuples()]
        return (*self.warnings, *lost)

    @property
    def table(self) -> pd.DataFrame:
        """objective, endpoint, metric, operator, limit, source."""
        rows = [(str(o), o.endpoint, o.metric, o.operator, o.written(o.bound), o.source) for o in self.objectives]
        return pd.DataFrame(rows, columns=["objective", "endpoint", "metric", "operator", "limit", "source"])

    def __repr__(self) -> str:
        return rendering.text(self.sentence, self.table[["objective", "source"]], self.notes)

    def _repr_html_(self) -> str:
        return rendering.html(self.sentence, self.table[["objective", "source"]], self.notes)


def collected(
    objectives: list[Objective], lost: list[tuple[str, str, str]], source: str = "", warnings: list[str] | None = None
) -> Objectives:
    """Objectives with what was lost on the way as rows of (where, text, reason)."""
    table = pd.DataFrame(lost, columns=["where", "text", "reason"])
    return Objectives(tuple(objectives), table, source, tuple(dict.fromkeys(warnings or [])))
