"""The explorer of caches: sliders for TTL and memory, the curve, the strategy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.explorers.explore_caches import explore_caches

T0 = pd.Timestamp("2026-01-01", tz="UTC")


@pytest.fixture(scope="module")
def measured() -> lab.Measurements:
    chance = np.random.default_rng(0)
    requests = pd.DataFrame(
        {
            "run": "r", "endpoint": "GET /products/[id]", "url": [f"/products/{k}" for k in chance.zipf(1.3, 500) % 400],
            "start": T0 + pd.to_timedelta(np.arange(500) * 0.05, unit="s"), "ok": True, "latency_ms": 40.0, "size_bytes": 2000,
        }
    )  # fmt: skip
    return lab.Measurements.of(requests=requests)


def test_sliders_change_what_is_shown(measured: lab.Measurements) -> None:
    explorer = explore_caches(measured, "run")
    first = explorer.tables[0]["hit_fraction"].iloc[0]
    explorer.state.ttl_s = 1
    assert explorer.tables[0]["hit_fraction"].iloc[0] < first
    assert explorer.code == "lab.what_if_cache(run, ttl='1s', hit_ms=1)"
    explorer.state.ttl_s, explorer.state.memory_mb = 60, 0.1
    assert explorer.tables[0]["held_bytes"].iloc[0] <= 1e5
    assert "memory='0.1MB'" in explorer.code
    explorer.state.view = "Miss ratio"
    assert len(explorer.figures) == 1 and "sizes=[100000]" in explorer.code
    explorer.state.view = "Strategy"
    assert set(explorer.tables[0]["layer"]) >= {"process", "Redis", "CDN"}
    assert "Caching Strategy" in explorer.static


def test_it_is_offered_where_addresses_or_statements_are_known(measured: lab.Measurements) -> None:
    assert "Caches" in lab.explore(measured).choice.options
    without = lab.Measurements.of(requests=measured.requests.drop(columns="url"))
    assert "Caches" not in lab.explore(without).choice.options
