"""The code that an explorer shows, run in a fresh namespace, makes what is shown; and texts from outside stay texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import Collection

import perflab as lab
from perflab.explorers.dispatch import Explorers
from perflab.explorers.explore_change import explore_change
from perflab.explorers.explore_comparison import explore_comparison
from perflab.explorers.explore_objectives import explore_objectives
from perflab.explorers.explore_profiles import explore_profiles
from perflab.explorers.explore_queries import explore_queries
from perflab.explorers.explore_runs import explore_runs
from perflab.explorers.frame import Explorer, View
from perflab.queries.layout import laid_out

ODD = "GET /it's $\\frac{a}$ \"<b>"
"""An endpoint that only code with the right quotes can name, and that is mathematics to matplotlib if it is let."""


@pytest.fixture(scope="module")
def evidence(
    make_measurements: Callable[..., lab.Measurements],
    make_queries: Callable[..., pd.DataFrame],
    make_profile: Callable[..., pd.DataFrame],
) -> dict[str, Any]:
    both = make_measurements(pairs=4, endpoints={"GET /orders": 120.0, ODD: 40.0})
    before, after = both.where(arm="n+1"), both.where(arm="eager")
    log = make_queries(units=14)
    log.loc[log["unit"] > "u5", "route"] = ODD
    slow, fast = make_profile(), make_profile(slow=20.0).replace("render", ODD)
    goals = ["p95 < 300ms", "error rate < 5%"]
    change = lab.compare(before, after, metric=["p95", "p50"])
    return {"both": both, "before": before, "after": after, "log": log, "slow": slow, "fast": fast, "goals": goals,
            "change": change}  # fmt: skip


def _runs(e: dict[str, Any]) -> Explorer:
    explorer = explore_runs(e["both"], name="both")
    explorer.state.set_trait("endpoint", ODD)
    explorer.state.percentile, explorer.state.window = 99.0, (2.0, 27.0)
    explorer.state.runs = ("n+1-1", "n+1-2", "eager-1")
    explorer.state.marked = (3.0, 20.0, 5.0, 400.0)
    return explorer


def _comparison(e: dict[str, Any]) -> Explorer:
    explorer = explore_comparison({"n+1": (e["before"], "before"), "eager": (e["after"], "after")})
    state = explorer.state
    state.endpoint, state.metric, state.tolerance, state.warmup = ODD, "p50", 0.08, 0.2
    state.effect, state.power, state.pairs = 0.2, 0.9, 12
    return explorer


def _objectives(e: dict[str, Any]) -> Explorer:
    arms = {"n+1": (e["before"], "before"), "eager": (e["after"], "after")}
    explorer = explore_objectives(arms, (e["goals"], "goals"))
    state = explorer.state
    state.arm, state.endpoint, state.metric, state.warmup, state.confidence = "eager", ODD, "p90", 0.2, 0.9
    state.limit = 37.123456
    return explorer


def _change(e: dict[str, Any]) -> Explorer:
    explorer = explore_change(e["change"], "change")
    explorer.state.endpoint, explorer.state.metric = ODD, "p50"
    return explorer


def _queries(e: dict[str, Any]) -> Explorer:
    explorer = explore_queries(e["log"], "log")
    explorer.state.route, explorer.state.evidence = "GET /orders", ("confirmed",)
    explorer.state.unit = explorer._controls["unit"].options[1]
    return explorer


def _profiles(e: dict[str, Any]) -> Explorer:
    explorer = explore_profiles({"slow": (e["slow"], "slow"), "fast": (e["fast"], "fast")})
    state = explorer.state
    state.profile, state.other, state.focus, state.search, state.threshold = "fast", "slow", "handle", "it's", 0.01
    return explorer


MAKERS: dict[str, Callable[[dict[str, Any]], Explorer]] = {
    "runs": _runs, "comparison": _comparison, "objectives": _objectives, "change": _change, "queries": _queries,
    "profiles": _profiles,
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_the_code_of_every_view_makes_what_is_shown(name: str, evidence: dict[str, Any]) -> None:
    explorer = MAKERS[name](evidence)
    for view in explorer._views:
        explorer.state.view = view
        shown = [part for part in explorer._shown if part.code]
        assert shown, f"{view} shows no code"
        assert explorer.code == "\n".join(dict.fromkeys(line for part in shown for line in part.code.splitlines()))
        for part in shown:
            _same(part, _made(part.code, evidence), f"{name}: {view}")


def _made(code: str, names: dict[str, Any]) -> Any:
    """What the last line makes, when all of it is pasted into a cell of a notebook with these names."""
    space = {"lab": lab, **names}
    *before, last = code.splitlines()
    exec("\n".join(before), space)
    return eval(last, space)  # noqa: S307 - the explorers' own code, which is what is tested here


def _same(part: View, made: Any, where: str) -> None:
    if isinstance(made, Axes) and part.chart is not None:
        assert part.sentence == part.chart.title, where
        drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in made.lines}
        assert part.chart.panes[0].series, where
        for series in part.chart.panes[0].series:
            assert np.allclose(drawn[series.label], series.y, equal_nan=True), where
    elif isinstance(made, Axes):
        assert part.figure is not None, where
        assert list(_drawn(made)) == list(_drawn(part.figure.axes[0])), where
    elif isinstance(made, pd.DataFrame):
        _same_table(part, made, where)
    elif isinstance(made, pd.Series):
        assert laid_out(str(made["child"])) in part.listing, where
        assert part.sentence == str(made["suggestion"]), where
    elif isinstance(made, lab.Change):
        row = made.row_of(ODD, "p50")
        assert part.sentence.startswith("p50 of GET /it's") and str(row["verdict"]) in part.sentence, where
        assert part.table is not None
        pd.testing.assert_frame_equal(made.table, part.table)
    elif part.shown is not None:
        shown = made.show()
        assert (shown.sentence, shown.notes) == (part.shown.sentence, part.shown.notes[: len(shown.notes)]), where
        pd.testing.assert_frame_equal(shown.table, part.shown.table)
    else:  # a plan of runs: its own sentence stands below that of the slider
        assert made.sentence in part.notes, where


def _same_table(part: View, made: pd.DataFrame, where: str) -> None:
    if part.table is None:  # one limit, in words
        assert len(made) == 1
        limit = float(f"{made['limit'].iloc[0]:.3g}")
        assert f"{limit:g}" in part.sentence, where
        return
    made = pd.DataFrame(made).reset_index(drop=True)
    made = made.rename(columns={"limit": "limit_ms", "measured": "measured_ms"} if "limit_ms" in part.table else {})
    assert len(made) == len(part.table) > 0, where
    again = made[[c for c in part.table.columns if c in made.columns]]
    shown = pd.DataFrame(part.table)[list(again.columns)].reset_index(drop=True)
    assert len(again.columns) >= len(part.table.columns) - 1, where
    assert again.astype(str).equals(shown.astype(str)), where


def _drawn(ax: Axes) -> Iterator[str]:
    """Everything that tells one picture from another: titles, labels, points of lines, bars, boxes and colours."""
    yield from (ax.get_title(loc="left"), ax.get_ylabel())  # what lies below one may carry the label of the other axis
    for line in ax.lines:
        yield f"line {np.round(np.asarray(line.get_xydata(), dtype='float64'), 6).tolist()}"
    for thing in ax.collections:
        yield _of_collection(thing)
    for patch in ax.patches:
        yield f"patch {np.round(patch.get_path().vertices, 6).tolist()}"


def _of_collection(thing: Collection) -> str:
    vertices = [np.round(path.vertices, 6).tolist() for path in thing.get_paths()[:200]]
    return f"{type(thing).__name__} {np.round(thing.get_offsets(), 6).tolist()} {vertices}"


HOSTILE = (
    "GET /<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "GET /$\\frac{a}{", "$x^2$ and $\\bad{$",
    "**b** [a](javascript:alert(1)) | `c`", "GET /\u202egnp.exe\x00\x1b[31m", "{{7*7}} {% raw %} %s {0}", "_private\n\rx",
)  # fmt: skip
_KNOWN_TAGS = "div|p|strong|table|thead|tbody|tr|td|th|ul|li|pre|wbr"


def test_texts_from_outside_stay_texts_in_every_explorer(make_measurements: Callable[..., lab.Measurements],
                                                        make_queries: Callable[..., pd.DataFrame],
                                                        make_profile: Callable[..., pd.DataFrame]) -> None:  # fmt: skip
    measured = make_measurements(pairs=3, count=400, endpoints=dict.fromkeys(HOSTILE, 20.0))
    names = {"n+1": HOSTILE[2], "eager": HOSTILE[0]}
    tables = dict(measured.tables)
    tables["runs"] = tables["runs"].assign(arm=tables["runs"]["arm"].map(names))
    errors = np.resize(np.array(HOSTILE, dtype=object), len(tables["requests"]))
    tables["requests"] = tables["requests"].assign(error=errors).drop(columns="arm", errors="ignore")
    tables["resources"] = tables["resources"].assign(process=HOSTILE[3])
    whole = lab.Measurements.of(**tables)
    log = make_queries(units=14)
    log = log.assign(
        sql=log["sql"] + f" -- {HOSTILE[1]}", route=HOSTILE[0], source=HOSTILE[1], unit=log["unit"] + HOSTILE[0]
    )
    tree = make_profile().replace(
        {"render": HOSTILE[0], "query": HOSTILE[3], "main": HOSTILE[2], "app.py": f"/{HOSTILE[1]}.py"}
    )
    before, after = (whole.where(arm=arm) for arm in names.values())
    change = lab.compare(before, after)
    for shown in (
        lab.explore(before, after),
        lab.explore(log),
        lab.explore(tree, tree.replace({"self": {60.0: 20.0}})),
        lab.explore(change),
    ):
        for explorer in shown.explorers.values() if isinstance(shown, Explorers) else [shown]:
            for static in _turned_over(explorer):
                assert not re.search(
                    rf"<(?!/?(?:{_KNOWN_TAGS})\b|img alt=\"[^\"<>]*\" src=\"data:image/(?:png|svg\+xml);base64,)",
                    static,
                )
                assert "onerror=" not in re.sub(r'alt="[^"]*"|&lt;img src=x onerror=', "", static)


def _turned_over(explorer: Explorer) -> Iterator[str]:
    """Every view, and in each every option of the controls that list what came from outside."""
    for view in explorer._views:
        explorer.state.view = view
        yield explorer.static
        for trait in ("endpoint", "route", "pattern", "focus", "unit"):
            control = explorer._controls.get(trait)
            for value in control._options_values[:3] if control is not None and not control.disabled else ():
                explorer.state.set_trait(trait, value)
                yield explorer.static


def test_what_is_kept_for_readers_without_a_kernel_is_a_picture_or_a_table(evidence: dict[str, Any]) -> None:
    for make in MAKERS.values():
        explorer = make(evidence)
        bundle = explorer._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle
        for view in explorer._views:
            explorer.state.view = view
            static = explorer._repr_mimebundle_()["text/html"]
            assert "data:image/png;base64," in static or "data:image/svg+xml;base64," in static or "<table" in static
            assert "<script" not in static and "onclick" not in static and "<button" not in static
    shown = lab.explore(evidence["before"], evidence["after"])
    shown.choice.value = "Runs"
    assert "lab.plot_timeline(" in shown._repr_mimebundle_()["text/html"]
    assert not explorer.keeping.keep("nowhere to keep it")


def test_a_change_can_be_explored_and_other_results_say_what_to_give(evidence: dict[str, Any]) -> None:
    explorer = lab.explore(evidence["change"])
    assert explorer.sentences[0] == evidence["change"].sentence
    explorer.state.endpoint = "GET /orders"
    assert explorer.sentences[0].startswith("p95 of GET /orders")
    assert list(lab.explore(evidence["before"], evidence["change"]).explorers) == ["Runs", "Objectives", "Change"]
    given = [
        ("results.jtl", r"lab\.explore\(lab\.read\(path\)\)"),
        ((evidence["before"], evidence["after"]), r"one by one: lab\.explore\(\*parts\)"),
        (lab.check(evidence["before"], ["p95 < 2s"]), r"lab\.explore\(measurements, objectives\)"),
    ]
    for thing, hint in given:
        with pytest.raises(ValueError, match=hint):
            lab.explore(thing)
    with pytest.raises(ValueError, match="got a table of run, endpoint, count"):
        lab.explore(lab.summarize(evidence["before"]))


def test_each_arm_has_a_query_log_of_its_own(make_queries: Callable[..., pd.DataFrame], make_runs: Any) -> None:
    log = pd.concat([make_queries("a", units=12), make_queries("b", units=12, fan_out=1)], ignore_index=True)
    both = lab.Measurements.of(runs=make_runs(("a", "b"), arms=["n+1", "eager"]), queries=log)
    shown = lab.explore(both)
    assert list(shown.explorers) == ["Queries: n+1", "Queries: eager", "Caches: n+1", "Caches: eager"]
    found = [len(shown.explorers[f"Queries: {arm}"].tables[0]) for arm in ("n+1", "eager")]
    assert found == [1, 0]
    assert "measurements.where(arm='n+1').queries" in shown.explorers["Queries: n+1"].code
