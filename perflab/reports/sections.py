"""Measurements in a report's words: tables for readers, sentences about design, validity and provenance.

Nothing is decided here. `without_literals` removes what may be personal or secret (literals of queries, values in URLs,
passwords).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Metric
from perflab.queries.fingerprint import of_text
from perflab.results import Findings, findings
from perflab.stats import tails
from perflab.stats.estimates import summarize
from perflab.stats.replications import warmup_of
from perflab.units import format_ms, format_number

_LONGEST_PLAN = 400
_SHOWN_VALUES = 4


def together(parts: Sequence[Measurements]) -> Measurements:
    """All runs as one; runs of the same name in several parts get the number of their part."""
    joined = parts[0]
    for position, part in enumerate(parts[1:], 2):
        shared = set(joined.runs["run"]) & set(part.runs["run"])
        joined = joined + (_renamed(part, shared, position) if shared else part)
    return joined


def _renamed(part: Measurements, names: set[str], position: int) -> Measurements:
    fresh = {name: f"{name} ({position})" for name in names}
    tables = {t: f.assign(run=f["run"].replace(fresh)) for t, f in part.tables.items()}
    return Measurements.of(meta=part.meta, warnings=part.warnings, **tables)


def arms(measured: Measurements) -> pd.Series[Any]:
    """The arm of each run, by run; "all runs" where there is none."""
    return measured.runs.set_index("run")["arm"].fillna("all runs")


def latency(measured: Measurements) -> Findings:
    """By arm and endpoint: runs, requests, p50, p95, p99, throughput and errors; one number per arm, as everywhere.

    Quantiles are doubtful where some run has too few requests for them.
    """
    by_run = summarize(measured, warmup=warmup_of(measured.runs, None))
    by_run.insert(0, "arm", by_run["run"].map(arms(measured)))
    grouped = by_run.groupby(["endpoint", "arm"], sort=False)
    metrics = [Metric.of(name) for name in ("p50", "p95", "p99", "throughput_per_s", "error_fraction")]
    table = grouped[[m.column for m in metrics]].agg({m.column: _typical(m) for m in metrics})
    least = grouped["count"].min()
    table.insert(0, "requests", grouped["count"].sum())
    table.insert(0, "runs", grouped.size())
    table = table.reset_index()
    last = table["endpoint"].where(table["endpoint"] != AGGREGATED, "\U0010ffff")
    order = last.sort_values(kind="stable").index
    few = {column: tails.few(least.to_numpy()[order], share).tolist() for column, share in tails.QUANTILES.items()}
    return findings(table.loc[order], "", doubtful=few)


def _typical(metric: Metric) -> Callable[[pd.Series[Any]], float]:
    return lambda values: metric.typical(values.to_numpy(dtype="float64"))


def resources(measured: Measurements) -> pd.DataFrame:
    """By arm and process: mean and highest CPU, highest memory, bytes read and written; medians over runs."""
    samples = measured.resources
    grouped = samples.groupby(["run", "process"], sort=False)
    columns = {
        "cpu_mean_cores": grouped["cpu_cores"].mean(),
        "cpu_max_cores": grouped["cpu_cores"].max(),
        "memory_max_bytes": grouped["rss_bytes"].max(),
    }
    for column in ("read_bytes", "written_bytes"):
        if column in samples.columns:
            columns[column] = grouped[column].sum(min_count=1)  # samples hold what the interval added
    by_run = pd.DataFrame(columns).reset_index()
    by_run["arm"] = by_run["run"].map(arms(measured))
    table = by_run.groupby(["process", "arm"], sort=False)[list(columns)].median().reset_index()
    return table.loc[pd.Series(pd.factorize(table["process"])[0]).sort_values(kind="stable").index].reset_index(
        drop=True
    )


def design(measured: Measurements) -> str:
    """What ran in which order, and when, in a sentence or two."""
    runs = measured.runs.sort_values("start", kind="stable")
    counts = runs["arm"].fillna("all runs").value_counts(sort=False)
    sides = [f"{count} run{'s' if count != 1 else ''} of {arm}" for arm, count in counts.items()]
    each = " and ".join(filter(None, (", ".join(sides[:-1]), sides[-1])))
    when = _period(runs)
    if len(counts) < 2:
        return f"{each}{when}."
    order = _order_of_pairs(runs) if "pair" in runs.columns and runs["pair"].notna().any() else _order(runs)
    return f"{each}{when}. {order}"


def _period(runs: pd.DataFrame) -> str:
    known = runs["start"].dropna()
    if known.empty:
        return ""
    first, last = known.iloc[0], known.iloc[-1] + pd.Timedelta(milliseconds=float(runs["duration_ms"].iloc[-1]))
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f", {first:%Y-%m-%d %H:%M} to {until} UTC"


def _order_of_pairs(runs: pd.DataFrame) -> str:
    paired = runs.dropna(subset="pair")
    arms = runs["arm"].nunique()
    whole = paired.groupby("pair").filter(lambda p: p["arm"].nunique() == arms)
    firsts = whole.drop_duplicates("pair")["arm"]
    name = "pair" if arms == 2 else "round"
    if firsts.empty:
        return f"No {name} is complete."
    arm = sorted(firsts)[0] if firsts.nunique() > 1 else firsts.iloc[0]
    alone = len(runs) - len(whole)
    return (
        f"They ran as {len(firsts)} {name}s, one after another; {arm} ran first in {int((firsts == arm).sum())} of them."
        f"{f' {alone} runs belong to no complete {name}.' if alone else ''}"
    )


def _order(runs: pd.DataFrame) -> str:
    blocks = int((runs["arm"] != runs["arm"].shift()).sum())
    if blocks <= runs["arm"].nunique():
        return "The arms ran one after the other, so a change over time cannot be separated from the change under test."
    return "They were not paired; the arms alternated."


def validity(measured: Measurements) -> str:
    """Whether all runs count, or which do not and why."""
    runs = measured.runs
    bad = runs[~runs["valid"].astype(bool)]
    if bad.empty:
        return "The run is valid." if len(runs) == 1 else f"All {len(runs)} runs are valid."
    reasons = bad.get("reasons", pd.Series([[]] * len(bad), index=bad.index))
    named = "; ".join(
        f"{run}: {', '.join(map(str, why)) or 'no reason given'}" for run, why in zip(bad["run"], reasons, strict=True)
    )
    return f"{len(bad)} of {len(runs)} runs are NOT valid: {named}."


def plans(measured: Measurements) -> list[str]:
    """Each distinct load plan in a line."""
    if "plan" not in measured.runs.columns:
        return []
    written = (_plan(p) for p in measured.runs["plan"] if p is not None and p == p)
    return list(dict.fromkeys(text for text in written if text))


def _plan(plan: Any) -> str:
    if isinstance(plan, str):
        try:
            plan = json.loads(plan)
        except ValueError:
            return str(plan)[:_LONGEST_PLAN]
    if is_dataclass(plan) and not isinstance(plan, type):
        plan = asdict(plan)
    if not isinstance(plan, Mapping):
        return str(plan)[:_LONGEST_PLAN]
    sentence = str(plan.get("sentence", ""))
    listed = plan.get("stages")
    stages = [_stage(s) for s in listed] if isinstance(listed, (list, tuple)) and not sentence else []
    known = {"sentence", "stages"} | ({"duration_s", "locustfile", "warmup"} if sentence else set())
    rest = [f"{k} {_setting(v)}" for k, v in plan.items() if k not in known and v not in (None, "", [], {})]
    return "; ".join(filter(None, [sentence, ", then ".join(stages), *rest]))[:_LONGEST_PLAN]


def _stage(stage: Any) -> str:
    if not isinstance(stage, Mapping):
        return str(stage)
    seconds = stage.get("duration_s")
    length = format_ms(seconds * 1e3) if isinstance(seconds, (int, float)) else str(stage.get("duration", "?"))
    amount = f"{stage['rate']} arrivals/s" if stage.get("rate") is not None else f"{stage.get('users', '?')} users"
    return f"{'ramp to ' if stage.get('ramp') else ''}{amount} for {length}"


def _setting(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, (Mapping, list, tuple)) else str(value)


def run_list(measured: Measurements) -> pd.DataFrame:
    """The runs with what identifies them."""
    runs = measured.runs
    columns = [c for c in ("run", "arm", "pair", "order", "start", "duration_ms", "valid") if c in runs.columns]
    listed = runs[columns].dropna(axis="columns", how="all")
    if "requests" in measured.tables:
        counts = measured.count("requests")
        listed = listed.assign(requests=listed["run"].map(counts).fillna(0).astype("int64"))
    return listed.sort_values("start", kind="stable").reset_index(drop=True) if "start" in listed else listed


def provenance(measured: Measurements) -> pd.DataFrame:
    """Each fact of the environments and hosts with its value, or its values where runs differ."""
    facts: dict[str, dict[Any, None]] = {}
    runs = measured.runs
    for column in ("host", "environment"):
        for value in runs.get(column, pd.Series(dtype="object")):
            for name, fact in _facts(column, value):
                facts.setdefault(name, {})[fact] = None
    for name, fact in measured.meta.items():
        facts.setdefault(str(name), {})[_setting(fact)] = None
    return pd.DataFrame([{"fact": n, "value": _values(list(v))} for n, v in facts.items()], columns=["fact", "value"])


_SHOWN_ELSEWHERE = frozenset({"time", "target arm", "target host"})


def _facts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if name == "packages" and isinstance(value, Mapping):
        yield name, ", ".join(f"{package} {version}" for package, version in value.items())
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _facts(str(key) if name == "environment" else f"{name} {key}", inner)
    elif name not in _SHOWN_ELSEWHERE and value not in (None, "", [], ()) and value == value:
        yield name, value if isinstance(value, (int, float)) and not isinstance(value, bool) else _setting(value)


def _values(found: list[Any]) -> str:
    if len(found) > 1 and all(isinstance(f, (int, float)) for f in found):
        return f"{format_number(min(found))} to {format_number(max(found))}"
    more = f"; … {len(found)} values" if len(found) > _SHOWN_VALUES else ""
    return "; ".join(map(str, found[:_SHOWN_VALUES])) + more


# What is shown only on request

_SQL = re.compile(r"^(sql|query|statement|example|example_sql)$")
_URL_VALUES = re.compile(r"([?&;][\w.\-\[\]%]+=)[^&#\s;\"']+")
_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")


def without_literals(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy whose queries are fingerprints, whose URLs have no values or passwords, and without parameters."""
    columns = {}
    for name in frame.columns:
        if str(name) == "parameters":
            continue
        values = frame[name]
        if not (values.dtype == "object" or isinstance(values.dtype, pd.StringDtype)):
            columns[name] = values
        else:
            clean = of_text if _SQL.match(str(name)) else _without_secrets
            columns[name] = values.map(lambda v, clean=clean: clean(v) if isinstance(v, str) else v)
    return pd.DataFrame(columns, index=frame.index)


def _without_secrets(text: str) -> str:
    return _PASSWORD.sub(r"\1:…@", _URL_VALUES.sub(r"\1…", text))
