"""Calibration: the naive tests against their peers, and one system against itself."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import perflab as lab
from perflab.notes import codes
from perflab.stats import relabelling

START = pd.Timestamp("2026-11-24T01:45:00Z")


def system(
    sd: float = 0.08, *, runs: int = 16, count: int = 800, drift: float = 0.0, seed: int = 1, arms: bool = False
) -> lab.Measurements:
    random = np.random.default_rng(seed)
    luck = np.exp(random.normal(0, sd, runs) + np.linspace(0, drift, runs))
    names = [f"r{i:02d}" for i in range(runs)]
    start = START + pd.to_timedelta(np.arange(runs) * 40.0, unit="s")
    table = pd.DataFrame({"run": names, "arm": [("A", "B")[i % 2] if arms else "now" for i in range(runs)],
                          "start": start, "duration_ms": 30e3, "valid": True})  # fmt: skip
    requests = pd.DataFrame({
        "run": np.repeat(names, count), "endpoint": "GET /", "ok": True,
        "start": np.repeat(start, count) + pd.to_timedelta(np.tile(np.linspace(0, 29.9, count), runs), unit="s"),
        "latency_ms": (random.lognormal(3, 0.5, runs * count) * np.repeat(luck, count)).round(1),
    })  # fmt: skip
    return lab.Measurements.of(runs=table, requests=requests)


def test_the_naive_tests_are_their_peers() -> None:
    """Every labelling's Mann-Whitney and Kolmogorov-Smirnov as scipy does them, with ties."""
    random = np.random.default_rng(2)
    latencies = [
        random.lognormal(3 + random.normal(0, 0.03), 0.5, int(n)).round(0) for n in random.integers(300, 500, 8)
    ]
    candidate = relabelling.labels(8, 60, random)
    found = relabelling.naive_alarms(latencies, candidate, 0.95)
    for row, chosen in enumerate(candidate):
        arms = [
            np.concatenate([v for v, c in zip(latencies, chosen, strict=True) if c == side]) for side in (False, True)
        ]
        peer = stats.mannwhitneyu(*arms, method="asymptotic").pvalue < 0.05
        assert found["Mann-Whitney"][row] == peer
        assert found["Kolmogorov-Smirnov"][row] == (stats.ks_2samp(*arms, method="asymp").pvalue < 0.05)


def test_the_bootstrap_by_ranks_is_the_bootstrap() -> None:
    random = np.random.default_rng(3)
    values = np.sort(random.lognormal(3, 0.5, 2000))
    drawn = relabelling._resampled(values, 0.95, np.random.default_rng(4))
    plain = [np.quantile(random.choice(values, len(values)), 0.95) for _ in range(499)]
    assert drawn.mean() == pytest.approx(np.mean(plain), rel=0.01)
    assert drawn.std() == pytest.approx(np.std(plain), rel=0.2)


def test_paired_alarms_draw_balanced_orders_and_apply_the_paired_t_test() -> None:
    """On one series: the share over all 20 balanced orders of six pairs, by scipy."""
    series = np.array([[0, 0.10, 0, -0.11, 0, 0.12, 0, -0.10, 0, 0.09, 0, -0.11]])
    differences = np.diff(series[0].reshape(6, 2))[:, 0]
    orders = [np.where(np.isin(np.arange(6), swapped), -1, 1) for swapped in combinations(range(6), 3)]
    expected = np.mean([stats.ttest_1samp(sign * differences, 0).pvalue < 0.05 for sign in orders])
    found = relabelling.paired_alarms(np.repeat(series, 4000, axis=0), np.random.default_rng(7)).mean()
    assert found == pytest.approx(expected, abs=0.03)
    assert expected == pytest.approx(2 / 20)


def test_runs_that_differ_fool_pooled_tests_and_not_perflab() -> None:
    found = lab.calibrate(system(0.08), seed=1)
    rates = found.table.set_index("procedure")["false_alarms"]
    assert rates["Mann-Whitney on pooled requests"] > 0.4
    assert rates["Kolmogorov-Smirnov on pooled requests"] > 0.25
    assert rates["perflab: randomised pairs, paired t-test on the runs"] <= 0.06
    assert found.sd == pytest.approx(0.08, rel=0.5)
    assert found.sd_low < found.sd < found.sd_high
    assert "relabelled 200 times" in repr(found)
    assert "simulation of 4,000 experiments" in found._repr_html_()


def test_runs_that_are_alike_do_not() -> None:
    """Independent requests and no difference between runs: the pooled tests keep their promise too."""
    rates = lab.calibrate(system(0.0, runs=20), seed=2).table.set_index("procedure")["false_alarms"]
    assert rates.iloc[:3].max() < 0.15


def test_a_drift_is_found_and_makes_blocks_hopeless() -> None:
    found = lab.calibrate(system(0.02, drift=0.25, runs=20), seed=3)
    assert found.drift == pytest.approx(math.expm1(0.25), abs=0.06)
    assert found.drift_p < 0.001
    rates = found.table.set_index("procedure")["false_alarms"]
    assert rates["Welch on the runs, all of one arm before the other"] > 0.9
    assert rates["perflab: randomised pairs, paired t-test on the runs"] <= 0.07
    assert "drift" in codes(found.warnings)


@pytest.mark.parametrize("drift", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("alike", [0.0, 0.4])
@pytest.mark.parametrize("runs", [10, 20])
def test_pairs_hold_under_drift_and_autocorrelation(drift: float, alike: float, runs: int) -> None:
    random = np.random.default_rng(8)
    series = relabelling.simulated_series(0.05, drift, alike, runs, 8000, random)
    assert relabelling.paired_alarms(series, random).mean() <= 0.07


def test_both_sides_of_an_experiment_or_one_arm_are_the_same() -> None:
    both = system(arms=True)
    one = lab.calibrate(system(), seed=4)
    two = lab.calibrate((both.where(arm="A"), both.where(arm="B")), seed=4)
    assert (two.sd, two.drift) == (one.sd, one.drift)
    pd.testing.assert_frame_equal(one.table, two.table)
    shuffled = lab.Measurements.of(runs=both.runs, requests=both.requests.sample(frac=1, random_state=5))
    assert lab.calibrate(shuffled, seed=4).sd == pytest.approx(one.sd)


def test_bad_input_says_what_is_wrong() -> None:
    with pytest.raises(lab.ComparisonError, match="6 runs or more"):
        lab.calibrate(system(runs=4))
    for options in ({"metric": "throughput_per_s"}, {"endpoint": "GET /x"}, {"relabellings": 3}, {"metric": "p0"}):
        with pytest.raises(ValueError, match="must"):
            lab.calibrate(system(), **options)
    with pytest.raises(ValueError, match="needs a plan"):
        lab.calibrate(lab.Target("now", host="http://127.0.0.1:1"))
    few = lab.calibrate(system(count=100), metric="p99")
    assert few.warnings[0].code == "too-few-requests"
    assert few.warnings[0].facts["needed"] == 1_000


def test_it_is_drawn(tmp_path: object) -> None:
    found = lab.calibrate(system(0.08), seed=1)
    ax = lab.plots.plot_calibration(found)
    assert ax.get_title(loc="left") == f"p95 of all requests: run-to-run sd {100 * found.sd:.1f} %"
    assert len(ax.patches) >= 5
