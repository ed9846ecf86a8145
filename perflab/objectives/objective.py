"""`Objective`: a metric, an operator, a limit and the endpoint they are about; `Objectives`: what a text held of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from perflab.data.tables import AGGREGATED
from perflab.errors import one_of
from perflab.metrics import COUNT, SHARE, Metric, canonical
from perflab.notes import PYTHON, Note, written
from perflab.objectives.cautions import NOT_UNDERSTOOD
from perflab.results import Result, Shown
from perflab.results import count as counted
from perflab.units import parse_duration, parse_fraction, parse_size

OPERATORS = ("<", "<=", ">", ">=", "==", "!=")
_SAME_OPERATOR = {"≤": "<=", "≥": ">=", "=": "==", "===": "==", "≠": "!=", "!==": "!="}
METHODS = ("median_unbiased", "linear")


@dataclass(frozen=True)
class Objective:
    """What one metric must be.

    Parameters
    ----------
    metric : str
        "p95" or any ``"p<q>"``, "mean", "min", "max" (latencies), "throughput_per_s", "error_fraction", "check_fraction"
        (passed assertions), "count" (requests in a run), "lcp", "inp", "cls", "fcp", "ttfb" or "tbt" (of pages in a
        browser), or another metric of `perflab.metrics`.
    operator : str
        One of < <= > >= == !=.
    limit : str or float
        ``"200ms"``; a bare number is in the metric's unit. ``"1%"`` or 0.01 for a share, ``"100/s"`` or 100 for
        throughput, ``"64MB"`` for a size.
    endpoint : str
        One endpoint, or all requests of a run together ("Aggregated").
    method : str
        Interpolation of a quantile: "median_unbiased" (type 8) or "linear" (k6's).
    only_ok : bool
        Leave failed requests out (k6's ``expected_response:true``).
    abort, delay_ms : bool, float
        Whether a run may be aborted once the objective fails, and the earliest time for that.
    source : str
        Where it is written.
    load : str
        The load that it is about, "100 users" or "50/s": under another one `check` does not decide.

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
    load: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", canonical(self.metric))
        object.__setattr__(self, "operator", _SAME_OPERATOR.get(str(self.operator).strip(), str(self.operator).strip()))
        is_share = self.measure.kind == SHARE
        if self.operator not in OPERATORS:
            raise one_of("operator", self.operator, OPERATORS)
        if self.method not in METHODS:
            raise one_of("method", self.method, METHODS)
        if not isinstance(self.endpoint, str) or not self.endpoint.strip():
            raise ValueError(f"endpoint must be a name like 'GET /orders'; got {self.endpoint!r}")
        if self.bound < 0:
            raise ValueError(f"limit must be zero or more; got {self.limit!r}")
        if self.load and not re.fullmatch(r"\d+(?:\.\d+)?(?: users|/s)", self.load):
            raise ValueError(f'load must be like "100 users" or "50/s"; got {self.load!r}')
        if is_share and self.bound > 1:
            raise ValueError(f'limit of {self.metric} must be between 0 and 1 ("1%" or 0.01); got {self.limit!r}')
        if is_share and self.measure.better < 0 and self.bound == 1 and self.operator in ("<", "<="):
            # "error rate < 1" means 1 %, and would hold while requests fail.
            raise ValueError(f'an error rate below 100 % is no objective: write "1%" or 0.01; got {self.limit!r}')

    @cached_property
    def measure(self) -> Metric:
        """The metric as a value."""
        return Metric.of(self.metric)

    @property
    def share(self) -> float | None:
        """The share of a quantile (0.95 for p95); None for other metrics."""
        return self.measure.share

    @property
    def unit(self) -> str:
        """The unit of the limit and of what is measured."""
        return self.measure.unit

    @property
    def is_extreme(self) -> bool:
        """Whether it limits every single request (a minimum or a maximum)."""
        return self.share in (0.0, 1.0)

    @cached_property
    def bound(self) -> float:
        """The limit as a number in the metric's unit."""
        if self.unit == "ms":
            return parse_duration(self.limit, parameter="limit", bare="ms")
        if self.unit == "fraction":
            return parse_fraction(self.limit, parameter="limit")
        if self.unit in ("bytes", "bytes/s"):
            return parse_size(
                str(self.limit).removesuffix("/s") if self.unit == "bytes/s" else self.limit, parameter="limit"
            )
        if self.unit == "cores":
            return parse_fraction(re.sub(r"\s*cores?$", "", str(self.limit)), parameter="limit")
        text = re.sub(r"\s*(?:requests?|reqs?|rps)?\s*(?:/\s*s|per second)?$", "", str(self.limit).replace(",", ""))
        return parse_fraction(text, parameter="limit")

    def met_by(self, value: float) -> bool:
        """Whether one number satisfies the objective; `check` tests how certain that is.

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
        return self.measure.format(value)

    @property
    def subject(self) -> str:
        """What is measured, of what."""
        metric = self.measure
        name = metric.name if metric.kind == COUNT else f"{metric.label} latency" if self.is_extreme else metric.label
        if self.method == "linear" and self.share is not None and not self.is_extreme:
            name += " (linear quantile)"
        if not metric.has_endpoints:
            return name
        if self.endpoint == AGGREGATED:
            return f"{name} of {'all successful requests' if self.only_ok else metric.everything}"
        return f"{name} of {'successful requests to ' if self.only_ok else ''}{self.endpoint}"

    def __str__(self) -> str:
        return f"{self.subject} {self.operator} {self.written(self.bound)}{f' at {self.load}' if self.load else ''}"


@dataclass(frozen=True, repr=False)
class Objectives(Result):
    """The objectives of a text, and what looked like one and was not understood (where, text, reason).

    ``endpoints`` are the paths that the text gives for "metrics" and "health", which `Target` takes as ``metrics`` and ``ready``.

    It is a sequence of its objectives: ``check(runs, objectives)``, ``len(objectives)``, ``objectives[0]``.
    """

    objectives: tuple[Objective, ...]
    not_understood: pd.DataFrame
    source: str = ""
    warnings: tuple[Note, ...] = field(default=())
    endpoints: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Objective]:
        return iter(self.objectives)

    def __len__(self) -> int:
        return len(self.objectives)

    def __getitem__(self, position: int) -> Objective:
        return self.objectives[position]

    def complete(self, what: str) -> tuple[Objective, ...]:
        """The objectives for what keeps no lines; ValueError where one was not understood."""
        if len(self.not_understood):
            raise ValueError(
                f"{what}: objectives: {self.sentence}, which would be lost. Give the document to check(run, ...), or its "
                f"objectives alone: {what}(objectives=list(...))"
            )
        return self.objectives

    @property
    def sentence(self) -> str:
        """How many were found, and how many were not understood."""
        lost = len(self.not_understood)
        found = counted(len(self.objectives), "objective") + (f" in {self.source}" if self.source else "")
        return found + (f"; {counted(lost, 'line')} not understood" if lost else "")

    @property
    def notes(self) -> tuple[Note, ...]:
        """The warnings and each line that was not understood."""
        rows = self.not_understood.itertuples()
        return (*self.warnings, *(NOT_UNDERSTOOD(where=r.where, text=r.text, reason=r.reason) for r in rows))

    @property
    def table(self) -> pd.DataFrame:
        """objective, endpoint, metric, operator, limit, source."""
        rows = [(str(o), o.endpoint, o.metric, o.operator, o.written(o.bound), o.source) for o in self.objectives]
        return pd.DataFrame(rows, columns=["objective", "endpoint", "metric", "operator", "limit", "source"])

    def show(self, surface: str = PYTHON) -> Shown:
        """What was found, and where; then what was not understood."""
        return Shown(self.sentence, self.table[["objective", "source"]], written(self.notes, surface), ours=True)


def collected(
    objectives: list[Objective],
    lost: list[tuple[str, str, str]],
    source: str = "",
    warnings: Iterable[Note] = (),
    endpoints: Mapping[str, str] | None = None,
) -> Objectives:
    """Objectives, and what could not be read as rows of (where, text, reason)."""
    table = pd.DataFrame(lost, columns=["where", "text", "reason"])
    return Objectives(tuple(objectives), table, source, tuple(dict.fromkeys(warnings)), endpoints or {})
