"""`monitoring_rules`: objectives that go on watching after a merge, as rules, alerts and a dashboard for Prometheus."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import FormatError, one_of
from perflab.notes import DATA, DESIGN, PYTHON, Kind, Note, Remedy, written
from perflab.objectives import dashboards, rule_files
from perflab.objectives.checking import objectives_of
from perflab.objectives.indicators import BOUNDS, EXACT, Indicator, indicator_of, selector
from perflab.objectives.instruments import Instruments, instruments_of
from perflab.objectives.objective import Objective, Objectives
from perflab.results import Result, Shown, count

NAMES_ASSUMED = Kind(
    "names-assumed",
    DATA,
    "the metrics' names are assumed ({histogram:raw}, {counter:raw}, labels {labels:raw}); {remedy} reads them from the service. "
    "The histogram needs buckets that end at {bounds:raw}",
)
ANY_JOB = Kind(
    "any-job",
    DESIGN,
    "the rules are about every job that exports these metrics; {remedy} limits them to one, by the job's name in Prometheus",
)
LOW_TRAFFIC = Kind(
    "low-traffic",
    DESIGN,
    "{objective:raw}: at {rate_per_s} the window of {window:raw} has {expected:raw} bad requests when the alert should fire, "
    "fewer than the {fewest} that it asks for; slow leaks are found by the longer windows only",
)
FILES = ("rules.yml", "rules_test.yml", "dashboard.json")
_HOURS = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}


@dataclass(frozen=True, repr=False)
class MonitoringRules(Result):
    """The result of `monitoring_rules`.

    ``table`` has a row for each objective: objective, watched (whether it has an alert), budget_fraction, alerts, burn_rates,
    most_burn (the fastest burn that is possible), reason. ``files`` are the rules, their unit tests and the dashboard.
    """

    table: pd.DataFrame
    files: tuple[Path, ...]
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """How many objectives are watched, and where the files are."""
        watched = int(self.table["watched"].sum())
        return f"{watched} of {count(len(self.table), 'objective')} watched by {self.files[0]}"

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the objectives and the notes."""
        table = self.table.drop(columns="reason")
        return Shown(self.sentence, table, written(self.warnings, surface), ours=True)


def monitoring_rules(
    goals: Objectives | Iterable[Objectives | Objective | str] | Objective | str,
    folder: str | Path,
    *,
    metrics: Measurements | pd.DataFrame | str | Path | None = None,
    service: str = "",
    bounds: str = EXACT,
    rate_per_s: float | None = None,
) -> MonitoringRules:
    """Write objectives as Prometheus rules and alerts, with their unit tests and a Grafana dashboard.

    "p95 < 250 ms" means that 5 % of the requests may take longer: the error budget. Its alerts fire when the budget burns too
    fast, over a long and a short window each (multi-window burn rates of Google's Site Reliability Workbook).

    Parameters
    ----------
    goals : objectives
        As `check` takes them.
    folder : str or Path
        Where to write ``rules.yml``, ``rules_test.yml`` (for ``promtool test rules``) and ``dashboard.json``.
        Existing files are replaced.
    metrics : Measurements, DataFrame, str or Path, optional
        What the service measures: the text of its /metrics page, a file with it, or a run that was recorded with
        ``Target(metrics=)``. Without it, names are assumed, and a note lists the buckets that are needed.
    service : str
        The service's name, which its job in Prometheus has too: the rules are about that job. Without it they are about all
        jobs that export these metrics.
    bounds : str
        What to do where no bucket ends at a limit: "exact" leaves the objective out and says so, "stricter" takes the next lower
        bound, "looser" the next higher one.
    rate_per_s : float, optional
        Production's usual rate of requests, to point out windows that hold too few.

    Returns
    -------
    MonitoringRules

    Raises
    ------
    FormatError
        The metrics hold no histogram of durations.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = lab.monitoring_rules(["p95 < 250ms", "error rate < 1%"], folder)
    >>> found.table.watched.to_list(), [file.name for file in found.files]
    ([True, True], ['rules.yml', 'rules_test.yml', 'dashboard.json'])
    """
    if bounds not in BOUNDS:
        raise one_of("bounds", bounds, BOUNDS)
    if not re.fullmatch(r"[\w.:/ -]*", service):
        raise ValueError(f"service must be a name of letters, digits, '-', '_', '.', ':' and '/'; got {service!r}")
    if rate_per_s is not None and not (isinstance(rate_per_s, (int, float)) and 0 < rate_per_s < math.inf):
        raise ValueError(f"rate_per_s must be above 0; got {rate_per_s!r}")
    given = [goals] if isinstance(goals, (Objectives, Objective, str)) else list(goals)
    wanted = objectives_of(given)
    meters = instruments_of(metrics)
    if meters is None:
        raise FormatError("metrics: expected a histogram of durations (..._seconds_bucket) on the page, found none")
    meters = replace(meters, job=service)
    name = service or "service"
    rows, notes, found = [], list[Note](), list[Indicator]()
    for goal in {str(goal): goal for goal in wanted}.values():  # 0.25s is 250ms; the text is a label
        indicator, why = indicator_of(goal, meters, bounds)
        notes += why
        if indicator is not None and (same := sum(indicator.name == replace(other, suffix="").name for other in found)):
            indicator = replace(indicator, suffix=f"_{same + 1}")
        rows.append(_row(goal, indicator, why))
        if indicator is not None:
            found.append(indicator)
            notes += _too_quiet(indicator, rate_per_s)
    if not meters.known:
        notes.insert(0, _assumed(meters, found))
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    files = tuple(place / name for name in FILES)
    watched = selector(f"{meters.histogram}_count", meters.own)
    if not service:
        notes.append(ANY_JOB(Remedy("monitoring_rules", {"service": ...})))
    health = next(
        (each.endpoints["health"] for each in given if isinstance(each, Objectives) and "health" in each.endpoints), ""
    )
    unit_tests = rule_files.tests(found, files[0].name, watched, name, health, service)
    head = "Written by perflab from objectives; change those, not this file."
    files[0].write_text(
        rule_files.yaml(rule_files.groups(found, watched, name, health, service), head), encoding="utf-8"
    )
    files[1].write_text(rule_files.yaml(unit_tests, head), encoding="utf-8")
    board = json.dumps(dashboards.dashboard(found, meters, name), indent=2, ensure_ascii=False)
    files[2].write_text(board + "\n", encoding="utf-8")
    return MonitoringRules(pd.DataFrame(rows), files, tuple(dict.fromkeys(notes)))


def _row(goal: Objective, indicator: Indicator | None, notes: list[Note]) -> dict[str, object]:
    row = {
        "objective": str(goal),
        "watched": indicator is not None,
        "budget_fraction": math.nan,
        "alerts": "",
        "burn_rates": "",
    }
    row |= {"most_burn": math.nan, "reason": "" if indicator is not None else str(notes[-1])}
    if indicator is None:
        return row
    if not indicator.budget:
        return row | {"alerts": indicator.name}
    names = [
        rule_files.alert_name(indicator, level) for level in dict.fromkeys(map(rule_files.severity, indicator.burns))
    ]
    rates = ", ".join(f"{burn.factor:g}x over {burn.long}" for burn in indicator.burns)
    budget = {"budget_fraction": indicator.budget, "most_burn": 1 / indicator.budget}
    return row | {"alerts": ", ".join(names), "burn_rates": rates, **budget}


def _assumed(meters: Instruments, found: list[Indicator]) -> Note:
    limits = sorted({one.goal.measure.slower_ms or one.goal.bound for one in found if len(one.bad) == 2})
    needed = ", ".join(f"{limit / meters.ms_per_unit:g} s" for limit in limits) or "the objectives' limits"
    labels = ", ".join((meters.method, meters.route, meters.status))
    remedy = Remedy("monitoring_rules", {"metrics": ...})
    return NAMES_ASSUMED(remedy, histogram=meters.histogram, counter=meters.counter, labels=labels, bounds=needed)


def _too_quiet(one: Indicator, rate_per_s: float | None) -> list[Note]:
    if rate_per_s is None or not one.budget:
        return []
    burn = one.burns[0]
    bad = rate_per_s * 3600 * _HOURS[burn.long] * burn.factor * one.budget
    if bad >= rule_files.FEWEST_BAD:
        return []
    facts = {"rate_per_s": rate_per_s, "window": burn.long, "expected": f"{bad:.2g}", "fewest": rule_files.FEWEST_BAD}
    return [LOW_TRAFFIC(objective=str(one.goal), **facts)]
