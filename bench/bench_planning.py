"""Planning, histories, calibration and objectives beside the straightforward way to do the same.

    python bench/bench_planning.py

Each pair is timed in turns in one run; the ratio is of medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

import perflab as lab
from perflab.stats import divisive, planning, relabelling

ROUNDS = 5


def compared(what: str, ours: Callable[[], object], theirs: Callable[[], object], peer: str) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for kept, work in zip(times, (ours, theirs), strict=True):
            began = time.perf_counter()
            work()
            kept.append(time.perf_counter() - began)
    mine, other = (statistics.median(kept) for kept in times)
    print(f"{what:<62} {mine * 1e3:9.2f} ms   {peer}: {other * 1e3:9.2f} ms   ratio {other / mine:7.1f}")


def split_by_definition(values: np.ndarray) -> tuple[int, int]:
    """E-divisive's best split with its free right end, each pair of places on its own."""
    distance, best = np.abs(values[:, None] - values[None, :]), (-np.inf, 0, 0)
    for split in range(3, len(values) - 2):
        within = distance[:split, :split].sum() / (split * (split - 1))
        for end in range(split + 3, len(values) + 1):
            n = end - split
            between = 2 * distance[:split, split:end].mean()
            after = distance[split:end, split:end].sum() / (n * (n - 1))
            best = max(best, (split * n / (split + n) * (between - within - after), split, end))
    return best[1], best[2]


def requests(runs: int, each: int) -> lab.Measurements:
    random = np.random.default_rng(1)
    start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(runs * each) * 10, unit="ms")
    frame = {"run": np.repeat([f"r{i}" for i in range(runs)], each), "endpoint": np.tile(["GET /a", "GET /b"], runs * each // 2),
             "start": start, "latency_ms": random.lognormal(3, 0.5, runs * each), "ok": True}  # fmt: skip
    return lab.Measurements.of(requests=pd.DataFrame(frame))


def main() -> None:
    random = np.random.default_rng(0)
    series = random.normal(0, 0.05, 200) + np.where(np.arange(200) < 120, 0, 0.2)
    assert divisive._best_split(series) == split_by_definition(series)
    compared(
        "best split of 200 runs", lambda: divisive._best_split(series), lambda: split_by_definition(series), "loops"
    )
    limit = stats.t.isf(0.025, 9)
    compared(
        "power of 10 pairs",
        lambda: planning.power_paired(10, 0.1, 0.07),
        lambda: stats.nct.sf(limit, 9, 4.76) + stats.nct.cdf(-limit, 9, 4.76),
        "scipy nct",
    )
    latencies = [random.lognormal(3, 0.5, 2_000) for _ in range(12)]
    candidate = relabelling.labels(12, 40, random)

    def peers() -> None:
        for chosen in candidate:
            arms = [
                np.concatenate([v for v, c in zip(latencies, chosen, strict=True) if c == s]) for s in (False, True)
            ]
            stats.mannwhitneyu(*arms, method="asymptotic")
            stats.ks_2samp(*arms, method="asymp")

    compared(
        "40 relabellings of 12 x 2,000 requests: MW, KS (ours: bootstrap too)",
        lambda: relabelling.naive_alarms(latencies, candidate, 0.95),
        peers,
        "scipy",
    )
    measured = requests(10, 100_000)
    goals = ["p95 < 100ms", "p99 of GET /a < 200ms", "error rate < 1%", "throughput > 10/s"]

    def by_pandas() -> None:
        kept = measured.requests
        kept.groupby("run")["latency_ms"].quantile(0.95)
        kept[kept["endpoint"] == "GET /a"].groupby("run")["latency_ms"].quantile(0.99)
        kept.groupby("run")["ok"].mean()
        kept.groupby("run").size()

    compared(
        "check of 4 objectives on 1,000,000 requests",
        lambda: lab.check(measured, goals),
        by_pandas,
        "pandas, no intervals",
    )


if __name__ == "__main__":
    main()
