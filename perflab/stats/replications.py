"""Runs as replications of one another: what must not be taken together, and the warm-up that they declare."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from perflab.errors import ComparisonError, one_of
from perflab.stats.estimates import DEFAULT_WARMUP
from perflab.units import parse_fraction

ALLOWABLE = ("invalid", "generator", "plan", "arms")


def refusals(runs: pd.DataFrame, allow: str | Collection[str] = ()) -> list[str]:
    """Raise ComparisonError for runs that are no replications of one another; those allowed come back as warnings."""
    given = (allow,) if isinstance(allow, str) else tuple(allow)
    if unknown := [name for name in given if name not in ALLOWABLE]:
        raise one_of("allow", unknown[0], ALLOWABLE)
    problems: dict[str, str] = {}
    invalid = runs[~runs["valid"].astype(bool)]
    if len(invalid):
        named = ", ".join(invalid["run"].head(3))
        problems["invalid"] = f"{len(invalid)} of {len(runs)} runs are not valid ({named}; see .runs.reasons)"
    arms = sorted(runs["arm"].dropna().unique())
    if len(arms) > 1:
        problems["arms"] = f"the runs are of several arms ({', '.join(arms[:5])}): choose one with .where(arm=...)"
    generators = {str(e.get("generator", "")).split(" ")[0] for e in _mappings(runs, "environment")} - {""}
    if len(generators) > 1:
        problems["generator"] = f"the latencies come from different generators ({', '.join(sorted(generators))})"
    plans = {str(sorted((k, str(v)) for k, v in p.items() if k != "sentence")) for p in _mappings(runs, "plan") if p}
    if len(plans) > 1:
        problems["plan"] = f"the runs have {len(plans)} different plans"
    refused = [
        f"{text}; allow={name!r} takes them all the same" for name, text in problems.items() if name not in given
    ]
    if refused:
        raise ComparisonError("these runs can't be judged together: " + ". Also: ".join(refused))
    return [f"allowed: {text}" for text in problems.values()]


def warmup_of(runs: pd.DataFrame, given: float | str | None) -> float:
    """The share of each run to leave out: as given, else the plan's, else 10 %."""
    if given is None:
        return max((float(p["warmup"]) for p in _mappings(runs, "plan") if "warmup" in p), default=DEFAULT_WARMUP)
    share = parse_fraction(given, parameter="warmup")
    if not 0 <= share <= 0.9:
        raise ValueError(f"warmup must be between 0 and 90%; got {given!r}")
    return share


def _mappings(runs: pd.DataFrame, column: str) -> list[Mapping[str, Any]]:
    return [v for v in runs[column] if isinstance(v, Mapping)] if column in runs.columns else []
