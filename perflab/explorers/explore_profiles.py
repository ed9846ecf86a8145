"""Interactive profiles: where the time goes, below one function, by name, and what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import ipywidgets as widgets
import pandas as pd
import traitlets

from perflab.explorers.code import call, literal
from perflab.explorers.frame import Explorer, Panel, View, of_axes, view_buttons
from perflab.plots.flame import plot_flamegraph
from perflab.profiles.diff import diff_profiles
from perflab.profiles.flat import flat_profile
from perflab.profiles.paths import focus, hot_paths
from perflab.profiles.selected import Profile
from perflab.units import format_fraction

Profiles = Mapping[str, tuple[Profile, str]]
"""Measurements with profiles (or the tables) by label, each with the code for it."""

THRESHOLDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
VIEWS = ("Flame graph", "Icicle", "Flat table", "Hot paths")
DIFFERENCE = "Difference"
WHOLE = "(everything)"
_LONGEST_LIST = 400
ONE = ("profile", "focus", "threshold")


class ProfilesState(traitlets.HasTraits):
    """The choices: a profile, one to compare it with, a function to focus on, a search text, a least share, and a view."""

    profile = traitlets.Unicode()
    other = traitlets.Unicode()
    focus = traitlets.Unicode(WHOLE)
    search = traitlets.Unicode("")
    threshold = traitlets.Float(0.002)
    view = traitlets.Unicode(VIEWS[0])


def explore_profiles(profiles: Profiles) -> Explorer:
    """The profiles explorer for one or more profiles; with two or more, one view compares them."""
    labels = list(profiles)
    state = ProfilesState(profile=labels[0], other=labels[min(1, len(labels) - 1)])
    below = _Below(profiles)
    controls = _controls(labels, below)
    rows = [["profile", "other"], ["focus", "search", "threshold"], ["view"]]
    return Explorer(f"Profiles: {', '.join(labels)}", state, controls, _views(below, len(labels)), rows=rows)


class _Below:
    """The profiles, reduced to what runs below the function in focus."""

    def __init__(self, profiles: Profiles) -> None:
        self.profiles = profiles
        self._focused = lru_cache(maxsize=8)(self._below)

    @property
    def functions(self) -> list[str]:
        """The functions that all profiles have, limited to those with the largest totals, by name."""
        tables = [flat_profile(table, per=()).groupby("function")["total_fraction"].max() for table, _ in
                  self.profiles.values()]  # fmt: skip
        shared = pd.concat(tables, axis="columns", join="inner").max(axis="columns")
        return sorted(map(str, shared.nlargest(_LONGEST_LIST).index))

    def of(self, now: ProfilesState, label: str | None = None) -> tuple[Profile, str]:
        """The profile below the function in focus, and its code."""
        return self._focused(label or now.profile, now.focus)

    def _below(self, label: str, function: str) -> tuple[Profile, str]:
        table, source = self.profiles[label]
        if function == WHOLE:
            return table, source
        return focus(table, function), call("focus", source, repr(function))


def _controls(labels: list[str], below: _Below) -> dict[str, widgets.Widget]:
    return {
        "profile": widgets.Dropdown(options=labels, description="Profile"),
        "other": widgets.Dropdown(options=labels, description="Against"),
        "focus": widgets.Dropdown(options=[WHOLE, *below.functions], description="Focus"),
        "search": widgets.Text(description="Search", continuous_update=False, placeholder="part of a name, then Enter"),
        "threshold": widgets.SelectionSlider(
            options=[(format_fraction(t), t) for t in THRESHOLDS], value=0.002, description="At least",
            continuous_update=False,
        ),
        "view": view_buttons((*VIEWS, DIFFERENCE) if len(labels) > 1 else VIEWS),
    }  # fmt: skip


def _views(below: _Below, count: int) -> Mapping[str, tuple[Panel, ...]]:
    views: dict[str, tuple[Panel, ...]] = {
        "Flame graph": (Panel(_flames(below), (*ONE, "search")),),
        "Icicle": (Panel(_flames(below, invert=True), (*ONE, "search")),),
        "Flat table": (Panel(_flat(below), (*ONE, "search")),),
        "Hot paths": (Panel(_paths(below), ONE),),
    }
    if count > 1:
        both = ("profile", "other", "focus")
        views[DIFFERENCE] = (Panel(_difference(below), both), Panel(_changes(below), (*both, "search")))
    return views


def _flames(below: _Below, *, invert: bool = False) -> Callable[[ProfilesState], View]:
    def view(now: ProfilesState) -> View:
        table, source = below.of(now)
        takes: dict[str, Any] = {"invert": invert or None, "search": now.search or None, "narrowest": now.threshold}
        ax = plot_flamegraph(table, invert=invert, search=now.search, narrowest=now.threshold)
        return View(call("plot_flamegraph", source, **takes), figure=of_axes(ax))

    return view


def _filtered(table: pd.DataFrame, column: str, least: float, search: str) -> tuple[pd.DataFrame, str]:
    """Rows with at least that share whose function contains the text, and the code that selects them."""
    kept = table[column] >= least
    code = f'(table["{column}"] >= {literal(least)})'
    if search:
        kept &= table["function"].astype("str").str.contains(search, case=False, regex=False)
        code += f' & table["function"].str.contains({search!r}, case=False, regex=False)'
    return table[kept].reset_index(drop=True), f".loc[lambda table: {code}]"


def _flat(below: _Below) -> Callable[[ProfilesState], View]:
    def view(now: ProfilesState) -> View:
        table, source = below.of(now)
        whole = flat_profile(table, per=())
        shown, chosen = _filtered(whole, "total_fraction", now.threshold, now.search)
        said = f"{len(shown):,} of {len(whole):,} functions, most self time first"
        return View(call("flat_profile", source, per=()) + chosen, said, table=shown)

    return view


def _paths(below: _Below) -> Callable[[ProfilesState], View]:
    def view(now: ProfilesState) -> View:
        table, source = below.of(now)
        paths = hot_paths(table, least=now.threshold)
        said = f"The {len(paths)} heaviest paths"
        return View(call("hot_paths", source, least=now.threshold), said, table=pd.DataFrame(paths))

    return view


def _different(now: ProfilesState) -> None:
    if now.profile == now.other:
        raise ValueError("Choose two different profiles.")


def _difference(below: _Below) -> Callable[[ProfilesState], View]:
    def view(now: ProfilesState) -> View:
        _different(now)
        (before, first), (after, second) = below.of(now), below.of(now, now.other)
        figure = of_axes(plot_flamegraph(after, against=before, invert=True))
        return View(call("plot_flamegraph", second, f"against={first}", "invert=True"), figure=figure)

    return view


def _changes(below: _Below) -> Callable[[ProfilesState], View]:
    def view(now: ProfilesState) -> View:
        _different(now)
        (before, first), (after, second) = below.of(now), below.of(now, now.other)
        table = pd.DataFrame(diff_profiles(before, after))
        code = call("diff_profiles", first, second)
        if now.search:
            table = table[table["function"].astype("str").str.contains(now.search, case=False, regex=False)]
            code += f'.loc[lambda table: table["function"].str.contains({now.search!r}, case=False, regex=False)]'
        return View(code, f"{len(table):,} functions, largest change first", table=table.reset_index(drop=True))

    return view
