"""What a replay counts as a hit: times, room, concurrent misses, and writes; against a cache played second by second."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.caching.access_sources import accesses_of
from perflab.caching.replaying import INVALIDATIONS, replay

T0 = pd.Timestamp("2026-01-01", tz="UTC")


def trace(keys: str, at: list[float], took_ms: float = 0.0, size: float | list[float] = 1.0) -> pd.DataFrame:
    start = T0 + pd.to_timedelta(at, unit="s")
    return pd.DataFrame({"key": list(keys), "start": start, "duration_ms": took_ms, "size_bytes": size})


def hits(frame: pd.DataFrame, writes: pd.DataFrame | None = None, **options: object) -> str:
    found = replay(accesses_of(frame, writes=writes), **options)
    return "".join("h" if hit else "-" for hit in found.hit)


@pytest.mark.parametrize(
    ("keys", "at", "took_ms", "options", "expected"),
    [
        ("aaa", [0, 1, 2], 0, {}, "-hh"),
        ("aaaa", [0, 1, 5.5, 6], 0, {"ttl_s": 5.0}, "-h-h"),  # the TTL counts from the fill, not from the last hit
        ("aa", [0, 5], 0, {"ttl_s": 5.0}, "--"),  # at its very end it is over
        ("aaa", [0, 0.05, 0.2], 100, {}, "--h"),  # both miss: the first has not been answered yet
        ("aaa", [0, 0.05, 1.12], 100, {"ttl_s": 1.0}, "--h"),  # the second fill starts the TTL anew
        ("abab", [0, 1, 2, 3], 0, {"memory_bytes": 1.0}, "----"),
        ("abaca", [0, 1, 2, 3, 4], 0, {"memory_bytes": 2.0}, "--h-h"),  # least recently used first
        ("abcab", [0, 1, 2, 3, 4], 0, {"memory_bytes": 2.0}, "-----"),
    ],
)
def test_what_is_a_hit(keys: str, at: list[float], took_ms: float, options: dict[str, float], expected: str) -> None:
    assert hits(trace(keys, at, took_ms), **options) == expected


def test_without_time_or_writes_it_is_the_miss_ratio_curve() -> None:
    chance = np.random.default_rng(3)
    keys = np.minimum(chance.zipf(1.2, 4000), 300)
    frame = pd.DataFrame({"key": keys, "size_bytes": 1 + keys % 7})
    curve = lab.miss_ratio_curve(frame)
    for room in (20.0, 90.0, 300.0):
        assert replay(accesses_of(frame), memory_bytes=room).hit_fraction == pytest.approx(1 - curve.miss_ratio(room))


def test_what_is_held() -> None:
    found = replay(accesses_of(trace("abcab", [0, 1, 2, 10, 11], size=[1.0, 2.0, 4.0, 1.0, 2.0])), ttl_s=2.5)
    assert (found.most_bytes, found.most_entries) == (7.0, 3)
    assert replay(accesses_of(trace("aa", [0, 1.5]))).age_s[1] == 1.5


def write(at: list[float], keys: str) -> pd.DataFrame:
    return pd.DataFrame({"key": list(keys), "start": T0 + pd.to_timedelta(at, unit="s")})


def test_writes_by_key_by_table_and_not_at_all() -> None:
    frame, changed = trace("abab", [0, 1, 3, 4]), write([2], "a")
    assert {how: hits(frame, changed, invalidation=how) for how in INVALIDATIONS} == {
        "none": "--hh", "key": "---h", "table": "----",
    }  # fmt: skip
    assert replay(accesses_of(frame, writes=changed)).stale.tolist() == [False, False, True, False]


def test_a_value_read_before_a_write_and_stored_after_it_stays_stale() -> None:
    frame, changed = trace("aa", [0, 1], took_ms=500), write([0.2], "a")
    found = replay(accesses_of(frame, writes=changed), invalidation="key")
    assert (found.hit.tolist(), found.stale.tolist()) == ([False, True], [False, True])


@pytest.mark.parametrize("seed", range(8))
def test_bounds_are_in_order_and_runs_start_cold(seed: int) -> None:
    chance = np.random.default_rng(seed)
    at = np.sort(chance.uniform(0, 60, 800))
    frame = pd.DataFrame(
        {
            "run": np.where(at < 30, "r1", "r2"), "key": chance.integers(0, 40, 800), "start": T0 + pd.to_timedelta(at, unit="s"),
            "duration_ms": chance.uniform(1, 200, 800),
        }
    )  # fmt: skip
    changed = pd.DataFrame(
        {"key": chance.integers(0, 40, 60), "start": T0 + pd.to_timedelta(chance.uniform(0, 60, 60), unit="s")}
    )
    accesses = accesses_of(frame, writes=changed)
    ratio = {how: replay(accesses, ttl_s=8.0, invalidation=how).hit_fraction for how in INVALIDATIONS}
    assert ratio["table"] <= ratio["key"] <= ratio["none"]
    forever = replay(accesses)
    first = ~pd.DataFrame({"run": accesses.run, "key": accesses.key}).duplicated().to_numpy()
    assert not forever.hit[first].any()
    shorter = [replay(accesses, ttl_s=ttl).hit_fraction for ttl in (0.5, 2.0, 8.0, math.inf)]
    assert shorter == sorted(shorter)
