"""What a listener learns of an experiment, in words: facts, a run that finished, a registered look."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import PerflabError
from perflab.metrics import VITALS, Metric
from perflab.notes import count
from perflab.progress import LOOK, RUN, Listener
from perflab.stats.change import Change
from perflab.stats.estimates import by_run, evidence_of, whose
from perflab.units import format_value

_SHORT = {
    "throughput_per_s": "throughput",
    "p50_ms": "p50",
    "p95_ms": "p95",
    "lcp_ms": "LCP",
    "error_fraction": "errors",
    "in_progress": "in progress",
}


def fact_text(name: str, value: object) -> str:
    """``p95 31 ms``, ``generator 0.21 cores``; "" for the facts of the last seconds, which only charts show."""
    if name.startswith("recent_"):
        return ""
    if name.endswith("_cores"):
        return f"{name.removesuffix('_cores')} {f'{value:.2f} cores' if value == value else '–'}"
    return f"{_SHORT.get(name, name)} {format_value(name, value)}"


def run_finished(
    listener: Listener, one: Measurements, of: str, metric: str, warmup: float, primary: str | Sequence[str] = ()
) -> None:
    """Publish the metric of a run after the warm-up, as `compare` computes it: ``round 2 of 6, eager: p95 12 ms``."""
    kind, run = Metric.of(metric), one.runs.iloc[0]
    wanted = primary if isinstance(primary, str) and primary else AGGREGATED
    value = float("nan")
    with suppress(PerflabError, ValueError, IndexError):  # what cannot be computed must not end the experiment
        table = by_run(evidence_of(one, kind), [metric], warmup=warmup)
        value = float(table.loc[table["endpoint"] == wanted, metric].iloc[0])
    doubt = "" if run["valid"] else f"; not valid: {'; '.join(map(str, run['reasons']))}"
    made = len(one.requests) if kind.table != VITALS else one.vitals[["page", "visit"]].drop_duplicates().shape[0]
    text = f"{of}: {kind.label} of {whose(wanted, kind)} {kind.format(value)}, {count(made, kind.sampled)}{doubt}"
    facts = {
        "arm": str(run["arm"]),
        "metric": metric,
        "value": value,
        f"{kind.sampled}s": made,
        "valid": bool(run["valid"]),
    }
    _publish(listener, RUN, text, **facts)


def looked_at(listener: Listener, change: Change, pairs: int) -> None:
    """Publish the interval at a registered look."""
    row = change.row_of(change.endpoint, change.metric)
    kind = Metric.of(change.metric)
    text = f"look at {pairs} pairs: {change.sentence}"
    facts = {"change": float(row["change"]), "low": float(row["change_low"]), "high": float(row["change_high"])}
    _publish(
        listener,
        LOOK,
        text,
        pairs=pairs,
        metric=kind.name,
        verdict=change.verdict,
        written=kind.format_change(facts["change"]),
        **facts,
    )


def _publish(listener: Listener, kind: str, text: str, **facts: object) -> None:
    """An event, to listeners that take events."""
    if event := getattr(listener, "event", None):
        event(kind, text, **facts)
