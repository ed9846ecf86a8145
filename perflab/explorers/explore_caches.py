"""Caches: what one with a TTL and a memory would give, the miss ratio by size, and the strategy written out."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import numpy as np
import traitlets

from perflab.caching.access_sources import accesses_of
from perflab.caching.forecast import Forecast
from perflab.caching.forecasting import what_if_cache
from perflab.caching.miss_ratios import MissRatioCurve, miss_ratio_curve
from perflab.caching.strategies import write_strategy
from perflab.explorers.code import call
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.plots.cache_plots import plot_miss_ratio
from perflab.units import format_bytes, format_ms

VIEWS = ("What if", "Miss ratio", "Strategy")
TTLS_S = (1, 2, 5, 10, 30, 60, 300, 600, 3600)
MEMORIES_MB = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 0)
"""0 is unlimited."""


class CachesState(traitlets.HasTraits):
    """The choices: the TTL in seconds, memory in MB (0: unlimited), the latency of a hit, invalidation, and one of `VIEWS`."""

    ttl_s = traitlets.Float(60)
    memory_mb = traitlets.Float(0)
    hit_ms = traitlets.Float(1.0)
    invalidation = traitlets.Unicode("key")
    view = traitlets.Unicode(VIEWS[0])


def explore_caches(measured: Any, name: str) -> Explorer:
    """The explorer of caches for measurements that ``name`` stands for in the notebook."""
    sized = lru_cache(maxsize=1)(lambda: not np.isnan(accesses_of(measured).size_bytes).any())

    def arguments(now: CachesState) -> dict[str, Any]:
        memory = f"{now.memory_mb:g}MB" if now.memory_mb and sized() else None
        given: dict[str, Any] = {"ttl": f"{now.ttl_s:g}s", "memory": memory, "hit_ms": now.hit_ms}
        return given | ({} if now.invalidation == "key" else {"invalidation": now.invalidation})

    @lru_cache(maxsize=64)
    def made(given: tuple[tuple[str, Any], ...]) -> Forecast:
        return what_if_cache(measured, **{k: v for k, v in given if v is not None})

    curve = lru_cache(maxsize=1)(lambda: miss_ratio_curve(measured))
    state = CachesState()
    controls = {
        "ttl_s": widgets.SelectionSlider(
            options=[(format_ms(1e3 * s), s) for s in TTLS_S], value=60, description="TTL"
        ),
        "memory_mb": widgets.SelectionSlider(
            options=[(format_bytes(1e6 * mb) if mb else "unlimited", mb) for mb in MEMORIES_MB],
            value=0,
            description="Memory",
        ),
        "hit_ms": widgets.FloatSlider(
            value=1.0, min=0.1, max=20.0, step=0.1, description="Hit, ms", continuous_update=False
        ),
        "invalidation": widgets.Dropdown(
            options=[("changed key", "key"), ("whole table", "table"), ("none", "none")],
            value="key",
            description="Write drops",
        ),
        "view": view_buttons(VIEWS),
    }
    choices = ("ttl_s", "memory_mb", "hit_ms", "invalidation")

    def code(now: CachesState) -> str:
        return call("what_if_cache", name, **arguments(now))

    def forecast(now: CachesState) -> Forecast:
        return made(tuple(arguments(now).items()))

    def what_if(now: CachesState) -> View:
        return View.of(forecast(now), code(now))

    def miss_ratio(now: CachesState) -> View:
        found: MissRatioCurve = curve()
        sizes = [1e6 * now.memory_mb] if now.memory_mb and found.weight == "bytes" else []
        figure = of_axes(plot_miss_ratio(found, sizes=sizes))
        marked = f", sizes=[{sizes[0]:g}]" if sizes else ""
        return View(f"lab.plot_miss_ratio(lab.miss_ratio_curve({name}){marked})", found.sentence, figure=figure)

    def strategy(now: CachesState) -> View:
        found = write_strategy(forecast(now))
        view = View.of(found, f"lab.caching.write_strategy({code(now)})")
        return View(view.code, view.sentence, table=view.table, shown=view.shown, listing=found.markdown)

    views = {
        "What if": (Panel(what_if, choices),),
        "Miss ratio": (Panel(miss_ratio, ("memory_mb",)),),
        "Strategy": (Panel(strategy, choices),),
    }
    return Explorer(
        "Caches", state, controls, views, rows=[["ttl_s", "memory_mb"], ["hit_ms", "invalidation"], ["view"]]
    )
