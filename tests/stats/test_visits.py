"""Pages compared, checked and summarized by the median of their visits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_pages import pages_of

import perflab as lab
from perflab.metrics import VITAL_NAMES, Metric
from perflab.notes import codes


def test_the_value_of_a_run_is_the_median_of_its_visits_and_pages_count_alike():
    one = pages_of("old", 1000, pairs=1, visits=3)
    table = lab.summarize(one).set_index("endpoint")
    own = one.vitals[one.vitals["metric"] == "lcp"].groupby("page")["value"].median()
    assert table.loc["/", "lcp_ms"] == pytest.approx(own["/"])
    assert table.loc["Aggregated", "lcp_ms"] == pytest.approx(float(np.exp(np.log(own).mean())))
    assert table.loc["Aggregated", "count"] == 6 and table.loc["/", "rating"] == "good"


def test_a_stalled_visit_does_not_move_a_run():
    one = pages_of("old", 1000, pairs=1)
    stalled = one.vitals.copy()
    stalled.loc[stalled["visit"] == 3, "value"] *= 50
    found = [
        lab.summarize(lab.Measurements.of(vitals=v)).set_index("endpoint").loc["/", "lcp_ms"]
        for v in (one.vitals, stalled)
    ]
    assert found[1] < 1.2 * found[0]


def test_a_faster_page_improved_and_the_same_code_did_not():
    old, new, same = (
        pages_of(arm, lcp, seed=seed) for arm, lcp, seed in (("old", 900, 1), ("new", 500, 2), ("same", 900, 3))
    )
    change = lab.compare(old, new, metric="lcp")
    assert change.verdict == "improved" and change.design.kind == "pairs"
    assert {row.endpoint for row in change.rows} == {"Aggregated", "/", "/b"}
    assert "LCP of all pages" in change.sentence
    assert lab.compare(old, same, metric="lcp").verdict in ("equivalent", "inconclusive")
    assert lab.compare(new, old, metric="lcp").verdict == "regressed"
    back, forth = lab.compare(old, new, metric="lcp").find(), lab.compare(new, old, metric="lcp").find()
    assert np.log1p(back.change) == pytest.approx(-np.log1p(forth.change))


LOST = {
    "in one arm": (lambda row: True, ["/b"]),
    "in some runs": (lambda row: row["run"] in ("new-2", "new-4"), ["/b"]),
    "in some visits": (lambda row: row["visit"] > 2, None),
}


@pytest.mark.parametrize("where", LOST)
def test_a_slow_page_that_lost_its_metric_is_no_improvement(where):
    lost, left_out = LOST[where]
    sides = []
    for seed, arm in enumerate(("old", "new"), start=1):
        made = pages_of(arm, 900, seed=seed)
        vitals = made.vitals.copy()
        slow = (vitals["page"] == "/b") & (vitals["metric"] == "lcp")
        vitals.loc[slow, "value"] *= 6
        gone = slow & vitals.apply(lost, axis=1) & (arm == "new")
        sides.append(lab.Measurements.of(runs=made.runs, vitals=vitals[~gone]))
    change = lab.compare(*sides, metric=["lcp", "cls"])
    assert abs(change.find().change) < 0.1
    found = [note.facts["pages"] for note in change.warnings if note.code == "pages-left-out"]
    assert found == ([left_out] if left_out else [])
    checked = lab.check(sides[1], "LCP < 2 s")
    assert checked.verdict == ("fails" if where == "in some visits" else "holds")
    assert ("pages-left-out" in codes(checked.warnings)) == (where == "in some runs")


def test_values_without_variance_are_decided_by_the_resolution_of_their_clock():
    old, new = pages_of("old", 900, cls=0.15, inp=96), pages_of("new", 900, cls=0.0, inp=24, seed=2)
    change = lab.compare(old, new, metric=["cls", "inp"])
    assert change.verdict == "improved" and change.find("/b", "inp").verdict == "improved"
    assert change.find(metric="cls").change == pytest.approx(-0.15)
    assert not [row for row in change.rows if row.metric.name == "inp" and row.endpoint == "/"]
    assert lab.compare(old, old, metric="cls").verdict == "inconclusive"
    assert lab.compare(old, pages_of("new", 900, cls=0.15, seed=2), metric="cls").verdict == "equivalent"


@pytest.mark.parametrize("runs", [1, 3, 8])
def test_fewer_runs_and_unpaired_ones_go_the_same_way_as_requests(runs):
    old, new = pages_of("old", 900, pairs=runs), pages_of("new", 500, pairs=runs, seed=2)
    verdict = lab.compare(old, new, metric="lcp").verdict
    assert verdict == ("improved" if runs > 1 else "inconclusive")


def test_the_order_of_rows_does_not_matter():
    old, new = pages_of("old", 900), pages_of("new", 850, seed=2)
    shuffled = lab.Measurements.of(runs=old.runs, vitals=old.vitals.sample(frac=1, random_state=1))
    assert lab.compare(old, new, metric="lcp").table.equals(lab.compare(shuffled, new, metric="lcp").table)


def test_metrics_of_pages_and_of_requests_do_not_mix(make_measurements):
    old = pages_of("old", 900)
    with pytest.raises(ValueError, match="metric must not combine"):
        lab.compare(old, old, metric=["lcp", "p95"])
    with pytest.raises(lab.MissingTableError, match="run_pages"):
        lab.compare(make_measurements(), make_measurements(), metric="lcp")
    with pytest.raises(lab.MissingTableError, match="requests"):
        lab.compare(old, pages_of("new", 900), metric="p95")


def test_other_browsers_and_other_throttling_are_refused():
    with pytest.raises(lab.ComparisonError, match="different generators"):
        lab.compare(pages_of("old", 900), pages_of("new", 900, generator="chromium/2/x"), metric="lcp")
    allowed = lab.compare(
        pages_of("old", 900), pages_of("new", 500, generator="chromium/2/x"), metric="lcp", allow="generator"
    )
    assert allowed.verdict == "improved"


def test_objectives_are_decided_on_pages():
    found = lab.check(
        pages_of("old", 1900, cls=0.2, inp=96),
        ["LCP < 2.5s", "CLS < 0.1", "INP of /b < 200 ms", "FCP < 1s", "p95 < 1s"],
    )
    assert found.table["verdict"].tolist() == ["holds", "fails", "holds", "inconclusive", "inconclusive"]
    assert [note.code for note in found.reasons[3:]] == ["not-recorded", "other-evidence"]
    assert "all pages" in found.table["objective"][0]


def test_runs_of_pages_and_of_load_are_checked_together(make_measurements):
    goals, load = ["p95 < 100 s", "LCP < 2.5s"], make_measurements().where(arm="eager")
    found = lab.check(load + pages_of("pages", 900), goals)
    assert found.table["verdict"].tolist() == ["holds", "holds"]
    alone = lab.check(load, goals)
    assert alone.table["verdict"].tolist() == ["holds", "inconclusive"] and alone.reasons[1].code == "other-evidence"


def test_every_metric_of_pages_is_named_and_rated():
    assert [Metric.of(name).table for name in VITAL_NAMES] == ["vitals"] * len(VITAL_NAMES)
    for name, (good, poor) in {"lcp": (2500, 4000), "inp": (200, 500), "cls": (0.1, 0.25)}.items():
        metric = Metric.of(name)
        assert [metric.rating(v) for v in (good, good * 1.01, poor * 1.01)] == ["good", "needs improvement", "poor"]
    assert Metric.of("lcp").format(2400) == "2.4 s" and Metric.of("cls").format(0.154) == "0.154"


def test_runs_are_planned_and_steps_are_found_in_pages():
    plan = lab.plan_runs(pages_of("old", 900, pairs=8), effect="10%", metric="lcp")
    assert plan.pairs >= 3 and "all pages" in plan.sentence
    slow = pages_of("slow", 1500, pairs=12, seed=2)
    later = slow.runs.assign(start=slow.runs["start"] + pd.Timedelta(days=1))
    history = pages_of("old", 900, pairs=12) + lab.Measurements.of(runs=later, vitals=slow.vitals)
    found = lab.change_points(history, metric="lcp", allow=("arms",))
    assert found.table["run"].tolist() == ["slow-1"]
