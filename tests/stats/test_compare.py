"""Verdicts: designs, gates, invariances, and what must never get one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import arm, both, codes, measured, steady, why

import perflab as lab

DIRECTIONAL = ("improved", "regressed")
BEFORE, AFTER = steady(100, 8, seed=1), steady(80, 8, seed=2)


def test_a_clear_gain_in_pairs() -> None:
    change = lab.compare(*both(BEFORE, AFTER), warmup=0)
    assert change.verdict == "improved"
    assert change.not_worse
    row = change.row
    assert row["change"] == pytest.approx(np.exp(np.mean(np.log(AFTER)) - np.mean(np.log(BEFORE))) - 1, abs=1e-3)
    assert row["change_low"] < row["change"] < row["change_high"] < 0
    assert "fell by" in change.sentence and "8 pairs" in change.sentence


def test_a_clear_loss_fails_the_gate() -> None:
    change = lab.compare(*both(AFTER, BEFORE))
    assert change.verdict == "regressed"
    assert not change.not_worse


def test_no_difference_is_equivalent_and_a_wide_interval_is_not() -> None:
    assert lab.compare(*both(steady(100, 8, 0.01, 1), steady(100, 8, 0.01, 2))).verdict == "equivalent"
    wide = lab.compare(*both(steady(100, 8, 0.2, 1), steady(100, 8, 0.2, 2)))
    assert wide.verdict == "inconclusive"
    assert why(wide) == "wide-interval" and wide.advice.facts["count"] > 0


@pytest.mark.parametrize(
    ("runs", "paired", "method"),
    [
        (8, True, "paired t-test, 8 pairs"),
        (4, True, "least squares with a trend (few runs), 4 pairs"),
        (8, False, "Welch's t-test, 8 and 8 runs"),
    ],
)
def test_the_design_chooses_the_test(runs: int, paired: bool, method: str) -> None:
    change = lab.compare(*both(BEFORE[:runs], AFTER[:runs], paired=paired))
    assert change.method == method
    assert change.verdict == "improved"


def test_two_pairs_are_too_few() -> None:
    change = lab.compare(*both(BEFORE[:2], AFTER[:2]))
    assert change.verdict == "inconclusive"
    assert why(change) == "few-pairs"


def test_one_against_one_never_has_a_direction() -> None:
    change = lab.compare(*both([100.0], [10.0], count=2000))
    assert change.verdict == "inconclusive"
    assert change.row["change"] == pytest.approx(-0.9, abs=0.01)
    assert change.row["change_high"] < -0.8
    assert "these two runs only" in change.sentence
    assert np.isnan(change.row["p_value"])


def test_the_next_run_of_a_series_is_held_against_its_history() -> None:
    history, _ = both(steady(100, 8, seed=3), [1.0], paired=False)
    _, one = both([1.0], [150.0], paired=False)
    late = one.assign(start=one["start"] + pd.Timedelta(seconds=8 * 80))
    change = lab.compare(history, late)
    assert change.verdict == "regressed"
    assert "prediction interval" in change.method
    assert codes(change, "against-history")
    much_later = one.assign(start=one["start"] + pd.Timedelta(days=3))
    assert lab.compare(history, much_later).verdict == "inconclusive"


def test_one_arm_after_the_other_is_capped_unless_lifted() -> None:
    before, after = both(BEFORE, AFTER, paired=False)
    late = after.assign(start=after["start"] + pd.Timedelta(hours=1))
    capped = lab.compare(before, late)
    assert capped.verdict == "inconclusive"
    assert why(capped) == "order-confounded"
    assert capped.row["change"] == pytest.approx(-0.2, abs=0.03)
    lifted = lab.compare(before, late, order="ignore")
    assert lifted.verdict == "improved"
    assert [f["problem"].code for f in codes(lifted, "order-ignored")] == ["order-confounded"]


def test_a_pair_column_does_not_undo_a_confounded_order() -> None:
    before, after = both(BEFORE, AFTER)
    late = after.assign(start=after["start"] + pd.Timedelta(hours=1))
    assert lab.compare(before, late).verdict == "inconclusive"
    assert lab.compare(before, late, order="ignore").verdict == "improved"


def test_pairs_that_always_began_with_the_same_arm_get_no_direction() -> None:
    before, after = arm(BEFORE, name="b"), arm(AFTER, name="c", first=40.0, seed=2)
    for sides, first in (((before, after), "baseline"), ((after, before), "candidate")):
        change = lab.compare(*sides)
        assert (change.verdict, why(change)) == ("inconclusive", "order-confounded")
        assert dict(change.find().reasons[0].facts) == {"pairs": 8, "arm": first}
        assert lab.compare(*sides, order="ignore").verdict in DIRECTIONAL
    assert lab.compare(*both(BEFORE, AFTER)).verdict == "improved"


def test_throughput_is_better_when_higher() -> None:
    before, after = both(steady(100, 6), steady(100, 6))
    more = pd.concat([after, after.assign(start=after["start"] + pd.Timedelta(milliseconds=50))])
    assert lab.compare(before, more, metric="throughput_per_s").verdict == "improved"
    assert lab.compare(more, before, metric="throughput_per_s").verdict == "regressed"


def test_the_share_of_errors_is_a_difference_with_its_own_margin() -> None:
    shares = [0.1, 0.12, 0.11, 0.13, 0.1, 0.12, 0.11, 0.1]
    before, _ = both(BEFORE, AFTER, errors=0.0)
    _, after = both(BEFORE, BEFORE, errors=shares)
    change = lab.compare(before, after, metric="error_fraction")
    assert change.verdict == "regressed"
    assert change.row["change"] == pytest.approx(np.mean(shares), abs=0.02)
    assert "points" in change.sentence


def test_no_error_in_either_arm_still_has_an_interval() -> None:
    row = lab.compare(*both(BEFORE, AFTER), metric="error_fraction").row
    assert row["verdict"] == "equivalent"
    assert row["change_low"] < 0 < row["change_high"] < 0.01


def test_shares_differ_by_no_more_than_the_whole() -> None:
    before, _ = both(BEFORE, AFTER, errors=1.0)
    _, after = both(BEFORE, AFTER, errors=0.0)
    change = lab.compare(before, after, metric="error_fraction")
    assert change.verdict == "improved"
    assert (change.row["change"], change.row["change_low"]) == (-1.0, -1.0)


def test_a_run_that_broke_half_way_is_pointed_at() -> None:
    before, after = both(BEFORE, AFTER)
    broken = (before["run"] == "b2") & (before["start"] > before.loc[before["run"] == "b2", "start"].median())
    fast = before.assign(ok=~broken, latency_ms=before["latency_ms"].where(~broken, 0.2))
    found = codes(lab.compare(fast, after), "failing-run")
    assert [(f["run"], f["arm"]) for f in found] == [("b2", "baseline")]
    assert found[0]["failed_fraction"] == pytest.approx(0.556, abs=1e-3)
    assert not codes(lab.compare(before, after), "failing-run")


def test_failing_fast_is_no_improvement() -> None:
    before, _ = both(BEFORE, AFTER)
    _, after = both(BEFORE, AFTER, errors=0.2)
    change = lab.compare(before, after)
    assert change.verdict == "inconclusive"
    assert (why(change), change.find().reasons[0].facts["after"]) == ("failing-fast", "20.1 %")


def test_as_fast_with_more_failures_is_neither_equivalent_nor_not_worse() -> None:
    level = np.array(BEFORE)
    near = level * [1.002, 0.997, 1.001, 0.999, 1.003, 0.998, 1.001, 0.999]
    before, after = both(level, near)
    assert (same := lab.compare(before, after)).verdict == "equivalent"
    assert same.not_worse
    _, failing = both(level, near, errors=0.08)
    change = lab.compare(before, failing)
    assert (change.verdict, change.not_worse) == ("inconclusive", False)
    assert (why(change), change.find().reasons[0].facts["after"]) == ("failing-fast", "7.78 %")
    assert lab.compare(before, failing, metric="error_fraction").verdict == "regressed"
    _, slower = both(level, level * 1.5, errors=0.08)
    assert why(lab.compare(before, slower)) == "more-failures"


def test_all_requests_of_an_arm_without_an_endpoint_are_not_the_same_work() -> None:
    level = np.array(BEFORE)
    before, after = both({"GET /": level, "GET /slow": level * 3}, {"GET /": level, "GET /slow": level * 3.1})
    left = after[after["endpoint"] != "GET /slow"]
    assert codes(lab.compare(before, left), "endpoint-in-one-arm") == [{"endpoints": ["GET /slow"]}]
    assert not codes(lab.compare(before, after), "endpoint-in-one-arm")
    assert not codes(lab.compare(before, left, primary="GET /"), "endpoint-in-one-arm")


@pytest.mark.parametrize("metric", ["p0.95", 0.95, "0.95", 95, "P95", "p101"])
def test_a_percentile_written_otherwise_is_no_other_percentile(metric: object) -> None:
    with pytest.raises(ValueError, match='"p95" or any "p<q>" from p1 to p100'):
        lab.compare(*both(BEFORE, AFTER, count=2000), metric=metric)  # type: ignore[arg-type]


def test_both_arms_on_one_side_are_told_as_such() -> None:
    before, after = both(BEFORE, AFTER)
    sides = [measured(frame, arm=name) for frame, name in ((before, "old"), (after, "new"))]
    with pytest.raises(lab.ComparisonError, match=r"the baseline .*more than one arm \(new, old\)"):
        lab.compare(sides[0] + sides[1], sides[1])


def test_what_was_interrupted_can_be_left_out_and_what_failed_is_not_offered() -> None:
    before, after = both(BEFORE, AFTER)
    for code, offered in (("interrupted", True), ("failures", False)):
        valid = [i > 0 for i in range(after["run"].nunique())]
        stopped = measured(after, valid=valid, reason_codes=[[] if well else [code] for well in valid])
        with pytest.raises(lab.ComparisonError) as refused:
            lab.compare(before, stopped)
        assert (".where(valid=True)" in str(refused.value)) is offered
    assert codes(lab.compare(before, stopped.where(valid=True)), "without-partner") == [{"runs": 1}]


def test_several_metrics_in_one_call_the_first_decides() -> None:
    change = lab.compare(*both(BEFORE, AFTER), metric=["p50", "p90", "mean", "error_fraction"])
    assert change.metrics == ("p50", "p90", "mean", "error_fraction")
    assert len(change.table) == 4 * 2
    assert change.row["metric"] == "p50"
    alone = lab.compare(*both(BEFORE, AFTER), metric="p50").row
    assert change.row["p_adjusted"] == alone["p_adjusted"]


def test_primaries_decide_together_by_the_worst_of_them() -> None:
    before, after = both({"a": BEFORE, "b": AFTER, "c": BEFORE}, {"a": AFTER, "b": BEFORE, "c": BEFORE})
    change = lab.compare(before, after, primary=["a", "b"])
    assert change.verdict == "regressed"
    assert change.endpoint == "b"
    assert "a improved, b regressed" in change.sentence
    table = change.table.set_index("endpoint")
    assert table.loc["a", "p_adjusted"] >= table.loc["a", "p_value"]


def test_exploring_uses_benjamini_and_hochberg() -> None:
    levels = {f"e{i}": steady(100, 8, 0.05, i) for i in range(6)}
    others = {f"e{i}": steady(95, 8, 0.05, i + 50) for i in range(6)}
    family, explored = (lab.compare(*both(levels, others), adjust=how) for how in ("family", "explore"))
    assert (explored.table["p_adjusted"] <= family.table["p_adjusted"] + 1e-12)[1:].all()
    assert "Benjamini" in explored.family


# What must never get a direction


def test_too_few_requests() -> None:
    change = lab.compare(*both(BEFORE, AFTER, count=60))
    assert change.verdict == "inconclusive"
    assert why(change) == "too-few-requests"
    # 55 of 60 are left of 30 s: 200 take about two minutes.
    assert "1.82 min" in str(change.advice)
    assert lab.compare(*both(BEFORE, AFTER, count=60), metric="p50").verdict == "improved"


def test_a_verdict_on_few_requests_comes_with_a_warning() -> None:
    change = lab.compare(*both(BEFORE, AFTER, count=100))
    assert change.verdict == "improved"
    assert codes(change, "few-requests") == [{"metric": "p95", "found": 90, "needed": 200}]
    assert not codes(lab.compare(*both(BEFORE, AFTER, count=300)), "few-requests")


def test_what_a_summary_leaves_out_is_no_number_here() -> None:
    rare = lab.compare(*both(BEFORE, AFTER, count=20))
    assert rare.table[["baseline", "candidate", "change", "p_value"]].isna().all(axis=None)


def test_a_run_of_three_requests() -> None:
    before, after = both(BEFORE, AFTER)
    short = after[after["run"] == "c0"].groupby("run").head(3)
    cut = pd.concat([short, after[after["run"] != "c0"]])
    for metric in ("p95", "mean", "error_fraction", "throughput_per_s"):
        assert lab.compare(before, cut, metric=metric).verdict == "inconclusive"


def test_an_endpoint_in_one_arm_only() -> None:
    before, after = both({"a": BEFORE, "gone": BEFORE}, {"a": AFTER, "new": AFTER})
    table = lab.compare(before, after).table.set_index("endpoint")
    assert table.loc["a", "verdict"] == "improved"
    for name in ("gone", "new"):
        assert table.loc[name, "verdict"] == "inconclusive"
        assert why(lab.compare(before, after), name) == "no-requests"
    assert lab.compare(before, after, primary="gone").verdict == "inconclusive"


def test_an_endpoint_that_some_runs_never_called() -> None:
    before, after = both({"a": BEFORE, "b": BEFORE}, {"a": AFTER, "b": AFTER})
    partly = after[~((after["endpoint"] == "b") & after["run"].isin(["c0", "c1"]))]
    row = lab.compare(before, partly).find("b")
    assert row.verdict == "inconclusive"
    assert (row.reason_code, dict(row.reasons[0].facts)) == ("runs-without-requests", {"without": 2, "runs": 16})


def test_runs_of_unequal_length() -> None:
    before, after = both(BEFORE, AFTER)
    odd = after[(after["run"] != "c0") | (after["start"] < after["start"].min() + pd.Timedelta(seconds=10))]
    change = lab.compare(before, odd, metric="p50")
    assert change.verdict == "inconclusive"
    assert why(change) == "unequal-length"
    assert lab.compare(before, odd, metric="p50", allow="length").verdict == "improved"
    longer, _ = both(BEFORE, AFTER, count=900, seconds=75.0)
    assert lab.compare(longer, after).verdict == "inconclusive"


def test_a_fixed_number_of_requests_makes_faster_runs_shorter_and_is_fine() -> None:
    before, _ = both(BEFORE, AFTER, seconds=30)
    _, after = both(BEFORE, AFTER, seconds=15)
    assert lab.compare(before, after).verdict == "improved"


def test_copies_of_a_run_are_no_repetitions() -> None:
    change = lab.compare(*both([100.0] * 6, [80.0] * 6), warmup=0)
    assert change.verdict == "inconclusive"
    assert why(change) == "no-variance"


def test_a_difference_of_one_tick_of_a_coarse_clock() -> None:
    before, after = both(steady(12.0, 8, 0.004, 1), steady(12.6, 8, 0.004, 2), shape=0.01)
    rounded = [f.assign(latency_ms=f["latency_ms"].round()) for f in (before, after)]
    assert lab.compare(*rounded).verdict not in DIRECTIONAL


@pytest.mark.parametrize("tick", [10.0, 5.0, 0.1])
@pytest.mark.parametrize("runs", [6, 40])
def test_a_clock_too_coarse_for_the_difference_proves_nothing_equal(tick: float, runs: int) -> None:
    """Every run's median falls on the same tick, whatever the true difference: no spread, and no certainty either."""
    before, after = both([1.0 * tick] * runs, [1.05 * tick] * runs, shape=0.01)
    rounded = [f.assign(latency_ms=np.round(f["latency_ms"] / tick) * tick) for f in (before, after)]
    change = lab.compare(*rounded, metric="p50")
    assert change.verdict == "inconclusive"
    assert change.row["change_low"] < 0.05 < change.row["change_high"]


def test_a_coarse_clock_does_not_spoil_a_mean() -> None:
    before, after = both(steady(40, 8, 0.01, 1), steady(36, 8, 0.01, 2), shape=0.5, count=1_000)
    rounded = [f.assign(latency_ms=np.round(f["latency_ms"] / 10) * 10) for f in (before, after)]
    exact, coarse = (lab.compare(*sides, metric="mean").row for sides in ((before, after), rounded))
    assert (exact["verdict"], coarse["verdict"]) == ("improved", "improved")
    assert coarse["change"] == pytest.approx(exact["change"], abs=0.01)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: f.assign(latency_ms=np.nan), "latency_ms"),
        (lambda f: f.assign(latency_ms=-f["latency_ms"]), "negative"),
        (lambda f: f.assign(start=f["start"].dt.tz_localize(None)), "time zone"),
        (lambda f: f.drop(columns="latency_ms"), "missing"),
    ],
)
def test_a_broken_table_is_a_schema_error(damage: object, expected: str) -> None:
    before, after = both(BEFORE, AFTER)
    with pytest.raises(lab.SchemaError, match=expected):
        lab.compare(before, damage(after))  # type: ignore[operator]


def test_an_empty_frame_is_a_comparison_error() -> None:
    before, after = both(BEFORE, AFTER)
    with pytest.raises(lab.ComparisonError, match="no requests"):
        lab.compare(before, after.head(0))


def test_what_is_no_table_and_an_endpoint_that_is_all_of_them() -> None:
    before, after = both(BEFORE, AFTER)
    with pytest.raises(ValueError, match="got list"):
        lab.compare([1, 2], after)  # type: ignore[arg-type]
    with pytest.raises(lab.ComparisonError, match="rename the endpoint"):
        lab.compare(before.assign(endpoint="Aggregated"), after)


@pytest.mark.parametrize(("first", "second"), [(1, 3), (2, 2), (3, 1), (6, 2)])
def test_too_few_runs_of_an_arm(first: int, second: int) -> None:
    change = lab.compare(*both(BEFORE[:first], [10.0] * second, paired=False))
    assert change.verdict == "inconclusive"
    assert why(change) == "few-runs"


def test_duplicate_indices_do_not_matter() -> None:
    before, after = both(BEFORE, AFTER)
    after.index = pd.Index(np.zeros(len(after), dtype=int))
    assert lab.compare(before, after).row["change"] == lab.compare(*both(BEFORE, AFTER)).row["change"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"metric": "p95th"}, "p95th"),
        ({"metric": "median"}, "median"),
        ({"metric": []}, "metric"),
        ({"metric": "p0"}, "p0"),
        ({"tolerance": 5}, "tolerance"),
        ({"tolerance": "0%"}, "tolerance"),
        ({"error_tolerance": -1}, "error_tolerance"),
        ({"primary": "GET /nowhere"}, "GET /nowhere"),
        ({"primary": list("abcd")}, "three"),
        ({"warmup": 2}, "warmup"),
        ({"order": "never"}, "order"),
        ({"allow": "everything"}, "everything"),
        ({"adjust": "none"}, "adjust"),
        ({"pacing": "-1s"}, "pacing"),
        ({"pacing": "1us"}, "never offered"),
        ({"metric": None}, "metric"),
        ({"metric": 95}, "got 95"),
    ],
)
def test_a_bad_argument_is_a_value_error_that_names_it(options: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        lab.compare(*both(BEFORE, AFTER), **options)  # type: ignore[arg-type]


def test_the_maximum_is_not_tested() -> None:
    assert lab.compare(*both(BEFORE, AFTER), metric="p100").verdict == "inconclusive"


def test_two_experiments_in_one_arm_are_refused() -> None:
    before, after = both(BEFORE, AFTER)
    again = before.assign(run=before["run"] + "again", start=before["start"] + pd.Timedelta(days=1))
    with pytest.raises(lab.ComparisonError, match="several runs of pair 0"):
        lab.compare(pd.concat([before, again]), after)


def test_a_run_named_twice_is_refused() -> None:
    before, after = both(BEFORE, AFTER)
    held = lab.Measurements.of(requests=before)
    twice = lab.Measurements.of(runs=pd.concat([held.runs, held.runs.head(1)]), requests=before)
    with pytest.raises(lab.ComparisonError, match="more than one run called 'b0'"):
        lab.compare(twice, after)


# What else differed


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("valid", (True, False), "invalid"),
        ("environment", ({"generator": "locust 2.4"}, {"generator": "k6 1.1"}), "generator"),
        ("plan", ({"users": 5}, {"users": 50}), "plan"),
    ],
)
def test_what_must_not_be_compared_is_refused_unless_allowed(column: str, values: tuple, kind: str) -> None:
    sides = [measured(f, **{column: v}) for f, v in zip(both(BEFORE, AFTER), values, strict=True)]
    with pytest.raises(lab.ComparisonError, match=kind):
        lab.compare(*sides)
    allowed = lab.compare(*sides, allow=kind)
    assert allowed.verdict == "improved"
    assert [f["problem"].code for f in codes(allowed, "allowed")] == [kind]


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("cpu_model", ("EPYC", "Xeon"), "EPYC and Xeon"),
        ("cpu_count", (2, 8), "cores"),
        ("packages", ({"flask": "3.0"}, {"flask": "3.1"}), "flask 3.0 and 3.1"),
        ("git_sha", ("a" * 40, "b" * 40), "fine if that is the change"),
        ("python", ("3.11", "3.12"), "Python"),
    ],
)
def test_residue_is_named_with_its_values(key: str, values: tuple, words: str) -> None:
    sides = [measured(f, environment={key: v}) for f, v in zip(both(BEFORE, AFTER), values, strict=True)]
    assert any(words in str(w) for w in lab.compare(*sides).warnings if w.code == "confounder")


def test_another_port_is_no_residue_and_another_machine_is() -> None:
    frames = both(BEFORE, AFTER)
    for hosts, expected in ((("http://a:1", "http://a:2"), 0), (("http://a:1", "http://b:1"), 1)):
        sides = [measured(f, host=h) for f, h in zip(frames, hosts, strict=True)]
        assert [f["name"] for f in codes(lab.compare(*sides), "confounder")] == ["host"] * expected


# Invariances


def verdicts(change: lab.Change) -> dict[str, str]:
    return dict(zip(change.table["endpoint"], change.table["verdict"], strict=True))


PAIR = (
    {"a": steady(100, 6, 0.05, 1), "b": steady(50, 6, 0.05, 2)},
    {"a": steady(90, 6, 0.05, 3), "b": steady(50, 6, 0.05, 4)},
)


def test_the_unit_does_not_matter() -> None:
    before, after = both(*PAIR)
    here = lab.compare(before, after).table
    there = lab.compare(*(f.assign(latency_ms=f["latency_ms"] * 10) for f in (before, after))).table
    same = ["change", "change_low", "change_high", "p_value", "p_adjusted"]
    pd.testing.assert_frame_equal(here[same], there[same])
    assert list(here["verdict"]) == list(there["verdict"])


def test_the_order_of_rows_does_not_matter() -> None:
    before, after = both(*PAIR)
    here = lab.compare(before, after).table
    there = lab.compare(before.sample(frac=1, random_state=1), after.sample(frac=1, random_state=2)).table
    pd.testing.assert_frame_equal(here, there)


def test_the_names_of_runs_do_not_matter() -> None:
    before, after = both(*PAIR)
    names = {f"{side}{i}": f"x{(7 * i) % 6}-{side}" for side in "bc" for i in range(6)}
    renamed = [f.assign(run=f["run"].map(names)) for f in (before, after)]
    pd.testing.assert_frame_equal(lab.compare(before, after).table, lab.compare(*renamed).table)


@pytest.mark.parametrize("paired", [True, False])
def test_exchanging_the_arms_turns_the_ratio_around(paired: bool) -> None:
    before, after = both(*PAIR, paired=paired)
    there, back = lab.compare(before, after).table, lab.compare(after, before).table
    assert (1 + there["change"]).to_numpy() == pytest.approx(1 / (1 + back["change"]).to_numpy())
    assert (1 + there["change_low"]).to_numpy() == pytest.approx(1 / (1 + back["change_high"]).to_numpy())
    opposite = {"improved": "regressed", "regressed": "improved"}
    assert list(back["verdict"]) == [opposite.get(v, v) for v in there["verdict"]]


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("runs", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("metric", ["p95", "mean", "error_fraction", "throughput_per_s"])
def test_runs_against_themselves_are_inconclusive_and_say_why(paired: bool, runs: int, metric: str) -> None:
    same, _ = both(steady(100, runs, 0.2), [1.0] * runs, paired=paired, errors=0.1)
    for order in ("auto", "ignore"):
        change = lab.compare(same, same, metric=metric, order=order)
        assert set(change.table["verdict"]) == {"inconclusive"}
        assert set(change.details["reason_code"]) == {"same-runs"}
        assert change.table[["change", "change_low", "change_high", "p_value"]].isna().all(axis=None)
        assert "0 to 0" not in f"{change!r} {change.explain()!r}"
        assert not change.not_worse


def test_copies_under_other_names_and_at_other_times_are_found_too() -> None:
    before, after = both(BEFORE, AFTER, paired=False)
    copied = before.assign(run="copy of " + before["run"], start=before["start"] + pd.Timedelta(seconds=37))
    assert why(lab.compare(before, copied.sample(frac=1, random_state=1))) == "same-runs"
    partly = pd.concat([after, copied[copied["run"].isin(["copy of b1", "copy of b2"])]])
    facts = lab.compare(before, partly).find().reasons[0].facts
    assert dict(facts) == {"runs": 2, "named": "b1 is copy of b1, b2 is copy of b2"}
    inside = pd.concat([before, copied[copied["run"] == "copy of b3"]])
    assert dict(lab.compare(inside, after).find().reasons[0].facts) == {"arm": "baseline", "named": "b3 is copy of b3"}


def test_a_history_that_holds_the_run_in_question_says_so() -> None:
    history, _ = both(steady(100, 8, seed=3), [1.0], paired=False)
    change = lab.compare(history, history[history["run"] == "b7"])
    assert change.verdict == "inconclusive"
    assert dict(change.find().reasons[0].facts) == {"runs": 1, "named": "b7"}
    with pytest.raises(lab.ComparisonError, match="nothing was compared"):
        lab.quantile_shift(history, history)


def test_a_coarse_clock_that_writes_equal_latencies_makes_no_copies() -> None:
    before, after = (f.assign(latency_ms=10.0) for f in both(BEFORE, AFTER))
    assert why(lab.compare(before, after)) != "same-runs"
    assert why(lab.compare(before, before)) == "same-runs"


@given(st.integers(0, 1000), st.sampled_from([5, 8]), st.booleans())
@settings(max_examples=5, deadline=None)
def test_a_further_endpoint_never_decides_another(seed: int, runs: int, paired: bool) -> None:
    sides = [
        {f"e{i}": steady(level, runs, 0.05, seed + 100 * i + s) for i in range(5)} for s, level in ((0, 100), (50, 91))
    ]
    before, after = both(*sides, paired=paired, count=220)
    previous: dict[str, str] = {}
    for count in range(1, 6):
        names = [f"e{i}" for i in range(count)]
        found = verdicts(lab.compare(*(f[f["endpoint"].isin(names)] for f in (before, after)), metric="p90"))
        for name in names[:-1]:
            assert found[name] == previous[name] or found[name] == "inconclusive"
        previous = found


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_one_against_one_with_any_luck(seed: int) -> None:
    before, after = both(steady(100, 1, 0.5, seed), steady(100, 1, 0.5, seed + 1), count=220)
    assert lab.compare(before, after).verdict == "inconclusive"
