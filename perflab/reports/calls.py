"""The calls that give a report's numbers again, from the store that holds its runs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from perflab.data.tables import AGGREGATED, Measurements
from perflab.objectives.checking import Checked
from perflab.objectives.writing import words
from perflab.results import Result
from perflab.stats.change import Change
from perflab.stats.several_arms import ArmsCompared


def calls(results: Sequence[Result], measured: Measurements | None) -> str:
    """Python for each result that was made of runs in a store; "" where there is none."""
    if measured is None or "store" not in measured.meta:
        return ""
    names = set(map(str, measured.runs["arm"].dropna()))
    lines = [line for result in results if (line := _call(result, names))]
    if not lines:
        return ""
    return "\n".join(["import perflab as lab", "", f"runs = lab.load({_loaded(measured)})", *lines])


def _loaded(measured: Measurements) -> str:
    """The store, and the experiment where the runs are of one."""
    held = measured.runs["experiment"] if "experiment" in measured.runs.columns else measured.runs["arm"].iloc[:0]
    one = {"experiment": held.iloc[0]} if len(held) and held.notna().all() and held.nunique() == 1 else {}
    return _arguments([_quoted(measured.meta["store"])], one)


def _call(result: Result, arms: set[str]) -> str:
    if isinstance(result, Change) and set(result.arms) <= arms:
        sides = [f"runs.where(arm={_quoted(arm)})" for arm in result.arms]
        options: dict[str, object] = {"metric": result.metrics[0] if len(result.metrics) == 1 else list(result.metrics)}
        options |= {"tolerance": result.tolerance, "error_tolerance": result.error_tolerance}
        # A cut that was raised for an endpoint that had not settled is found again.
        options |= {} if result.trim.longer else {"warmup": result.warmup}
        options |= {"primary": list(result.primaries)} if result.primaries else {}
        return f"lab.compare({_arguments(sides, options)})"
    if isinstance(result, ArmsCompared):
        wanted = list(dict.fromkeys([result.baseline, *result.ranking]))
        options = {"baseline": result.baseline, "metric": result.metric}
        options |= {} if result.endpoint == AGGREGATED else {"endpoint": result.endpoint}
        return f"lab.stats.compare_arms({_arguments([f'runs.where(arm={json.dumps(wanted, ensure_ascii=False)})'], options)})"
    if isinstance(result, Checked):
        goals = json.dumps([words(goal) or str(goal) for goal in result.goals], ensure_ascii=False)
        return f"lab.check({_arguments(['runs', goals], {'warmup': result.warmup})})  # the runs of the arm that was checked"
    return ""


def _arguments(first: Sequence[str], options: dict[str, object]) -> str:
    return ", ".join([*first, *(f"{name}={_quoted(value)}" for name, value in options.items())])


def _quoted(value: object) -> str:
    """A literal that Python and JSON write the same way."""
    return json.dumps(value, ensure_ascii=False)
