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
from perflab.explorers.surface import arranged

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
    explorer.state.marked = (5.0, 10.0, None, None)
    chart, requests = (part for part in explorer._shown)
    explorer.state.percentile = 99.0
    assert explorer._shown[0] is not chart and explorer._shown[1] is requests
    explorer.state.runs = explorer.state.runs[:2]
    assert explorer._shown[1] is not requests
    seen = explorer._shown
    explorer.state.view = "ECDF"
    explorer.state.view = "Over time"
    assert all(now is before for now, before in zip(explorer._shown, seen, strict=True))


def test_a_chart_shows_what_the_plot_draws(both: lab.Measurements) -> None:
    explorer = explore_runs(both, name="both")
    for metric in ("", "mean", "throughput_per_s", "error_fraction"):
        explorer.state.metric = metric
        chart = explorer._shown[0].chart
        drawn = {line.get_label(): line.get_ydata() for line in made(explorer.code, both=both).lines}
        for series in chart.panes[0].series:
            scale = 100 if metric == "error_fraction" else 1
            assert np.allclose(np.asarray(drawn[series.label]) * scale, series.y, equal_nan=True)


def test_a_selection_in_the_chart_shows_its_requests(both: lab.Measurements) -> None:
    explorer = explore_runs(both, name="both")
    place = explorer._places[explorer._panels[0]]
    place.widget.brush = [0, 0.25, 0.5, 0.0, 0.5, 1]
    begin, end, low, high = explorer.state.marked
    assert (begin, end) == (7.5, 15.0) and 0 < low < high
    shown, part = explorer.tables[0], explorer._shown[1]
    assert shown["at_s"].between(begin, end).all() and shown["latency_ms"].between(low, high).all()
    space: dict[str, Any] = {"lab": lab, "both": both}
    exec(part.code, space)
    again = space["part"].requests
    assert part.sentence.startswith(f"{len(again):,} requests in 7.5 to 15 s with ")
    place.widget.brush = [1, 0.25, 0.5, 0, 1, 2]  # a pane without a band: all latencies
    assert explorer.state.marked == (7.5, 15.0, None, None)
    explorer.state.zoomed = True
    assert explorer.state.window == (7.5, 15.0) and explorer._shown[0].chart.x == (7.5, 15.0)
    explorer.state.zoomed = False
    place.widget.brush = []
    assert explorer.state.marked == () and explorer.tables == [] and explorer.state.window == (0.0, 30.0)


def test_statements_and_account_of_a_selection(make_queries: Callable[..., pd.DataFrame]) -> None:
    at = pd.Timestamp("2026-01-01T00:00:00Z") + pd.to_timedelta(np.arange(40), unit="s")
    ids = [f"r{i}" for i in range(40)]
    requests = pd.DataFrame({"run": "a", "endpoint": "GET /", "start": at, "ok": True, "request": ids,
                             "latency_ms": np.linspace(10, 50, 40)})  # fmt: skip
    components = pd.DataFrame({"run": "a", "request": ids, "component": "database", "duration_ms": 4.0})
    queries = pd.DataFrame({"run": "a", "start": at, "sql": "SELECT 1", "duration_ms": 2.0, "request": ids})
    runs = pd.DataFrame({"run": ["a"], "arm": ["x"], "start": [at[0]], "duration_ms": [40e3], "valid": [True]})
    measured = lab.Measurements.of(runs=runs, requests=requests, components=components, queries=queries)
    explorer = explore_runs(measured, name="measured")
    explorer.state.marked = (0.0, 100.0, 30.0, 50.0)
    slow, statements, accounted = explorer._shown[1:]
    assert slow.table["statements"].eq(1).all() and len(slow.table) == 20
    assert statements.table["calls"].sum() == 20
    assert "database 4 ms" in accounted.sentence
    for part in (slow, statements, accounted):
        assert made(part.code, measured=measured) is not None


def test_controls_that_the_view_does_not_look_at_are_hidden(both: lab.Measurements) -> None:
    explorer = explore_runs(both)
    controls = explorer._controls
    assert controls["percentile"].layout.display is None
    explorer.state.view = "Resources"
    for name in ("percentile", "endpoint"):
        assert controls[name].disabled and controls[name].layout.display == "none"
    assert not controls["window"].disabled and controls["window"].layout.display is None


def test_tables_sort_and_filter(both: lab.Measurements) -> None:
    explorer = explore_runs(both)
    explorer.state.view = "Slowest requests"
    place = explorer._places[explorer._panels[0]]
    column = list(explorer.tables[0].columns).index("latency_ms")
    before = place.widget.value
    place.widget.order = [column, False]
    rising = explorer.tables[0].sort_values("latency_ms").iloc[0]
    assert place.widget.value != before
    first_row = place.widget.value.split("<tbody>")[1].split("</tr>")[0]
    assert str(rising["run"]) in first_row
    place.widget.only = "no such text"
    assert "<tbody>" not in place.widget.value or "<td" not in place.widget.value
    assert len(explorer.tables[0]) == 20


@pytest.mark.parametrize(
    ("values", "rising"),
    [
        ([10.0, 2.0, np.nan], [1, 0, 2]),
        (["10 ms", "9.5 ms", "–"], [1, 0, 2]),
        (["1,200", "90", "−3"], [2, 1, 0]),
        (["beta", "Alpha", "10x"], [2, 1, 0]),
        ([pd.Timestamp("2026-02-01"), pd.Timestamp("2026-01-01"), pd.NaT], [1, 0, 2]),
        ([True, False, True], [1, 0, 2]),
        (["1.2 s", "950 ms", "~80 µs"], [2, 1, 0]),
        (["1.2 MB", "900 kB", "–"], [1, 0, 2]),
        (["1.2 to 1.5 s", "900 ms to 1.1 s", "950 to 990 ms"], [1, 2, 0]),
        (["0.2", "< 0.03", "1.5e-05"], [2, 1, 0]),
        (["20261130-0900-b", "20261130-0900-a", "20261201-0900-a"], [1, 0, 2]),
        (["eager", None, "Base"], [2, 0, 1]),
        (["2026-11-30 09:00", "2026-11-24 18:00", "–"], [1, 0, 2]),
    ],
)
def test_each_kind_of_column_sorts_by_its_values(values: list[Any], rising: list[int]) -> None:
    table = pd.DataFrame({"a": values})
    assert list(arranged(table, [0, False], "").index) == rising
    assert list(arranged(table, [5, False], "").index) == [0, 1, 2]
    assert list(arranged(table, [-1, False], str(values[0]).upper()).index)[:1] == [0]


def test_throughput_and_failures_over_time(both: lab.Measurements) -> None:
    explorer = explore_runs(both.where(arm="eager"), name="eager")
    explorer.state.metric = "throughput_per_s"
    eager = both.where(arm="eager")
    expected = len(eager.requests) / 3 / 30
    line = explorer._shown[0].chart.panes[0].series[0].y
    assert np.isclose(np.mean(line), expected, rtol=0.1)
    explorer.state.metric = "error_fraction"
    assert explorer.sentences[0].startswith("error rate of all requests: eager")


def test_samples_that_are_rarer_than_the_slices_make_a_line(make_measurements: Make) -> None:
    many = make_measurements(pairs=1, count=12_000, endpoints={"GET /orders": 20.0}, resources=False)
    requests, *_, users = explore_runs(many)._shown[0].chart.panes
    assert len(requests.series[0].x) > 40
    for line in users.series:
        assert len(line.x) == len(line.y) == len(line.texts) == 30 and np.isfinite(line.y).all()


def test_without_runs_the_panel_says_what_to_do(both: lab.Measurements) -> None:
    explorer = explore_runs(both)
    explorer.state.runs = ()
    assert explorer.sentences == ["Choose one run or more."]
    assert explorer.code == "" and explorer.figures == []


def test_figures_and_tables_are_saved(both: lab.Measurements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    explorer = explore_runs(both)
    explorer._saving._name.value = "../../etc/over time"
    explorer._saving._figure.click()
    explorer.state.view = "Slowest requests"
    explorer._saving._table.click()
    kept = sorted(p.name for p in tmp_path.iterdir())
    assert kept == ["-..-etc-over time.csv", "-..-etc-over time.png"]
    assert (tmp_path / kept[0]).read_text().splitlines()[0].startswith("run,arm,endpoint,at_s,latency_ms")


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


def test_of_more_runs_than_fit_in_memory_those_selected_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    eager, lazy = (lab.load("datasets/shop_runs", lazy=lazy) for lazy in (False, True))
    counts = eager.count("requests").reindex(eager.runs.sort_values("start")["run"])
    monkeypatch.setattr("perflab.explorers.reduced.MOST_ROWS", int(counts.iloc[-2:].sum()))
    whole, large = (lab.explore(*(held.where(arm=a) for a in ("n+1", "eager"))).explorers for held in (eager, lazy))
    assert list(whole) == list(large) == ["Comparison", "Runs", "Objectives"]
    for name in ("Comparison", "Objectives"):
        assert whole[name].sentences == large[name].sentences and titles(whole[name]) == titles(large[name])
    explorer = large["Runs"]
    assert set(explorer.state.runs) == set(counts.index[-2:])
    explorer.state.view = "Heatmap"
    assert explorer.figures
    explorer.state.view, explorer.state.marked = "Over time", (2.0, 5.0, None, None)
    assert "requests in 2 to 5 s" in explorer.sentences[-1] and len(explorer.tables[-1])
    explorer.state.runs = tuple(counts.index[:2])
    assert set(explorer.tables[-1]["run"]) <= set(counts.index[:2])
    explorer.state.runs = tuple(counts.index)
    assert explorer.sentences[0].startswith("Choose fewer runs")
