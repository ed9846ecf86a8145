"""Looking early: the boundaries against published ones, the false alarms they leave, and the test for any time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from perflab.stats import sequential
from perflab.stats.sequential import anytime, boundaries, checked_looks, look, registered, spending

# Lan-DeMets O'Brien-Fleming, two-sided 5 %: critical values as printed by gsDesign(sfu=sfLDOF) for 2, 3 and 4 equally
# spaced looks.
PUBLISHED = {
    (5, 10): (2.9626, 1.9686),
    (4, 8, 12): (3.7103, 2.5114, 1.9930),
    (5, 10, 15, 20): (4.3326, 2.9631, 2.3590, 2.0141),
}


@pytest.mark.parametrize("looks", PUBLISHED)
def test_boundaries_are_the_published_ones(looks: tuple[int, ...]) -> None:
    expected = [2 * stats.norm.sf(z) for z in PUBLISHED[looks]]
    assert boundaries(looks) == pytest.approx(expected, rel=0.003)


def test_the_first_two_looks_by_direct_integration() -> None:
    first, second = (stats.norm.isf(p / 2) for p in boundaries((4, 10)))
    inner = integrate.quad(
        lambda x: stats.norm.pdf(x) * (
            stats.norm.cdf((second - x * math.sqrt(0.4)) / math.sqrt(0.6))
            - stats.norm.cdf((-second - x * math.sqrt(0.4)) / math.sqrt(0.6))
        ), -first, first)[0]  # fmt: skip
    assert 1 - inner == pytest.approx(0.05, abs=1e-6)
    assert 2 * stats.norm.sf(first) == pytest.approx(spending(0.4), rel=1e-6)


@pytest.mark.parametrize("looks", [(5, 10), (4, 8, 12), (4, 6, 8, 10), (5, 10, 15, 20)])
@pytest.mark.parametrize("tails", ["normal", "t5"])
def test_looking_at_registered_times_keeps_the_promise(looks: tuple[int, ...], tails: str) -> None:
    random = np.random.default_rng(11)
    shape = (12_000, looks[-1])
    differences = random.normal(size=shape) if tails == "normal" else random.standard_t(5, size=shape)
    alarms = sequential.false_alarms(looks, differences)
    assert 0.035 <= alarms <= 0.06
    # Looking as often at 5 % each would not.
    naive = np.zeros(shape[0], dtype=bool)
    for count in looks:
        naive |= stats.ttest_1samp(differences[:, :count], 0, axis=1).pvalue < 0.05
    assert naive.mean() > 0.075


def test_where_an_experiment_stands() -> None:
    looks = (5, 10, 15, 20)
    at = [look(looks, pairs) for pairs in (5, 10, 15, 20)]
    assert [a.level for a in at] == pytest.approx(boundaries(looks))
    assert [a.number for a in at] == [1, 2, 3, 4]
    assert at[-1].spent == 0.05
    between = look(looks, 12)
    assert at[1].level < between.level < at[2].level
    assert (between.number, look(looks, 3).number) == (2, 0)
    beyond = look(looks, 25)
    assert (beyond.level, beyond.spent) == (0.0, 0.05)
    assert "run a new experiment" in beyond.sentence


def test_a_lost_pair_still_spends_no_more_than_five_per_cent() -> None:
    """Looks at 5 and then, one pair lost, at 9 instead of 10: the whole stays below the promise."""
    levels = (look((5, 10), 5).level, look((5, 10), 9).level)
    differences = np.random.default_rng(5).normal(size=(20_000, 9))
    hit = np.zeros(20_000, dtype=bool)
    for count, level in zip((5, 9), levels, strict=True):
        hit |= stats.ttest_1samp(differences[:, :count], 0, axis=1).pvalue < level
    assert hit.mean() < 0.05


@pytest.mark.parametrize("bad", [(10, 5), (2, 5), (), (5, 5), (5.5, 10), ("5",), (True, 5)])
def test_bad_looks_are_a_value_error(bad: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="looks must"):
        checked_looks(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="beyond the 10 pairs"):
        checked_looks((5, 12), pairs=10)


def test_looks_are_found_in_the_runs_and_must_agree() -> None:
    runs = pd.DataFrame({"run": ["a", "b"], "environment": [{"looks": [5, 10]}, {"looks": [5, 10]}]})
    plain = pd.DataFrame({"run": ["c"], "environment": [{}]})
    assert registered(runs, runs) == (5, 10)
    assert registered(plain) == registered(plain.drop(columns="environment")) == ()
    with pytest.raises(ValueError, match="different looks"):
        registered(runs, plain)


def test_whenever_one_looks_false_alarms_stay_below_five_per_cent() -> None:
    random = np.random.default_rng(3)
    ended = [anytime(row) for row in random.normal(0, 0.07, size=(1500, 40))]
    assert np.mean([e[-1].p_value < 0.05 for e in ended]) <= 0.05
    # The running intersection covers the truth at all times together.
    assert np.mean([e[-1].low <= 0 <= e[-1].high for e in ended]) >= 0.95


def test_it_finds_a_change_and_its_interval_agrees_with_its_p() -> None:
    random = np.random.default_rng(4)
    found = [anytime(row) for row in random.normal(-0.10, 0.07, size=(300, 12))]
    assert np.mean([f[-1].p_value < 0.05 for f in found]) > 0.8
    for one in found[:50]:
        for point in one:
            assert (point.p_value < 0.05) == (not point.low <= 0 <= point.high)


def test_its_bayes_factor_is_the_integral_that_it_claims_to_be() -> None:
    """Against numerical integration of the noncentral t over the mixture of effects."""
    count, scale, t = 7, 1.0, 2.3
    mixed = integrate.quad(
        lambda effect: stats.nct.pdf(t, count - 1, effect * math.sqrt(count)) * stats.norm.pdf(effect, 0, scale), -8, 8
    )[0]
    expected = mixed / stats.t.pdf(t, count - 1)
    assert sequential._bayes_factor(t, count, scale) == pytest.approx(expected, rel=1e-4)
