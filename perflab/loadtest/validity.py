"""Whether a run can be believed, and if not, why, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perflab.loadtest.capture import Process
from perflab.units import format_fraction, format_ms

ERROR_LIMIT = 0.5
_CLOCK_JUMP_S = 0.05


@dataclass(frozen=True)
class Judgement:
    """``reasons`` make the run invalid; ``warnings`` only tell what to look at."""

    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def judge(
    processes: Sequence[Process],
    *,
    rows: int,
    locust_count: int | None,
    failed: int,
    ended: str | None = None,
) -> Judgement:
    """Judge what a run left behind.

    ``rows`` and ``failed`` count the captured requests, ``locust_count`` is Locust's own final count (None when it
    wrote none), ``ended`` says what ended the run before its time.
    """
    generators = [p for p in processes if p.role != "master"]
    lost = [p for p in processes if p.footer is None]
    reasons = [ended] if ended else []
    reasons += [f"the generator's process {p.name} was lost: its last records are missing" for p in lost]
    raw = sum(p.count for p in generators)
    if not lost and locust_count is None and not ended:
        reasons.append("Locust wrote no final statistics, so the count of requests can't be confirmed")
    if not lost and locust_count is not None and raw != locust_count:
        reasons.append(f"{raw:,} requests were captured but Locust counted {locust_count:,}")
    reasons += [
        f"{p.name}: the last record is torn ({p.torn_bytes} bytes)" for p in generators if p.torn_bytes and p.footer
    ]
    reasons += _saturated(processes) + _censored(processes) + _jumped(processes)
    if rows and failed / rows > ERROR_LIMIT:
        reasons.append(
            f"{format_fraction(failed / rows)} of the requests failed (the limit is {format_fraction(ERROR_LIMIT)})"
        )
    return Judgement(tuple(reasons), tuple(_warnings(generators, raw - rows)))


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
        found.append(f"{len(errors):,} exceptions in the locustfile's tasks, the first: {errors[0]}")
    if without_time:
        found.append(f"left out {without_time:,} events without a response time")
    names = max((len(p.notes.get("endpoint", [])) for p in generators), default=0)
    if names > 500:
        found.append(f"{names:,} different endpoints: group them with name=, for example name='/products/[id]'")
    return found
