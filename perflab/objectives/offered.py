"""What was offered: an objective is decided as far as the runs asked for what it is about, and no further."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.metrics import RATE
from perflab.objectives import cautions
from perflab.objectives.objective import Objective
from perflab.units import format_number

_NEAR = 0.05
"""A load that differs by less is the one that was asked for."""


def as_far_as_offered(goal: Objective, found: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """A throughput that was missed because no more was offered is the plan's, and says nothing of the target."""
    if found.get("verdict") != "fails" or goal.operator not in (">", ">=") or "offered_per_s" not in runs.columns:
        return found
    offered = runs["offered_per_s"].to_numpy(dtype="float64")
    if not np.isfinite(offered).all() or offered.max() >= goal.bound:
        return found
    reason = cautions.LESS_OFFERED(offered_per_s=float(offered.max()), bound=goal.written(goal.bound))
    return {**found, "verdict": "inconclusive", "reason": reason}


def under_its_load(goal: Objective, found: dict[str, Any], measured: Measurements) -> dict[str, Any]:
    """What holds under less load than the objective is about, or fails under more, decides nothing.

    Of a throughput it is the other way round: more load brings more.
    """
    if not goal.load or found.get("verdict") not in ("holds", "fails"):
        return found
    asked, unit = _load(goal.load)
    reached = _users(measured) if unit == "users" else _rate(measured)
    if reached is None or abs(reached - asked) <= _NEAR * asked:
        return found
    easier = (reached < asked) != (goal.measure.kind == RATE and goal.operator in (">", ">="))
    if easier != (found["verdict"] == "holds"):
        return found
    kind = cautions.LESS_LOAD if reached < asked else cautions.MORE_LOAD
    written = f"{format_number(round(reached, 1))}{' users' if unit == 'users' else '/s'}"
    return {**found, "verdict": "inconclusive", "reason": kind(reached=written, asked=goal.load)}


def load_is_known(goal: Objective, measured: Measurements) -> bool:
    """Whether the runs say how much load there was, in the terms of the objective."""
    return not goal.load or (_users if _load(goal.load)[1] == "users" else _rate)(measured) is not None


def _load(text: str) -> tuple[float, str]:
    number, unit = re.fullmatch(r"([\d.]+)( users|/s)", text).groups()  # type: ignore[union-attr]
    return float(number), unit.strip()


def _users(measured: Measurements) -> float | None:
    """The most users at a time, in the run that had the fewest."""
    if "load" not in measured.tables or "users" not in measured.load.columns:
        return None
    most = measured.load.groupby("run")["users"].max()
    return float(most.min()) if len(most) and most.notna().all() else None


def _rate(measured: Measurements) -> float | None:
    """Requests a second, in the run that had the fewest."""
    seconds = measured.runs.set_index("run")["duration_ms"] / 1e3
    counts = measured.count("requests").reindex(seconds.index).fillna(0)
    return float((counts / seconds).min()) if len(seconds) and (seconds > 0).all() else None
