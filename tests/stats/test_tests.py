"""The tests behind a verdict, held against scipy's where it computes the same thing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from perflab.stats import families, tests
from perflab.stats.verdicts import decide

numbers = st.floats(-3, 3, allow_nan=False)


def two(shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, shape), random.normal(0.3, 1.5, shape)


@pytest.mark.parametrize("count", [3, 5, 12])
def test_paired_is_scipys(count: int) -> None:
    before, after = two(count)
    effect = tests.paired(before, after)
    peer = stats.ttest_rel(after, before)
    interval = peer.confidence_interval(0.95)
    assert effect.p_value == pytest.approx(peer.pvalue)
    assert effect.interval(0.95) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("sizes", [(3, 3), (9, 9), (20, 20)])
def test_welch_is_scipys(sizes: tuple[int, int]) -> None:
    before, after = two(sizes[0])[0], two(sizes[1])[1]
    effect = tests.welch(before, after)
    peer = stats.ttest_ind(after, before, equal_var=False)
    interval = peer.confidence_interval(0.95)
    assert effect.p_value == pytest.approx(peer.pvalue)
    assert effect.interval(0.95) == pytest.approx((interval.low, interval.high))
    assert effect.degrees == pytest.approx(peer.df)


@pytest.mark.parametrize("sizes", [(3, 20), (20, 3), (4, 12), (5, 9)])
def test_a_small_arm_gets_no_more_degrees_than_arms_that_vary_alike(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    before, after = random.normal(size=(20_000, sizes[0])), random.normal(size=(20_000, sizes[1]))
    effect = tests.welch(before, after)
    peer = stats.ttest_ind(after, before, axis=1, equal_var=False)
    first, second = sizes
    limit = (1 / first + 1 / second) ** 2 / (1 / first**2 / (first - 1) + 1 / second**2 / (second - 1))
    assert effect.degrees == pytest.approx(np.minimum(peer.df, limit))
    assert effect.t == pytest.approx(peer.statistic)
    assert (effect.p_value < 0.05).mean() <= 0.05
    if min(sizes) == 3:
        assert (peer.pvalue < 0.05).mean() >= 0.065


@pytest.mark.parametrize("pairs", [3, 4])
def test_few_pairs_is_least_squares_with_arm_and_slot(pairs: int) -> None:
    before, after = two(pairs)
    slots = np.random.default_rng(1).permutation(2 * pairs).astype(float)
    effect = tests.few_pairs(before, after, slots[:pairs], slots[pairs:])
    design = np.column_stack([np.ones(2 * pairs), np.repeat([0.0, 1.0], pairs), slots])
    values = np.concatenate([before, after])
    solution, residue, *_ = np.linalg.lstsq(design, values, rcond=None)
    covariance = np.linalg.inv(design.T @ design) * residue[0] / (2 * pairs - 3)
    assert effect.difference == pytest.approx(solution[1])
    assert effect.error == pytest.approx(np.sqrt(covariance[1, 1]))
    assert effect.degrees == 2 * pairs - 3


def test_against_history_is_the_prediction_interval_of_the_mean_or_of_a_trend() -> None:
    history = np.array([1.0, 1.2, 0.9, 1.1, 1.05])
    at = np.column_stack([np.ones(5), np.arange(5.0)])
    (level, slope), residue, *_ = np.linalg.lstsq(at, history, rcond=None)
    ahead = np.array([1.0, 5.0])
    spread = residue[0] / 3 * (1 + ahead @ np.linalg.inv(at.T @ at) @ ahead)
    for one in (1.6, 0.4):
        effect = tests.against_history(history, np.array(one))
        half = stats.t.ppf(0.975, 4) * history.std(ddof=1) * np.sqrt(1 + 1 / 5)
        mean, trend = one - history.mean(), one - level - 5 * slope
        wide = stats.t.ppf(0.975, 3) * np.sqrt(spread)
        nearest = min(mean - half, trend - wide) if mean > 0 else max(mean + half, trend + wide)
        assert effect.interval(0.95)[0 if mean > 0 else 1] == pytest.approx(nearest)


def test_one_run_against_a_drifting_or_autocorrelated_history_raises_few_false_alarms() -> None:
    random = np.random.default_rng(3)
    for runs in (5, 10, 20):
        noise = random.standard_normal((10_000, runs + 1))
        alike = noise.copy()
        for place in range(1, runs + 1):
            alike[:, place] = 0.8 * alike[:, place - 1] + 0.6 * noise[:, place]
        for series in (noise, alike, noise + 0.2 * np.arange(runs + 1)):
            effect = tests.against_history(series[:, :-1], series[:, -1])
            assert (effect.p_value < 0.05).mean() <= 0.05
    effect = tests.against_history(noise[:, :-1], noise[:, -1] + 5)
    assert (effect.p_value < 0.05).mean() >= 0.95


def test_covariates_are_least_squares() -> None:
    random = np.random.default_rng(5)
    first, second = random.normal(size=(2, 2, 9))
    load = random.normal(size=(2, 9))
    paired = tests.paired_given(first, second, (load[1] - load[0])[None])
    unpaired = tests.unpaired_given(first, second, np.concatenate(load)[None])
    for row in (0, 1):
        slope = stats.linregress(load[1] - load[0], second[row] - first[row])
        assert (paired.difference[row], paired.error[row]) == pytest.approx((slope.intercept, slope.intercept_stderr))
        columns = np.column_stack([np.repeat([0.0, 1.0], 9), np.ones(18), np.concatenate(load)])
        values = np.concatenate([first[row], second[row]])
        solution, residue, *_ = np.linalg.lstsq(columns, values, rcond=None)
        error = np.sqrt(residue[0] / 15 * np.linalg.inv(columns.T @ columns)[0, 0])
        assert (unpaired.difference[row], unpaired.error[row]) == pytest.approx((solution[0], error))
    assert set(paired.degrees) == {7} and set(unpaired.degrees) == {15}


def test_trimmed_means_are_scipys_and_resist_a_broken_run() -> None:
    before, after = two(10)
    peer = stats.ttest_ind(before, after, equal_var=False, trim=0.2)
    assert tests.trimmed_p(before, after, pairs=False) == pytest.approx(peer.pvalue)
    better = before - 0.5 + 0.01 * after
    broken = np.where(np.arange(10) == 3, better + 9, better)
    assert tests.paired(before, broken).p_value > 0.05 > 0.001 > tests.trimmed_p(before, broken, pairs=True)
    assert np.isnan(tests.trimmed_p(before[:4], after[:4], pairs=True))


def test_sign_flips_are_scipys_permutation_test() -> None:
    before, after = two(8)
    peer = stats.permutation_test(
        (after, before), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    assert tests.sign_flip_p(before, after) == pytest.approx(peer.pvalue)


def test_label_permutations_are_scipys_permutation_test() -> None:
    before, after = two(5)
    peer = stats.permutation_test(
        (after, before), lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis), vectorized=True
    )
    assert tests.label_permutation_p(before, after) == pytest.approx(peer.pvalue)


def test_the_least_exact_p_values() -> None:
    assert tests.sign_flip_p(np.zeros(6), np.arange(1.0, 7)) == pytest.approx(2 / 64)
    assert np.isnan(tests.sign_flip_p(np.zeros(5), np.arange(1.0, 6)))
    assert tests.label_permutation_p(np.arange(4.0), np.arange(10.0, 14)) == pytest.approx(2 / 70)
    assert np.isnan(tests.label_permutation_p(np.arange(3.0), np.arange(3.0) + 9))


def test_sampled_relabellings_agree_with_the_exact_ones_of_a_size_below() -> None:
    before, after = two(20, seed=3)
    sampled = tests.label_permutation_p(before, after)
    # Twenty and twenty can't be enumerated; the t-test is as good as exact there.
    assert sampled == pytest.approx(float(tests.welch(before, after).p_value), abs=0.02)


@given(arrays(float, 6, elements=numbers), arrays(float, 6, elements=numbers), st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_a_shift_of_both_arms_changes_nothing(before: np.ndarray, after: np.ndarray, shift: float) -> None:
    for test in (tests.paired, tests.welch):
        here, there = test(before, after), test(before + shift, after + shift)
        assert there.difference == pytest.approx(here.difference, abs=1e-9)
        assert there.error == pytest.approx(here.error, abs=1e-6)


@given(arrays(float, 5, elements=numbers), arrays(float, 5, elements=numbers))
@settings(max_examples=50, deadline=None)
def test_exchanging_the_arms_turns_the_sign(before: np.ndarray, after: np.ndarray) -> None:
    for test in (tests.paired, tests.welch):
        there, back = test(before, after), test(after, before)
        assert back.difference == pytest.approx(-there.difference)
        assert back.p_value == pytest.approx(there.p_value)


def test_arrays_of_experiments_are_the_experiments_one_by_one() -> None:
    random = np.random.default_rng(0)
    before, after = random.normal(size=(4, 3, 6)), random.normal(size=(4, 3, 6))
    for test in (tests.paired, tests.welch):
        together = test(before, after)
        for i, j in itertools.product(range(4), range(3)):
            alone = test(before[i, j], after[i, j])
            assert together.p_value[i, j] == pytest.approx(float(alone.p_value))


def test_identical_runs_have_no_difference_and_no_error() -> None:
    values = np.full(5, 0.1) * 3
    effect = tests.welch(values, values)
    assert effect.p_value == 1.0
    assert str(decide(effect, 0.05, effect.p_value)) == "equivalent"


def test_a_floor_keeps_agreement_by_chance_from_being_certainty() -> None:
    sure, floored = (tests.paired(np.zeros(6), np.full(6, 0.01), floor) for floor in (0.0, 0.01**2))
    assert sure.p_value == 0.0
    assert floored.p_value == pytest.approx(2 * stats.t.sf(1.0, 5))


def test_holm_and_benjamini_hochberg_are_the_textbooks() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert families.holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert families.benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))


def by_hand(differences: np.ndarray) -> np.ndarray:
    """Step-down max-T by brute force."""
    count = differences.shape[1]
    t = np.abs(differences.mean(1) / differences.std(1, ddof=1) * np.sqrt(count))
    order = np.argsort(-t)
    adjusted, previous = np.empty(len(t)), 0.0
    for k, place in enumerate(order):
        beyond = 0
        for signs in itertools.product([-1.0, 1.0], repeat=count):
            flipped = differences * signs
            drawn = np.abs(flipped.mean(1) / flipped.std(1, ddof=1) * np.sqrt(count))
            beyond += drawn[order[k:]].max() >= t[place] * (1 - 1e-9)
        previous = max(previous, beyond / 2**count)
        adjusted[place] = previous
    return adjusted


def test_max_t_is_what_brute_force_finds() -> None:
    random = np.random.default_rng(5)
    before, after = random.normal(size=(4, 6)), random.normal(0.8, 1, size=(4, 6))
    effect = tests.paired(before, after)
    found = families.max_t(before, after, effect, pairs=True)
    assert found == pytest.approx(np.maximum(by_hand(after - before), effect.p_value))


def test_max_t_of_residues_is_what_brute_force_finds() -> None:
    random = np.random.default_rng(6)
    before, after = random.normal(size=(3, 4)), random.normal(1, 1, size=(3, 5))
    effect = tests.welch(before, after)
    off = before - before.mean(1, keepdims=True), after - after.mean(1, keepdims=True)
    drawn = np.array(
        [
            np.abs(tests.welch(off[0] * np.array(signs[:4]), off[1] * np.array(signs[4:])).t)
            for signs in itertools.product([-1.0, 1.0], repeat=9)
        ]
    )
    observed = np.abs(effect.t)
    order = np.argsort(-observed)
    beyond = [(drawn[:, order[k:]].max(1) >= observed[order[k]] * (1 - 1e-9)).sum() for k in range(3)]
    expected = np.empty(3)
    expected[order] = np.maximum.accumulate([(1 + b) / (1 + 2**9) for b in beyond])
    found = families.max_t(before, after, effect, pairs=False)
    assert found == pytest.approx(np.maximum(expected, effect.p_value))


@pytest.mark.parametrize("runs", [4, 5])
def test_a_noisier_arm_raises_no_more_false_alarms_in_a_family(runs: int) -> None:
    """Twenty endpoints, one arm four times as noisy as the other: exchanging the labels of runs gives 20 % and more."""
    random = np.random.default_rng(runs)
    false = 0
    for _ in range(300):
        common, own = random.standard_normal((2, 1, runs)), random.standard_normal((2, 20, runs))
        before, after = np.array([[[0.02]], [[0.08]]]) * (np.sqrt(0.2) * common + np.sqrt(0.8) * own)
        effect = tests.welch(before, after)
        corrected, name = families.adjusted(before, after, effect, pairs=False)
        false += bool((corrected < 0.05).any())
    assert "signs of whole runs" in name
    assert false / 300 <= 0.07 + 3 * (0.07 * 0.93 / 300) ** 0.5


@pytest.mark.parametrize(("few", "many"), [(3, 5), (4, 8)])
def test_few_runs_against_many_raise_no_more_false_alarms_in_a_family(few: int, many: int) -> None:
    """The few being four times as noisy, Holm on Welch's own p gives 14 and 12 %; p-values far out in the tail are too small."""
    random = np.random.default_rng(few)
    false = dict.fromkeys(("perflab", "holm"), 0)
    for _ in range(300):
        before, after = 0.08 * random.standard_normal((20, few)), 0.02 * random.standard_normal((20, many))
        effect = tests.welch(before, after)
        corrected, name = families.adjusted(before, after, effect, pairs=False)
        assert (corrected >= families.holm(effect.p_value)).all()
        false["perflab"] += bool((corrected < 0.05).any())
        false["holm"] += bool((families.holm(effect.p_value) < 0.05).any())
    assert name == "Holm with the smaller arm's degrees of freedom, 20 tests"
    assert false["perflab"] / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert false["holm"] / 300 > 0.07


@given(st.integers(0, 10_000), st.sampled_from([True, False]), st.sampled_from([5, 8]))
@settings(max_examples=40, deadline=None)
def test_a_further_endpoint_never_lowers_the_p_of_another(seed: int, pairs: bool, runs: int) -> None:
    random = np.random.default_rng(seed)
    before, after = random.normal(size=(6, runs)), random.normal(0.7, 1, size=(6, runs))
    test = tests.paired if pairs else tests.welch
    previous = np.zeros(1)
    for count in range(1, 7):
        effect = test(before[:count], after[:count])
        found, _ = families.adjusted(before[:count], after[:count], effect, pairs=pairs)
        assert (found[: len(previous)] >= previous - 1e-12).all()
        previous = found


@given(st.floats(-0.3, 0.3), st.floats(0.001, 0.2), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_verdict_is_one_of_four_and_turns_with_the_sign(difference: float, error: float, p: float) -> None:
    opposite = {"improved": "regressed", "regressed": "improved"}
    words = [
        str(decide(tests.Effect(np.array(d), np.array(error), np.array(9.0)), 0.05, np.array(p)))
        for d in (difference, -difference)
    ]
    assert words[1] == opposite.get(words[0], words[0])
    if words[0] in opposite:
        assert p < 0.05
