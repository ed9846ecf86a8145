"""The common warm-up with its check, and requests that were never sent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_runs import both, codes, steady, why

import perflab as lab
from perflab.stats import pacing, warmup
from perflab.stats.estimates import Requests


def with_transient(frame: pd.DataFrame, share: float, factor: float) -> pd.DataFrame:
    """The first share of every run slower."""
    first = frame.groupby("run")["start"].transform("min")
    span = (frame["start"] - first) / (frame.groupby("run")["start"].transform("max") - first)
    return frame.assign(latency_ms=frame["latency_ms"] * np.where(span < share, factor, 1.0))


def test_a_clear_transient_raises_the_cut_for_all_runs_of_both_arms() -> None:
    before, after = both(steady(100, 6), steady(99, 6, seed=1), count=1200)
    slow = with_transient(before, 0.3, 2.0)
    change = lab.compare(slow, with_transient(after, 0.3, 2.0))
    assert change.trim.of("Aggregated") == pytest.approx(0.3, abs=0.03)
    assert codes(change, "warmup-raised")
    assert change.row["baseline"] == pytest.approx(lab.compare(before, after).row["baseline"], rel=0.03)


def test_a_stable_run_keeps_its_ten_per_cent() -> None:
    raised = 0
    for seed in range(10):
        change = lab.compare(*both(steady(100, 3, seed=seed), steady(100, 3, seed=seed + 50), count=400))
        raised += bool(change.trim.longer)
    assert raised == 0


def test_a_given_warmup_is_taken_as_it_is() -> None:
    before, after = both(steady(100, 6), steady(99, 6), count=1200)
    change = lab.compare(with_transient(before, 0.3, 2.0), with_transient(after, 0.3, 2.0), warmup="5%")
    assert change.warmup == 0.05
    assert not change.trim.longer


def test_one_endpoint_that_had_not_settled_does_not_change_another() -> None:
    levels = {"a": steady(100, 6, seed=1), "b": steady(50, 6, seed=2)}
    before, after = both(levels, levels, count=1200)
    slow = before.where(before["endpoint"] == "a", with_transient(before, 0.3, 3.0))
    here = lab.compare(before, after).row_of("a")
    there = lab.compare(slow, after)
    assert "b" in there.trim.longer
    assert there.row_of("a")["change"] == here["change"]


def test_runs_too_short_to_leave_out_more_say_so() -> None:
    before, after = both(steady(100, 6), steady(99, 6), count=260)
    change = lab.compare(with_transient(before, 0.3, 3.0), with_transient(after, 0.3, 3.0))
    assert not change.trim.longer
    assert codes(change, "unsettled")


def test_mser_cuts_where_the_step_is_and_never_beyond_half() -> None:
    random = np.random.default_rng(0)
    for place in (20, 35):
        series = 0.05 * random.standard_normal(100) + np.where(np.arange(100) < place, 0.5, 0.0)
        assert place / 100 <= warmup.mser(series, 0.1) <= place / 100 + 0.08
    falling = np.linspace(1, 0, 100) + 0.01 * random.standard_normal(100)
    assert warmup.mser(falling, 0.1) <= 0.5


def test_mser_leaves_noise_alone() -> None:
    random = np.random.default_rng(1)
    raised = [warmup.mser(0.05 * random.standard_normal(100), 0.1) > 0.1 for _ in range(400)]
    assert np.mean(raised) <= 0.02


def paced(
    stall_s: float, *, interval: float = 100.0, seconds: float = 100.0, base: float = 20.0
) -> tuple[np.ndarray, np.ndarray]:
    """(latencies that a waiting user saw, latencies that steady requests would have seen) around one stall."""
    random = np.random.default_rng(1)
    due = np.arange(0, seconds * 1e3, interval)
    begin, end = 40_000.0, 40_000.0 + stall_s * 1e3
    own = base * random.lognormal(0, 0.2, len(due))
    steady_view = np.where((due >= begin) & (due < end), end - due, 0.0) + own
    seen, now = [], 0.0
    for at, latency in zip(due, steady_view, strict=True):
        if at >= now:
            seen.append(latency)
            now = at + latency
    return np.array(seen), steady_view


def requests_with(latency: np.ndarray) -> Requests:
    zeros = np.zeros(len(latency), dtype=int)
    return Requests(
        ("r",),
        ("e",),
        zeros,
        zeros,
        latency,
        zeros.astype(bool),
        np.linspace(0, 1, len(latency)),
        np.ones(1),
        np.ones(1, dtype=bool),
    )


@pytest.mark.parametrize("stall_s", [8.0, 20.0])
def test_back_filling_recovers_the_quantiles_of_a_stall(stall_s: float) -> None:
    seen, truth = paced(stall_s)
    filled = pacing.back_filled(requests_with(seen), 100.0)
    for share in (0.95, 0.99):
        assert np.quantile(filled.latency, share) == pytest.approx(np.quantile(truth, share), rel=0.02)
    assert np.quantile(seen, 0.95) < 0.2 * np.quantile(truth, 0.95)


def test_back_filling_is_hdr_histograms_arithmetic() -> None:
    filled = pacing.back_filled(requests_with(np.array([50.0, 450.0, 100.0])), 100.0)
    assert sorted(filled.latency) == [50.0, 100.0, 150.0, 250.0, 350.0, 450.0]


def stalled(frame: pd.DataFrame, runs: list[str]) -> pd.DataFrame:
    """One request of these runs waits 20 s."""
    place = frame[frame["run"].isin(runs)].groupby("run").nth(200).index
    return frame.assign(latency_ms=frame["latency_ms"].mask(frame.index.isin(place), 20_000.0))


def test_verdicts_that_differ_with_the_unsent_requests_are_inconclusive() -> None:
    before, after = both(steady(100, 6, 0.01, 1), steady(80, 6, 0.01, 2))
    bad = stalled(after, list(after["run"].unique()))
    assert lab.compare(before, bad).verdict == "improved"
    change = lab.compare(before, bad, pacing="100ms")
    assert change.verdict == "inconclusive"
    assert why(change) == "omission-decides" and codes(change, "back-filled")


def test_without_stalls_a_declared_pace_changes_nothing() -> None:
    frames = both(steady(100, 6), steady(80, 6))
    plain, declared = lab.compare(*frames), lab.compare(*frames, pacing="1s")
    pd.testing.assert_frame_equal(plain.table, declared.table)


def test_a_stall_in_a_closed_loop_is_warned_of_and_an_open_model_is_not() -> None:
    before, after = (f.assign(user="1") for f in both(steady(100, 6), steady(100, 6, seed=1)))
    bad = stalled(after, ["c0"])
    assert codes(lab.compare(before, bad), "coordinated-omission")
    assert not codes(lab.compare(before, after), "coordinated-omission")
    opened = [f.assign(due=f["start"]) for f in (before, bad)]
    assert not codes(lab.compare(*opened), "coordinated-omission")
