"""The account: components that add up to the difference of the quantiles, whatever the data."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perflab as lab
from perflab.errors import MissingTableError
from perflab.metrics import Metric
from perflab.stats.estimates import harrell_davis
from perflab.traces.components import REST, Parts, weighted

START = pd.Timestamp("2026-01-01T00:00:00Z")
NAMES = ("queue", "database", "cpu")


def measured(arm: str, runs: int, requests: int, random: np.random.Generator, *, added: float = 0.0, first: int = 0,
             endpoints: int = 1, plain: int = 0) -> lab.Measurements:  # fmt: skip
    """Runs with components, the last ``plain`` of them without; interleaved in time with those of another ``first``."""
    rows, parts, known = [], [], []
    for number in range(runs):
        run = f"{arm}-{number}"
        began = START + pd.Timedelta(20 * number + 10 * ((first + number) % 2), "s")
        known.append({"run": run, "arm": arm, "start": began, "duration_ms": 9_000.0, "valid": True, "pair": number})
        values = random.gamma(2, 5, (requests, len(NAMES))) * (1 + 0.05 * random.standard_normal())
        values[:, 1] += added
        ids = [f"{run}-{i}" for i in range(requests)]
        rows.append(
            pd.DataFrame(
                {
                    "run": run, "endpoint": [f"GET /{i % endpoints}" for i in range(requests)], "request": ids,
                    "start": began + pd.to_timedelta(np.linspace(0, 8_000, requests), "ms"), "ok": True,
                    "latency_ms": values.sum(1) + random.gamma(1, 2, requests),
                }
            )
        )  # fmt: skip
        if number < runs - plain:
            for place, name in enumerate(NAMES):
                parts.append(
                    pd.DataFrame({"run": run, "request": ids, "component": name, "duration_ms": values[:, place]})
                )
    return lab.Measurements.of(runs=pd.DataFrame(known), requests=pd.concat(rows), components=pd.concat(parts))


@given(
    seed=st.integers(0, 2**32 - 1), metric=st.sampled_from(["p1", "p50", "p90", "p95", "p99.9", "p100", "mean"]),
    pairs=st.integers(1, 6), requests=st.integers(1, 60), endpoints=st.integers(1, 3), digits=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=6, deadline=None)
def test_components_add_up_to_the_difference_of_the_quantiles(seed, metric, pairs, requests, endpoints, digits):
    random = np.random.default_rng(seed)
    before = measured("a", pairs, requests * endpoints, random, endpoints=endpoints)
    after = measured("b", pairs, requests * endpoints, random, added=3, first=1, endpoints=endpoints)
    for side in (before, after):
        side.requests["latency_ms"] = side.requests["latency_ms"].round(digits)
    for endpoint in ("GET /0", "Aggregated"):
        found = lab.account(before, after, endpoint=endpoint, metric=metric, warmup=0)
        whole = [_quantiles(side, endpoint, metric) for side in (before, after)]
        assert found.table["change_ms"].sum() == pytest.approx(whole[1] - whole[0], abs=1e-9)
        assert (found.baseline_ms, found.candidate_ms) == pytest.approx(tuple(whole), abs=1e-9)
        assert found.table["component"].iloc[-1] == REST
        by_run = found.values.groupby("run")["value_ms"].sum()
        assert len(by_run) == 2 * pairs


@given(
    values=st.lists(st.lists(st.floats(-1e4, 1e6), min_size=4, max_size=4), min_size=1, max_size=80),
    metric=st.sampled_from(["p1", "p50", "p95", "p99.9", "p100", "min", "max", "mean"]), digits=st.integers(-2, 6),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_the_components_of_a_run_add_up_to_its_quantile(values, metric, digits):
    parts = np.round(np.array(values), digits)
    latency = parts.sum(axis=1)
    run = Parts(("r",), ("a", "b", "c", REST), np.zeros(len(parts), int), latency, parts, np.arange(len(parts)), 0.0)
    total, own = run.consists("r", Metric.of(metric))
    kind = Metric.of(metric)
    of = {None: np.mean, 1.0: np.max, 0.0: np.min}.get(kind.share, lambda v: harrell_davis(v, kind.share))
    scale = max(1.0, float(np.abs(parts).max()))
    assert own.sum() == pytest.approx(total, abs=1e-12 * scale) and total == pytest.approx(
        of(latency), abs=1e-12 * scale
    )
    order = np.random.default_rng(1).permutation(len(parts))
    mixed = Parts(("r",), run.names, run.run, latency[order], parts[order], order, 0.0).consists("r", kind)
    np.testing.assert_allclose(mixed[1], own, atol=1e-9 * scale)


def _quantiles(side: lab.Measurements, endpoint: str, metric: str) -> float:
    """The mean over the runs of the metric, by another way than the account's."""
    requests = side.requests if endpoint == "Aggregated" else side.requests[side.requests["endpoint"] == endpoint]
    kind = Metric.of(metric)
    of = {None: np.mean, 1.0: np.max}.get(kind.share, lambda v: harrell_davis(v, kind.share))
    return float(np.mean([of(own["latency_ms"].to_numpy()) for _, own in requests.groupby("run")]))


def test_the_order_of_rows_and_the_names_of_requests_do_not_matter():
    random = np.random.default_rng(3)
    before, after = measured("a", 4, 50, random), measured("b", 4, 50, random, added=5, first=1)
    for side in (before, after):
        side.requests["latency_ms"] = side.requests["latency_ms"].round(0)
    shuffled = lab.Measurements.of(
        runs=after.runs, requests=after.requests.sample(frac=1, random_state=1), components=after.components[::-1]
    )
    one, two = (lab.account(before, side).table for side in (after, shuffled))
    pd.testing.assert_frame_equal(one, two)


def test_a_change_in_one_component_is_found_there_and_turned_round_is_its_opposite():
    random = np.random.default_rng(5)
    before, after = measured("a", 6, 300, random), measured("b", 6, 300, random, added=8, first=1)
    found, back = lab.account(before, after), lab.account(after, before)
    table = found.table.set_index("component")
    assert found.largest == "database" and table.loc["database", "verdict"] == "regressed"
    assert table.loc["database", "change_low_ms"] < 8 < table.loc["database", "change_high_ms"]
    np.testing.assert_allclose(found.table["change_ms"], -back.table["change_ms"])
    assert set(back.table.set_index("component").loc["database", ["verdict"]]) == {"improved"}
    assert "database +" in found.sentence and {"no-cause"} <= {note.code for note in found.warnings}


def test_an_arm_against_itself_has_no_direction():
    random = np.random.default_rng(6)
    before = measured("a", 6, 200, random)
    found = lab.account(before, before)
    assert set(found.table["verdict"]) == {"inconclusive"} and found.change_ms == 0


def test_one_arm_alone_and_one_run():
    one = measured("a", 1, 100, np.random.default_rng(7))
    found = lab.account(one, metric="mean", warmup=0)
    assert found.baseline_ms == pytest.approx(one.requests["latency_ms"].mean())
    assert list(found.table["component"]) == [*NAMES, REST] and found.table["baseline_low_ms"].isna().all()
    assert "–" in repr(found) and found._repr_html_()


def test_recorded_runs_make_the_account_and_the_others_stand_beside_it():
    random = np.random.default_rng(8)
    before, after = measured("a", 8, 300, random, plain=4), measured("b", 8, 300, random, added=8, first=1, plain=4)
    found = lab.account(before, after)
    assert set(found.values["run"]) == {f"{arm}-{i}" for arm in "ab" for i in range(4)}
    assert found.measured is not None and "two-totals" in {note.code for note in found.warnings}


def test_requests_without_a_record_count_as_rest():
    random = np.random.default_rng(9)
    before, after = measured("a", 4, 100, random), measured("b", 4, 100, random, first=1)
    kept = after.components[after.components["request"].str.endswith(("1", "2", "3"))]
    found = lab.account(before, lab.Measurements.of(runs=after.runs, requests=after.requests, components=kept))
    note = next(note for note in found.warnings if note.code == "unrecorded-requests")
    assert note.facts["share_fraction"] == pytest.approx(0.7, abs=0.05)
    assert found.table.set_index("component").loc[REST, "change_ms"] > 5


def test_refusals():
    one = measured("a", 2, 30, np.random.default_rng(1))
    bare = lab.Measurements.of(runs=one.runs, requests=one.requests)
    with pytest.raises(MissingTableError, match="account=True"):
        lab.account(bare)
    with pytest.raises(MissingTableError, match="ids"):
        lab.account(lab.Measurements.of(requests=one.requests.drop(columns="request"), components=one.components))
    with pytest.raises(ValueError, match="metric must be"):
        lab.account(one, metric="throughput_per_s")
    with pytest.raises(ValueError, match="endpoint must be"):
        lab.account(one, endpoint="GET /other")


def test_weights_are_those_of_harrell_and_davis():
    values = np.random.default_rng(2).gamma(2, 5, 999)
    order, weights = weighted(values, Metric.of("p95"))
    assert weights @ values[order] == pytest.approx(harrell_davis(values, 0.95), abs=1e-12)
    assert weights.sum() == pytest.approx(1)


def test_calibration_small():
    """The simulation of datasets/calibration/accounts.csv, 100 times: a fault of the estimator would be far outside."""
    place = Path(__file__).parents[2] / "bench" / "calibrate_accounts.py"
    spec = importlib.util.spec_from_file_location("calibrate_accounts", place)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    found = bench.of_scenario("database +8 ms", 100, truth=(100, 5_000))
    assert found["coverage"].between(0.85, 1).all()
    assert found.set_index("component").loc["database", "called_changed"] > 0.5


def test_the_calibration_holds():
    place = Path(__file__).parents[2] / "datasets" / "calibration" / "accounts.csv"
    table = pd.read_csv(place)
    assert table["repetitions"].min() >= 2_000 and table["scenario"].nunique() >= 4
    assert table["coverage"].between(0.92, 0.98).all()
    assert table.loc[table["scenario"] == "A/A", "any_called_changed"].max() <= 0.065
