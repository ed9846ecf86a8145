"""What a reader wants first: response time, throughput, error rate and resources before and after, each with a verdict."""

from __future__ import annotations

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import PerflabError
from perflab.metrics import Metric
from perflab.results import Shown
from perflab.stats.change import Change
from perflab.stats.compare import compare
from perflab.stats.rows import Row
from perflab.stats.several_arms import ArmsCompared

_REQUESTS = ("throughput_per_s", "error_fraction")
_TARGET = ("cpu_ms_per_request", "rss_bytes", "read_bytes", "written_bytes")


def rows(change: Change, measured: Measurements | None) -> list[Row]:
    """The row that decides, then throughput, errors, CPU, memory and I/O of the same endpoint and runs.

    What the change holds is taken from it; the rest is compared in the same way. What was not recorded is left out.
    """
    own = change.find()
    found = [own]
    held = {(row.endpoint, row.metric.name): row for row in change.rows}
    missing = []
    for name in (*_REQUESTS, *_TARGET):
        endpoint = own.endpoint if Metric.of(name).has_endpoints else AGGREGATED
        if (endpoint, name) != (own.endpoint, own.metric.name) and (endpoint, name) not in held:
            missing.append(name)
    held |= {(row.endpoint, row.metric.name): row for row in _compared(change, measured, missing)}
    for name in (*_REQUESTS, *_TARGET):
        endpoint = own.endpoint if Metric.of(name).has_endpoints else AGGREGATED
        row = held.get((endpoint, name))
        if row is not None and row is not own and row.typical[0] == row.typical[0]:
            found.append(row)
    return found


def table(result: Change | ArmsCompared, measured: Measurements | None) -> Shown:
    """`rows` as a table: before, after, change with its interval, verdict; of several arms a column for each."""
    if isinstance(result, ArmsCompared):
        return _several(result, measured)
    change = result
    before, after = change.arms
    lines = [
        {
            "Metric": _named(row),
            before: row.metric.format(row.typical[0]),
            after: row.metric.format(row.typical[1]),
            f"Change ({row.confidence * 100:.3g} % interval)": _changed(row),
            "Verdict": row.verdict,
        }
        for row in rows(change, measured)
    ]
    return Shown("", pd.DataFrame(lines))


def _several(compared: ArmsCompared, measured: Measurements | None) -> Shown:
    """A row for each metric, a column for each arm: its value, and its change from the baseline with the verdict.

    Of the metric that decides the verdicts are those that hold for all comparisons at once.
    """
    held = compared.table.set_index(["arm", "against"])["verdict"]
    lines: dict[str, dict[str, str]] = {}
    for change in compared.changes:
        before, after = change.arms
        if before != compared.baseline:
            continue
        for row in rows(change, measured):
            line = lines.setdefault(_named(row), {"Metric": _named(row), before: row.metric.format(row.typical[0])})
            own = row is change.find()
            verdict = str(held[after, before]) if own else row.verdict
            line[after] = f"{row.metric.format(row.typical[1])} ({row.metric.format_change(row.change)}, {verdict})"
    return Shown("", pd.DataFrame(list(lines.values())).fillna("–"))


def bullets(change: Change, measured: Measurements | None) -> list[str]:
    """A line for each row that was decided; one that says so where the deciding row was not."""
    found = rows(change, measured)
    lines = []
    for row in found:
        values = f"{row.metric.format(row.typical[0])} -> {row.metric.format(row.typical[1])}"
        if row.verdict in ("improved", "regressed"):
            interval = row.metric.interval(*row.limits, plain=False, confidence=row.confidence)
            interval = f"{row.confidence * 100:.3g} % interval {interval}"
            lines.append(
                f"{_named(row)} {values} ({row.metric.format_change(row.change)}, {interval}; {change.design.counted})"
            )
        elif row.verdict == "equivalent":
            lines.append(f"{_named(row)} equivalent ({values})")
        elif row is found[0]:
            lines.append(f"{_named(row)} inconclusive ({values}): {row.reason}")
    return lines


def _compared(change: Change, measured: Measurements | None, metrics: list[str]) -> tuple[Row, ...]:
    if measured is None or not metrics or not set(change.arms) <= set(measured.runs["arm"].dropna()):
        return ()
    before, after = (measured.where(arm=arm) for arm in change.arms)
    own = change.find()
    try:
        again = compare(before, after, metric=metrics, tolerance=change.tolerance, warmup=change.warmup,
                        primary=() if own.endpoint == AGGREGATED else own.endpoint,
                        error_tolerance=change.error_tolerance, allow=("invalid", "generator", "plan", "length"))  # fmt: skip
    except (PerflabError, ValueError):  # the change itself was decided from other runs than the report holds
        return ()
    return again.rows


def _named(row: Row) -> str:
    label = row.metric.label
    name = label if row.metric.share is not None else label[:1].upper() + label[1:]
    return name if row.endpoint == AGGREGATED or not row.metric.has_endpoints else f"{name} of {row.endpoint}"


def _changed(row: Row) -> str:
    if row.change != row.change:
        return "–"
    interval = row.metric.interval(*row.limits)
    return row.metric.format_change(row.change) + (f" ({interval})" if interval != "–" else "")
