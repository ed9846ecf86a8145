"""The shift of all quantiles, with a band that holds for all of them at once."""

from __future__ import annotations

import numpy as np
import pytest
from made_runs import arm, both, steady

import perflab as lab
from perflab.stats import shift as module


def test_p50_better_and_p99_worse_is_seen() -> None:
    before, after = both(steady(100, 10, 0.02, 1), steady(80, 10, 0.02, 2), count=1500)
    cut = after.groupby("run")["latency_ms"].transform(lambda v: v.quantile(0.97))
    worse = after.assign(latency_ms=after["latency_ms"].mask(after["latency_ms"] > cut, after["latency_ms"] * 2))
    found = lab.quantile_shift(before, worse)
    assert 0.5 in found.improved and 0.99 in found.regressed
    assert "improved" in found.sentence and "regressed" in found.sentence
    assert found.table["quantile"].is_monotonic_increasing


def test_the_band_is_wider_than_each_interval_by_itself() -> None:
    for runs in (5, 10):
        table = lab.quantile_shift(*both(steady(100, runs, seed=1), steady(95, runs, seed=2))).table
        assert (table["band_low"] <= table["low"] + 1e-12).all()
        assert (table["band_high"] >= table["high"] - 1e-12).all()


def test_it_agrees_with_compare_on_each_quantile() -> None:
    before, after = both(steady(100, 6, seed=1), steady(90, 6, seed=2))
    row = lab.quantile_shift(before, after, warmup="10%").table.set_index("quantile").loc[0.95]
    peer = lab.compare(before, after, warmup="10%").row
    assert row["change"] == pytest.approx(peer["change"])
    assert (row["low"], row["high"]) == pytest.approx((peer["change_low"], peer["change_high"]))


def test_exchanging_the_arms_turns_it_around() -> None:
    before, after = both(steady(100, 8, seed=1), steady(90, 8, seed=2))
    there, back = lab.quantile_shift(before, after).table, lab.quantile_shift(after, before).table
    assert (1 + there["change"]).to_numpy() == pytest.approx(1 / (1 + back["change"]).to_numpy())
    assert (1 + there["band_low"]).to_numpy() == pytest.approx(1 / (1 + back["band_high"]).to_numpy())


@pytest.mark.parametrize(("paired", "runs"), [(True, 5), (True, 8), (False, 4), (False, 6)])
def test_the_band_holds_for_all_quantiles_at_once(paired: bool, runs: int) -> None:
    random = np.random.default_rng(runs)
    kind = "pairs" if paired else "unpaired"
    found = type("Found", (), {"kind": kind, "paired": paired})()
    wrong = 0
    for _ in range(300):
        common, tail = random.standard_normal((2, 2 * runs))
        grid = np.linspace(-1, 1, 20 if runs >= 6 or (paired and runs >= 8) else 7)[:, None]
        values = 0.05 * common + 0.03 * tail * grid + 0.01 * random.standard_normal((len(grid), 2 * runs))
        effect, width, _ = module._band(values[:, :runs], values[:, runs:], found)
        wrong += bool((np.abs(effect.difference) > width * effect.error).any())
    # 5 % of 300 is 15; 30 is four standard errors above.
    assert wrong <= 30


def test_one_run_or_too_few_requests_have_no_band() -> None:
    with pytest.raises(lab.ComparisonError, match="one run against one"):
        lab.quantile_shift(*both([100.0], [90.0]))
    with pytest.raises(lab.ComparisonError, match="needs 20"):
        lab.quantile_shift(*both(steady(100, 5), steady(90, 5), count=12))


def test_an_unknown_endpoint_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="'GET /'"):
        lab.quantile_shift(*both(steady(100, 5), steady(90, 5)), endpoint="GET /nowhere")


def test_a_confounded_order_has_no_band() -> None:
    before = arm(steady(100, 6, seed=1), name="b", paired=False)
    after = arm(steady(50, 6, seed=2), name="c", paired=False, first=10_000)
    found = lab.quantile_shift(before, after)
    assert not found.improved
    assert "order-confounded" in [w.code for w in found.warnings]


def test_it_shows_itself() -> None:
    found = lab.quantile_shift(*both(steady(100, 8, seed=1), steady(80, 8, seed=2)))
    assert found.sentence in repr(found) and "95 % band" in found._repr_html_()


def test_the_numbers_of_the_arms_agree_with_the_change_between_them() -> None:
    table = lab.quantile_shift(*both(steady(100, 6, seed=1), [*steady(99, 5, seed=2), 180])).table
    np.testing.assert_allclose(table["candidate_ms"] / table["baseline_ms"] - 1, table["change"])
