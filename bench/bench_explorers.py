"""Explorers on large evidence: the first view, and the redraw of each panel after each control.

The goals (medians) are 300 ms for the first view of runs, 150 ms for the answer to a selection in its chart, else 2 s and
200 ms, of this process's own time: on a machine with other work the clock on the wall is the machine's, so it stands beside
it, and a ratio to plain pandas (the p95 by run and slice of time of the same table, by groupby), which a slow moment slows
alike. An experiment of a million requests (ten runs of 100,000 and, for the comparison, twenty of 50,000), a log of 115,000
statements in 4,000 units of work, two profiles of 25,000 nodes. Beside that DuckDB at the work behind the panels, on one
and on five million requests.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")

from evidence import SECONDS, experiment, profile, query_log

import perflab as lab
from perflab.data.run_blocks import blocks_of
from perflab.data.selection import time_window
from perflab.explorers.explore_comparison import VIEWS as COMPARISONS
from perflab.explorers.explore_comparison import explore_comparison
from perflab.explorers.explore_objectives import VIEWS as OBJECTIVES
from perflab.explorers.explore_objectives import explore_objectives
from perflab.explorers.explore_profiles import DIFFERENCE, explore_profiles
from perflab.explorers.explore_profiles import VIEWS as PROFILES
from perflab.explorers.explore_queries import ALL_ROUTES, explore_queries
from perflab.explorers.explore_queries import VIEWS as QUERIES
from perflab.explorers.explore_runs import VIEWS as RUNS
from perflab.explorers.explore_runs import explore_runs
from perflab.explorers.frame import Explorer
from perflab.explorers.reduced import with_categories
from perflab.metrics import Metric
from perflab.plots.drawing import seconds_since_start
from perflab.plots.heatmap import counted_requests
from perflab.plots.over_time import in_slices

REPEATS = 5
FIRST, REDRAW = 2000.0, 200.0
FIRST_OF_RUNS, SELECTION = 300.0, 150.0
Times = tuple[float, float]


def median(action: Callable[[int], object], repeats: int = REPEATS) -> Times:
    """Medians in ms, of the process and on the wall; the action is told which repeat it is."""
    times = []
    for repeat in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        action(repeat)
        times.append(((time.process_time() - used) * 1e3, (time.perf_counter() - begun) * 1e3))
    own, wall = zip(*times, strict=True)
    return statistics.median(own), statistics.median(wall)


def said(what: str, took: Times, goal: float = REDRAW) -> None:
    own, wall = took
    slow = "  TOO SLOW" if own > goal else ""
    print(f"{what:56} {own:6.0f} ms  {own / goal:5.2f} of the goal   (wall {wall:.0f} ms){slow}")


class Panels:
    """How long each panel of an explorer took to be drawn since it was asked, and what else a change of a trait takes."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.took: dict[Any, Times] = {}
        for panel, place in explorer._places.items():
            place.update = self._timed(panel, place.update)  # type: ignore[method-assign]

    def _timed(self, panel: Any, update: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            own, wall = median(lambda _: update(*arguments), 1)
            before = self.took.get(panel, (0.0, 0.0))
            self.took[panel] = (before[0] + own, before[1] + wall)

        return timed

    def set(self, trait: str, value: Any) -> list[Times]:
        """The times of the view's panels that look at the trait, and of everything else together."""
        self.took.clear()
        whole = median(lambda _: setattr(self.explorer.state, trait, value), 1)
        drawn = [self.took[p] for p in self.explorer._panels if trait in p.needs and p in self.took]
        return (
            [
                *drawn,
                tuple(max(0.0, w - sum(t)) for w, t in zip(whole, zip(*self.took.values(), strict=True), strict=True)),
            ]
            if self.took
            else []
        )


def each_panel(name: str, panels: Panels, trait: str, values: Sequence[Any]) -> None:
    """Set the trait to each of the values, then back; says what each panel of the view took that looks at it."""
    explorer = panels.explorer
    if not any(trait in panel.needs for panel in explorer._panels):
        return
    back = getattr(explorer.state, trait)
    found = [took for value in values if (took := panels.set(trait, value))]
    setattr(explorer.state, trait, back)
    for number, times in enumerate(zip(*found, strict=True), 1):
        own, wall = zip(*times, strict=True)
        last = number == len(found[0])
        of = ": all else" if last else f" (panel {number} of {len(found[0]) - 1})" if len(found[0]) > 2 else ""
        if not last or statistics.median(own) > 20:
            said(f"{name}, another {trait}{of}", (statistics.median(own), statistics.median(wall)))


def views(
    title: str, make: Callable[[], Explorer], names: Sequence[str], choices: dict[str, Sequence[Any]],
    prepare: Callable[[Explorer], None] = lambda explorer: None, first: float = FIRST,
) -> None:  # fmt: skip
    """First view; then in each view, each control that it looks at."""
    said(f"{title}: first view", median(lambda _: make(), 3), first)
    explorer = make()
    panels = Panels(explorer)
    for view in names:
        prepare(explorer)
        gc.collect()  # a view is opened once: one collection in it would be all that is seen
        took = median(lambda _, view=view: setattr(explorer.state, "view", view), 1)
        drawn = max(1, len(explorer._panels))
        said(f"{title}: {view}, opened ({drawn} panel{'s' * (drawn > 1)})", took, REDRAW * drawn)
        for trait, values in choices.items():
            each_panel(f"{title}: {view}", panels, trait, values)


def runs_explorer(measured: lab.Measurements) -> None:
    names = list(measured.runs["run"])
    views("runs", lambda: explore_runs(measured), RUNS, {
        "endpoint": ["GET /orders", "GET /products", "POST /cart", "GET /", "Aggregated"],
        "percentile": [50.0, 75.0, 90.0, 99.0, 99.9],
        "metric": ["mean", "throughput_per_s", "error_fraction"],
        "window": [(0.0, SECONDS - 100.0 - i) for i in range(REPEATS)],
        "runs": [tuple(names[i:]) for i in range(1, 4)],
    }, first=FIRST_OF_RUNS)  # fmt: skip
    plain = median(lambda _: by_pandas(measured), 3)[0]
    first = median(lambda _: explore_runs(measured), 3)[0]
    print(
        f"plain pandas, p95 by run and slice of time: {plain:.0f} ms; the first view takes {first / plain:.2f} of that"
    )
    explorer = explore_runs(measured)
    widget = explorer._places[explorer._panels[0]].widget
    for what, brush in (
        ("10 s", [0.5, 0.517, 0, 1]), ("half of the time", [0.2, 0.7, 0, 1]), ("all of it", [0.0, 1.0, 0, 1]),
        ("a band of latency", [0.2, 0.7, 0.6, 0.9]),
    ):  # fmt: skip

        def select(repeat: int, brush: list[float] = brush) -> None:
            widget.brush = [0, brush[0] + repeat * 1e-4, *brush[1:], repeat]

        took = median(select)
        said(f"runs: {what} selected in the chart", took, SELECTION)
        print(f"{'':56} {took[0] / plain:6.2f} of plain pandas")
        widget.brush = []


def by_pandas(measured: lab.Measurements) -> pd.Series[float]:
    """What a user would write for the chart's line."""
    requests = measured.requests
    begun = requests["run"].map(measured.runs.set_index("run")["start"])
    slices = ((requests["start"] - begun).dt.total_seconds() // 10).astype("int64")
    found: pd.Series[float] = requests.groupby(["run", slices])["latency_ms"].quantile(0.95)
    return found


def comparison_and_objectives(measured: lab.Measurements) -> None:
    arms = {a: (measured.where(arm=a), f"runs.where(arm={a!r})") for a in ("n+1", "eager")}
    endpoints = ["GET /orders", "GET /products", "Aggregated"]
    metrics = ["p50", "p90", "p99", "mean", "throughput_per_s"]
    warmups = [0.2, 0.3, 0.4]
    views("comparison", lambda: explore_comparison(arms), COMPARISONS, {
        "endpoint": endpoints, "metric": metrics, "tolerance": [0.06, 0.07, 0.08], "warmup": warmups,
        "pairs": [12, 14, 16], "effect": [0.2, 0.3, 0.4], "power": [0.7, 0.9, 0.85],
    })  # fmt: skip
    views("objectives", lambda: explore_objectives(arms), OBJECTIVES, {
        "arm": ["eager", "n+1"], "endpoint": endpoints, "metric": metrics, "limit": [40.0, 42.0, 44.0],
        "confidence": [0.9, 0.99, 0.8], "warmup": warmups,
    })  # fmt: skip


def queries_explorer(log: pd.DataFrame) -> None:
    units = list(explore_queries(log, "log")._controls["unit"].options[1:4])
    views("queries", lambda: explore_queries(log, "log"), QUERIES, {
        "route": ["GET /orders", "GET /baskets", ALL_ROUTES], "evidence": [("confirmed",), ("constant fan-out",)],
        "pattern": [1, 2, 3], "unit": units,
    })  # fmt: skip


def profiles_explorer(before: pd.DataFrame, after: pd.DataFrame) -> None:
    functions = list(before["function"].value_counts().index[:3])

    def prepare(explorer: Explorer) -> None:
        explorer.state.other = "after"

    views("profiles", lambda: explore_profiles({"before": (before, "before"), "after": (after, "after")}),
          [*PROFILES, DIFFERENCE],
          {"profile": ["after", "before"] * 2, "other": ["before", "after"] * 2, "focus": functions,
           "search": ["module9", "function_1", "views"], "threshold": [0.001, 0.005, 0.02]}, prepare)  # fmt: skip


TYPE_8 = """
SELECT run, slice, l[k] + (h - k) * (l[least(k + 1, len(l))] - l[k]) AS p95
FROM (SELECT *, floor(h)::INT AS k
      FROM (SELECT *, least(greatest((len(l) + 1 / 3) * 0.95 + 1 / 3, 1), len(l)) AS h
            FROM (SELECT run, least(59, floor((age - 100) / 400 * 60)) AS slice, list_sort(list(latency_ms)) AS l
                  FROM requests WHERE age BETWEEN 100 AND 500 GROUP BY ALL)))"""
"""Hyndman and Fan's type 8 exactly; DuckDB's own quantile_cont is type 7."""
COUNTS = """
SELECT floor(age / 600 * 60) AS x, floor((ln(latency_ms) - ln($1)) / (ln($2) - ln($1)) * 40) AS y, count(*) AS requests
FROM requests GROUP BY ALL"""


def beside_duckdb(each: int) -> None:
    """DuckDB at the aggregations behind the panels; it needs a table of its own first."""
    measured = experiment(10, each)
    print(f"-- {10 * each:,} requests")
    light = with_categories(measured)
    edges = np.linspace(100.0, 500.0, 61)

    def slices(_: int) -> None:
        part = time_window(light, 100, 500)
        requests = part.requests
        at = seconds_since_start(requests, "start", part.runs)
        in_slices(requests, blocks_of(requests["run"]), at, edges, [Metric.of("p95")])

    database = duckdb.connect()
    begin = measured.requests["run"].map(measured.runs.set_index("run")["start"])
    age = (measured.requests["start"] - begin).dt.total_seconds()
    database.register("frame", measured.requests.assign(age=age))
    said_beside("a table of categories (DuckDB: a table)", median(lambda _: with_categories(measured), 1), median(
        lambda _: database.execute("CREATE TABLE requests AS SELECT run, endpoint, age, latency_ms FROM frame"), 1))  # fmt: skip
    said_beside(
        "p95 (type 8) by run and slice of time", median(slices), median(lambda _: database.execute(TYPE_8).df())
    )
    seconds, latency = seconds_since_start(light.requests, "start", light.runs), light.requests["latency_ms"].to_numpy()
    low, high = float(latency.min()) * 0.999, float(latency.max()) * 1.001
    said_beside("requests by time and latency (heatmap)",
                median(lambda _: counted_requests(seconds, latency, np.linspace(0, 600, 61), np.geomspace(low, high, 41))),
                median(lambda _: database.execute(COUNTS, [low, high]).df()))  # fmt: skip


def said_beside(what: str, ours: Times, theirs: Times) -> None:
    print(f"{what:44} perflab {ours[0]:5.0f} ms (wall {ours[1]:5.0f}), DuckDB {theirs[0]:5.0f} ms (wall {theirs[1]:5.0f}): "
          f"{theirs[0] / max(ours[0], 1e-9):.1f} x the time")  # fmt: skip


if __name__ == "__main__":
    runs_explorer(experiment(10, 100_000))
    comparison_and_objectives(experiment(20, 50_000))
    queries_explorer(query_log())
    profiles_explorer(profile(), profile(slower=2.0))
    beside_duckdb(100_000)
    beside_duckdb(500_000)
    sys.exit(0)
