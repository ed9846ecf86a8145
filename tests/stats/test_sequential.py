"""Looking early: the boundaries against published ones, the false alarms they leave, and the test for any time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_runs import both, steady
from scipy import integrate, stats

import perflab as lab
from perflab.loadtest.looks import Looks
from perflab.stats import sequential
from perflab.stats.sequential import anytime, boundaries, checked_looks, look, registered, spending

START = pd.Timestamp("2026-11-24T01:45:00Z")

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
    assert beyond.note.code == "beyond-looks"


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
    with pytest.raises(lab.ComparisonError, match="different looks"):
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


def arms(
    logs: np.ndarray, *, looks: tuple[int, ...] = (), count: int = 300, errors: int = 0
) -> tuple[lab.Measurements, lab.Measurements]:
    """Pairs of runs whose p95 are 100 ms times exp of these numbers (baseline, candidate), exactly."""
    shape = np.exp(np.random.default_rng(0).normal(0, 0.5, count))
    shape /= np.quantile(shape, 0.95, method="median_unbiased")
    sides = []
    for side, name in enumerate(("old", "new")):
        runs, parts = [], []
        for pair, row in enumerate(logs):
            start = START + pd.Timedelta(seconds=100 * pair + 50 * ((side + pair) % 2))
            run = f"{name}{pair}"
            runs.append({"run": run, "arm": name, "start": start, "duration_ms": 30e3, "valid": True, "pair": pair + 1,
                         "experiment": "x", "environment": {"looks": list(looks)} if looks else {}})  # fmt: skip
            parts.append(pd.DataFrame({
                "run": run, "endpoint": "GET /", "start": start + pd.to_timedelta(np.linspace(0, 29.9, count), unit="s"),
                "latency_ms": 100 * np.exp(row[side]) * shape, "ok": np.arange(count) >= errors * side,
            }))  # fmt: skip
        sides.append(lab.Measurements.of(runs=pd.DataFrame(runs), requests=pd.concat(parts, ignore_index=True)))
    return sides[0], sides[1]


def pair_logs(pairs: int, effect: float, sd: float, seed: int) -> np.ndarray:
    logs = np.random.default_rng(seed).normal(0, sd, (pairs, 2))
    logs[:, 1] += effect
    return logs


def test_compare_applies_the_boundary_of_the_looks_afterwards_too() -> None:
    """A p-value between the boundary of the first look and 5 %: decided without looks, not with them."""
    logs = pair_logs(5, -0.12, 0.06, seed=1)
    plain = lab.compare(*arms(logs), warmup=0)
    p = float(plain.row["p_value"])
    assert look((5, 10), 5).level < p < 0.05
    assert plain.verdict == "improved"
    registered_first = lab.compare(*arms(logs, looks=(5, 10)), warmup=0)
    assert registered_first.verdict == "inconclusive"
    assert "look 1 of 2 registered ones, at 5 pairs: p must be below 0.0031" in str(registered_first.level.note)
    # The same five pairs as all there was to be.
    assert lab.compare(*arms(logs, looks=(3, 5)), warmup=0).verdict == "improved"
    mixed = arms(logs, looks=(5, 10))[0], arms(logs)[1]
    with pytest.raises(lab.ComparisonError, match="different looks"):
        lab.compare(*mixed, warmup=0)


def test_an_early_look_does_not_call_arms_equivalent_at_the_last_looks_level() -> None:
    logs = pair_logs(6, 0.0, 0.03, seed=2)
    assert lab.compare(*arms(logs), warmup=0).verdict == "equivalent"
    assert lab.compare(*arms(logs, looks=(6, 24)), warmup=0).verdict == "inconclusive"


def test_an_experiment_ends_when_a_look_decides_and_says_what_it_spent() -> None:
    looks = Looks.registered((3, 6), 9, "p95", "5%", ())
    assert looks.at == (3, 6, 9)
    before, after = arms(pair_logs(6, -0.7, 0.02, seed=3), looks=looks.at)
    decided = looks.look(6, before, after)
    assert decided.verdict == "improved"
    assert looks.ends(6, decided)
    assert looks.look(5, before, after) is None  # no look is registered there
    assert not looks.ends(9, decided)  # the end needs no stopping
    noted, _ = looks.noted(6, before, after)
    assert "stopped after 6 of 9 pairs, when p95 was decided: look 2 of 3" in str(noted.warnings[-1])
    assert "is spent" in str(noted.warnings[-1])
    invalid = lab.Measurements.of(runs=before.runs.assign(valid=False, reasons=[["x"]] * 6), requests=before.requests)
    assert looks.look(6, invalid, after) is None
    assert Looks().noted(6, before, after) == (before, after)


def test_watching_pairs_whenever_one_likes() -> None:
    before, after = arms(pair_logs(10, -0.25, 0.05, seed=5))
    watched = lab.stats.compare_anytime(before, after, warmup=0)
    assert watched.verdict == "improved"
    assert watched.table["pairs"].to_list() == list(range(2, 11))
    assert watched.table["p_value"].is_monotonic_decreasing
    assert watched.table["change"].iloc[-1] == pytest.approx(lab.compare(before, after, warmup=0).row["change"])
    back = lab.stats.compare_anytime(after, before, warmup=0)
    assert back.verdict == "regressed"
    assert back.table["p_value"].to_list() == pytest.approx(watched.table["p_value"].to_list())
    assert lab.stats.compare_anytime(before, before.where(valid=True), warmup=0, allow="plan").verdict != "improved"
    assert "always valid" in repr(watched)
    assert "no limits yet" in watched._repr_html_()


def test_watching_is_as_careful_as_compare() -> None:
    logs = pair_logs(8, -0.4, 0.03, seed=6)
    failing = lab.stats.compare_anytime(*arms(logs, errors=60), warmup=0)
    assert failing.verdict == "inconclusive"
    assert failing.reason.code == "failing-fast"
    level = pair_logs(8, 0.0, 0.004, seed=6)
    assert lab.stats.compare_anytime(*arms(level), warmup=0).verdict == "equivalent"
    assert lab.stats.compare_anytime(*arms(level, errors=60), warmup=0).verdict == "inconclusive"
    few = lab.stats.compare_anytime(*arms(logs, count=50), warmup=0)
    assert (few.verdict, few.reason.code) == ("inconclusive", "too-few-requests")
    assert set(few.table["verdict"]) == {"inconclusive"}
    before, after = arms(logs)
    alone = [lab.Measurements.of(runs=m.runs.drop(columns="pair"), requests=m.requests) for m in (before, after)]
    with pytest.raises(lab.ComparisonError, match="not in pairs"):
        lab.stats.compare_anytime(*alone, warmup=0)
    with pytest.raises(ValueError, match="ratio"):
        lab.stats.compare_anytime(before, after, metric="error_fraction")
    with pytest.raises(ValueError, match="endpoint must be one of 'Aggregated'"):
        lab.stats.compare_anytime(before, after, endpoint="GET /nowhere")


def test_an_endpoint_that_an_arm_never_called_has_no_verdict_at_any_time() -> None:
    before, after = both(
        {"a": steady(100, 6), "b": steady(50, 6)}, {"a": steady(99, 6, seed=1), "b": steady(50, 6, seed=2)}
    )
    found = lab.stats.compare_anytime(before[before["endpoint"] == "a"], after, endpoint="b")
    assert (found.verdict, found.reason.code) == ("inconclusive", "no-requests")
    assert found.table.empty and "no requests" in found._repr_html_()
