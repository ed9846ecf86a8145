"""`explore`: the explorers that the evidence allows, in tabs."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from perflab.explorers.code import sum_of
from perflab.explorers.frame import Explorer
from perflab.explorers.runs import explore_runs
from perflab.tables import Measurements


def explore(*measurements: Measurements) -> Any:
    """Turn measurements over by hand, in JupyterLab.

    Parameters
    ----------
    *measurements : one, or (baseline, candidate) as `run_pairs` returns them.

    Returns
    -------
    A widget: an explorer, or tabs of them. Each shows the code for its view; ``.state`` of an explorer holds the choices
    and can be set from code.

    Raises
    ------
    ValueError : nothing to explore: neither requests nor queries nor profiles.

    >>> import perflab as lab
    >>> lab.explore(lab.load("datasets/shop_runs"))  # doctest: +SKIP
    """
    for given in measurements:
        if not isinstance(given, Measurements):
            raise ValueError(f"measurements must be Measurements (from run, load or read); got {type(given).__name__}")
    tabs = _explorers(measurements)
    if not tabs:
        held = ", ".join(dict.fromkeys(t for m in measurements for t in m.tables)) or "nothing"
        raise ValueError(f"measurements must hold requests, queries or a profile to explore; they hold {held}")
    if len(tabs) == 1:
        return next(iter(tabs.values()))
    return widgets.Tab(list(tabs.values()), titles=list(tabs))


def _explorers(measurements: tuple[Measurements, ...]) -> dict[str, Explorer]:
    tabs: dict[str, Explorer] = {}
    with_requests = [m for m in measurements if "requests" in m.tables]
    if with_requests:
        both = sum(with_requests[1:], start=with_requests[0])
        tabs["Runs"] = explore_runs(both, name=sum_of(with_requests, "runs"))
    return tabs
