"""Whether two sets of runs may be compared, and by which design: pairs, order, and what else differed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from perflab.errors import ComparisonError, one_of
from perflab.tables import Measurements

ALLOWABLE = ("invalid", "generator", "plan")


@dataclass(frozen=True)
class Design:
    """How the runs of both arms stand to each other.

    ``pairs`` has a row for each complete pair (baseline and candidate run) or is None; ``order_problem`` says why
    the order of the runs can't separate the arms from the passing of time, and is empty when it can.
    """

    pairs: pd.DataFrame | None
    order_problem: str
    warnings: tuple[str, ...]


def design(baseline: Measurements, candidate: Measurements, *, order: str, allow: Collection[str]) -> Design:
    """Check both sides and find the design; raises ComparisonError for what must not be compared."""
    unknown = [name for name in allow if name not in ALLOWABLE]
    if unknown:
        raise one_of("allow", unknown[0], ALLOWABLE)
    if order not in ("auto", "ignore"):
        raise one_of("order", order, ("auto", "ignore"))
    warnings = _refusals(baseline, candidate, allow) + _residue(baseline, candidate)
    pairs, notes = _pairs(baseline.runs, candidate.runs)
    problem = "" if pairs is not None else _order_problem(baseline.runs, candidate.runs)
    if problem and order == "ignore":
        warnings.append(f"{problem}; counted as harmless because order='ignore' was given")
        problem = ""
    return Design(pairs, problem, tuple(warnings + notes))


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
    recorded = {bool(env.get("recorded_queries") or env.get("profiled")) for env in _column(runs, "environment")}
    if len(recorded) > 1:
        problems["plan"] = (
            "in some of the runs queries were recorded or profiles taken, in others not: that costs time too"
        )
    differing = _differing_plans(_column(runs, "plan"))
    if differing:
        problems["plan"] = f"the runs have different plans ({differing})"
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
    "generator": "the generator's version",
}


def _residue(baseline: Measurements, candidate: Measurements) -> list[str]:
    """What else differed between the arms, beside what was meant to."""
    sides = [_column(side.runs, "environment") for side in (baseline, candidate)]
    found = []
    for name, words in _RESIDUE.items():
        values = [{json.dumps(env[name], sort_keys=True, default=str) for env in side if name in env} for side in sides]
        if values[0] and values[1] and values[0] != values[1]:
            found.append(f"{words} differed between the arms too: the change may come from that")
    return found


def _pairs(baseline: pd.DataFrame, candidate: pd.DataFrame) -> tuple[pd.DataFrame | None, list[str]]:
    if not all("pair" in runs.columns and runs["pair"].notna().any() for runs in (baseline, candidate)):
        return None, []
    sides = [_keyed(runs) for runs in (baseline, candidate)]
    for side, arm in zip(sides, ("baseline", "candidate"), strict=True):
        if side["key"].duplicated().any():
            twice = side.loc[side["key"].duplicated(), "key"].iloc[0]
            raise ComparisonError(
                f"the {arm} has several runs of pair {twice[1]}: they come from more than one experiment; "
                "load one with load(store, experiment=...)"
            )
    joined = sides[0].merge(sides[1], on="key", suffixes=("_baseline", "_candidate"))
    lost = (
        len(sides[0])
        + len(sides[1])
        - 2 * len(joined)
        + sum(int(r["pair"].isna().sum()) for r in (baseline, candidate))
    )
    if joined.empty:
        return None, ["no pair is complete: the runs were compared unpaired"]
    return joined, [f"{lost} runs without a partner were left out"] if lost else []


def _keyed(runs: pd.DataFrame) -> pd.DataFrame:
    kept = runs[runs["pair"].notna()]
    experiments = kept["experiment"].fillna("") if "experiment" in kept.columns else pd.Series("", index=kept.index)
    keys = list(zip(experiments.astype(str), kept["pair"].astype(int), strict=True))
    return pd.DataFrame({"key": keys, "run": kept["run"].to_list(), "start": kept["start"].to_list()})


def _order_problem(baseline: pd.DataFrame, candidate: pd.DataFrame) -> str:
    if baseline["start"].isna().any() or candidate["start"].isna().any():
        return "the order of the runs is unknown (the tool writes no absolute times): give started= to read()"
    first, second = baseline["start"], candidate["start"]
    if first.max() < second.min() or second.max() < first.min():
        return (
            "order confounded: every run of one arm came before every run of the other, so whatever changed on "
            "the machine in between looks like an effect; run them interleaved (run_pairs)"
        )
    return ""
