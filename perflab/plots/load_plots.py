"""The load that a plan offers over time, as a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from perflab.loadtest.plan import LoadPlan
from perflab.plots.drawing import GREY, STYLES, axes, plain, titled
from perflab.units import format_ms, format_number

_UNITS = ((3 * 3600.0, 3600.0, "h"), (300.0, 60.0, "min"), (0.0, 1.0, "s"))


def plot_load(plan: LoadPlan, *, ax: Axes | None = None) -> Axes:
    """Draw the users, or the arrivals per second, that a plan offers over time.

    Parameters
    ----------
    plan : LoadPlan
        The plan to draw.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        The shaded part is the warm-up, which `compare` and `check` leave out.

    Raises
    ------
    ValueError
        ``plan`` is not a LoadPlan.

    >>> plan = lab.LoadPlan("locustfile.py", stages=lab.shape("average load", users=100))
    >>> lab.plot_load(plan).get_ylabel()
    'Users'
    """
    if not isinstance(plan, LoadPlan):
        raise ValueError(f"plan must be a LoadPlan; got {type(plan).__name__}")
    scale, unit = next((scale, unit) for least, scale, unit in _UNITS if plan.duration_s >= least)
    at, load = _course(plan)
    colour = STYLES[1][0]
    drawn = axes(ax, height=3.0)
    drawn.fill_between(at / scale, load, color=colour, alpha=0.15, linewidth=0)
    drawn.plot(at / scale, load, color=colour, linewidth=2, solid_joinstyle="miter")
    warm = plan.warmup_fraction * plan.duration_s / scale
    if warm:
        drawn.axvspan(0, warm, color=GREY, alpha=0.15, linewidth=0)
    drawn.set_xlim(0, plan.duration_s / scale)
    drawn.set_ylim(0, load.max() * 1.12)
    drawn.set_xlabel(f"Time since the run's start, {unit}")
    drawn.set_ylabel("Arrivals/s" if plan.is_open else "Users")
    titled(drawn, plain(_title(plan), 110), plain(_notes(plan), 140))
    return drawn


def _course(plan: LoadPlan) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the load curve: (seconds, users or rate)."""
    points, at, before = [(0.0, 0.0)], 0.0, 0.0
    for stage in plan.all_stages:
        if not stage.ramp:
            ready = min(stage.duration_s, _spawning(abs(stage.amount - before), stage.spawn_rate))
            points += [(at, before), (at + ready, stage.amount)] if ready else [(at, stage.amount)]
        at, before = at + stage.duration_s, stage.amount
        points.append((at, before))
    found = np.array(points)
    return found[:, 0], found[:, 1]


def _spawning(users: float, spawn_rate: float | None) -> float:
    return users / spawn_rate if spawn_rate else 0.0


def _title(plan: LoadPlan) -> str:
    top = max(stage.amount for stage in plan.all_stages)
    what = "arrivals/s" if plan.is_open else "users"
    return f"Up to {format_number(top)} {what} in {format_ms(plan.duration_s * 1e3)}"


def _notes(plan: LoadPlan) -> str:
    kind = f"open model, {plan.arrivals} arrivals" if plan.is_open else "closed model"
    expected = "" if plan.expected_arrivals is None else f", {format_number(round(plan.expected_arrivals))} in all"
    warm = "; shaded: warm-up" if plan.warmup_fraction else ""
    return f"{kind}{expected}{warm}"
