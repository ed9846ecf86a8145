"""Confounders: what differed between two arms besides the change. Some are refused, the rest are reported."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from perflab.data.tables import Measurements
from perflab.errors import ComparisonError
from perflab.notes import Note, listed
from perflab.stats import circumstances, doubts, replications


def check_both(baseline: Measurements, candidate: Measurements, allow: Collection[str]) -> list[Note]:
    """Return warnings on what differed; raise ComparisonError for what must not be compared and was not allowed."""
    for side, arm in ((baseline, "baseline"), (candidate, "candidate")):
        twice = side.runs["run"][side.runs["run"].duplicated()]
        if len(twice):
            raise ComparisonError(doubts.RUN_TWICE(arm=arm, run=repr(twice.iloc[0])))
    problems = replications.problems_of(pd.concat([baseline.runs, candidate.runs], ignore_index=True))
    return replications.allowed(problems, allow, doubts.REFUSED, "compare") + _confounders(baseline, candidate)


_CONFOUNDERS = {
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


def _confounders(baseline: Measurements, candidate: Measurements) -> list[Note]:
    """What else differed between the arms, with the values."""
    sides = [_facts(side.runs) for side in (baseline, candidate)]
    found = []
    for name, words in _CONFOUNDERS.items():
        values = [
            {json.dumps(facts[name], sort_keys=True, default=str) for facts in side if name in facts} for side in sides
        ]
        if values[0] and values[1] and values[0] != values[1]:
            meant = "; fine if that is the change" if name in ("git_sha", "host", "packages", "git_dirty") else ""
            found.append(circumstances.DIFFERED(what=words, name=name, values=_difference(name, *values), meant=meant))
    return found


def _facts(runs: pd.DataFrame) -> list[dict[str, Any]]:
    hosts = runs["host"] if "host" in runs.columns else [None] * len(runs)
    environments = replications.mappings(runs, "environment") or [{} for _ in range(len(runs))]
    # Two arms on one machine have different ports: only the machine counts.
    machines = [urlsplit(host).hostname if isinstance(host, str) else None for host in hosts]
    return [e | ({"host": m} if m else {}) for e, m in zip(environments, machines, strict=True)]


def _difference(name: str, first: set[str], second: set[str]) -> str:
    if name == "packages":
        before, after = (json.loads(sorted(values)[0]) for values in (first, second))
        if isinstance(before, dict) and isinstance(after, dict):
            changed = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
            return listed((f"{k} {before.get(k, 'none')} and {after.get(k, 'none')}" for k in changed), 3)
    short = 10 if name == "git_sha" else 60
    return " and ".join("/".join(str(json.loads(v))[:short] for v in sorted(side)[:3]) for side in (first, second))
