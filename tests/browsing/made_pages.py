"""Runs of pages with made-up vitals."""

from __future__ import annotations

import numpy as np
import pandas as pd

import perflab as lab

START = pd.Timestamp("2026-01-01", tz="UTC")


def pages_of(
    arm, lcp, *, cls=0.1, inp=None, pairs=6, visits=5, seed=1, noise=0.05, pages=("/", "/b"), generator="chromium/1/x"
):
    """Interleaved runs of pages; ``lcp`` and ``inp`` are medians in ms."""
    random, rows, runs = np.random.default_rng(seed), [], []
    about = {
        "arm": arm,
        "duration_ms": 9e3,
        "valid": True,
        "environment": {"generator": generator},
        "plan": {"warmup": 0},
    }
    for pair in range(1, pairs + 1):
        run, late = f"{arm}-{pair}", (pair % 2 == 0) == (arm == "old")
        runs.append(about | {"run": run, "pair": pair, "start": START + pd.Timedelta(minutes=2 * pair + late)})
        level = np.exp(random.normal() * noise)
        for visit in range(1, visits + 1):
            for page in pages:
                rows.append((run, page, visit, "lcp", lcp * level * np.exp(random.normal() * noise), "ms"))
                rows.append((run, page, visit, "cls", cls, ""))
                if inp and page == "/b":
                    rows.append((run, page, visit, "inp", float(np.round(inp * level / 8) * 8), "ms"))
    vitals = pd.DataFrame(rows, columns=["run", "page", "visit", "metric", "value", "unit"])
    return lab.Measurements.of(runs=pd.DataFrame(runs), vitals=vitals)
