"""An account in the figure, the report, the explanation, the explorer; and its statements."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_accounts import measured

import perflab as lab


@pytest.fixture(scope="module")
def arms():
    random = np.random.default_rng(4)
    sides = measured("n+1", 6, 90, random, added=9), measured("eager", 6, 90, random, first=1)
    return tuple(_with_spans(side, calls) for side, calls in zip(sides, (5, 2), strict=True))


def _with_spans(side: lab.Measurements, calls: int) -> lab.Measurements:
    """A root and so many lookups for each request."""
    requests = side.requests
    shared = {"run": requests["run"], "trace": requests["request"], "request": requests["request"], "service": "a"}
    root = pd.DataFrame({**shared, "span": requests["request"], "parent": None, "name": "GET /0", "kind": "server",
                         "start": requests["start"], "duration_ms": requests["latency_ms"]})  # fmt: skip
    kinds = [("database", f"SELECT * FROM lines WHERE order_id = {i}") for i in range(calls)]
    kinds += [("database", "(rows)"), ("downstream", "GET 127.0.0.1:9"), ("gc", "collection")]
    below = [
        root.assign(span=root["span"] + f"-{i}", parent=root["span"], kind=kind, name=name, duration_ms=0.5)
        for i, (kind, name) in enumerate(kinds)
    ]
    tables = {name: side.tables[name] for name in ("runs", "requests", "components")}
    return lab.Measurements.of(**tables, spans=pd.concat([root, *below]))


@pytest.fixture(scope="module")
def found(arms):
    return lab.account(*arms, endpoint="GET /0")


def test_statements_are_counted_by_fingerprint(found):
    calls = found.calls.set_index("call")
    (lookup,) = [call for call in calls.index if "lines" in call]
    row = calls.loc[lookup]
    assert (row["calls_baseline"], row["calls_candidate"]) == pytest.approx((5, 2)) and row["component"] == "database"
    assert row["change_ms"] == pytest.approx(-1.5)
    assert calls.loc["(rows)", "calls_baseline"] == 0 and calls.loc["(rows)", "baseline_ms"] == pytest.approx(0.5)
    assert "5 statements became 2" in found.sentence


def test_the_waterfall_goes_from_before_to_after(found):
    ax = lab.plot_account(found)
    bars = [p for p in ax.patches if p.get_width()]
    assert bars[-2].get_width() == pytest.approx(found.baseline_ms) and bars[-1].get_width() == pytest.approx(
        found.candidate_ms
    )
    ends = [p.get_x() + p.get_width() for p in bars[:-2]]
    assert ends[-1] == pytest.approx(found.candidate_ms, rel=0.02)
    assert next(t.get_text() for t in ax.get_yticklabels()) == "n+1"
    plt.close(ax.figure)


def test_one_arm_is_drawn_from_zero(arms):
    one = lab.account(arms[0], metric="mean")
    ax = lab.plot_account(one)
    assert ax.patches[0].get_x() == 0 and ax.get_xlabel() == "Mean latency, ms"
    plt.close(ax.figure)


def test_the_report_begins_the_bottlenecks_with_it(arms, found):
    findings = pd.DataFrame({"what": ["zebra"]})
    ax = lab.plot_account(found)
    text = lab.Report("t", [*arms, findings, found, ax]).to_markdown()
    bottlenecks = text[text.index("## Bottlenecks found") : text.index("## Optimisations applied")]
    assert bottlenecks.index(found.sentence) < bottlenecks.index("report_files") < bottlenecks.index("zebra")
    assert text.count(found.sentence) == 1
    plt.close(ax.figure)


def test_a_change_is_explained_by_its_account(arms, found):
    change = lab.compare(*arms, primary="GET /0")
    steps = change.explain(found).steps
    assert steps["numbers"].iloc[-1] == found.sentence and len(steps) == len(change.explain().steps) + 1


def test_the_explorer_has_it(arms):
    shown = lab.explore(*arms)
    shown.choice.value = "Account"
    explorer = shown.children[1]
    explorer.state.endpoint, explorer.state.metric = "GET /0", "p50"
    assert "lab.account(" in explorer.static and "p50 of GET /0" in explorer.static
    explorer.state.view = "Calls"
    assert "lines" in explorer.static


@pytest.mark.parametrize("kept", [(), (0,), (1,)])
def test_an_endpoint_without_calls_has_an_account(arms, kept):
    """Most endpoints of a site call nothing: its spans are those of the others."""
    sides = [
        side
        if place in kept
        else lab.Measurements.of(**{**side.tables, "spans": side.spans[side.spans["parent"].isna()]})
        for place, side in enumerate(arms)
    ]
    calls = lab.account(*sides, endpoint="GET /0").calls
    assert list(calls) == [
        "component",
        "call",
        "calls_baseline",
        "calls_candidate",
        "baseline_ms",
        "candidate_ms",
        "change_ms",
    ]
    assert (len(calls) > 0) == bool(kept) and calls["change_ms"].dtype == "float64"
    alone = lab.account(sides[0], endpoint="GET /0")
    assert (len(alone.calls) > 0) == (0 in kept)


def moved_to_rest(side: lab.Measurements, *components: str) -> lab.Measurements:
    table = side.components
    return lab.Measurements.of(**{**side.tables, "components": table[~table["component"].isin(components)]})


def test_a_component_that_one_arm_did_not_record_is_noted(arms):
    before, after = arms
    (name,) = [c for c in before.components["component"].unique() if c == "database"]
    found = lab.account(before, moved_to_rest(after, name), endpoint="GET /0", metric="mean")
    (note,) = [note for note in found.warnings if note.code == "component-in-one-arm"]
    assert (note.facts["arm"], note.facts["other"]) == ("n+1", "eager")
    both = [moved_to_rest(side, name) for side in arms]
    for other in (arms, both):
        assert "component-in-one-arm" not in [
            n.code for n in lab.account(*other, endpoint="GET /0", metric="mean").warnings
        ]


def test_components_of_other_endpoints_are_not_shown(arms):
    before, after = arms
    pool = before.components.head(1).assign(component="pool", duration_ms=1e-9)
    with_pool = lab.Measurements.of(**{**before.tables, "components": pd.concat([before.components, pool])})
    found = lab.account(with_pool, after, endpoint="GET /0")
    assert "pool" in list(found.table["component"])
    assert (
        not {"connection pool"} & set(found.show().table["Component"])
        and found.show().table["Component"].iloc[-2] == "rest"
    )


def test_nothing_changed_is_said_so(arms):
    before, _ = arms
    again = lab.Measurements.of(
        **{n: t.assign(run=t["run"] + "again") if "run" in t else t for n, t in before.tables.items()}
    )
    found = lab.account(before, again, endpoint="GET /0", allow=("plan",))
    assert "did not change" in found.sentence
