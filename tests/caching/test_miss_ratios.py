"""Stack distances against a cache that is played step by step; curves, sampling, and what can't be a size."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.caching.miss_ratios import hashed
from perflab.caching.stack_distances import stack_distances
from perflab.notes import codes


def played(keys: list[int], sizes: list[float], room: float) -> list[bool]:
    """The hits of an LRU cache, step by step."""
    held: OrderedDict[int, float] = OrderedDict()
    hits = []
    for key, size in zip(keys, sizes, strict=True):
        hits.append(key in held)
        held.pop(key, None)
        held[key] = size
        while sum(held.values()) > room:
            held.popitem(last=False)
    return hits


@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_a_cache_played_step_by_step(seed: int) -> None:
    """50 random traces a seed: uniform, skewed, looping and scanning, of one to 150 accesses."""
    chance = np.random.default_rng(seed)
    for kind in range(50):
        accesses, keys = int(chance.integers(1, 150)), int(chance.integers(1, 40))
        drawn = [
            chance.integers(0, keys, accesses),
            np.minimum(chance.zipf(1.3, accesses) - 1, keys - 1),
            np.arange(accesses) % keys,
            np.concatenate([np.arange(accesses // 2), chance.integers(0, keys, accesses - accesses // 2)]),
        ][kind % 4]
        codes_, back = np.unique(drawn, return_inverse=True)
        sizes = np.ones(len(codes_)) if kind % 3 == 0 else chance.integers(1, 50, len(codes_)).astype("float64")
        distance = stack_distances(back, sizes[back])
        for room in [0.5, 1, *chance.integers(1, int(sizes.sum()) + 2, 4).tolist(), float(sizes.sum())]:
            # An entry larger than the cache clears it, here as there.
            assert (distance <= room).tolist() == played(back.tolist(), sizes[back].tolist(), room), (kind, room)


def test_the_size_of_an_entry_is_that_of_its_last_access() -> None:
    keys, sizes = np.array([0, 1, 1, 0]), np.array([10.0, 1.0, 4.0, 10.0])
    assert stack_distances(keys, sizes).tolist() == [np.inf, np.inf, 1.0, 14.0]


@pytest.mark.parametrize("keys", [[], [0], [0, 0], [0, 1, 2]])
def test_the_smallest_traces(keys: list[int]) -> None:
    found = stack_distances(np.array(keys, dtype="int64"), np.ones(len(keys)))
    assert found.tolist() == [1.0 if i and keys[i] == keys[i - 1] else np.inf for i in range(len(keys))]


def zipf(accesses: int, keys: int, skew: float, seed: int = 1) -> np.ndarray:
    chance = np.random.default_rng(seed)
    weights = np.cumsum(1 / np.arange(1, keys + 1) ** skew)
    return np.searchsorted(weights, chance.random(accesses) * weights[-1])


def test_the_curve_falls_from_one_to_the_first_accesses() -> None:
    trace = zipf(20_000, 2_000, 0.9)
    curve = lab.miss_ratio_curve(trace)
    miss = [curve.miss_ratio(size) for size in (0, 1, 10, 100, 1000, 10_000)]
    assert miss == sorted(miss, reverse=True)
    assert miss[0] == 1.0 and miss[-1] == pytest.approx(curve.keys / curve.accesses)
    assert curve.miss_ratio(curve.size_for(0.5)) <= 0.5 < curve.miss_ratio(curve.size_for(0.5) - 1)
    assert curve.size_for(0.999) == np.inf
    assert curve.table["miss_fraction"].is_monotonic_decreasing


@pytest.mark.parametrize(("skew", "weight"), [(0.7, "keys"), (0.9, "bytes"), (1.2, "keys")])
def test_a_sample_is_close_and_knows_how_close(skew: float, weight: str) -> None:
    trace = zipf(150_000, 40_000, skew)
    frame = pd.DataFrame({"key": trace, "size_bytes": 100 + hashed(trace, 9) * 900})
    exact, sampled = (lab.miss_ratio_curve(frame, weight, sample=share) for share in (1, "10%"))
    at = np.geomspace(exact.working_set / 1000, exact.working_set, 50)
    off = [abs(exact.miss_ratio(size) - sampled.miss_ratio(size)) for size in at]
    assert np.mean(off) < 0.015
    known = np.array([exact.miss_ratio(size) for size in sampled.table.iloc[:, 0]])
    within = (sampled.table["low_fraction"] <= known) & (known <= sampled.table["high_fraction"])
    assert within.mean() > 0.9
    assert codes(exact.warnings) == (("no-overhead-counted",) if weight == "bytes" else ())
    (note,) = [n for n in sampled.warnings if n.code == "sampled-keys"]
    assert 0 < note.facts["error_points"] < 5
    assert (sampled.table["low_fraction"] <= sampled.table["miss_fraction"]).all()


def test_overhead_and_sizes() -> None:
    frame = pd.DataFrame({"key": list("abab"), "size_bytes": [100.0, 300.0, np.nan, 300.0]})
    assert lab.miss_ratio_curve(frame).working_set == pytest.approx(300 + np.mean([100, 300, 300]))
    assert lab.miss_ratio_curve(frame, overhead_bytes=50).weight == "bytes"
    assert lab.miss_ratio_curve(list("abab"), entry_bytes="1kB").miss_ratio("2kB") == 0.5
    with pytest.raises(ValueError, match="entry_bytes"):
        lab.miss_ratio_curve(list("abab"), "bytes")
    with pytest.raises(ValueError, match="weight"):
        lab.miss_ratio_curve(list("abab"), "rows")
    with pytest.raises(ValueError, match="sample"):
        lab.miss_ratio_curve(list("abab"), sample=0)
    with pytest.raises(ValueError, match="x must"):
        lab.miss_ratio_curve([])


def test_nothing_repeats() -> None:
    curve = lab.miss_ratio_curve(list("abcd"))
    assert curve.miss_ratio(100) == 1.0
    assert curve.size_for(0.1) == np.inf
    assert "no cache" in curve.sentence
    assert lab.plot_miss_ratio(curve).get_ylim()[1] > 1
