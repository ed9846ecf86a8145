"""The explorers without a browser: what a state shows, what is drawn again, and that the code shown makes the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pytest
from matplotlib.axes import Axes

import perflab as lab
from perflab.explorers.frame import Explorer
from perflab.explorers.runs import VIEWS, explore_runs

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
    assert titles(explorer)[0].startswith("Failed share of all requests: eager")


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


def test_explore_says_what_it_needs(make_summary: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="measurements must be Measurements"):
        lab.explore([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="they hold runs, summary"):
        lab.explore(lab.Measurements.of(summary=make_summary()))


def test_explore_names_the_measurements_in_the_code(both: lab.Measurements) -> None:
    shown = lab.explore(both)
    assert isinstance(shown, (Explorer, widgets.Tab))
