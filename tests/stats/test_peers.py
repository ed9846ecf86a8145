"""Numbers of peers reproduced: the estimate of Harrell and Davis, and exact tests on ranks with ties."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import both, steady
from scipy import stats
from scipy.stats import mstats

import perflab as lab
from perflab.stats import ranks

few = st.lists(st.integers(0, 6), min_size=1, max_size=6)


# Harrell and Davis


def test_harrell_davis_is_scipys_on_recorded_runs() -> None:
    requests = lab.load("datasets/shop_runs").requests
    for _, latency in requests.groupby("run")["latency_ms"]:
        for q in (0.05, 0.5, 0.95, 0.99):
            peer = float(mstats.hdquantiles(latency.to_numpy(), [q])[0])
            assert lab.stats.harrell_davis(latency, q) == pytest.approx(peer, rel=1e-12)


@pytest.mark.parametrize("count", [2, 3, 10, 199, 2_000, 100_000])
@pytest.mark.parametrize("q", [0.001, 0.5, 0.95, 0.999])
def test_harrell_davis_is_scipys_whatever_the_size_and_the_outliers(count: int, q: float) -> None:
    values = 50 * (1 + np.random.default_rng(count).pareto(1.1, count))
    assert lab.stats.harrell_davis(values, q) == pytest.approx(float(mstats.hdquantiles(values, [q])[0]), rel=1e-12)


def test_harrell_davis_weighs_hardly_more_than_the_neighbours_of_the_quantile() -> None:
    """Structure instead of a stop-watch: of 100,000 values fewer than 2,500 get a weight, so the rest needs no sorting."""
    values = np.arange(100_000.0)
    changed = np.where(np.abs(values - 95_000) > 1_250, np.where(values > 95_000, 1e5, 0.0), values)
    assert lab.stats.harrell_davis(changed) == pytest.approx(lab.stats.harrell_davis(values), rel=1e-12)


def test_harrell_davis_of_one_value_and_of_nothing_usable() -> None:
    assert lab.stats.harrell_davis([7.0], 0.3) == 7.0
    for values, q in (([], 0.5), ([1.0, np.nan], 0.5), ([1.0], 1.0), ([1.0], 0)):
        with pytest.raises(ValueError, match=r"harrell_davis|q must be"):
            lab.stats.harrell_davis(values, q)


# Mann and Whitney


def brute_force(before: list[int], after: list[int]) -> float:
    """The permutation distribution of the rank sum with midranks, by enumeration."""
    midranks = stats.rankdata([*before, *after])
    observed = midranks[len(before) :].sum()
    drawn = [sum(chosen) for chosen in itertools.combinations(midranks, len(after))]
    tails = [np.mean([d <= observed + 1e-9 for d in drawn]), np.mean([d >= observed - 1e-9 for d in drawn])]
    return float(min(1.0, 2 * min(tails)))


@given(few, few)
@settings(max_examples=80, deadline=None)
def test_mann_whitney_with_ties_is_what_enumeration_finds(before: list[int], after: list[int]) -> None:
    u, p = lab.stats.mann_whitney(before, after)
    assert p == pytest.approx(brute_force(before, after))
    assert u == sum((a > b) + 0.5 * (a == b) for a in after for b in before)
    back, same = lab.stats.mann_whitney(after, before)
    assert (back, same) == (len(before) * len(after) - u, pytest.approx(p))


@pytest.mark.parametrize("sizes", [(3, 3), (4, 9), (10, 10), (50, 50)])
def test_mann_whitney_without_ties_is_scipys(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(sum(sizes))
    before, after = random.normal(size=sizes[0]), random.normal(0.4, 1, sizes[1])
    peer = stats.mannwhitneyu(after, before, method="exact")
    assert lab.stats.mann_whitney(before, after) == (peer.statistic, pytest.approx(peer.pvalue))


def test_mann_whitney_with_ties_is_scipys_permutation_of_ranks() -> None:
    random = np.random.default_rng(3)
    before, after = random.integers(0, 5, 7), random.integers(1, 6, 6)
    midranks = stats.rankdata([*before, *after])
    peer = stats.permutation_test(
        (midranks[7:], midranks[:7]), lambda x, y, axis: x.sum(axis=axis), vectorized=True, n_resamples=np.inf
    )
    assert lab.stats.mann_whitney(before, after)[1] == pytest.approx(peer.pvalue)


def test_mann_whitney_is_about_runs_and_refuses_requests() -> None:
    with pytest.raises(ValueError, match="not independent: take the p95 of each run"):
        lab.stats.mann_whitney(np.arange(1000.0), np.arange(1000.0))
    for before, after in (([], [1.0]), ([1.0, np.nan], [1.0]), ([1.0], [np.inf])):
        with pytest.raises(ValueError, match="finite numbers"):
            lab.stats.mann_whitney(before, after)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_signed_ranks_are_what_enumeration_finds(differences: list[int]) -> None:
    d = np.array(differences, dtype=float)
    weights = np.where(d != 0, stats.rankdata(np.abs(d)), 0.0)
    observed = weights[d > 0].sum()
    drawn = np.array([np.dot(signs, weights) for signs in itertools.product([0, 1], repeat=len(d))])
    expected = min(1.0, 2 * min(np.mean(drawn <= observed + 1e-9), np.mean(drawn >= observed - 1e-9)))
    assert ranks.signed_rank_p(np.full(len(d), 100.0), 100.0 + d) == pytest.approx(expected)


def test_signed_ranks_without_ties_are_scipys() -> None:
    before, after = np.random.default_rng(4).normal(size=(2, 12))
    assert ranks.signed_rank_p(before, after) == pytest.approx(stats.wilcoxon(after - before, method="exact").pvalue)


@pytest.mark.parametrize("paired", [True, False])
def test_a_change_has_the_ranks_beside_its_own_test(paired: bool) -> None:
    before, after = both(steady(100, 8, 0.05, 1), steady(96, 8, 0.05, 2), paired=paired)
    change = lab.compare(before, after)
    values = {arm: part["value"] for arm, part in change.values[change.values["endpoint"] == "GET /"].groupby("arm")}
    if paired:
        difference = np.log(values["candidate"].to_numpy()) - np.log(values["baseline"].to_numpy())
        expected, name = stats.wilcoxon(difference, method="exact").pvalue, "signed ranks"
    else:
        expected, name = lab.stats.mann_whitney(values["baseline"], values["candidate"])[1], "Mann-Whitney"
    assert change.details.set_index("endpoint").loc["GET /", "rank_p"] == pytest.approx(expected)
    assert name in repr(change.explain())
    late = after.assign(start=after["start"] + pd.Timedelta(days=1))
    assert lab.compare(before, late).details["rank_p"].notna().all()
