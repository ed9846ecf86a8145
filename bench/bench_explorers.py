"""Explorers on a run of a million requests: the first view, and the redraw of a panel after each control.

The goals are 2 s and 200 ms (medians), of this process's own time: on a machine with other work the clock on the wall is the
machine's, so it stands beside it. Beside that DuckDB, at the work behind the slowest panel: choosing the rows of a slice of
time and the p95 of each run in each of 60 slices, from the same table.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import duckdb
import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")

import perflab as lab
from perflab.explorers.comparison import explore_comparison
from perflab.explorers.light import with_categories
from perflab.explorers.objectives import explore_objectives
from perflab.explorers.runs import VIEWS, explore_runs
from perflab.plots.drawing import seconds_since_start
from perflab.plots.over_time import in_slices
from perflab.selection import time_window

REQUESTS, RUNS, SECONDS, REPEATS = 1_000_000, 10, 600.0, 5


def million(seed: int = 1) -> lab.Measurements:
    """Ten runs of two arms in pairs, a hundred thousand requests each, with users and CPU."""
    random = np.random.default_rng(seed)
    each = REQUESTS // RUNS
    names = [f"run-{i}" for i in range(RUNS)]
    begin = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(RUNS) * (SECONDS + 10), unit="s")
    arms = [("n+1", "eager")[i % 2] for i in range(RUNS)]
    speed = np.repeat([1.0 if a == "n+1" else 0.6 for a in arms], each)
    at = np.sort(random.random((RUNS, each)), axis=1).ravel() * SECONDS
    requests = pd.DataFrame(
        {
            "run": np.repeat(names, each),
            "endpoint": random.choice(["GET /orders", "GET /products", "POST /cart", "GET /"], REQUESTS),
            "start": np.repeat(begin, each) + pd.to_timedelta(at, unit="s"),
            "latency_ms": random.lognormal(3, 0.6, REQUESTS) * speed,
            "ok": random.random(REQUESTS) > 0.002,
            "status": 200,
            "error": "",
        }
    )
    runs = pd.DataFrame({"run": names, "arm": arms, "pair": np.arange(RUNS) // 2, "start": begin,
                         "duration_ms": SECONDS * 1e3, "valid": True})  # fmt: skip
    ticks = pd.DataFrame({"run": np.repeat(names, 600), "time": np.repeat(begin, 600)})
    ticks["time"] += pd.to_timedelta(np.tile(np.arange(600), RUNS), unit="s")
    resources = ticks.assign(process="target", cpu_cores=random.random(len(ticks)), rss_bytes=1e8)
    return lab.Measurements.of(runs=runs, requests=requests, load=ticks.assign(users=50), resources=resources)


Times = tuple[float, float]


def median(action: Callable[[int], object], repeats: int = REPEATS, panels: int = 1) -> Times:
    """Medians in ms, of the process and on the wall, for each panel; the action is told which repeat it is."""
    times = []
    for repeat in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        action(repeat)
        times.append(((time.process_time() - used) * 1e3 / panels, (time.perf_counter() - begun) * 1e3 / panels))
    own, wall = zip(*times, strict=True)
    return statistics.median(own), statistics.median(wall)


def said(what: str, took: Times, goal: float) -> None:
    own, wall = took
    print(f"{what:48} {own:6.0f} ms  {own / goal:5.2f} of the goal   (wall {wall:.0f} ms)")


def runs_explorer(measured: lab.Measurements) -> None:
    said("runs: first view", median(lambda _: explore_runs(measured), 3), 2000)
    explorer = explore_runs(measured)
    state = explorer.state

    def set_to(trait: str, values: list[Any], panels: int = 1) -> Times:
        return median(lambda i: setattr(state, trait, values[i % len(values)]), panels=panels)

    percentiles = [50.0, 75.0, 90.0, 99.0, 99.9]
    endpoints = ["GET /orders", "GET /products", "POST /cart", "GET /", "Aggregated"]
    for view in VIEWS:
        said(f"runs: {view}, opened", median(lambda _, view=view: setattr(state, "view", view), 1), 200)
        panels = len(explorer._panels)
        said(f"runs: {view}, another endpoint", set_to("endpoint", endpoints), 200)
        said(f"runs: {view}, another percentile", set_to("percentile", percentiles), 200)
        windows = [(0.0, 500.0 - i) for i in range(REPEATS)]
        name = f"runs: {view}, another window" + (f" (each of {panels})" if panels > 1 else "")
        said(name, set_to("window", windows, panels), 200)
        state.window, state.percentile = (0.0, SECONDS), 95.0


def others(measured: lab.Measurements) -> None:
    arms = {a: (measured.where(arm=a), f"runs.where(arm={a!r})") for a in ("n+1", "eager")}
    said("comparison: first view", median(lambda _: explore_comparison(arms), 3), 2000)
    comparison = explore_comparison(arms).state
    said("comparison: another tolerance", median(lambda i: setattr(comparison, "tolerance", 0.06 + i / 100)), 200)
    metrics = ["p50", "p90", "p99", "mean", "throughput_per_s"]
    said(
        "comparison: another metric (2 panels)",
        median(lambda i: setattr(comparison, "metric", metrics[i]), panels=2),
        200,
    )
    said("objectives: first view", median(lambda _: explore_objectives(arms), 3), 2000)
    objectives = explore_objectives(arms).state
    said(
        "objectives: another limit (2 panels)", median(lambda i: setattr(objectives, "limit", 40.0 + i), panels=2), 200
    )


def beside_duckdb(measured: lab.Measurements) -> None:
    light = with_categories(measured)
    edges = np.linspace(100.0, 500.0, 61)

    def ours(_: int) -> None:
        part = time_window(light, 100, 500)
        in_slices(part.requests, seconds_since_start(part.requests, "start", part.runs), edges, "p95")

    database = duckdb.connect()
    database.register("frame", measured.requests.assign(age=_seconds(measured)))
    database.execute("CREATE TABLE requests AS SELECT run, age, latency_ms FROM frame")
    query = """SELECT run, floor((age - 100) / 400 * 60) AS slice, quantile_cont(latency_ms, 0.95) AS p95
               FROM requests WHERE age BETWEEN 100 AND 500 GROUP BY ALL"""
    (mine, mine_wall), (theirs, theirs_wall) = median(ours), median(lambda _: database.execute(query).df())
    print(
        f"p95 by run and slice of time: perflab {mine:.0f} ms (wall {mine_wall:.0f}), DuckDB {theirs:.0f} ms "
        f"(wall {theirs_wall:.0f}): {theirs / mine:.1f} x the time"
    )


def _seconds(measured: lab.Measurements) -> pd.Series:
    begin = measured.requests["run"].map(measured.runs.set_index("run")["start"])
    return (measured.requests["start"] - begin).dt.total_seconds()


if __name__ == "__main__":
    evidence = million()
    runs_explorer(evidence)
    others(evidence)
    beside_duckdb(evidence)
    sys.exit(0)
