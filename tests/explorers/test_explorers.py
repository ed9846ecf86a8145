"""The explorers without a browser: what a state shows, what is drawn again, and that the code shown makes the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import perflab as lab
from perflab.explorers.dispatch import Explorers
from perflab.explorers.explore_comparison import VIEWS as COMPARISONS
from perflab.explorers.explore_comparison import explore_comparison
from perflab.explorers.explore_objectives import explore_objectives
from perflab.explorers.explore_profiles import DIFFERENCE, explore_profiles
from perflab.explorers.explore_profiles import VIEWS as PROFILES
from perflab.explorers.explore_queries import VIEWS as QUERIES
from perflab.explorers.explore_queries import explore_queries
from perflab.explorers.explore_runs import VIEWS, explore_runs
from perflab.explorers.frame import Explorer

Make = Callable[..., lab.Measurements]


def titles(explorer: Explorer) -> list[str]:
    """The finding in each figure that is shown."""
    return [next(t for ax in f.axes if (t := ax.get_title(loc="left"))) for f in explorer.figures]


def made(code: str, **names: object) -> Any:
    """What the last line of the code shown makes, when it is pasted into a cell."""
    *before, last = code.splitlines()
    space: dict[str, object] = {"lab": lab, **names}
    exec("\n".join(before), space)
    return eval(last, space)  # noqa: S307 - the explorers' own code, which is what is tested here


@pytest.fixture
def both(make_measurements: Make) -> lab.Measurements:
    return make_measurements(pairs=3, seed=5)


@pytest.mark.parametrize("view", VIEWS)
def test_the_code_of_each_view_of_runs_makes_what_is_shown(both: lab.Measurements, view: str) -> None:
    explorer = explore_runs(both, name="both")
    state = explorer.state
    state.view, state.endpoint, state.percentile = view, "GET /orders", 99.0
    state.runs, state.window = ("n+1-1", "n+1-2"), (3.0, 27.0)
    result = made(explorer.code, both=both)
    if isinstance(result, Axes):
        assert result.get_title(loc="left") == titles(explorer)[0]
    else:
        shown = explorer.tables[0]
        assert len(result) == len(shown) > 0
        assert result.iloc[0].astype(str).tolist() == shown.iloc[0].astype(str).tolist()


def test_only_the_panels_that_look_at_a_choice_are_drawn_again(both: lab.Measurements) -> None:
    explorer = explore_runs(both)
    latency, users, cpu = explorer.figures
    explorer.state.percentile = 99.0
    assert explorer.figures[1:] == [users, cpu] and explorer.figures[0] is not latency
    explorer.state.runs = explorer.state.runs[:2]
    assert explorer.figures[1] is not users and explorer.figures[2] is not cpu
    seen = explorer.figures
    explorer.state.view = "ECDF"
    explorer.state.view = "Over time"
    assert explorer.figures == seen


def test_the_panels_over_time_share_their_axis(both: lab.Measurements) -> None:
    explorer = explore_runs(both)
    explorer.state.window = (5.0, 20.0)
    left = {round(f.axes[0].get_position().x0 * f.get_figwidth(), 6) for f in explorer.figures}
    limits = {f.axes[0].get_xlim() for f in explorer.figures}
    assert len(left) == len(limits) == 1


def test_controls_that_the_view_does_not_look_at_are_disabled(both: lab.Measurements) -> None:
    explorer = explore_runs(both)
    controls = explorer._controls
    assert not controls["percentile"].disabled
    explorer.state.view = "Resources"
    assert controls["percentile"].disabled and controls["endpoint"].disabled and not controls["window"].disabled


def test_throughput_and_failures_over_time(both: lab.Measurements) -> None:
    explorer = explore_runs(both.where(arm="eager"), name="eager")
    explorer.state.metric = "throughput_per_s"
    eager = both.where(arm="eager")
    expected = len(eager.requests) / 3 / 30
    line = explorer.figures[0].axes[0].lines[0].get_ydata()
    assert np.isclose(np.mean(np.asarray(line)), expected, rtol=0.1)
    explorer.state.metric = "error_fraction"
    assert titles(explorer)[0].startswith("error rate of all requests: eager")


def test_without_runs_the_panel_says_what_to_do(both: lab.Measurements) -> None:
    explorer = explore_runs(both)
    explorer.state.runs = ()
    assert explorer.sentences == ["Choose one run or more."] * 3
    assert explorer.code == "" and explorer.figures == []


def test_figures_and_tables_are_saved(both: lab.Measurements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    explorer = explore_runs(both)
    explorer._saving._name.value = "../../etc/over time"
    explorer._saving._figure.click()
    explorer.state.view = "Slowest requests"
    explorer._saving._table.click()
    kept = sorted(p.name for p in tmp_path.iterdir())
    assert kept == [
        "-..-etc-over time-2.png",
        "-..-etc-over time-3.png",
        "-..-etc-over time.csv",
        "-..-etc-over time.png",
    ]
    assert (tmp_path / kept[2]).read_text().splitlines()[0].startswith("run,arm,endpoint,at_s,latency_ms")


def test_the_code_of_the_comparison_makes_what_is_shown(experiment: tuple[lab.Measurements, lab.Measurements]) -> None:
    before, after = experiment
    explorer = explore_comparison({"n+1": (before, "before"), "eager": (after, "after")})
    state = explorer.state
    assert explorer.sentences[0].startswith("p95 of all requests fell by")
    for view in COMPARISONS:
        state.view, state.endpoint, state.metric, state.tolerance = view, "GET /orders", "p50", 0.1
        verdict, *_ = explorer.code.splitlines()
        change = made(verdict, before=before, after=after)
        assert change.sentence == explorer.sentences[0]
        pd.testing.assert_frame_equal(change.table, explorer.tables[0])
        drawn = made(explorer.code, before=before, after=after)
        assert not isinstance(drawn, Axes) or drawn.get_title(loc="left") == titles(explorer)[0]


def test_the_comparison_begins_with_the_warmup_of_the_plan(
    experiment: tuple[lab.Measurements, lab.Measurements],
) -> None:
    before, after = experiment
    explorer = explore_comparison({"n+1": (before, "before"), "eager": (after, "after")})
    assert explorer.state.warmup == lab.compare(before, after).warmup == 0.1
    forward = explorer.tables[0].set_index("endpoint")["change"]["Aggregated"]
    explorer.state.baseline, explorer.state.candidate = "eager", "n+1"
    backward = explorer.tables[0].set_index("endpoint")["change"]["Aggregated"]
    assert (1 + forward) * (1 + backward) == pytest.approx(1)


def test_two_arms_that_must_not_be_compared_are_said_to_be_so(both: lab.Measurements) -> None:
    runs = both.runs.assign(valid=False)
    invalid = lab.Measurements.of(runs=runs, requests=both.requests)
    shown = lab.explore(invalid).explorers["Comparison"]
    assert "valid" in shown.sentences[0] and shown.tables == []


def test_objectives_follow_the_limit(both: lab.Measurements) -> None:
    eager = both.where(arm="eager")
    explorer = explore_objectives({"eager": (eager, "eager")})
    state, slider = explorer.state, explorer._controls["limit"]
    table = lab.objectives.attainable(eager, "p95", confidences=[0.001, 0.95, 0.999], warmup=0.1)
    assert slider.min <= table["limit"][0] < state.limit < table["limit"][2] <= slider.max
    said = set()
    for limit in (slider.min, state.limit, slider.max):
        state.limit = limit
        said.add(explorer.tables[0]["verdict"][0])
        checked = made(explorer.code.splitlines()[0], eager=eager)
        assert checked.sentence == explorer.sentences[0]
    assert said == {"holds", "fails", "inconclusive"}
    state.metric = "throughput_per_s"
    assert explorer.tables[0]["objective"][0].startswith("throughput of all requests > ")
    state.view = "Every endpoint"
    made_again = made(explorer.code, eager=eager)
    assert made_again["limit"].tolist() == explorer.tables[0]["limit_per_s"].tolist()


def test_given_objectives_come_first(both: lab.Measurements) -> None:
    eager = both.where(arm="eager")
    shown = lab.explore(eager, ["p95 < 500ms", "error rate < 5%"])
    assert list(shown.explorers) == ["Objectives", "Runs"]
    box = shown.explorers["Objectives"]
    assert box.state.view == "The objectives given"
    assert box.tables[0]["verdict"].tolist() == ["holds", "holds"]
    again = made(box.code, measurements=eager)
    assert again.table["measured"].tolist() == box.tables[0]["measured"].tolist()


@pytest.fixture
def log() -> lab.Measurements:
    return lab.read("datasets/shop_queries.jsonl")


@pytest.mark.parametrize("view", QUERIES)
def test_the_code_of_each_view_of_queries_makes_what_is_shown(log: lab.Measurements, view: str) -> None:
    explorer = explore_queries(log.queries, "log.queries")
    state = explorer.state
    state.view, state.route, state.evidence = view, "GET /customers", ("likely",)
    if view == "Calls against rows":  # sizes of the parents are known there
        state.route, state.evidence = "GET /orders", ("confirmed",)
    result = made(explorer.code, log=log)
    if isinstance(result, Axes):
        assert result.get_title(loc="left") == titles(explorer)[0]
    elif isinstance(result, pd.Series):
        assert result["child"].split()[0] in explorer._places[explorer._panels[0]].view.listing
    else:
        shown = explorer.tables[0]
        assert len(result) == len(shown) > 0
        again = pd.DataFrame(result)[list(shown.columns)].reset_index(drop=True)
        assert again.astype(str).equals(pd.DataFrame(shown).astype(str))


def test_a_unit_of_the_chosen_pattern_is_drawn(make_queries: Callable[..., pd.DataFrame]) -> None:
    queries = make_queries(units=12)
    explorer = explore_queries(queries, "queries")
    state = explorer.state
    state.view = "Unit of work"
    units = explorer._controls["unit"].options
    assert set(units) == set(queries["unit"]) and state.unit == units[0]
    first = titles(explorer)
    state.unit = next(u for u in units if (queries["unit"] == u).sum() != (queries["unit"] == units[0]).sum())
    assert titles(explorer) != first
    assert made(explorer.code, queries=queries).get_title(loc="left") == titles(explorer)[0]
    state.view = "Calls against rows"
    assert made(explorer.code, queries=queries).get_title(loc="left") == titles(explorer)[0]
    assert "1 call per row" in titles(explorer)[0]


@pytest.fixture
def profiled(make_profile: Callable[..., pd.DataFrame]) -> dict[str, tuple[Any, str]]:
    return {"slow": (make_profile("a"), "slow"), "fast": (make_profile("b", slow=20.0), "fast")}


@pytest.mark.parametrize("view", [*PROFILES, DIFFERENCE])
def test_the_code_of_each_view_of_profiles_makes_what_is_shown(profiled: dict[str, Any], view: str) -> None:
    explorer = explore_profiles(profiled)
    state = explorer.state
    state.view, state.focus, state.search, state.threshold = view, "handle", "rend", 0.01
    names = {label: table for label, (table, _) in profiled.items()}
    result = made(explorer.code.splitlines()[0], **names)
    if isinstance(result, Axes):
        assert result.get_title(loc="left") == titles(explorer)[0]
    else:
        assert len(result) == len(explorer.tables[0]) > 0
    if view == DIFFERENCE:
        changes = made(explorer.code, **names)
        assert changes["function"].tolist() == explorer.tables[0]["function"].tolist() == ["render"]


def test_a_search_says_how_much_of_the_profile_it_is_in(profiled: dict[str, Any]) -> None:
    explorer = explore_profiles(profiled)
    explorer.state.search = "QUERY"
    assert titles(explorer) == ["“QUERY” is in 60 % of it"]
    explorer.state.profile = "fast"
    assert titles(explorer) == ["“QUERY” is in 33.3 % of it"]
    explorer.state.focus = "handle"
    assert "lab.profiles.focus(fast, 'handle')" in explorer.code
    explorer.state.view, explorer.state.other = DIFFERENCE, "fast"
    assert explorer.sentences[0] == "Choose two different profiles."


def test_units_of_another_route_are_not_offered(make_queries: Callable[..., pd.DataFrame]) -> None:
    queries = make_queries(units=12)
    queries.loc[queries["unit"] > "u5", "route"] = "GET /basket"
    explorer = explore_queries(queries, "queries")
    for pattern in (0, 1):
        explorer.state.pattern = pattern
        route = "GET /basket" if "GET /basket" in explorer._controls["pattern"].options[pattern][0] else "GET /orders"
        expected = set(queries.loc[queries["route"] == route, "unit"])
        assert set(explorer._controls["unit"].options) == expected


def test_the_filter_decides_which_patterns_are_offered(log: lab.Measurements) -> None:
    explorer = explore_queries(log.queries, "log.queries")
    offered = explorer._controls["pattern"]
    assert len(offered.options) == len(lab.find_n_plus_one(log.queries)) == len(explorer.tables[0])
    explorer.state.pattern = 2
    explorer.state.evidence = ("confirmed",)
    assert len(offered.options) == len(explorer.tables[0]) == 1 and explorer.state.pattern == 0
    explorer.state.evidence = ()
    explorer.state.view = "Fix"
    assert explorer.sentences == ["No pattern has this route and evidence; choose others."]


def test_queries_without_a_pattern_can_be_explored(make_queries: Callable[..., pd.DataFrame]) -> None:
    shown = lab.explore(make_queries(fan_out=1).assign(route="<img src=x onerror=window.hacked=1>"))
    shown = shown.explorers["Queries"]
    assert isinstance(shown, Explorer)
    assert len(shown.tables[0]) == 0
    shown.state.view = "Statements"
    assert len(shown.tables[0]) == 2


def test_literals_of_queries_are_not_shown(make_queries: Callable[..., pd.DataFrame]) -> None:
    queries = make_queries()
    queries["sql"] = queries["sql"].str.replace("?", "'secret@example.org'")
    explorer = explore_queries(queries, "queries")
    for view in QUERIES:
        explorer.state.view = view
        assert "secret" not in "".join(place.widget.value for place in explorer._places.values())


def test_without_a_kernel_an_explorer_says_what_it_is(both: lab.Measurements) -> None:
    assert repr(explore_runs(both)).endswith("run this cell in JupyterLab to explore it")
    shown = lab.explore(both)
    assert shown._repr_mimebundle_()["text/plain"] == repr(shown)


def test_explore_says_what_it_needs(make_summary: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="evidence must be Measurements"):
        lab.explore([1, 2])
    with pytest.raises(ValueError, match="it holds runs, summary"):
        lab.explore(lab.Measurements.of(summary=make_summary()))
    with pytest.raises(ValueError, match="it holds nothing"):
        lab.explore(["p95 < 2s"])


def test_explorers_are_made_when_they_are_looked_at(experiment: tuple[lab.Measurements, lab.Measurements]) -> None:
    shown = lab.explore(*experiment)
    assert isinstance(shown, Explorers)
    assert list(shown._made) == ["Comparison"]
    shown.choice.value = "Runs"
    assert list(shown._made) == ["Comparison", "Runs"]
    assert shown.children[1] is shown.explorers["Runs"]


def test_a_table_is_evidence_too(make_requests: Callable[..., pd.DataFrame]) -> None:
    shown = lab.explore(make_requests())
    assert list(shown.explorers) == ["Runs", "Objectives"]
