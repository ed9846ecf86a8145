"""What is behind the components of an account besides calls: functions, and the database by its own count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.profiles.flat import flat_profile

_PROFILES = ("profile", "calls")
FUNCTIONS = ("function", "file", "baseline_ms", "candidate_ms", "change_ms")
SIDES = ("arm", "client_ms", "executing_ms", "planning_ms", "outside_ms")


def functions_of(sides: Sequence[Measurements], endpoint: str) -> pd.DataFrame:
    """The time of each function itself in a profiled request of the endpoint, for each side; empty without such profiles."""
    tables = [_self_ms(side, endpoint) for side in sides]
    if any(table is None for table in tables):
        return pd.DataFrame(columns=list(FUNCTIONS))
    columns = ("baseline_ms", "candidate_ms")[: len(tables)]
    found = pd.concat(dict(zip(columns, tables, strict=True)), axis=1).fillna(0.0)
    if len(tables) > 1:
        found["change_ms"] = found["candidate_ms"] - found["baseline_ms"]
    by = "change_ms" if len(tables) > 1 else "baseline_ms"
    return found.sort_values(by, key=abs, ascending=False, kind="stable").reset_index()


def _self_ms(side: Measurements, endpoint: str) -> pd.Series | None:
    """Milliseconds by function and file, the mean over the profiled requests."""
    counts: dict[str, float] = {}
    for run, environment in zip(side.runs["run"], side.runs.get("environment", ()), strict=False):
        facts = environment.get("profiling") if isinstance(environment, Mapping) else None
        endpoints = facts.get("endpoints") if isinstance(facts, Mapping) else None
        for name, numbers in (endpoints or {}).items():
            if endpoint in (AGGREGATED, name):
                counts[str(run)] = counts.get(str(run), 0.0) + float(numbers["profiled"])
    requests = sum(counts.values())
    if not requests:
        return None
    chosen = side.where(run=list(counts))
    for table in (chosen.tables[name] for name in _PROFILES if name in chosen.tables):
        own = table if endpoint == AGGREGATED else table[table["endpoint"] == endpoint]
        flat = pd.DataFrame(flat_profile(own, per=()))
        if set(flat["unit"]) == {"ms"}:
            sums: pd.Series = flat.fillna({"file": ""}).groupby(["function", "file"])["self"].sum()
            return sums / requests
    return None


def database_sides(sides: Sequence[Measurements], arms: Sequence[str]) -> pd.DataFrame:
    """The time a request waited for the database and what the server itself counted, for each arm that has both."""
    rows = []
    for side, arm in zip(sides, arms, strict=False):
        summary = side.tables.get("summary")
        if summary is None or "statistic" not in summary.columns:
            continue
        counted = summary[summary["statistic"].isin(["total", "plan"])]
        components = side.components
        runs = set(counted["run"]) & set(components["run"])
        asked = components[components["run"].isin(runs)]
        requests = asked[["run", "request"]].drop_duplicates().shape[0]
        client = float(asked.loc[asked["component"] == "database", "duration_ms"].sum())
        if not runs or not requests or not client:
            continue
        own = counted[counted["run"].isin(runs)].groupby("statistic")["value"].sum()
        executing, planning = (float(own.get(name, 0.0)) / requests for name in ("total", "plan"))
        waited = client / requests
        rows.append((arm, waited, executing, planning, waited - executing - planning))
    return pd.DataFrame(rows, columns=list(SIDES))
