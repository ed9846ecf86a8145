"""How fast a comparison is: 20 runs of 100,000 requests over 50 endpoints, and the interval of one quantile.

flock /tmp/bench.lock python bench/bench_compare.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats import mstats

import perflab as lab

RUNS, REQUESTS, ENDPOINTS = 10, 100_000, 50


def arm(name: str, shift: float, seed: int) -> pd.DataFrame:
    """Ten runs of one arm as a requests table, as `load` hands it out."""
    random = np.random.default_rng(seed)
    run, at = np.repeat(np.arange(RUNS), REQUESTS), np.tile(np.arange(REQUESTS) * 6.0, RUNS)
    luck = np.exp(random.normal(0, 0.03, RUNS))[run]
    texts = [f"GET /endpoint/{i}" for i in range(ENDPOINTS)]
    return pd.DataFrame(
        {
            "run": pd.Series([f"{name}-{i}" for i in range(RUNS)], dtype="str").take(run).reset_index(drop=True),
            "pair": run,
            "endpoint": pd.Series(texts, dtype="str")
            .take(random.integers(0, ENDPOINTS, len(run)))
            .reset_index(drop=True),
            "start": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(at + run * 2e6 + shift, unit="ms"),
            "latency_ms": random.lognormal(3, 0.5, len(run)) * luck,
            "ok": True,
        }
    )


def median_of(work: Callable[[], object], repeats: int) -> float:
    """Seconds of computing (so that other work on the machine does not count), the median."""
    took = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took)


def by_pandas(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    """The peer: the same quantiles by pandas, and scipy's t-test on each endpoint."""
    both = pd.concat([before.assign(side=0), after.assign(side=1)])
    values = np.log(both.groupby(["side", "endpoint", "run"])["latency_ms"].quantile(0.95))
    sides = [values[side].unstack() for side in (0, 1)]
    return pd.Series(stats.ttest_rel(sides[1], sides[0], axis=1).pvalue)


def main() -> int:
    before, after = arm("old", 0.0, 1), arm("new", 1e6, 2)
    lab.compare(before.head(5000), after.head(5000))
    whole = median_of(lambda: lab.compare(before, after), 5)
    peer = median_of(lambda: by_pandas(before, after), 3)
    print(f"2,000,000 requests, 20 runs, 50 endpoints, DataFrame to verdicts: {whole:.2f} s (goal 1 s)")
    print(f"  quantiles by pandas' groupby and a t-test, nothing else: {peer:.2f} s, {peer / whole:.1f} times that")
    values = np.random.default_rng(0).lognormal(3, 0.5, 100_000)
    quick = median_of(lambda: lab.stats.quantile_interval(values, 0.95), 50)
    few = 200
    slow = median_of(
        lambda: stats.bootstrap(
            (values,), lambda x, axis: np.quantile(x, 0.95, axis=axis), n_resamples=few, method="percentile", batch=50
        ),
        1,
    )
    slow *= 9_999 / few
    print(f"interval of p95 of 100,000 values: {quick * 1e3:.2f} ms (goal 2 ms)")
    print(f"  scipy.stats.bootstrap, 9,999 resamples (from {few} timed): {slow:.1f} s, {slow / quick:,.0f} times that")
    smooth = median_of(lambda: lab.stats.harrell_davis(values), 20)
    peer = median_of(lambda: mstats.hdquantiles(values, [0.95]), 5)
    print(f"p95 of 100,000 values by Harrell and Davis: {smooth * 1e3:.2f} ms")
    print(f"  scipy.stats.mstats.hdquantiles: {peer * 1e3:.1f} ms, {peer / smooth:.0f} times that")
    one = before[before["run"] == "old-0"]
    block = median_of(lambda: lab.stats.within(one), 3)
    print(f"block-bootstrap intervals of one run, 51 rows (within): {block:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
