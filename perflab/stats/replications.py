"""Runs as replications of one another: what must not be taken together, and the warm-up that they declare."""

from __future__ import annotations

import json
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
    problems = problems_of(runs)
    arms = sorted(runs["arm"].dropna().unique())
    if len(arms) > 1:
        problems["arms"] = f"the runs are of several arms ({', '.join(arms[:5])}): choose one with .where(arm=...)"
    return allowed(problems, given, "these runs can't be judged together", "takes them")


def allowed(problems: Mapping[str, str], allow: Collection[str], refusal: str, verb: str) -> list[str]:
    """The problems that were allowed, as warnings; ComparisonError for the others."""
    refused = [f"{text}; allow={name!r} {verb} all the same" for name, text in problems.items() if name not in allow]
    if refused:
        raise ComparisonError(f"{refusal}: " + ". Also: ".join(refused))
    return [f"allowed: {text}" for text in problems.values()]


def problems_of(runs: pd.DataFrame) -> dict[str, str]:
    """Why runs must not be taken together, by what allows it: "invalid", "generator", "plan"."""
    problems: dict[str, str] = {}
    invalid = runs[~runs["valid"].astype(bool)]
    if len(invalid):
        named = "; ".join(f"{row.run}: {_reasons(row)}" for row in invalid.head(3).itertuples())
        more = f" and {len(invalid) - 3} more" if len(invalid) > 3 else ""
        problems["invalid"] = f"{len(invalid)} of {len(runs)} runs are not valid ({named}{more})"
        # What somebody stopped says nothing of the target; other reasons may, and leaving those out would flatter it.
        if len(invalid) < len(runs) and all(_reasons(row).startswith("interrupted") for row in invalid.itertuples()):
            problems["invalid"] += "; .where(valid=True) leaves out what was interrupted"
    environments = mappings(runs, "environment")
    generators = {str(env.get("generator") or "").split(" ")[0] for env in environments} - {""}
    if len(generators) > 1:
        problems["generator"] = (
            f"the latencies come from different generators ({', '.join(sorted(generators))}), "
            "and each sees the same server differently"
        )
    plans = []
    if len({(bool(e.get("recorded_queries")), e.get("profiled") or "") for e in environments}) > 1:
        plans.append("in some of the runs queries were recorded or profiles taken, in others not: that costs time too")
    if differing := _differing_plans(mappings(runs, "plan")):
        plans.append(f"the runs have different plans ({differing})")
    return problems | ({"plan": ", and ".join(plans)} if plans else {})


def _reasons(row: Any) -> str:
    reasons = getattr(row, "reasons", None)
    return "; ".join(reasons) if isinstance(reasons, (list, tuple)) and reasons else "no reason given"


def _differing_plans(plans: list[dict[str, Any]]) -> str:
    """The settings in which plans differ, in words; empty when they are the same."""
    known = [plan for plan in plans if plan]
    names = sorted({name for plan in known for name in plan} - {"sentence"})
    differing = [n for n in names if len({json.dumps(p.get(n), sort_keys=True, default=str) for p in known}) > 1]
    return ", ".join(differing)


def warmup_of(runs: pd.DataFrame, given: float | str | None) -> float:
    """The share of each run to leave out: as given, else the longest of the plans', else 10 %."""
    if given is None:
        plans = mappings(runs, "plan")
        return max((float(p["warmup"]) for p in plans if p.get("warmup") is not None), default=DEFAULT_WARMUP)
    share = parse_fraction(given, parameter="warmup")
    if not 0 <= share <= 0.9:
        raise ValueError(f"warmup must be between 0 and 90%; got {given!r}")
    return share


def mappings(runs: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """The plan or environment of each run, empty where it has none."""
    return [dict(v) if isinstance(v, Mapping) else {} for v in runs[column]] if column in runs.columns else []
