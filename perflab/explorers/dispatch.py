"""`explore`: all explorers that the evidence allows, behind a row of buttons."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import pandas as pd

from perflab.data.tables import Measurements
from perflab.explorers.code import expressions, method, name_of, sum_of
from perflab.explorers.explore_account import explore_account
from perflab.explorers.explore_caches import explore_caches
from perflab.explorers.explore_change import explore_change
from perflab.explorers.explore_comparison import explore_comparison
from perflab.explorers.explore_load import LoadExplorer, Named, explore_load
from perflab.explorers.explore_objectives import Goals, explore_objectives
from perflab.explorers.explore_pages import explore_pages
from perflab.explorers.explore_profiles import explore_profiles
from perflab.explorers.explore_queries import explore_queries
from perflab.explorers.explore_runs import explore_runs
from perflab.explorers.explore_traces import explore_traces
from perflab.explorers.frame import Explorer, view_buttons
from perflab.explorers.reduced import fits, in_memory
from perflab.explorers.static_export import Keeping
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.target import Target
from perflab.objectives.objective import Objective, Objectives
from perflab.stats.change import Change

Given = tuple[Measurements, str]
"""Measurements, and the code for them."""
_INSTEAD = {
    (
        "str",
        "PosixPath",
        "WindowsPath",
    ): "read it first: lab.explore(lab.read(path)), or lab.load(path) for a store of runs",
    ("Checked",): "give the measurements and the objectives: lab.explore(measurements, objectives)",
    ("Shift", "Anytime", "RunPlan"): "give the measurements it was made of: lab.explore(before, after)",
    ("Account",): "give the measurements it was made of: lab.explore(before, after)",
    ("Calibration",): "give its runs: lab.explore(calibration.runs)",
    ("tuple", "list"): "give its parts one by one: lab.explore(*parts)",
}
"""What to pass instead of a result without evidence."""
_TABLES = {"vitals": "visit", "requests": "latency_ms", "queries": "sql", "profile": "self", "spans": "span"}


class Explorers(widgets.VBox):  # type: ignore[misc]
    """Several explorers, one shown at a time; each is made when it is first opened.

    ``choice.value`` is the name of the one shown; ``explorers["Runs"]`` is an explorer.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Explorer]]) -> None:
        self._makers = makers
        self._made: dict[str, Explorer] = {}
        self._keeping = Keeping()
        self.choice = view_buttons(makers)
        self.choice.add_class("perflab-choice")
        super().__init__([self.choice])
        self.choice.observe(lambda change: self._show(), names="value")
        self._show()

    @property
    def explorers(self) -> Mapping[str, Explorer]:
        """All explorers by name; those not opened yet are made now."""
        return {name: self._explorer(name) for name in self._makers}

    def __repr__(self) -> str:
        return f"{', '.join(self._makers)}: run this cell in JupyterLab to explore them"

    def _explorer(self, name: str) -> Explorer:
        if name not in self._made:
            self._made[name] = self._makers[name]()
            self._made[name].keeping = self._keeping
        return self._made[name]

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**options), "text/html": self._explorer(self.choice.value).static}

    def _ipython_display_(self) -> None:
        self._keeping.show(self._repr_mimebundle_())

    def _show(self) -> None:
        self.children = (self.choice, self._explorer(self.choice.value))


def explore(*evidence: Any) -> Any:
    """Explore evidence interactively, in JupyterLab.

    Parameters
    ----------
    *evidence : Measurements, DataFrame, Objective, Change, LoadPlan or Target
        Measurements (from `run`, `load` or `read`), preferably as (baseline, candidate), as `run_pairs` returns them; or a
        requests, queries, profile or spans table. Objectives (from `read_objectives`, or an Objective or a list of them) are
        checked against the measurements. A result of `compare` can be explored too, endpoint by endpoint; the measurements
        behind it allow much more. A LoadPlan with a Target (or two, for pairs) makes load: with controls, Start and Stop, and
        what a run will give; earlier runs beside them make the forecast better.

    Returns
    -------
    widget
        An explorer, or several behind a row of buttons (``.explorers`` by name). Each shows the code for its view; the
        choices in its ``.state`` can also be set from code. "Keep below" stores the current view in the notebook as plain
        HTML, for readers without a kernel.

    Raises
    ------
    ValueError
        There are no requests, pages, queries, profiles or spans to explore; for other results, the message says what to pass
        instead.

    >>> shown = lab.explore(lab.load("datasets/shop_runs"))
    >>> list(shown.explorers)
    ['Runs', 'Comparison', 'Objectives']
    """
    written = list(zip(evidence, expressions(sys._getframe(1), len(evidence)), strict=True))
    driving = [(thing, text) for thing, text in written if isinstance(thing, (LoadPlan, Target))]
    written = [(thing, text) for thing, text in written if not isinstance(thing, (LoadPlan, Target))]
    changes = [(thing, text) for thing, text in written if isinstance(thing, Change)]
    measured = [(thing, text) for thing, text in written if not _is_goals(thing) and not isinstance(thing, Change)]
    given = [_named(thing, text, place, len(measured)) for place, (thing, text) in enumerate(measured, 1)]
    goals = [(thing, _name_of_goals(thing)) for thing in evidence if _is_goals(thing)]
    if driving:
        return _driven(driving, given)
    if len(goals) > 1:
        raise ValueError("evidence may hold one set of objectives; put them into one list")
    makers = _makers(given, goals[0] if goals else None) | _of_changes(changes)
    if not makers:
        held = ", ".join(dict.fromkeys(t for m, _ in given for t in m.tables if m.length(t))) or "nothing"
        if any(_has(m, t) for m, _ in given for t in ("queries", "profile", "calls", "spans")):
            raise ValueError("evidence must fit in memory to be explored: select runs, such as .where(run=[...])")
        raise ValueError(f"evidence must hold requests, queries, spans or a profile to explore; it holds {held}")
    return next(iter(makers.values()))() if len(makers) == 1 else Explorers(makers)


def _driven(driving: Sequence[tuple[object, str]], given: Sequence[Given]) -> LoadExplorer:
    """The explorer that makes load."""
    plans = [(thing, text) for thing, text in driving if isinstance(thing, LoadPlan)]
    targets = [(thing, text) for thing, text in driving if isinstance(thing, Target)]
    if len(plans) != 1 or not 1 <= len(targets) <= 2:
        found = f"{len(plans)} of LoadPlan and {len(targets)} of Target"
        raise ValueError(f"to make load, evidence must hold one LoadPlan and one or two Targets; got {found}")
    if len({target.arm for target, _ in targets}) < len(targets):
        raise ValueError(f"the two targets need different arms; both are {targets[0][0].arm!r}")
    plan = Named(plans[0][0], name_of(plans[0][0], "plan", plans[0][1]))
    usual = ("target",) if len(targets) == 1 else ("baseline", "candidate")
    sides = [Named(target, name_of(target, name, text)) for name, (target, text) in zip(usual, targets, strict=True)]
    runs = [measured for measured, _ in given]
    pilot = Named(sum(runs[1:], start=runs[0]), sum_of([name for _, name in given])) if runs else None
    return explore_load(plan, sides, pilot)


def _named(thing: object, expression: str, position: int, of: int) -> Given:
    """An object as Measurements, and its name in the notebook."""
    name = name_of(thing, f"measurements_{position}" if of > 1 else "measurements", expression)
    if isinstance(thing, Measurements):
        return (in_memory(thing) if fits(thing) else thing), name
    if isinstance(thing, pd.DataFrame):
        for table, column in _TABLES.items():
            if column in thing.columns:
                frame = thing if "run" in thing.columns else thing.assign(run="run")
                if table == "requests" and frame is not thing:
                    name = method(name, 'assign(run="run")')
                return Measurements.of(**{table: frame}), f"lab.Measurements.of({table}={name})"
    hint = next((f": {text}" for kinds, text in _INSTEAD.items() if _kind(thing) in kinds), "")
    raise ValueError(
        "evidence must be Measurements (from run, load or read), a requests, queries, profile or spans table, or a Change; "
        f"got {_kind(thing)}{hint}"
    )


def _kind(thing: object) -> str:
    if isinstance(thing, pd.DataFrame):
        return f"a table of {', '.join(map(str, thing.columns[:6]))}{', ...' if len(thing.columns) > 6 else ''}"
    return type(thing).__name__


def _of_changes(changes: Sequence[tuple[Change, str]]) -> dict[str, Callable[[], Explorer]]:
    """An explorer for each result of `compare`."""
    several = len(changes) > 1

    def maker(change: Change, text: str, position: int) -> Callable[[], Explorer]:
        name = name_of(change, f"change_{position}" if several else "change", text)
        return lambda: explore_change(change, name)

    return {f"Change {i}" if several else "Change": maker(*change, i) for i, change in enumerate(changes, 1)}


def _is_goals(thing: object) -> bool:
    if isinstance(thing, (list, tuple)):
        return len(thing) > 0 and all(isinstance(one, (Objective, str)) for one in thing)
    return isinstance(thing, (Objective, Objectives))


def _name_of_goals(thing: object) -> str:
    """Their name in the notebook, or code that makes them again."""
    many = [thing] if isinstance(thing, Objective) else list(thing)  # type: ignore[call-overload]
    return name_of(thing, repr([str(one) for one in many]))


def _has(held: Measurements, table: str) -> bool:
    return table in held.tables and held.length(table) > 0


def _opens(held: Measurements, table: str) -> bool:
    """Whether the table has rows, and of a lazily opened store no more than fit in memory."""
    return _has(held, table) and fits(held, table)


def _makers(given: list[Given], goals: Goals | None) -> dict[str, Callable[[], Explorer]]:
    makers: dict[str, Callable[[], Explorer]] = {}
    requests = [(m, name) for m, name in given if _has(m, "requests")]
    if requests:
        together = sum((m for m, _ in requests[1:]), start=requests[0][0])
        makers["Runs"] = lambda: explore_runs(together, name=sum_of([name for _, name in requests]))
    arms = _arms(requests)
    if len(arms) > 1:
        makers["Comparison"] = lambda: explore_comparison(arms)
    if arms:
        makers["Objectives"] = lambda: explore_objectives(arms, goals)
    # Each arm separately: the slope of calls against rows of two programs together belongs to neither.
    logs = _arms([(m, name) for m, name in given if _opens(m, "queries")])
    for label, log in logs.items():
        makers["Queries" if len(logs) == 1 else f"Queries: {label}"] = _of_log(*log)
    profiled = [(m, _table([name], "")) for m, name in given if _opens(m, "profile") or _opens(m, "calls")]
    profiles = _arms(profiled)
    if profiles:
        makers["Profiles"] = lambda: explore_profiles(profiles)
    accounted = _arms([(m, name) for m, name in given if _has(m, "components")])
    if accounted:
        makers["Account"] = lambda: explore_account(accounted)
    traced = _arms([(m, name) for m, name in given if _opens(m, "spans")])
    for label, of_arm in traced.items():
        makers["Traces" if len(traced) == 1 else f"Traces: {label}"] = _of_spans(*of_arm)
    keyed = _arms([(m, name) for m, name in given if _has_keys(m)])
    for label, of_keys in keyed.items():
        makers["Caches" if len(keyed) == 1 else f"Caches: {label}"] = _of_cache(*of_keys)
    visited = _arms([(m, name) for m, name in given if _opens(m, "vitals")])
    if visited:
        makers["Pages"] = lambda: explore_pages(visited)
    if goals is not None and arms:
        return {"Objectives": makers.pop("Objectives"), **makers}  # given objectives come first
    if len(requests) > 1:
        order = sorted(makers, key=lambda name: name != "Comparison")  # two sides: the comparison first
        makers = {name: makers[name] for name in order}
    return makers


def _of_log(measured: Measurements, name: str) -> Callable[[], Explorer]:
    return lambda: explore_queries(measured.queries, _table([name], "queries"))


def _has_keys(measured: Measurements) -> bool:
    """Whether it may show what a cache would answer: statements with their values, or the addresses of requests."""
    if _opens(measured, "queries"):
        return True
    if not _opens(measured, "requests"):
        return False
    tables = next(iter(measured.pieces())).tables
    return "url" in tables["requests"] or {"request", "attributes"} <= set(tables.get("spans", pd.DataFrame()))


def _of_cache(measured: Measurements, name: str) -> Callable[[], Explorer]:
    return lambda: explore_caches(measured, name)


def _of_spans(measured: Measurements, name: str) -> Callable[[], Explorer]:
    return lambda: explore_traces(measured.spans, _table([name], "spans"))


def _table(names: list[str], table: str) -> str:
    """The code for a table of measurements with these names (for the measurements, without a table); a given table
    has its own name."""
    whole = sum_of(names)
    given = re.fullmatch(r"lab\.Measurements\.of\(\w+=(\w+)\)", whole)
    if given:
        return given[1]
    return method(whole, table) if table else whole


def _arms(requests: list[Given]) -> dict[str, Given]:
    """Each arm of the measurements by its label, with the code for it."""
    found: dict[str, Given] = {}
    for position, (measurements, name) in enumerate(requests, 1):
        names = measurements.runs["arm"].fillna("").unique()
        for arm in names:
            label = arm or (name if name.isidentifier() and len(requests) > 1 else f"measurements {position}")
            label = f"{label} ({position})" if label in found else label
            if len(names) == 1:
                found[label] = (measurements, name)
            elif arm:
                found[label] = (measurements.where(arm=arm), method(name, f"where(arm={arm!r})"))
    return found
