"""Caches of large recordings take seconds, not minutes."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

import perflab as lab


def test_forty_thousand_requests() -> None:
    chance = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "run": "r", "endpoint": "GET /p", "url": [f"/p/{k}" for k in (chance.zipf(1.3, 40_000) % 5_000)], "ok": True,
            "start": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(40_000) * 0.01, unit="s"),
            "latency_ms": chance.uniform(20, 60, 40_000), "size_bytes": 1000,
        }
    )  # fmt: skip
    began = time.process_time()
    found = lab.what_if_cache(frame, ttl=["10s", "1m"], memory=["100kB", "1MB"], hit_ms=1.0)
    assert time.process_time() - began < 6
    assert len(found.table) == 4
