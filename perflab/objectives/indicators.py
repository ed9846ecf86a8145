"""Objectives as expressions of PromQL: a share of bad requests with its budget, or a value with its limit."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from perflab.metrics import MEAN, QUANTILE, SHARE, SLOW
from perflab.notes import DATA, DESIGN, Kind, Note, Remedy
from perflab.objectives.instruments import SERVER_ERRORS, Instruments, Labels
from perflab.objectives.objective import Objective
from perflab.units import format_fraction, format_ms

NOT_MONITORED = Kind("not-monitored", DESIGN, "{objective:raw}: no alert, because {why:raw}")
MISSING_BOUND = Kind(
    "missing-bound",
    DATA,
    "{objective:raw}: no alert, because {histogram:raw} has no bucket that ends at {limit_ms} (the nearest: {nearest:raw}). "
    "Add that bucket, or use {remedy}",
)
OTHER_BOUND = Kind(
    "other-bound",
    DESIGN,
    "{objective:raw}: the alert is about {bound_ms} instead, the nearest {direction:raw} bucket of {histogram:raw}",
)
NO_SUCH_ROUTE = Kind(
    "no-such-route", DATA, "{objective:raw}: no alert, because {metric:raw} has no {endpoint:raw}; it has {routes}"
)
METHOD_UNKNOWN = Kind(
    "method-unknown",
    DATA,
    "{objective:raw}: {metric:raw} has no label for the method, so all methods of the route count",
)
FACTORS_LOWERED = Kind(
    "burn-lowered",
    DESIGN,
    "{objective:raw}: a budget of {budget:raw} burns at most {most:raw} times as fast as allowed, so alerts at {usual:raw} times "
    "could never fire; they are at {factors:raw}",
)
LOAD_IGNORED = Kind("load-ignored", DESIGN, "{objective:raw}: the alert holds for any load, not only for {load:raw}")
FAILURES_COUNT = Kind(
    "failures-count",
    DESIGN,
    "{objective:raw}: the histogram counts failed requests too, which the objective leaves out",
)
EXACT, STRICTER, LOOSER = BOUNDS = ("exact", "stricter", "looser")
_USUAL = ((14.4, "1h", "5m"), (6.0, "6h", "30m"), (3.0, "1d", "2h"), (1.0, "3d", "6h"))
"""Burn rates and windows of the Site Reliability Workbook (Google, chapter 5), for 30 days: 2, 5, 10 and 10 % of the budget."""
_REACH = 0.8
"""A burn rate stays below this share of the fastest that is possible."""


@dataclass(frozen=True)
class Burn:
    """An alert when the budget burns at ``factor`` times the allowed rate, over a long and a short window."""

    factor: float
    long: str
    short: str


@dataclass(frozen=True)
class Indicator:
    """What is measured for an objective.

    With a ``budget``, ``bad`` and ``total`` are counters, as selectors of PromQL that are summed and subtracted: (sign,
    selector). Otherwise ``value`` is an expression that must not exceed ``limit``.
    """

    goal: Objective
    budget: float = 0.0
    bad: tuple[tuple[int, str], ...] = ()
    total: str = ""
    value: str = ""
    limit: float = math.nan
    about: str = ""
    series: Mapping[str, str] | None = None
    suffix: str = ""

    @property
    def name(self) -> str:
        """The objective's name in alerts: ``P95OfGetOrdersBelow250Ms``."""
        operator = {"<": "Below", "<=": "AtMost"}.get(self.goal.operator, "Above")
        text = re.sub(r"[<>=]+", f" {operator} ", str(self.goal)).replace("%", " percent")
        words = re.findall(r"[A-Za-z]+|\d+(?:\.\d+)?", text)
        return "".join(w[:1].upper() + w[1:] for w in words).replace(".", "_") + self.suffix

    def bad_of(self, function: str, window: str) -> str:
        """The bad requests in a window, by ``rate`` or ``increase``."""
        parts = [f"sum({function}({selector}[{window}]))" for _, selector in self.bad]
        if len(parts) == 1:
            return f"({parts[0]} or vector(0))"
        return f"({parts[0]} - {parts[1]})"

    def bad_fraction(self, window: str) -> str:
        """The share of bad requests in a window."""
        return f"{self.bad_of('rate', window)} / sum(rate({self.total}[{window}]))"

    @property
    def burns(self) -> tuple[Burn, ...]:
        """The burn rates that can occur, in descending order."""
        most = _REACH / self.budget
        found: list[Burn] = []
        for factor, long, short in _USUAL:
            reachable = round(min(factor, max(1.0, most)), 2)
            if reachable * self.budget < 1 and not any(reachable >= each.factor for each in found):
                found.append(Burn(reachable, long, short))
        return tuple(found)


def indicator_of(goal: Objective, meters: Instruments, bounds: str) -> tuple[Indicator | None, list[Note]]:
    """The indicator of an objective; None, with the reason as a note, where it cannot be monitored."""
    notes = [LOAD_IGNORED(objective=str(goal), load=goal.load)] if goal.load else []
    if reason := _unusable(goal, meters):
        return None, [*notes, NOT_MONITORED(objective=str(goal), why=reason)]
    measure = goal.measure
    if goal.only_ok:
        notes.append(FAILURES_COUNT(objective=str(goal)))
    if not measure.has_endpoints:
        return _of_process(goal, meters), notes
    if measure.kind == SHARE:
        found, more = _of_failures(goal, meters)
    elif measure.kind == MEAN:
        found, more = _of_mean(goal, meters)
    else:
        found, more = _of_latency(goal, meters, bounds)
    if found is not None and found.budget:
        more += _lowered(found)
    return found, notes + more


def _unusable(goal: Objective, meters: Instruments) -> str:
    """Why an objective cannot be monitored; "" if it can."""
    measure = goal.measure
    if goal.operator not in ("<", "<="):
        return "production's throughput is what users ask for" if measure.better > 0 else "it is no upper limit"
    if measure.table == "resources":
        known = measure.name in _PROCESS
        return "" if known and meters.process else f"the service exports no {measure.label}"
    if measure.table != "requests" or measure.kind not in (QUANTILE, SHARE, SLOW, MEAN) or measure.unit == "bytes":
        return f"{measure.label} is not measured by the service"
    if measure.kind == QUANTILE and not measure.share:
        return "a minimum has no alert"
    if measure.kind in (SHARE, SLOW) and not 0 < goal.bound < 1:
        return "a limit of 0 leaves no error budget, and the first failure would use it up; state a small share, such as 0.01 %"
    if measure.kind == SHARE and not meters.counter:
        return "no counter of requests has the status as a label"
    return ""


_PROCESS = {"rss_bytes": "process_resident_memory_bytes", "cpu_cores": "process_cpu_seconds_total"}


def _of_process(goal: Objective, meters: Instruments) -> Indicator:
    series = selector(_PROCESS[goal.metric], meters.own)
    grows = goal.metric == "cpu_cores"
    expression = f"rate({series}[5m])" if grows else series
    about = f"{goal.subject} is above {_limit(goal)}"
    roles = {series: "rate" if grows else "value"}
    return Indicator(goal, value=f"max({expression})", limit=goal.bound, about=about, series=roles)


def _of_failures(goal: Objective, meters: Instruments) -> tuple[Indicator | None, list[Note]]:
    chosen, notes = _chosen(goal, meters, meters.counter, meters.counted)
    if chosen is None:
        return None, notes
    total = selector(meters.counter, chosen)
    bad = selector(meters.counter, chosen, {meters.status: SERVER_ERRORS})
    about = f"more than {format_fraction(goal.bound)} of the {_requests(goal)} fail"
    return Indicator(goal, goal.bound, ((1, bad),), total, about=about), notes


def _of_mean(goal: Objective, meters: Instruments) -> tuple[Indicator | None, list[Note]]:
    chosen, notes = _chosen(goal, meters, meters.histogram, meters.timed)
    if chosen is None:
        return None, notes
    total = f"sum(rate({selector(f'{meters.histogram}_sum', chosen)}[10m]))"
    count = f"sum(rate({selector(f'{meters.histogram}_count', chosen)}[10m]))"
    limit = goal.bound / meters.ms_per_unit
    series = {
        selector(f"{meters.histogram}_sum", chosen): "sum",
        selector(f"{meters.histogram}_count", chosen): "count",
    }
    about = f"the {goal.subject} is above {_limit(goal)}"
    return Indicator(goal, value=f"{total} / {count}", limit=limit, about=about, series=series), notes


def _of_latency(goal: Objective, meters: Instruments, bounds: str) -> tuple[Indicator | None, list[Note]]:
    measure = goal.measure
    limit = measure.slower_ms if measure.slower_ms is not None else goal.bound
    budget = goal.bound if measure.slower_ms is not None else 1 - float(measure.share or 0)
    chosen, notes = _chosen(goal, meters, meters.histogram, meters.timed)
    if chosen is None:
        return None, notes
    if meters.known and not meters.has_bound(limit):
        below, above = meters.neighbours(limit)
        other = {STRICTER: below, LOOSER: above}.get(bounds)
        if other is None:
            nearest = " and ".join(format_ms(b) for b in (below, above) if b is not None) or "none"
            remedy = Remedy("monitoring_rules", {"bounds": LOOSER if below is None else STRICTER})
            facts = {"objective": str(goal), "histogram": meters.histogram, "limit_ms": limit, "nearest": nearest}
            return None, [*notes, MISSING_BOUND(remedy, **facts)]
        direction = "lower" if bounds == STRICTER else "higher"
        notes.append(OTHER_BOUND(objective=str(goal), bound_ms=other, direction=direction, histogram=meters.histogram))
        limit = other
    total = selector(f"{meters.histogram}_count", chosen)
    fast = selector(f"{meters.histogram}_bucket", {**chosen, "le": meters.bound(limit)})
    requests, slow = _requests(goal), f"take longer than {format_ms(limit)}"
    if measure.is_maximum:
        value = f"sum(increase({total}[10m])) - sum(increase({fast}[10m]))"
        series = {total: "count", fast: "fast"}
        # An increase is extrapolated, so a single request can be a little less than 1.
        return Indicator(goal, value=value, limit=0.5, about=f"some of the {requests} {slow}", series=series), notes
    about = f"more than {format_fraction(budget)} of the {requests} {slow}"
    return Indicator(goal, round(budget, 9), ((1, total), (-1, fast)), total, about=about), notes


def _chosen(
    goal: Objective, meters: Instruments, metric: str, labels: Labels
) -> tuple[dict[str, str] | None, list[Note]]:
    chosen = labels.of(goal.endpoint)
    if chosen is None:
        return None, [NO_SUCH_ROUTE(objective=str(goal), metric=metric, endpoint=goal.endpoint, routes=labels.listed)]
    notes = []
    if " " in goal.endpoint and labels.method not in chosen and chosen:
        notes.append(METHOD_UNKNOWN(objective=str(goal), metric=metric))
    return {**meters.own, **chosen}, notes


def _lowered(found: Indicator) -> list[Note]:
    usual = [factor for factor, *_ in _USUAL if factor * found.budget >= 1]
    if not usual:
        return []
    numbers = {
        name: ", ".join(f"{n:g}" for n in v)
        for name, v in (("usual", usual), ("factors", [b.factor for b in found.burns]))
    }
    most = f"{1 / found.budget:.3g}"
    return [FACTORS_LOWERED(objective=str(found.goal), budget=format_fraction(found.budget), most=most, **numbers)]


def _requests(goal: Objective) -> str:
    return "requests" if goal.endpoint == "Aggregated" else f"requests to {goal.endpoint}"


def _limit(goal: Objective) -> str:
    return goal.written(goal.bound)


def selector(metric: str, labels: Mapping[str, str], patterns: Mapping[str, str] | None = None) -> str:
    """A selector of PromQL.

    >>> selector("requests_total", {"route": "/a"}, {"status": "5.."}), selector("d_bucket", {"le": "1.0"})
    ('requests_total{route="/a",status=~"5.."}', 'd_bucket{le=~"1(\\\\\\\\.0)?"}')
    """
    parts = []
    for name, value in labels.items():
        if name == "le" and float(value) == int(float(value)):
            # Prometheus 3 writes 1.0 where Prometheus 2 kept the 1 of some clients.
            parts.append(f'le=~"{int(float(value))}(\\\\.0)?"')
        else:
            parts.append(f"{name}={json.dumps(value, ensure_ascii=False)}")
    parts += [f'{name}=~"{value}"' for name, value in (patterns or {}).items()]
    return f"{metric}{{{','.join(parts)}}}" if parts else metric
