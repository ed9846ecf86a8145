"""What a single run says about itself, and the fast interval of a quantile."""

from __future__ import annotations

import numpy as np
import pytest
from made_runs import arm
from scipy import stats
from scipy.signal import lfilter

import perflab as lab
from perflab.metrics import Metric
from perflab.stats import one_run
from perflab.stats.estimates import coded


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95])
def test_the_interval_is_scipys_percentile_bootstrap(q: float) -> None:
    values = np.random.default_rng(1).lognormal(3, 0.5, 2000)
    low, high = lab.stats.quantile_interval(values, q)
    rank = int(len(values) * q)
    peer = stats.bootstrap(
        (values,), lambda x, axis: np.partition(x, rank, axis=axis).take(rank, axis=axis), n_resamples=4000,
        method="percentile", random_state=np.random.default_rng(2), batch=200,
    ).confidence_interval  # fmt: skip
    places = np.searchsorted(np.sort(values), [low, peer.low, high, peer.high])
    # 4,000 resamples fix a limit to about two places.
    assert abs(places[0] - places[1]) <= 4 and abs(places[2] - places[3]) <= 4


def test_the_interval_of_independent_values_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    truth = float(np.exp(stats.norm.ppf(0.95)))
    found = [lab.stats.quantile_interval(random.lognormal(0, 1, 1000)) for _ in range(1000)]
    covered = np.mean([low <= truth <= high for low, high in found])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("q", "count"), [(0.95, 72), (0.95, 120), (0.05, 90), (0.5, 6), (0.99, 368)])
def test_of_few_values_it_covers_as_often_or_refuses(q: float, count: int) -> None:
    random = np.random.default_rng(count)
    found = [lab.stats.quantile_interval(random.standard_normal(count), q) for _ in range(1000)]
    assert np.mean([low <= stats.norm.ppf(q) <= high for low, high in found]) >= 0.94
    with pytest.raises(ValueError, match="values must be"):
        lab.stats.quantile_interval(np.arange(count / 2), q)


def test_the_unit_does_not_matter() -> None:
    values = np.random.default_rng(1).lognormal(3, 0.5, 2000)
    assert lab.stats.quantile_interval(values * 10) == pytest.approx(
        [10 * v for v in lab.stats.quantile_interval(values)]
    )


@pytest.mark.parametrize("bad", [[], [1.0], [np.nan] * 100, [np.inf] * 100])
def test_values_that_carry_no_interval(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="values must be"):
        lab.stats.quantile_interval(bad)


def test_shares_outside_zero_and_one() -> None:
    for options in ({"q": 1.0}, {"q": 0.0}, {"confidence": 95}):
        with pytest.raises(ValueError, match="between 0 and 1"):
            lab.stats.quantile_interval(np.arange(100.0), **options)


def related(random: np.random.Generator, count: int, phi: float) -> np.ndarray:
    noise = random.standard_normal(count) * np.sqrt(1 - phi**2)
    return np.exp(0.5 * lfilter([1.0], [1.0, -phi], noise))


def test_related_requests_widen_the_interval_and_raise_the_design_effect() -> None:
    frame = arm([1.0], count=6000)
    random = np.random.default_rng(4)
    rows = [lab.stats.within(frame.assign(latency_ms=related(random, 6000, phi))).table.iloc[0] for phi in (0.0, 0.95)]
    widths = [row["high"] / row["low"] for row in rows]
    assert widths[1] > widths[0]
    assert rows[0]["design_effect"] < 2.5 < rows[1]["design_effect"]


def test_related_requests_are_covered_where_the_independent_interval_fails() -> None:
    random = np.random.default_rng(5)
    truth = float(np.exp(0.5 * stats.norm.ppf(0.95)))
    frame = arm([1.0], count=3000)
    block, naive = [], []
    for _ in range(60):
        values = related(random, 3000, 0.95)
        row = lab.stats.within(frame.assign(latency_ms=values), warmup=0).table.iloc[0]
        block.append(row["low"] <= truth <= row["high"])
        low, high = lab.stats.quantile_interval(values)
        naive.append(low <= truth <= high)
    # Of 60: the block bootstrap is to cover 95 %, five standard errors below is 81 %; the other covers about 60 %.
    assert np.mean(block) >= 0.81
    assert np.mean(naive) < np.mean(block)


def test_within_names_itself_and_claims_nothing_more() -> None:
    found = lab.stats.within(arm([100.0], count=500))
    assert "of this run only" in found.sentence
    assert "of this run only" in found._repr_html_() and "Design effect" in repr(found)
    assert found.table.loc[0, "low"] < found.table.loc[0, "value"] < found.table.loc[0, "high"]


@pytest.mark.parametrize("metric", ["p50", "mean", "throughput_per_s", "error_fraction"])
def test_within_takes_every_metric(metric: str) -> None:
    row = lab.stats.within(arm([100.0], count=600, errors=0.2), metric).table.iloc[0]
    assert row["low"] <= row["value"] <= row["high"]
    assert np.isfinite([row["low"], row["high"]]).all()


def test_too_few_requests_have_no_interval_and_say_why() -> None:
    found = lab.stats.within(arm([100.0], count=100))
    assert np.isnan(found.table.loc[0, "low"])
    assert "p95 needs 200" in found.table.loc[0, "reason"] and "p95 needs 200" in found.sentence


def test_bad_arguments_of_within() -> None:
    with pytest.raises(ValueError, match="p95th"):
        lab.stats.within(arm([1.0]), "p95th")
    with pytest.raises(ValueError, match="confidence"):
        lab.stats.within(arm([1.0]), confidence=95)


def test_draws_of_a_quantile_are_quantiles_of_drawn_blocks() -> None:
    frame = arm([100.0], count=1200, seed=7)
    requests = coded(lab.Measurements.of(requests=frame))
    ordered = one_run.of_one(requests, "run0", "GET /", 0.0)
    drawn = one_run.draws(ordered, Metric.of("p90"), seed=0)
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=one_run.DRAWS)
    blocks = ordered.latency.reshape(30, 40)
    by_hand = [np.quantile(np.repeat(blocks, w, axis=0).ravel(), 0.9, method="inverted_cdf") for w in weights[:200]]
    assert drawn[:200] == pytest.approx(np.array(by_hand), rel=0.02)
