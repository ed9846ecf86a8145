"""Rules that end a run before its time: `AbortRule`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from perflab.units import format_fraction, format_ms, format_rate, parse_duration, parse_fraction

if TYPE_CHECKING:
    from perflab.loadtest.tail import Sight

OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_RULE = re.compile(r"\s*(p\d{1,2}(?:\.\d+)?|max|mean|error_fraction|throughput_per_s)\s*(<=|>=|<|>)\s*(.+?)\s*")
_FEWEST = 20


@dataclass(frozen=True)
class AbortRule:
    """What must hold while a run goes on; once it does not, the run is stopped, kept, and marked with the rule.

    Parameters
    ----------
    objective : ``"p95 < 500ms"``, ``"error_fraction < 5%"``, ``"throughput_per_s > 100"``; also any ``p<q>``, ``mean``
        and ``max``. Latencies and errors are those of all requests so far, the throughput that of the last seconds.
    delay : how long after the beginning of the load the rule starts to count.

    A quantile is judged from 20 requests on, and to one per cent: the figures of the report are exact.

    >>> print(AbortRule("p95 < 500ms", delay="30s"))
    p95 < 500 ms, from 30 s on
    """

    objective: str
    delay: str | float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.objective, str) or not _RULE.fullmatch(self.objective):
            raise ValueError(
                'AbortRule: objective must be like "p95 < 500ms", "error_fraction < 5%" or "throughput_per_s > 100"; '
                f"got {self.objective!r}"
            )
        if self.delay_s < 0:
            raise ValueError(f"AbortRule: delay must be 0 or longer; got {self.delay!r}")
        if not self.limit >= 0:
            raise ValueError(f"AbortRule: the limit must be 0 or more; got {self.objective!r}")

    @property
    def metric(self) -> str:
        return self._parts[0]

    @property
    def delay_s(self) -> float:
        return parse_duration(self.delay, parameter="AbortRule: delay") / 1e3

    @cached_property
    def limit(self) -> float:
        """In ms, as a fraction, or in requests a second."""
        written = self._parts[2]
        if self.metric == "error_fraction":
            return parse_fraction(written, parameter="AbortRule: error_fraction")
        if self.metric == "throughput_per_s":
            return parse_fraction(written.removesuffix("/s"), parameter="AbortRule: throughput_per_s")
        return parse_duration(written, parameter=f"AbortRule: {self.metric}", bare="ms")

    def broken(self, sight: Sight) -> str | None:
        """In words, how a run has broken the rule; None while it has not."""
        if sight.elapsed_s < self.delay_s or sight.requests < _FEWEST:
            return None
        value = self._measured(sight)
        if math.isnan(value) or OPERATORS[self._parts[1]](value, self.limit):
            return None
        return (
            f"stopped early by the rule {self._sentence}: {self.metric} was {self._written(value)} "
            f"after {format_ms(sight.elapsed_s * 1e3)}"
        )

    def _measured(self, sight: Sight) -> float:
        if self.metric == "error_fraction":
            return sight.errors / sight.requests
        if self.metric == "throughput_per_s":
            return sight.requests_per_s
        if self.metric == "mean":
            return float(sight.latency.sums.sum()) / max(1, sight.latency.count)
        return sight.latency.largest if self.metric == "max" else sight.latency.quantile(float(self.metric[1:]) / 100)

    @property
    def _parts(self) -> tuple[str, str, str]:
        found = _RULE.fullmatch(self.objective)
        assert found  # __post_init__ has seen to it
        return found[1], found[2], found[3]

    @property
    def _sentence(self) -> str:
        return f"{self.metric} {self._parts[1]} {self._written(self.limit)}"

    def _written(self, value: float) -> str:
        write = {"error_fraction": format_fraction, "throughput_per_s": format_rate}.get(self.metric, format_ms)
        return write(value)

    def __str__(self) -> str:
        return self._sentence + (f", from {format_ms(self.delay_s * 1e3)} on" if self.delay_s else "")
