"""Whether a run can be believed, and if not, why, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from perflab.loadtest.capture import Process, Written
from perflab.units import format_fraction, format_ms

ERROR_LIMIT = 0.5
SCHEDULE_LIMIT = 0.02
LAG_LIMIT_MS, LAG_SHARE = 5.0, 0.2
OMISSION_LIMIT = 0.025
"""Half of what lies above p95: with more requests missing, p95 itself is too low."""
_CLOCK_JUMP_S = 0.05


@dataclass(frozen=True)
class Judgement:
    """``reasons`` make the run invalid; ``warnings`` only tell what to look at."""

    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def judge(
    processes: Sequence[Process],
    written: Written,
    *,
    locust_count: int | None,
    expected_arrivals: float | None = None,
    poisson: bool = False,
    expected_workers: int = 1,
    ended: str | None = None,
    merged: bool = False,
    restarted: str | None = None,
) -> Judgement:
    """Judge what a run left behind.

    ``written`` are the captured requests, ``locust_count`` is Locust's own final count (None when it wrote none),
    ``expected_arrivals`` what an open plan asked for, ``ended`` says what ended the run before its time,
    ``restarted`` whether the target was.
    """
    generators = [p for p in processes if p.role != "master"]
    lost = [p for p in processes if p.footer is None]
    reasons = [said for said in (ended, restarted) if said]
    reasons += [_lost(p) for p in lost]
    if len(generators) < expected_workers and not ended:
        reasons.append(f"{expected_workers} workers were asked for, {len(generators)} took part")
    raw = sum(p.count for p in generators)
    if not lost and locust_count is None and not ended and not merged:
        reasons.append("Locust wrote no final statistics, so the count of requests can't be confirmed")
    if not lost and locust_count is not None and raw != locust_count:
        reasons.append(f"{raw:,} requests were captured but Locust counted {locust_count:,}")
    reasons += [
        f"{p.name}: the last record is torn ({p.torn_bytes} bytes)" for p in generators if p.torn_bytes and p.footer
    ]
    reasons += _saturated(processes) + _censored(processes) + _jumped(processes)
    if expected_arrivals is not None and not ended and not lost:
        reasons += _behind(generators, written, expected_arrivals, poisson)
    if written.rows and written.failed / written.rows > ERROR_LIMIT:
        share, limit = format_fraction(written.failed / written.rows), format_fraction(ERROR_LIMIT)
        reasons.append(f"{share} of the requests failed (the limit is {limit})")
    warnings = _warnings(generators, raw - written.rows)
    if expected_arrivals is None:
        warnings += _exposed(generators, written)
    else:
        warnings += _late(written)
    return Judgement(tuple(reasons), tuple(warnings))


def _lost(process: Process) -> str:
    if process.role == "remote":
        return (
            f"the worker on another machine {process.name.removeprefix('remote-')} was lost in mid-run: what it recorded since "
            "is still there and can be merged (perflab merge)"
        )
    if process.role == "worker":
        return f"{process.name} was lost in mid-run: what it recorded after its last sign of life is missing"
    return f"the generator's process {process.name} was lost: its last records are missing"


def _behind(generators: Sequence[Process], written: Written, expected: float, poisson: bool) -> list[str]:
    """Why the schedule of an open plan was not kept."""
    found = []
    begun = sum(note["begun"] for p in generators for note in p.notes.get("arrivals", []))
    allowed = SCHEDULE_LIMIT + (4 / math.sqrt(expected) if poisson and expected else 0.0)
    if expected and abs(begun - expected) / expected > allowed:
        found.append(
            f"the schedule was not kept: {begun:,} of {expected:,.0f} arrivals began; use more workers or a lower rate"
        )
    if written.lag.count:
        lag, latency = written.lag.quantile(0.95), written.latency.quantile(0.95)
        if lag > max(LAG_LIMIT_MS, LAG_SHARE * latency):
            found.append(
                f"the schedule was not kept: arrivals began {format_ms(lag)} late (p95), beside a latency of "
                f"{format_ms(latency)}; use more workers or a lower rate"
            )
    return found


def schedule(processes: Sequence[Process], written: Written, expected: float) -> dict[str, float]:
    """How an open plan's schedule was kept: what is recorded with the run."""
    notes = [note for p in processes for note in p.notes.get("arrivals", [])]
    return {
        "arrivals_expected": expected,
        "arrivals_begun": sum(note["begun"] for note in notes),
        "lag_p50_ms": written.lag.quantile(0.5),
        "lag_p95_ms": written.lag.quantile(0.95),
        "lag_max_ms": written.lag.largest,
    }


def _late(written: Written) -> list[str]:
    """Whether a lag that is small in itself is still much of the latency that it is in."""
    lag, latency = written.lag.quantile(0.95), written.latency.quantile(0.95)
    if not lag > LAG_SHARE * latency or lag > LAG_LIMIT_MS:
        return []
    return [
        f"arrivals began {format_ms(lag)} late (p95), which is part of the latency of {format_ms(latency)}: the target "
        "is faster than this generator can time; use a quieter machine, a lower rate or more workers"
    ]


def _exposed(processes: Sequence[Process], written: Written) -> list[str]:
    """Whether stalls kept the users of a closed model from asking, so that slow moments are under-represented.

    For each request much slower than the usual, its user would have made as many more as fit into that time; what
    was not asked can't have been slow in the records (coordinated omission; Gil Tene, How not to measure latency).
    """
    spans = [note["time"] for p in processes for kind in ("start", "stop") for note in p.notes.get(kind, [])]
    users = sum(_mean_users(p, min(spans), max(spans)) for p in processes) if spans else 0.0
    if written.rows < 100 or len(spans) < 2 or not users:
        return []
    cycle = (max(spans) - min(spans)) * 1e3 * users / written.rows
    missing = stalled = 0.0
    for spread in written.by_endpoint.values():
        # Slow for this endpoint: a report that always takes long is no stall.
        limit = max(10 * spread.quantile(0.5), 2 * cycle)
        missing += spread.above(limit, lambda waited: waited / cycle - 1) / written.rows
        stalled = max(stalled, spread.largest if spread.largest > limit else 0.0)
    if missing <= OMISSION_LIMIT:
        return []
    return [
        f"exposed to coordinated omission: while the target stalled (up to {format_ms(stalled)}) the users "
        f"waited, and about {format_fraction(missing)} of the requests were never made; measure with an open plan "
        "(Stage(rate=...)) to see what visitors would have felt"
    ]


def _mean_users(process: Process, start: float, stop: float) -> float:
    notes = [note["users"] for note in process.notes.get("users", []) if start <= note["time"] <= stop]
    return sum(notes) / len(notes) if notes else 0.0


def _saturated(processes: Sequence[Process]) -> list[str]:
    busiest = max((note["percent"] for p in processes for note in p.notes.get("cpu", [])), default=0.0)
    if not busiest:
        return []
    return [
        f"the generator used {busiest:.0f} % of a core: it may have been the bottleneck; "
        "offer less load, or use FastHttpUser"
    ]


def _censored(processes: Sequence[Process]) -> list[str]:
    stopped = [note for p in processes for note in p.notes.get("stopped", []) if note["censored"]]
    if not stopped:
        return []
    waited = format_ms(max(note["took_s"] for note in stopped) * 1e3)
    return [
        f"requests were still in flight {waited} after the end and were cut off: raise stop_timeout above the slowest request"
    ]


def _jumped(processes: Sequence[Process]) -> list[str]:
    jump = max((abs(p.footer["clock_jump_s"]) for p in processes if p.footer), default=0.0)
    return [f"the clock was set by {format_ms(jump * 1e3)} during the run"] if jump > _CLOCK_JUMP_S else []


def _warnings(generators: Sequence[Process], without_time: int) -> list[str]:
    found = []
    errors = [note["text"] for p in generators for note in p.notes.get("user_error", [])]
    if errors:
        count = sum(max(len(p.notes.get("user_error", [])), (p.footer or {}).get("user_errors", 0)) for p in generators)
        found.append(f"{count:,} exceptions in the locustfile's tasks, the first: {errors[0]}")
    if without_time:
        found.append(f"left out {without_time:,} events without a response time")
    names = max((len(p.notes.get("endpoint", [])) for p in generators), default=0)
    if names > 500:
        found.append(f"{names:,} different endpoints: group them with name=, for example name='/products/[id]'")
    return found
