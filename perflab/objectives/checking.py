"""`check`: whether objectives hold, fail or are inconclusive, from an interval over runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import COUNT, VITALS
from perflab.notes import PYTHON, Note, Remedy, joined, notes_of, written
from perflab.objectives import cautions
from perflab.objectives.cautions import DECIDED, DECIDED_WHOLE
from perflab.objectives.cells import Evidence
from perflab.objectives.grammar import objective_of
from perflab.objectives.measuring import OVER_RUNS, THIS_RUN, VERDICTS, Found, measure, of_requests, value_of
from perflab.objectives.objective import Objective, Objectives
from perflab.objectives.offered import load_is_known, under_its_load
from perflab.objectives.pages_answered import pages_answered
from perflab.results import Result, Shown, count
from perflab.stats import replications, visits
from perflab.stats.estimates import by_run, requests_of
from perflab.units import format_fraction

_COLUMNS = ("objective", "endpoint", "measured", "low", "high", "unit", "runs", "interval", "verdict", "reason")


@dataclass(frozen=True, repr=False)
class Checked(Result):
    """The result of `check`.

    ``verdict`` is "holds" when every objective does, "fails" when any fails, "inconclusive" otherwise. ``table`` has
    a row for each: objective, endpoint, measured, low, high (95 % interval), unit, runs, interval, verdict, reason.
    ``goals`` are the objectives in the table's order, ``reasons`` the notes behind its last column. ``unread`` lines of a
    document look like requirements and were not understood: each counts as an inconclusive objective.
    """

    verdict: str
    table: pd.DataFrame
    goals: tuple[Objective, ...]
    warmup: float
    reasons: tuple[Note, ...]
    warnings: tuple[Note, ...] = ()
    unread: int = 0

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        return str(self.answer)

    @property
    def notes(self) -> tuple[Note, ...]:
        """How it was decided, and the warnings."""
        return (DECIDED(cut=format_fraction(self.warmup)) if self.warmup else DECIDED_WHOLE(), *self.warnings)

    def show(self, surface: str = PYTHON) -> Shown:
        """The answer, a row for each objective, and how it was decided."""
        rows = zip(self.goals, self.table.itertuples(), strict=True)
        texts = [[g.written(v) for v in (r.measured, r.low, r.high)] for g, r in rows]
        columns = {
            "measured": [t[0] for t in texts],
            "95 % interval": ["–" if low == "–" else f"{low} to {high}" for _, low, high in texts],
            "covers": self.table["interval"],
            "reason": list(written(self.reasons, surface)),
        }
        table = self.table[["objective", "verdict"]].assign(**columns)
        shown = table if len(table) else None
        return Shown(self.answer.written(surface), shown, written(self.notes, surface), ours=True)

    @property
    def answer(self) -> Note:
        """The answer as a note, whose advice is written for the surface that shows it."""
        if len(self.table) == 1 and not self.unread:
            row = self.table.iloc[0]
            return joined(f"{row['objective']}: {row['verdict']}", self.answer_of(0), by=": ")
        counts = {word: int((self.table["verdict"] == word).sum()) for word in VERDICTS}
        counts["inconclusive"] += self.unread
        parts = [f"{n} {_verb(word, n)}" for word, n in counts.items() if n]
        worst = self.table.index[self.table["verdict"] == "fails"]
        unread = f" ({count(self.unread, 'line')} not understood)" if self.unread else ""
        whole = f"Of {count(len(self.table) + self.unread, 'objective')}, {', '.join(parts)}{unread}"
        if not len(worst):
            return joined(whole)
        first = int(worst[0])
        return joined(whole, joined(f"{self.table['objective'][first]}, but", self.answer_of(first), by=" "), by=": ")

    def answer_of(self, position: int) -> Note:
        """What was measured for the objective in a row of the table, or why it is inconclusive."""
        row, goal, reason = self.table.iloc[position], self.goals[position], self.reasons[position]
        if row["measured"] != row["measured"]:
            return reason
        what = f"measured {goal.written(row['measured'])}"
        if row["low"] != row["low"]:
            return joined(what, reason)
        how = f"{row['runs']} runs" if row["interval"] == OVER_RUNS else THIS_RUN
        return joined(f"{what} (95 % interval {goal.written(row['low'])} to {goal.written(row['high'])}; {how})")


def _verb(word: str, number: int) -> str:
    if word == "inconclusive":
        return "is inconclusive" if number == 1 else "are inconclusive"
    return word if number == 1 else {"holds": "hold", "fails": "fail"}[word]


def check(
    measured: Measurements | pd.DataFrame,
    goals: Objectives | Iterable[Objectives | Objective | str] | Objective | str,
    *,
    warmup: float | str | None = None,
    allow: str | Collection[str] = (),
) -> Checked:
    """Whether objectives hold, fail or are inconclusive in these runs.

    Parameters
    ----------
    measured : Measurements or DataFrame
        The runs of one arm (or a requests table); several runs say more than one.
    goals : objectives
        From `read_objectives`, or a list; a text such as "p95 of GET /orders < 200ms" is one too.
    warmup : float or str
        The share of each run to leave out; the plan's, or 10 %, if not given.
    allow : str or collection of str
        Of "invalid", "generator", "plan", "arms": check these runs anyway, with a warning.

    Returns
    -------
    Checked
        An objective holds when all of its 95 % interval does, fails when none of it does, and is inconclusive
        otherwise. The run is the unit of replication: Student's interval of the runs' logarithms for latencies and
        throughput, an exact binomial interval that allows for run-to-run differences for shares. With one run the
        interval covers that run only (batch means), and says so. One request refutes a maximum; none can prove it. An
        objective that names its load ("at 200 users") holds under that load or more, and fails under it or less.

    Objectives on pages ("LCP < 2.5 s") are decided by the visits of `run_pages`, each run by the median of its visits.

    Each objective is tested at its own 95 %: that all of them hold needs no correction (Berger 1982, an
    intersection-union test).

    Raises
    ------
    ComparisonError
        No requests, invalid runs, runs of several arms, plans or generators, unless allowed.
    MissingTableError
        Neither requests nor vitals.
    ValueError
        Bad arguments, or no objective. (Lines that were not understood are objectives too, inconclusive ones.)

    >>> runs = lab.load("datasets/shop_runs", arm="eager")
    >>> checked = lab.check(runs, [lab.Objective("p95", "<", "2s"), "error rate < 1%", "p95 of GET /orders < 1ms"])
    >>> checked.table.verdict.to_list(), checked.verdict
    (['holds', 'holds', 'fails'], 'fails')
    """
    given, wanted = stated(goals)
    loaded, pages = _evidence(measured)
    held = loaded or pages
    assert held is not None
    warnings: list[object] = [*held.warnings]
    for side in filter(None, (loaded, pages)):
        warnings += replications.refusals(side.runs, allow)
    cut = replications.warmup_of(held.runs, warmup) if loaded else 0.0
    data = Evidence(loaded, cut) if loaded else None, Evidence(pages, 0.0) if pages else None
    rows: list[dict[str, Any]] = [{}] * len(wanted)
    for pages_asked, own in enumerate(data):
        places = [place for place, goal in enumerate(wanted) if (goal.measure.table == VITALS) == bool(pages_asked)]
        for place, row in zip(places, _rows([wanted[place] for place in places], own), strict=True):
            rows[place] = row
    reasons = tuple(row["reason"] for row in rows)
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).assign(reason=list(map(str, reasons)))
    documents = [part for part in given if isinstance(part, Objectives)]
    warnings += [note for part in documents for note in part.notes] + pages_answered(documents, held)
    warnings += [cautions.CONDITION(condition=g.load, objective=str(g)) for g in wanted if not load_is_known(g, held)]
    of_pages = list({goal.measure for goal in wanted if goal.measure.table == VITALS and goal.endpoint == AGGREGATED})
    if pages and of_pages:
        warnings += visits.left_out(by_run(pages, of_pages), of_pages)
    if (table["interval"] == THIS_RUN).any():
        warnings.append(cautions.ONE_RUN())
    unread = sum(len(part.not_understood) for part in documents)
    words = [*table["verdict"], *["inconclusive"] * min(1, unread)]
    overall = "fails" if "fails" in words else "inconclusive" if "inconclusive" in words else "holds"
    return Checked(overall, table, wanted, cut, reasons, notes_of(warnings), unread)


def _evidence(measured: Measurements | pd.DataFrame) -> tuple[Measurements | None, Measurements | None]:
    """The runs under load and those of pages, either of which may be missing."""
    if not isinstance(measured, Measurements) or VITALS not in measured.tables:
        return requests_of(measured), None
    runs, visited = measured.runs["run"], set(measured.vitals["run"])
    pages = visits.as_requests(measured.where(run=[run for run in runs if run in visited]))
    if "requests" not in measured.tables:
        return None, pages
    sent = set(measured.requests["run"])
    return requests_of(measured.where(run=[run for run in runs if run in sent or run not in visited])), pages


def stated(goals: Any) -> tuple[list[Any], tuple[Objective, ...]]:
    """The documents and objectives given, and the objectives in them; none of these if some lines were not understood at least.

    ValueError as `objectives_of`, which is said before anything is measured.
    """
    given = [goals] if isinstance(goals, (Objectives, Objective, str)) else list(goals)
    documents = [part for part in given if isinstance(part, Objectives)]
    if len(given) == len(documents) and not any(map(len, documents)):
        if any(len(document.not_understood) for document in documents):
            return given, ()
        if named := [document.source for document in documents if document.source]:
            raise ValueError(f"goals must hold at least one objective; {', '.join(named)} states none")
    return given, objectives_of(given)


def objectives_of(goals: Any) -> tuple[Objective, ...]:
    """Objectives from one or several, from texts or documents; ValueError for none or for a text that is not one."""
    many = [goals] if isinstance(goals, (Objective, str)) else list(goals)
    flat = [one for part in many for one in (part if isinstance(part, Objectives) else [part])]
    wanted = tuple(objective_of(g) if isinstance(g, str) else g for g in flat)
    if not wanted:
        raise ValueError("goals must hold at least one objective; got none")
    for goal in wanted:
        if not isinstance(goal, Objective):
            raise ValueError(f'goals must be objectives or texts like "p95 < 200ms"; got {goal!r}')
    return wanted


def _rows(goals: Sequence[Objective], data: Evidence | None) -> list[dict[str, Any]]:
    """A row for each objective; the runs are read once for all of them."""
    if data is None:
        return [_row(goal, [], None, {}) for goal in goals]
    names = [[goal.endpoint] if goal.endpoint == AGGREGATED else data.named(goal.endpoint) for goal in goals]
    wanted = [(g, n[0]) for g, n in zip(goals, names, strict=True) if len(n) == 1 and of_requests(g)]
    asked = [(n, g.only_ok, g.measure.kind == COUNT, partial(value_of, g)) for g, n in wanted]
    found = dict(zip(((id(goal), name) for goal, name in wanted), data.reduced(asked), strict=True))
    return [_row(goal, own, data, found) for goal, own in zip(goals, names, strict=True)]


def _row(goal: Objective, named: list[str], data: Evidence | None, reduced: Found) -> dict[str, Any]:
    row: dict[str, Any] = {"objective": str(goal), "endpoint": goal.endpoint, "unit": goal.unit, "runs": 0}
    row |= dict.fromkeys(("measured", "low", "high"), math.nan) | {"interval": "–", "verdict": "inconclusive"}
    endpoint = goal.endpoint
    if data is None:
        call = "run_pages" if goal.measure.table == VITALS else "run"
        return row | {"reason": cautions.OTHER_EVIDENCE(Remedy(call, given="plan, target"), metric=goal.measure.label)}
    if endpoint != AGGREGATED:
        if len(named) != 1:
            kind = cautions.AMBIGUOUS if named else cautions.NO_SUCH_ENDPOINT
            return row | {"reason": kind(endpoint=endpoint, endpoints=named or data.endpoints)}
        endpoint = named[0]
    found = under_its_load(goal, measure(goal, data, endpoint, reduced), data.measured)
    return row | found | {"endpoint": endpoint}
