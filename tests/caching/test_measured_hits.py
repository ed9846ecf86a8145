"""Measured hit ratios: by header, by Redis' counters, with intervals; and a prediction beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.caching import cache_headers
from perflab.errors import MissingTableError
from perflab.notes import codes

T0 = pd.Timestamp("2026-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Cache-Status", "ExampleCache; hit", "hit"),
        ("Cache-Status", "ExampleCache; hit; ttl=376", "hit"),
        ("Cache-Status", "ExampleCache; fwd=uri-miss; stored", "miss"),
        ("Cache-Status", "ExampleCache; fwd=stale; fwd-status=304", "miss"),
        ("Cache-Status", 'OriginCache; hit; ttl=1100, "CDN Company Here"; fwd=uri-miss', "hit"),
        ("Cache-Status", "ExampleCache; hit=?0; fwd=bypass", "miss"),
        ("Cache-Status", "ExampleCache", ""),
        ("X-Cache", "HIT", "hit"),
        ("X-Cache", "MISS", "miss"),
        ("X-Cache", "MISS, HIT", "hit"),
        ("X-Cache", "MISS, MISS", "miss"),
        ("X-Cache", "Hit from cloudfront", "hit"),
        ("X-Cache", "RefreshHit from cloudfront", "miss"),
        ("X-Cache", "Miss from cloudfront", "miss"),
        ("X-Cache", "Error from cloudfront", "miss"),
        ("X-Cache", "TCP_HIT from a23-1 (AkamaiGHost/1.0)", "hit"),
        ("X-Cache", "TCP_MEM_HIT from a23-1", "hit"),
        ("X-Cache", "TCP_MISS from a23-1", "miss"),
        ("X-Cache", "TCP_REFRESH_MISS from a23-1", "miss"),
        ("X-Cache", "CONFIG_NOCACHE", "miss"),
        ("CF-Cache-Status", "HIT", "hit"),
        ("CF-Cache-Status", "DYNAMIC", "miss"),
        ("CF-Cache-Status", "EXPIRED", "miss"),
        ("CF-Cache-Status", "REVALIDATED", "hit"),
        ("CF-Cache-Status", "STALE", "hit"),
        ("X-Cache-Status", "BYPASS", "miss"),
        ("X-Cache-Status", "UPDATING", "hit"),
        ("X-Cache", "hitchhiker", ""),
        ("X-Cache", "", ""),
    ],
)
def test_what_a_header_says(name: str, value: str, expected: str) -> None:
    found = cache_headers.outcome({name: value}.get)
    assert found == {"hit": cache_headers.HIT, "miss": cache_headers.MISS, "": cache_headers.UNKNOWN}[expected]


def requests(runs: int = 1, count: int = 400, share: float = 0.3, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "run": f"r{run}", "endpoint": "GET /a", "latency_ms": 1.0,
                "start": T0 + pd.to_timedelta(np.arange(count), unit="s"),
                "ok": True, "cached": pd.array(chance.random(count) < share, dtype="boolean"),
            }
        )
        for run in range(runs)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_hit_ratios_of_runs() -> None:
    found = lab.caching.cache_hits(lab.Measurements.of(requests=requests(5)))
    assert found["run"].tolist() == ["r0", "r1", "r2", "r3", "r4", "Aggregated"]
    whole = found.iloc[-1]
    assert whole["low_fraction"] < 0.3 < whole["high_fraction"]
    assert whole["hits"] + whole["misses"] == 2000
    assert (found["low_fraction"] < found["hit_fraction"]).all()


def test_the_hit_ratio_is_an_objective() -> None:
    runs = lab.Measurements.of(requests=requests(5))
    for limit, verdict in ((0.2, "holds"), (0.5, "fails"), (0.3, "inconclusive")):
        assert lab.check(runs, lab.Objective("hit_fraction", ">", limit)).verdict == verdict
    without = lab.Measurements.of(requests=requests().drop(columns="cached"))
    assert lab.check(without, lab.Objective("hit ratio", ">", 0.3)).verdict == "inconclusive"


def test_stretches_that_differ_widen_the_interval() -> None:
    mixed = requests()
    ordered = mixed.assign(cached=mixed["cached"].sort_values().array)
    width = [(w := lab.caching.cache_hits(f).iloc[-1])["high_fraction"] - w["low_fraction"] for f in (mixed, ordered)]
    assert width[1] > 2 * width[0]


def test_headers_of_exchanges() -> None:
    frame = pd.DataFrame(
        {
            "run": "r", "url": "/a", "start": T0 + pd.to_timedelta(np.arange(4), unit="s"),
            "headers": [{"x-cache": "HIT"}, [("Cache-Status", "c; fwd=miss")], {"age": "3"}, None],
        }
    )  # fmt: skip
    assert lab.caching.cache_hits(frame).iloc[-1][["hits", "misses"]].tolist() == [1, 1]
    with pytest.raises(MissingTableError, match="X-Cache"):
        lab.caching.cache_hits(frame.drop(columns="headers"))


@pytest.mark.parametrize(
    ("before", "after", "match"),
    [
        ({"keyspace_hits": 9, "keyspace_misses": 9}, {"keyspace_hits": 1, "keyspace_misses": 10}, "restarted"),
        ({"keyspace_hits": 9, "keyspace_misses": 9}, {"keyspace_hits": 9, "keyspace_misses": 9}, "no look-up"),
        ({"used_memory": 9}, {"used_memory": 9}, "keyspace_hits"),
    ],
)
def test_counters_that_count_nothing(before: dict[str, int], after: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        lab.caching.cache_hits((before, after))


def test_a_prediction_holds_or_differs() -> None:
    zero = {"keyspace_hits": "0", "keyspace_misses": "0"}
    pairs = [(zero, {"keyspace_hits": str(hits), "keyspace_misses": str(1000 - hits)}) for hits in (310, 320, 300, 305)]
    good, bad = (lab.caching.check_cache(predicted, pairs) for predicted in (0.32, 0.45))
    assert (good.verdict, bad.verdict) == ("holds", "differs")
    assert codes(bad.warnings) == ("hit-ratio-differs", "counters-of-whole-server")
    assert bad.low < bad.measured < bad.high
    assert "30.9 %" in good.sentence
    frame = requests(4).assign(url=[f"/{i % 280}" for i in range(1600)])
    forecast = lab.what_if_cache(frame, ttl="1h")
    assert lab.caching.check_cache(forecast, frame).verdict == "holds"
