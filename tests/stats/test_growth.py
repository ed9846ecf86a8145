"""Growth over a run: slopes, what autocorrelation does to them, and what is too short to tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

import perflab as lab
from perflab.stats.scalability import fit_scalability
from perflab.stats.trend import theil_sen

START = pd.Timestamp("2026-11-24T01:45:00Z")


def series(random: np.random.Generator, correlation: float, count: int = 120) -> np.ndarray:
    return lfilter([1.0], [1.0, -correlation], random.normal(size=count + 200))[200:]


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.8])
def test_no_trend_is_rarely_seen_where_there_is_none(correlation: float) -> None:
    random, minutes = np.random.default_rng(5), np.arange(120) / 12
    seen = [theil_sen(minutes, series(random, correlation)).direction != "steady" for _ in range(400)]
    # 5 % by construction; 400 draws stay below 8 % with a chance of 0.997.
    assert np.mean(seen) < 0.08


def test_the_interval_covers_the_slope_and_ignores_outliers() -> None:
    random, minutes = np.random.default_rng(6), np.arange(120) / 12
    covered = 0
    for _ in range(300):
        values = 50 + 0.7 * minutes + series(random, 0.5)
        values[random.integers(0, 120, 3)] += 500
        found = theil_sen(minutes, values)
        covered += found.low <= 0.7 <= found.high
    assert covered / 300 > 0.92


def resources(megabytes_a_minute: float, minutes: float = 20.0) -> pd.DataFrame:
    at = np.arange(0, minutes * 60, 0.5)
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "run": "soak",
            "time": START + pd.to_timedelta(at, unit="s"),
            "process": "target",
            "cpu_cores": 0.5,
            "rss_bytes": 8e7 + megabytes_a_minute * 1e6 * at / 60 + 1e5 * series(random, 0.9, len(at)),
            "threads": 12,
        }
    )


def test_a_leak_is_found_with_its_size_and_no_leak_is_steady() -> None:
    leaking = lab.stats.growth(lab.Measurements.of(resources=resources(3.1)))
    memory = leaking.table.set_index("quantity").loc["memory of the target"]
    assert memory["verdict"] == "grows"
    assert memory["low"] < 3.1e6 < memory["high"]
    assert memory["per_minute"] == pytest.approx(3.1e6, rel=0.05)
    assert "memory of the target grows by 3.1" in leaking.sentence
    assert leaking.table.set_index("quantity").loc["threads of the target", "verdict"] == "steady"
    steady = lab.stats.growth(lab.Measurements.of(resources=resources(0.0)))
    assert set(steady.table["verdict"]) == {"steady"}
    assert not (steady.table["verdict"] == "grows").any() and "grows" not in steady.sentence


def test_too_little_can_not_be_told(make_requests) -> None:
    short = lab.stats.growth(lab.Measurements.of(requests=make_requests(count=200)))
    assert short.table["verdict"].to_list() == ["inconclusive"]
    assert "too few" in short.table["reason"][0]
    assert [note.code for note in short.warnings] == ["short-soak"]
    with pytest.raises(ValueError, match="metric must be one of"):
        lab.stats.growth(lab.Measurements.of(requests=make_requests()), metric="throughput_per_s")


def test_the_scalability_law_is_recovered_with_its_interval() -> None:
    random = np.random.default_rng(4)
    n = np.array([1.0, 2, 4, 8, 16, 32, 64])
    x = 100 * n / (1 + 0.04 * (n - 1) + 0.0005 * n * (n - 1)) * np.exp(random.normal(0, 0.01, len(n)))
    law, problem = fit_scalability(n, x)
    assert law is not None, problem
    assert law.contention[1] < 0.04 < law.contention[2]
    assert law.coherency[1] < 0.0005 < law.coherency[2]
    assert law.peak_concurrency == pytest.approx(np.sqrt(0.96 / 0.0005), rel=0.1)


def test_where_the_law_does_not_fit_it_says_why() -> None:
    n = np.array([1.0, 2, 4, 8, 16])
    assert "at least 5 steps" in fit_scalability(n[:3], n[:3])[1]
    assert "factor of three" in fit_scalability(np.array([5.0, 5.1, 5.2, 5.3, 5.4]), n)[1]
    assert fit_scalability(n, np.array([100.0, 5, 90, 2, 80]))[0] is None
