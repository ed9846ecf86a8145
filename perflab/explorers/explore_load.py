"""Driving by hand: a plan and its target, what a run of it will give, Start and Stop, and the call that does the same."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.data.selection import count_by_endpoint
from perflab.data.tables import Measurements
from perflab.errors import PerflabError
from perflab.explorers.code import call, name_of
from perflab.explorers.frame import Explorer, Panel, View
from perflab.explorers.live_view import LiveView
from perflab.loadtest.background import BackgroundRun, start_pairs, start_run
from perflab.loadtest.drive import expected_s
from perflab.loadtest.milestones import fact_text
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.stages import Stage
from perflab.metrics import Metric
from perflab.notes import count
from perflab.stats.pilots import LEAST_RUNS
from perflab.stats.planning import plan_runs
from perflab.units import format_ms, format_number, parse_duration

VIEWS = ("Load",)
USERS, RATE = "users", "arrivals per second"
_PLAN = ("model", "stages", "pairs")


class LoadState(traitlets.HasTraits):
    """The choices: users or arrivals per second, the stages as text ("10s 20, 1m 50 ramp"), and the number of pairs.

    ``effect`` is the change to detect, ``runs`` the number of runs made so far.
    """

    model = traitlets.Unicode(USERS)
    stages = traitlets.Unicode()
    pairs = traitlets.Int(6)
    effect = traitlets.Float(0.1)
    runs = traitlets.Int(0)
    view = traitlets.Unicode(VIEWS[0])


@dataclass(frozen=True)
class Named:
    """An object and the code for it."""

    value: Any
    code: str


class LoadExplorer(Explorer):
    """The explorer of a plan: ``start()`` and ``stop()`` do what the buttons do, ``measured`` holds the runs made here."""

    children: tuple[Any, ...]
    state: LoadState

    def __init__(self, plan: Named, targets: Sequence[Named], pilot: Named | None) -> None:
        self._plan, self._targets = plan, targets
        self._pilot, self.measured = pilot, (None if pilot is None else pilot.value)
        self._own: Measurements | None = None
        """What a variable in the notebook was made for."""
        self._going: BackgroundRun[Any] | None = None
        self._follower: threading.Thread | None = None
        self._live = widgets.VBox()
        self._start = widgets.Button(description="Start", icon="play", tooltip="Make this load now")
        self._start.on_click(lambda _: self.start())
        self._said = widgets.HTML()
        first = plan.value.all_stages
        state = LoadState(model=RATE if first[0].rate is not None else USERS, stages=written(first))
        controls = {
            "model": widgets.Dropdown(options=[USERS, RATE], description="Load"),
            "stages": widgets.Text(
                description="Stages", continuous_update=False, layout=widgets.Layout(width="28em"),
                placeholder="10s 20, 1m 50 ramp", tooltip="Each stage: how long, how much, and ramp to go there gradually",
            ),
            "pairs": widgets.BoundedIntText(min=1, max=200, description="Pairs", layout=widgets.Layout(width="11em")),
            "effect": widgets.FloatSlider(
                min=0.02, max=0.5, step=0.01, description="Effect size", continuous_update=False, readout_format=".0%"
            ),
        }  # fmt: skip
        both = len(targets) > 1
        offered = controls if both else {name: controls[name] for name in controls if name != "pairs"}
        used = ("model", "stages", "runs", *(("pairs",) if both else ()))
        panels = (Panel(self._forecast, used), Panel(self._power, ("effect", "runs")))
        title = f"Load: {' and '.join(t.value.arm for t in targets)}"
        super().__init__(
            title, state, offered, {VIEWS[0]: panels}, rows=[[n for n in offered if n != "effect"], ["effect"]]
        )
        state.observe(lambda _: self._said.set_trait("value", ""), names=list(_PLAN))
        head, *rest = list(self.children)
        self.children = (head, *rest[:2], widgets.HBox([self._start, self._said]), self._live, *rest[2:])

    def start(self) -> None:
        """Start the load that the controls describe, unless one is running; a note says why not."""
        if self._going is not None and not self._going.done:
            return  # the second of two clicks
        self._said.value = ""
        try:
            plan = self._changed()
            targets = [t.value for t in self._targets]
            pairs = self.state.pairs if len(targets) > 1 else 1
            total = len(targets) * pairs * expected_s(plan)
            view = LiveView(
                total, f"{' and '.join(t.arm for t in targets)}: {plan}", write=fact_text, stop=self.stop, own=False
            )
            going: BackgroundRun[Any] = (
                start_pairs(plan, *targets, pairs=pairs, progress=view)
                if len(targets) > 1
                else start_run(plan, targets[0], progress=view)
            )
        except (PerflabError, ValueError) as problem:
            self._said.value = _plain(problem)
            return
        self._live.children = (view.box,)
        self._going, self._start.layout.display = going, "none"
        self._follower = threading.Thread(target=self._follow, args=(going, view), name="perflab-driving", daemon=True)
        self._follower.start()

    def stop(self) -> None:
        """Stop the load; what was captured is kept."""
        if self._going is not None:
            self._going.stop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the load, when ``measured`` has its runs; return whether it has ended."""
        if self._follower is None:
            return True
        self._follower.join(timeout_s)
        return not self._follower.is_alive()

    def _follow(self, going: BackgroundRun[Any], view: LiveView) -> None:
        """Wait for the end, keep the picture in the notebook, and add the runs."""
        going.wait()
        try:
            with view:
                made = going.result()
        except Exception as problem:  # noqa: BLE001 - it is shown where the reader looks
            self._said.value = _plain(problem)
        else:
            runs: Measurements = made[0] + made[1] if isinstance(made, tuple) else made
            self.measured = runs if self.measured is None else self.measured + runs
            self._pilot = Named(self.measured, name_of(self.measured, "measured", replaced=self._own))
            self._own = self.measured
            said = f"{count(len(runs.runs), 'run')} kept, in the variable <code>{self._pilot.code}</code>"
            more = len(self.measured.runs) > len(runs.runs)
            self._said.value = said + (f", which has {len(self.measured.runs)} runs now" if more else "")
        if not view.measured or self.keeping.keep(view.static):
            self._live.children = ()  # the picture below takes its place
        self._start.layout.display = None
        self.state.runs += 1

    def _changed(self) -> LoadPlan:
        plan: LoadPlan = self._plan.value
        stages = stages_of(self.state.stages, self.state.model)
        return plan if _same(stages, plan.all_stages) else replace(plan, stages=stages)

    def _call(self) -> str:
        """The call that does what Start does."""
        plan, source = self._changed(), self._plan.code
        first = ""
        if plan is not self._plan.value:
            first = "from dataclasses import replace\n"
            source = f"replace({source}, stages=[{', '.join(map(_stage_code, plan.all_stages))}])"
        names = [t.code for t in self._targets]
        pairs = {"pairs": self.state.pairs} if len(names) > 1 else {}
        started = call("start_pairs" if pairs else "start_run", source, *names, **pairs)
        return f"{first}going = {started}\ngoing.result()"

    def _forecast(self, now: LoadState) -> View:
        """How long it takes, and how many requests each endpoint will get."""
        plan = self._changed()
        runs = len(self._targets) * (now.pairs if len(self._targets) > 1 else 1)
        took = format_ms(runs * expected_s(plan) * 1e3)
        said = f"{plan}; {count(runs, 'run')}, about {took}"
        expected = None if self.measured is None else forecast(plan, self.measured)
        if expected is None:
            arrivals = plan.expected_arrivals
            known = "" if arrivals is None else f"About {format_number(arrivals)} arrivals per run. "
            return View(
                self._call(),
                said,
                notes=[f"{known}Requests per endpoint are known after a first run with {now.model}."],
            )
        return View(self._call(), f"{said}; expected per run:", table=expected)

    def _power(self, now: LoadState) -> View:
        """What can be detected, from the runs so far."""
        runs = None if self.measured is None else self.measured.where(valid=True)
        counts = pd.Series(dtype="int64") if runs is None else runs.runs["arm"].fillna("").value_counts()
        arms = [arm for arm in counts.index if counts[arm] >= LEAST_RUNS][:2]
        if runs is None or not arms or self._pilot is None:
            made = int(counts.max()) if len(counts) else 0
            return View(
                sentence=f"What can be detected is known after {LEAST_RUNS} valid runs of an arm; {made} so far"
            )
        source = f"{self._pilot.code}.where(valid=True)"
        parts = [(runs.where(arm=arm), f"{source}.where(arm={arm!r})") for arm in arms]
        takes: dict[str, Any] = {"effect": round(now.effect, 4)}
        pilot: Any = tuple(part for part, _ in parts) if len(parts) > 1 else parts[0][0]
        text = f"({', '.join(text for _, text in parts)})" if len(parts) > 1 else parts[0][1]
        return View.of(plan_runs(pilot, **takes), call("plan_runs", text, **takes))


def explore_load(plan: Named, targets: Sequence[Named], pilot: Named | None = None) -> LoadExplorer:
    """The explorer that drives load: one target, or two for pairs; ``pilot`` are earlier runs to plan by."""
    return LoadExplorer(plan, targets, pilot)


def written(stages: Sequence[Stage]) -> str:
    """Stages as the text field has them.

    >>> written([Stage("30s", users=20), Stage("1m", users=50, ramp=True)])
    '30s 20, 60s 50 ramp'
    """
    return ", ".join(f"{s.duration_s:g}s {s.amount:g}{' ramp' if s.ramp else ''}" for s in stages)


def stages_of(text: str, model: str) -> list[Stage]:
    """The stages in the text field.

    >>> stages_of("10s 20, 1m 50 ramp", "users")[1]
    Stage(duration='1m', users=50, rate=None, ramp=True, spawn_rate=None)
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        words = part.split()
        ramp = words[-1].lower() == "ramp"
        if len(words) != 2 + ramp:
            raise ValueError(
                f'a stage is how long, how much, and "ramp" to go there gradually ("1m 50 ramp"); got {part!r}'
            )
        parse_duration(words[0], parameter="stages")
        try:
            amount = float(words[1])
        except ValueError:
            raise ValueError(f"stages: expected a number of {model}; got {words[1]!r}") from None
        if model == USERS and not amount.is_integer():
            raise ValueError(f"stages: users are whole numbers; got {words[1]!r}")
        load: dict[str, Any] = {"users": int(amount)} if model == USERS else {"rate": amount}
        found.append(Stage(words[0], ramp=ramp, **load))
    if not found:
        raise ValueError('stages must have one stage or more, like "30s 20"')
    return found


def forecast(plan: LoadPlan, measured: Measurements) -> pd.DataFrame | None:
    """The requests that each endpoint will get in a run, in proportion to the load of the runs so far, and those p95 needs.

    Users and arrivals are different amounts: only runs with the plan's kind of load count. None without one.
    """
    offered, alike = [], []
    for run in measured.runs.to_dict("records"):
        made = run.get("plan")
        if not isinstance(made, dict) or not made.get("stages"):
            return None
        if _is_open(made["stages"][0]) != (plan.all_stages[0].rate is not None):
            continue
        alike.append(run["run"])
        # One that was stopped had a part of its load.
        share = min(1.0, run["duration_ms"] / 1e3 / sum(stage["duration_s"] for stage in made["stages"]))
        offered.append(_load(made["stages"]) * share)
    if not alike:
        return None
    share = load_of(plan.all_stages) / max(math.fsum(offered), 1e-9)
    needed = Metric.of("p95").rows_needed
    rows = [
        {
            "endpoint": endpoint,
            "requests": round(number * share),
            "enough for p95": "yes" if number * share >= needed else f"no, {needed:,} needed",
        }
        for endpoint, number in count_by_endpoint(measured.where(run=alike)).items()
    ]
    return pd.DataFrame(rows)


def load_of(stages: Sequence[Stage]) -> float:
    """Users times seconds, or arrivals.

    >>> load_of([Stage("10s", users=20), Stage("10s", users=40, ramp=True)])
    500.0
    """
    return _load([{"duration_s": s.duration_s, "users": s.users, "rate": s.rate, "ramp": s.ramp} for s in stages])


def _is_open(stage: Any) -> bool:
    return stage.get("users") is None


def _load(stages: Sequence[Any]) -> float:
    total, before = 0.0, 0.0
    for stage in stages:
        amount = float(stage["users"] if stage.get("users") is not None else stage["rate"])
        total += stage["duration_s"] * ((before + amount) / 2 if stage["ramp"] else amount)
        before = amount
    return total


def _same(stages: Sequence[Stage], others: Sequence[Stage]) -> bool:
    def facts(stage: Stage) -> tuple[object, ...]:
        return (stage.duration_s, stage.users, stage.rate, stage.ramp)

    return list(map(facts, stages)) == list(map(facts, others))


def _stage_code(stage: Stage) -> str:
    named: dict[str, object] = {"users": stage.users} if stage.users is not None else {"rate": stage.rate}
    return call("Stage", repr(stage.duration), **named, ramp=True if stage.ramp else None)


def _plain(problem: BaseException) -> str:
    return escape(str(problem))
