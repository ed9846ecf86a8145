"""Whether runs are replications of one another: what must not be combined, and the warm-up that they declare."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from perflab.errors import ComparisonError, one_of
from perflab.notes import Kind, Note, Remedy, joined, listed
from perflab.stats import doubts
from perflab.stats.estimates import mappings as mappings
from perflab.stats.estimates import warmup_of as warmup_of

ALLOWABLE = ("invalid", "generator", "plan", "arms")


def refusals(runs: pd.DataFrame, allow: str | Collection[str] = (), *, call: str = "check") -> list[Note]:
    """Raise ComparisonError for runs that are not replications of one another; return what was allowed as warnings.

    ``call`` is the function whose ``allow`` the message names; "" for one without.
    """
    given = (allow,) if isinstance(allow, str) else tuple(allow)
    if unknown := [name for name in given if name not in ALLOWABLE]:
        raise one_of("allow", unknown[0], ALLOWABLE)
    problems = problems_of(runs)
    arms = sorted(runs["arm"].dropna().unique())
    if len(arms) > 1:
        problems["arms"] = doubts.ARMS(Remedy(".where", {"arm": ...}), arms=arms)
    return allowed(problems, given, doubts.NOT_TOGETHER if call else doubts.NOT_REPLICATIONS, call)


def allowed(problems: Mapping[str, Note], allow: Collection[str], refusal: Kind, call: str) -> list[Note]:
    """The allowed problems as warnings; ComparisonError for the others."""
    refused = {name: problem for name, problem in problems.items() if name not in allow}
    if refused:
        names = tuple(refused)
        remedy = Remedy(call, {"allow": names[0] if len(names) == 1 else names}) if call else None
        raise ComparisonError(refusal(remedy, problems=joined(*refused.values()), codes=names))
    return [doubts.ALLOWED(problem=problem) for problem in problems.values()]


def problems_of(runs: pd.DataFrame) -> dict[str, Note]:
    """Why runs must not be combined, by the ``allow`` that overrides it: "invalid", "generator", "plan"."""
    problems: dict[str, Note] = {}
    invalid = runs[~runs["valid"].astype(bool)]
    if len(invalid):
        named = listed((f"{row.run}: {_reasons(row)}" for row in invalid.itertuples()), 3)
        facts = {"invalid": len(invalid), "runs": len(runs), "named": named}
        # An interruption says nothing about the target; other reasons may, and leaving those runs out would flatter it.
        interrupted = len(invalid) < len(runs) and all(map(_interrupted, invalid.itertuples()))
        problems["invalid"] = (
            doubts.INTERRUPTED(Remedy(".where", {"valid": True}), **facts) if interrupted else doubts.INVALID(**facts)
        )
    environments = mappings(runs, "environment")
    generators = {str(env.get("generator") or "").split(" ")[0] for env in environments} - {""}
    if len(generators) > 1:
        problems["generator"] = doubts.GENERATORS(generators=sorted(generators))
    differing = _differing_plans(mappings(runs, "plan"))
    names = ("recorded_queries", "recorded_requests")
    recorded = len({(*(bool(e.get(name)) for name in names), e.get("profiled") or "") for e in environments}) > 1
    if differing:
        problems["plan"] = doubts.PLANS(settings=[*differing, *["recorded queries or profiles"] * recorded])
    elif recorded:
        problems["plan"] = doubts.RECORDED()
    return problems


def _reasons(row: Any) -> str:
    reasons = getattr(row, "reasons", None)
    return "; ".join(map(str, reasons)) if isinstance(reasons, (list, tuple)) and reasons else "no reason given"


def _interrupted(row: Any) -> bool:
    """Whether the run was stopped by hand and nothing else was wrong with it."""
    codes = getattr(row, "reason_codes", None)
    return isinstance(codes, (list, tuple)) and set(codes) == {"interrupted"}


def _differing_plans(plans: list[dict[str, Any]]) -> list[str]:
    """The settings in which plans differ; empty where they agree."""
    known = [plan for plan in plans if plan]
    names = sorted({name for plan in known for name in plan} - {"sentence"})
    return [n for n in names if len({json.dumps(p.get(n), sort_keys=True, default=str) for p in known}) > 1]
