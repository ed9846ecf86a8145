"""Driving by hand, without load: what the controls describe, the call that does the same, and what is shown of its runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import perflab as lab
from perflab.explorers import code, explore_load
from perflab.explorers.explore_load import LoadExplorer, forecast, stages_of

PLAN = lab.LoadPlan("users.py", stages=[lab.Stage("30s", users=20)])
OLD, NEW = (lab.Target(arm, host="http://127.0.0.1:1") for arm in ("n+1", "eager"))
NAMES = {"lab": lab, "plan": PLAN, "target": OLD, "target_2": NEW}


class Going:
    """A load that ends when it is told to."""

    def __init__(self, made: Any) -> None:
        self.made, self.ended = made, threading.Event()

    def wait(self, timeout_s: float | None = None) -> bool:
        return self.ended.wait(10 if timeout_s is None else timeout_s)

    def stop(self) -> None:
        self.ended.set()

    @property
    def done(self) -> bool:
        return self.ended.is_set()

    def result(self) -> Any:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was started, in place of load; its first item is what the load makes."""
    calls: list[Any] = [None]

    def start(*given: Any, **how: Any) -> Going:
        calls.append((given, {name: value for name, value in how.items() if name != "progress"}))
        calls.append(Going(calls[0]))
        return calls[-1]

    monkeypatch.setattr(explore_load, "start_run", start)
    monkeypatch.setattr(explore_load, "start_pairs", start)
    return calls


def done(explorer: LoadExplorer) -> None:
    """Wait until the explorer has taken up what was made."""
    assert explorer.wait(10)


def test_the_controls_become_stages_and_the_call() -> None:
    explorer = lab.explore(PLAN, OLD)
    assert isinstance(explorer, LoadExplorer)
    assert explorer.code == "going = lab.start_run(plan, target)\ngoing.result()"
    assert "20 users for 30 s" in explorer.sentences[0] and "1 run, about 33 s" in explorer.sentences[0]
    explorer.state.stages = "10s 5, 1m 40 ramp"
    first, call, _ = explorer.code.splitlines()
    space: dict[str, Any] = dict(NAMES)
    exec(first, space)
    made = eval(call.removeprefix("going = lab.start_run").removesuffix(")") + ")", space)  # noqa: S307
    assert made[0] == replace(PLAN, stages=[lab.Stage("10s", users=5), lab.Stage("1m", users=40, ramp=True)])
    explorer.state.model = "arrivals per second"
    assert "40 arrivals a second" in explorer.sentences[0]
    assert "About 1,400 arrivals per run" in str(explorer._shown[0].notes[0])


@pytest.mark.parametrize(
    ("stages", "words"),
    [("", "one stage or more"), ("30s", "how long, how much"), ("30s many", "a number of users"), ("x 3", "duration"),
     ("30s 2.5", "whole numbers"), ("0s 3", "longer than zero"), ("30s 0", "no request"), ("30s -1", "0 or more"),
     ("30s 3 up", "how long, how much"), ("30s nan", "whole numbers"), ("30s inf", "whole numbers"),
     ("30s 1000000000", "at most 1,000,000 users")],
)  # fmt: skip
def test_stages_that_are_no_stages_say_so(stages: str, words: str, started: list[Any]) -> None:
    explorer = lab.explore(PLAN, OLD)
    explorer.state.stages = stages
    assert re.search(words, explorer.sentences[0]), explorer.sentences
    explorer.start()
    assert re.search(words, explorer._said.value) and len(started) == 1


def test_a_run_is_started_stopped_and_shown(started: list[Any], make_measurements: Callable[..., Any]) -> None:
    started[0] = make_measurements(pairs=1, arms={"n+1": 1.0})
    explorer = lab.explore(PLAN, OLD)
    explorer._start.click()
    explorer._start.click()  # a second click that was made before the first was answered
    assert started[1] == ((PLAN, OLD), {}) and len(started) == 3
    assert explorer._start.layout.display == "none" and len(explorer._live.children) == 1
    explorer.stop()
    done(explorer)
    assert explorer._start.layout.display is None and "1 run kept" in explorer._said.value
    table = explorer.tables[0]
    assert table["requests"].sum() == len(explorer.measured.requests)
    assert "known after 3 valid runs of an arm; 1 so far" in explorer.sentences[1]


def test_a_failure_is_shown_and_start_works_again(started: list[Any]) -> None:
    started[0] = lab.LoadTestError("<b>Locust</b> could not start")
    explorer = lab.explore(PLAN, OLD)
    explorer.start()
    explorer.stop()
    done(explorer)
    assert explorer._said.value == "&lt;b&gt;Locust&lt;/b&gt; could not start"
    assert explorer._start.layout.display is None and explorer.measured is None


def test_pairs_and_what_they_can_detect(started: list[Any], make_measurements: Callable[..., Any]) -> None:
    pilot = make_measurements(pairs=4)
    started[0] = (pilot.where(arm="n+1"), pilot.where(arm="eager"))
    explorer = lab.explore(PLAN, OLD, NEW)
    explorer.state.pairs = 4
    assert "8 runs" in explorer.sentences[0] and "pairs=4" in explorer.code
    explorer.start()
    assert started[1] == ((PLAN, OLD, NEW), {"pairs": 4})
    explorer.stop()
    done(explorer)
    assert explorer.sentences[1].startswith("To detect a 10 % decrease of p95")
    assert "lab.plan_runs((measured.where(valid=True).where(arm=" in explorer.code
    explorer.state.effect = 0.2
    assert explorer.sentences[1].startswith("To detect a 20 % decrease")


def test_earlier_runs_make_the_forecast(make_measurements: Callable[..., Any]) -> None:
    pilot = make_measurements(pairs=3, arms={"n+1": 1.0})
    explorer = lab.explore(PLAN, OLD, pilot)
    assert explorer.sentences[1].startswith("To detect a 10 %")
    twice = forecast(replace(PLAN, stages=[lab.Stage("60s", users=20)]), pilot)
    per_run = pilot.requests["endpoint"].value_counts() / 3
    assert twice is not None
    for row in twice.to_dict("records"):
        assert row["requests"] == round(2 * per_run[row["endpoint"]])


def test_users_are_not_forecast_from_arrivals(make_measurements: Callable[..., Any]) -> None:
    pilot = make_measurements(pairs=1, arms={"n+1": 1.0})
    explorer = lab.explore(PLAN, OLD, pilot)
    assert len(explorer.tables) == 1
    explorer.state.model = "arrivals per second"
    assert not explorer.tables and "after a first run with arrivals per second" in str(explorer._shown[0].notes[0])
    both = make_measurements(pairs=1)
    arrivals = {"stages": [{"duration_s": 30.0, "users": None, "rate": 7.0, "ramp": False}]}
    both.runs.at[both.runs.index[both.runs["arm"] == "eager"][0], "plan"] = arrivals
    for stage, arm in ((lab.Stage("30s", users=20), "n+1"), (lab.Stage("30s", rate=7), "eager")):
        found = forecast(replace(PLAN, stages=[stage]), both)
        assert found is not None and found["requests"].sum() == len(both.where(arm=arm).requests)


def test_a_refused_start_leaves_no_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise lab.LoadTestError("another run is in progress")

    monkeypatch.setattr(explore_load, "start_run", refused)
    explorer = lab.explore(PLAN, OLD)
    explorer.start()
    assert explorer._said.value == "another run is in progress" and explorer._live.children == ()


def test_evidence_for_driving_must_be_complete() -> None:
    for given, words in (((PLAN,), "0 of Target"), ((OLD,), "0 of LoadPlan"), ((PLAN, OLD, OLD), "different arms")):
        with pytest.raises(ValueError, match=words):
            lab.explore(*given)


def test_the_text_of_stages_is_read_as_it_is_written() -> None:
    for stages in ([lab.Stage("30s", users=20)], [lab.Stage("1m30s", users=1), lab.Stage(5, users=9, ramp=True)]):
        again = stages_of(explore_load.written(stages), "users")
        assert [(s.duration_s, s.amount, s.ramp) for s in again] == [(s.duration_s, s.amount, s.ramp) for s in stages]


def test_later_runs_join_the_variable_of_the_first(
    started: list[Any], make_measurements: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = SimpleNamespace(user_ns={"lab": lab, "measured_2": "mine"})
    monkeypatch.setattr(code, "_shell", lambda: shell)
    explorer = lab.explore(PLAN, OLD)
    for seed in (1, 2, 3):
        started[0] = make_measurements(pairs=1, arms={f"n+{seed}": 1.0}, seed=seed)
        explorer.start()
        explorer.stop()
        done(explorer)
    assert shell.user_ns["measured"] is explorer.measured and len(explorer.measured.runs) == 3
    assert shell.user_ns["measured_2"] == "mine" and "measured_3" not in shell.user_ns
    assert explorer._said.value == "1 run kept, in the variable <code>measured</code>, which has 3 runs now"
