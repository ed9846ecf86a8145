"""What else differed between two arms, beside what was meant to: some must not be compared, the rest is said."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from perflab.errors import ComparisonError
from perflab.tables import Measurements


def check_both(baseline: Measurements, candidate: Measurements, allow: Collection[str]) -> list[str]:
    """Warnings on what differed; raises ComparisonError for what must not be compared and was not allowed."""
    for side, arm in ((baseline, "baseline"), (candidate, "candidate")):
        twice = side.runs["run"][side.runs["run"].duplicated()]
        if len(twice):
            raise ComparisonError(
                f"the {arm} has more than one run called {twice.iloc[0]!r}: give each run a name of its own"
            )
    return _refusals(baseline, candidate, allow) + _residue(baseline, candidate)


def _refusals(baseline: Measurements, candidate: Measurements, allow: Collection[str]) -> list[str]:
    runs = pd.concat([baseline.runs, candidate.runs], ignore_index=True)
    problems: dict[str, str] = {}
    invalid = runs[~runs["valid"].astype(bool)]
    if len(invalid):
        named = "; ".join(f"{row.run}: {_reasons(row)}" for row in invalid.head(3).itertuples())
        more = f" and {len(invalid) - 3} more" if len(invalid) > 3 else ""
        problems["invalid"] = f"{len(invalid)} of {len(runs)} runs are not valid ({named}{more})"
    generators = {_generator(env) for env in _column(runs, "environment")} - {""}
    if len(generators) > 1:
        problems["generator"] = (
            f"the latencies come from different generators ({', '.join(sorted(generators))}), "
            "and each sees the same server differently"
        )
    recorded = {(bool(e.get("recorded_queries")), e.get("profiled") or "") for e in _column(runs, "environment")}
    if len(recorded) > 1:
        problems["plan"] = (
            "in some of the runs queries were recorded or profiles taken, in others not: that costs time too"
        )
    differing = _differing_plans(_column(runs, "plan"))
    if differing:
        both = f"{problems['plan']}, and " if "plan" in problems else ""
        problems["plan"] = f"{both}the runs have different plans ({differing})"
    refused = [
        f"{text}; allow={name!r} compares them all the same" for name, text in problems.items() if name not in allow
    ]
    if refused:
        raise ComparisonError("these must not be compared: " + ". Also: ".join(refused))
    return [f"allowed: {text}" for text in problems.values()]


def _reasons(row: Any) -> str:
    reasons = getattr(row, "reasons", None)
    return "; ".join(reasons) if isinstance(reasons, (list, tuple)) and reasons else "no reason given"


def _column(runs: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    return [dict(v) if isinstance(v, Mapping) else {} for v in runs[name]] if name in runs.columns else []


def _generator(environment: dict[str, Any]) -> str:
    return str(environment.get("generator") or "").split(" ")[0]


def _differing_plans(plans: list[dict[str, Any]]) -> str:
    """The settings in which plans differ, in words; empty when they are the same."""
    known = [plan for plan in plans if plan]
    names = sorted({name for plan in known for name in plan} - {"sentence"})
    differing = [n for n in names if len({json.dumps(p.get(n), sort_keys=True, default=str) for p in known}) > 1]
    return ", ".join(differing)


_RESIDUE = {
    "cpu_model": "the processor",
    "cpu_count": "the number of cores",
    "system": "the operating system",
    "python": "Python",
    "packages": "package versions",
    "git_sha": "the git commit",
    "git_dirty": "whether the sources had uncommitted changes",
    "generator": "the generator's version",
    "host": "the machine of the target",
}


def _residue(baseline: Measurements, candidate: Measurements) -> list[str]:
    """What else differed between the arms, with the values."""
    sides = [_facts(side.runs) for side in (baseline, candidate)]
    found = []
    for name, words in _RESIDUE.items():
        values = [
            {json.dumps(facts[name], sort_keys=True, default=str) for facts in side if name in facts} for side in sides
        ]
        if values[0] and values[1] and values[0] != values[1]:
            meant = "; fine if that is the change" if name in ("git_sha", "host", "packages", "git_dirty") else ""
            found.append(
                f"{words} differed between the arms too ({_difference(name, *values)}): the change may come from that{meant}"
            )
    return found


def _facts(runs: pd.DataFrame) -> list[dict[str, Any]]:
    hosts = runs["host"] if "host" in runs.columns else [None] * len(runs)
    environments = _column(runs, "environment") or [{} for _ in range(len(runs))]
    # Two arms on one machine have two ports: only the machine counts.
    machines = [urlsplit(host).hostname if isinstance(host, str) else None for host in hosts]
    return [e | ({"host": m} if m else {}) for e, m in zip(environments, machines, strict=True)]


def _difference(name: str, first: set[str], second: set[str]) -> str:
    if name == "packages":
        before, after = (json.loads(sorted(values)[0]) for values in (first, second))
        if isinstance(before, dict) and isinstance(after, dict):
            changed = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
            listed = [f"{k} {before.get(k, 'none')} and {after.get(k, 'none')}" for k in changed[:3]]
            return ", ".join(listed) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    short = 10 if name == "git_sha" else 60
    return " and ".join("/".join(str(json.loads(v))[:short] for v in sorted(side)[:3]) for side in (first, second))
