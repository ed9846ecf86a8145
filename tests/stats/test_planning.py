"""Planning: the promised power against simulation, the split of variance against known truth, the cheapest run length."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import perflab as lab
from perflab.stats import pilots
from perflab.stats.planning import (
    optimal_repetitions,
    pairs_for,
    power_paired,
    power_unpaired,
    runs_for,
    smallest_effect,
)

START = pd.Timestamp("2026-11-24T01:45:00Z")
GRID = [(effect, sd, power) for effect in (0.05, 0.10, 0.20) for sd in (0.02, 0.05, 0.10) for power in (0.8, 0.9)]


@pytest.mark.parametrize(("effect", "sd", "power"), GRID)
def test_a_plan_has_the_power_that_it_promises(effect: float, sd: float, power: float) -> None:
    """Both designs, 6,000 simulated experiments each: what is promised for the planned number is met within .03."""
    random = np.random.default_rng(int(1000 * effect + 100 * sd + 10 * power))
    gain = math.log1p(-effect)
    runs, pairs = runs_for(effect, sd, power), pairs_for(effect, sd * math.sqrt(2), power)
    a, b = random.normal(0, sd, (6000, runs)), random.normal(gain, sd, (6000, runs))
    seen = (stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05).mean()
    assert seen == pytest.approx(power_unpaired(runs, effect, sd), abs=0.02)
    assert seen >= power - 0.03
    if runs > 3:
        assert power_unpaired(runs - 1, effect, sd) < power
    if pairs >= 5:
        differences = random.normal(gain, sd * math.sqrt(2), (6000, pairs))
        seen = (stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05).mean()
        assert seen == pytest.approx(power_paired(pairs, effect, sd * math.sqrt(2)), abs=0.02)
        assert seen >= power - 0.03


def test_three_and_four_pairs_have_the_power_of_least_squares_with_a_trend() -> None:
    random = np.random.default_rng(2)
    for pairs in (3, 4):
        hits = 0
        for _ in range(2000):
            first = random.permutation([0, 1] * (pairs // 2) + ([int(random.integers(2))] if pairs % 2 else []))
            arm = np.array([v for f in first for v in (f, 1 - f)], dtype=float)
            design = np.column_stack([np.ones(2 * pairs), arm, np.arange(2 * pairs)])
            values = design @ [0, math.log(0.9), 0.02] + random.normal(0, 0.03, 2 * pairs)
            solution, residual, _, _ = np.linalg.lstsq(design, values, rcond=None)
            degrees = 2 * pairs - 3
            error = math.sqrt(residual[0] / degrees * np.linalg.inv(design.T @ design)[1, 1])
            hits += stats.t.sf(abs(solution[1]) / error, degrees) < 0.025
        assert hits / 2000 == pytest.approx(power_paired(pairs, 0.1, 0.03 * math.sqrt(2)), abs=0.03)


def test_the_smallest_effect_is_the_inverse_of_power() -> None:
    for pairs in (3, 5, 12, 40):
        found = smallest_effect(pairs, 0.07, 0.8)
        assert power_paired(pairs, found, 0.07) == pytest.approx(0.8, abs=0.001)
    assert smallest_effect(3, 50.0, 0.8) == 1.0
    effects = [smallest_effect(k, 0.07, 0.8) for k in (5, 6, 8, 10, 20, 40)]
    assert effects == sorted(effects, reverse=True)


def test_a_plan_from_a_pilot_is_enough_in_four_of_five_pilots() -> None:
    """The upper 80 % limit: power as promised for the true sd in about 80 % of pilots of five runs, not in half."""
    random = np.random.default_rng(3)
    needed = pairs_for(0.10, 0.05 * math.sqrt(2), 0.8)
    enough = []
    for _ in range(400):
        logs = random.normal(0, 0.05, (5, 2))
        sd, degrees = pilots._spread([logs[:, 0] - logs[:, 1]])
        enough.append(pairs_for(0.10, sd * pilots._upper(degrees), 0.8) >= needed)
    assert np.mean(enough) == pytest.approx(0.8, abs=0.08)


def runs_with(
    arm: str, between: float, *, runs: int = 8, count: int = 2000, seed: int = 1, drift: float = 0.0, shift: float = 0.0
) -> lab.Measurements:
    """Independent lognormal requests; runs differ by a factor of this sd, and drift from the first to the last."""
    random = np.random.default_rng(seed)  # the luck of the runs comes first: both arms share it
    luck = np.exp(random.normal(0, between, runs) + np.linspace(0, drift, runs) + shift)
    names = [f"{arm}{i}" for i in range(runs)]
    start = START + pd.to_timedelta(np.arange(runs) * 100.0 + (50 if arm == "b" else 0), unit="s")
    table = pd.DataFrame({"run": names, "arm": arm, "start": start, "duration_ms": 30e3, "valid": True,
                          "pair": np.arange(runs) + 1})  # fmt: skip
    if arm == "b":
        random = np.random.default_rng(seed + 1000)
    requests = pd.DataFrame(
        {
            "run": np.repeat(names, count),
            "endpoint": "GET /",
            "start": np.repeat(start, count) + pd.to_timedelta(np.tile(np.linspace(0, 29.9, count), runs), unit="s"),
            "latency_ms": random.lognormal(3, 0.5, runs * count) * np.repeat(luck, count),
            "ok": True,
        }
    )
    return lab.Measurements.of(runs=table, requests=requests)


def test_the_split_of_variance_finds_the_truth() -> None:
    """Independent lognormal requests: the variance of ln p95 within a run is p(1-p) / (n f(q)^2 q^2)."""
    found = pilots.read(runs_with("a", 0.06, runs=40, seed=4), warmup=0)
    z = stats.norm.ppf(0.95)
    theory = math.sqrt(0.95 * 0.05 / 2000) * 0.5 / stats.norm.pdf(z)
    assert found.within == pytest.approx(theory, rel=0.2)
    assert found.between == pytest.approx(0.06, rel=0.35)
    assert found.design_effect == pytest.approx(1.15, abs=0.2)
    assert found.sd == pytest.approx(math.hypot(theory, 0.06), rel=0.3)


def test_a_drift_costs_unpaired_runs_but_not_pairs() -> None:
    plan = lab.plan_runs(runs_with("a", 0.01, runs=12, drift=0.4, seed=5), effect=0.1)
    assert plan.pilot.sd_pairs < plan.pilot.sd
    assert plan.pairs < plan.runs / 2


def test_pairs_are_taken_from_the_experiment() -> None:
    """Runs of a pair that share their luck: the differences are far smaller than the runs."""
    before, after = runs_with("a", 0.10, seed=6), runs_with("b", 0.10, seed=6, shift=-0.1)
    plan = lab.plan_runs((before, after), effect=0.05)
    assert plan.pilot.sd_pairs < plan.pilot.sd
    assert plan.pilot.count == 16
    assert plan.minutes == pytest.approx(2 * plan.pairs * (30 + plan.pilot.overhead) / 60)
    assert plan.pilot.overhead == pytest.approx(20)
    row = plan.table.set_index("pairs").loc[plan.pairs]
    assert row["power"] >= 0.8
    assert row["smallest_effect"] <= 0.05


def test_the_best_length_of_a_run_is_a_minimum_of_cost() -> None:
    """Short runs, dear to start, with nearly all of the variance within: longer ones are cheaper."""
    plan = lab.plan_runs(runs_with("a", 0.005, runs=20, count=400, seed=7), effect=0.05, overhead="60s")
    assert plan.seconds is not None
    assert plan.seconds > 30
    assert plan.minutes_then < plan.minutes
    within, between = plan.pilot.within**2 * plan.pilot.seconds, plan.pilot.between**2
    lengths = np.geomspace(5, 300, 200)
    cost = (60 + lengths) * (between + within / lengths)
    chosen = (60 + plan.seconds) * (between + within / plan.seconds)
    assert chosen <= cost.min() * 1.02


@pytest.mark.parametrize(("costs", "variances"), [([1, 20], [0.04, 0.01]), ([2, 7, 90], [0.5, 0.02, 0.3])])
def test_optimal_repetitions_are_kalibera_and_jones(costs: list[float], variances: list[float]) -> None:
    """Section 6.2: no other counts below the highest level give less variance for the same cost, by trying them all."""
    found = optimal_repetitions(costs, variances)
    levels = zip(costs, costs[1:], variances, variances[1:], strict=False)
    assert found == [math.ceil(math.sqrt(c2 / c1 * v1 / v2) - 1e-9) for c1, c2, v1, v2 in levels]

    def price(counts: tuple[int, ...]) -> float:
        cost, variance, times = costs[-1], variances[-1], 1
        for c, v, n in zip(costs[-2::-1], variances[-2::-1], counts[::-1], strict=True):
            times *= n
            cost, variance = cost + c * times, variance + v / times
        return cost * variance

    around = itertools.product(*[(max(1, n - 1), n) for n in found])
    every = itertools.product(range(1, 40), repeat=len(found))
    assert min(map(price, around)) <= min(map(price, every)) * 1.0001
    with pytest.raises(ValueError, match="above zero"):
        optimal_repetitions([1, 0], [1, 1])


def test_the_split_of_variance_is_kalibera_and_jones() -> None:
    """Section 6.1: T1 = S1, T2 = S2 - S1 / n, with S1 the mean variance within runs and S2 that of the runs' means."""
    random = np.random.default_rng(8)
    runs, count = 40, 2_000
    values = 100 * np.exp(0.01 * random.standard_normal((runs, 1))) * (1 + 0.5 * random.standard_normal((runs, count)))
    values = np.maximum(values, 1.0)
    frame = pd.DataFrame(
        {"run": np.repeat([f"r{i:02d}" for i in range(runs)], count), "endpoint": "GET /",
         "start": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(runs * count) * 0.01, unit="s"),
         "latency_ms": values.ravel(), "ok": True}
    )  # fmt: skip
    pilot = lab.plan_runs(frame, metric="mean", warmup=0).pilot
    first, second = values.var(axis=1, ddof=1).mean(), values.mean(axis=1).var(ddof=1)
    mean = values.mean()
    assert pilot.within**2 == pytest.approx(first / count / mean**2, rel=0.15)
    assert pilot.between**2 == pytest.approx((second - first / count) / mean**2, rel=0.25)


def test_a_budget_tells_what_it_can_see() -> None:
    pilot = runs_with("a", 0.05)
    large, small = (lab.plan_runs(pilot, budget=b) for b in ("3h", "2m"))
    assert 0 < large.smallest_effect < 0.2
    assert small.smallest_effect == 1.0
    assert "no effect: the budget is too small" in repr(small)
    assert lab.plan_runs(pilot, budget=180).smallest_effect == large.smallest_effect


def test_bad_pilots_and_arguments_say_what_is_wrong() -> None:
    good = runs_with("a", 0.05)
    for options in ({"effect": 0}, {"effect": "100%"}, {"power": 1}, {"power": 0.01}, {"metric": "error_fraction"},
                    {"metric": "speed"}, {"endpoint": "GET /nothing"}, {"budget": "soon"}):  # fmt: skip
        with pytest.raises(ValueError, match="must"):
            lab.plan_runs(good, **options)
    with pytest.raises(lab.ComparisonError, match="3 runs"):
        lab.plan_runs(good.where(run=["a0", "a1"]))
    with pytest.raises(lab.ComparisonError, match="several arms"):
        lab.plan_runs(good + runs_with("b", 0.05))
    copies = good.requests.assign(run=lambda f: f["run"].mask(f["run"] != "a0"))
    same = pd.concat([copies.dropna(subset="run").assign(run=f"c{i}") for i in range(4)])
    with pytest.raises(lab.ComparisonError, match="copies"):
        lab.plan_runs(same)


def test_a_pilot_whose_runs_have_no_known_length_plans_their_number() -> None:
    pilot = runs_with("a", 0.05)
    untimed = lab.Measurements.of(runs=pilot.runs.assign(duration_ms=0.0), requests=pilot.requests)
    plan = lab.plan_runs(untimed)
    assert plan.pairs == lab.plan_runs(pilot).pairs
    assert "runs of unknown length" in plan.notes[0]


def test_a_pilot_in_seconds_or_minutes_plans_the_same() -> None:
    pilot = runs_with("a", 0.05)
    tenfold = lab.Measurements.of(
        runs=pilot.runs, requests=pilot.requests.assign(latency_ms=pilot.requests["latency_ms"] * 10)
    )
    assert lab.plan_runs(tenfold).pairs == lab.plan_runs(pilot).pairs
