"""Whether a run is valid, and the reasons if not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from perflab.loadtest import reasons
from perflab.loadtest.capture import Process, Written
from perflab.loadtest.histogram import Floats
from perflab.loadtest.records import TICK_S
from perflab.notes import Note, Remedy, notes_of

ERROR_LIMIT = 0.5
USERS_LIMIT = 0.05
"""The share of the planned user time that may be missing."""
SHORTER_LIMIT, SHORTER_S = 0.05, 0.15
STALL_LIMIT, STALL_S = 0.05, 0.25
"""A generator stalled for more than this share of the run, or this long at a time, gets a warning."""
BLOCKED_LIMIT = 0.5
"""A generator stalled for more than this share of the run measured itself."""
BUSY_LIMIT, BUSY_S, _FEWEST_NOTES = 0.9, 10.0, 4
"""Locust's own limit, and how often it looks: a load of less than ten seconds ends before it does."""
HOLDS_LIMIT, FEWEST_HOLDS = 0.2, 5
"""The limits for calls that block: their share of the tasks, and their number. Some come from a lack of CPU."""
_LONG_TASK = 20
"""Requests that count as a task where there are too few tasks: a task may be an endless loop."""
_SPAWN_S = 2.0
"""Locust asks for the stage once a second, and its users need a moment to appear."""
SCHEDULE_LIMIT = 0.02
LAG_LIMIT_MS, LAG_SHARE = 5.0, 0.2
OMISSION_LIMIT = 0.025
"""Half of the share above p95: with more requests missing, p95 itself is too low."""
_CLOCK_JUMP_S = 0.05


@dataclass(frozen=True)
class Judgement:
    """``reasons`` make the run invalid; ``warnings`` do not."""

    reasons: tuple[Note, ...]
    warnings: tuple[Note, ...]


def judge(
    processes: Sequence[Process],
    written: Written,
    *,
    locust_count: int | None,
    expected_arrivals: float | None = None,
    poisson: bool = False,
    expected_workers: int = 1,
    ended: object = None,
    merged: bool = False,
    restarted: object = None,
    stages: Sequence[Mapping[str, Any]] = (),
    exit_code: int = 0,
) -> Judgement:
    """Judge a run by its records.

    ``written`` are the captured requests, ``locust_count`` is Locust's own final count (None if it wrote none),
    ``expected_arrivals`` the number in an open plan, ``ended`` why the run ended early, ``restarted`` whether the target did:
    notes, or their stored form. ``stages`` is the plan's load, ``exit_code`` Locust's.
    """
    generators = [p for p in processes if p.role != "master"]
    lost = [p for p in processes if p.footer is None]
    found = [*notes_of(note for note in (ended, restarted) if note), *map(_lost, lost)]
    if len(generators) < expected_workers and not ended:
        found.append(reasons.WORKERS_MISSING(wanted=expected_workers, found=len(generators)))
    raw = sum(p.count for p in generators)
    exited = [p for p in processes if p.notes.get("exited")]
    if exited:
        in_flight = sum(int((p.footer or {}).get("cut") or 0) for p in exited)
        failed = next((note["error"] for p in exited for note in p.notes["exited"] if note.get("error")), None)
        found.append(
            reasons.GENERATOR_FAILED(in_flight=in_flight, first=failed)
            if failed
            else reasons.EXITED(in_flight=in_flight)
        )
    if not lost and locust_count is None and not ended and not merged and not exited:
        found.append(reasons.NO_COUNT())
    if not lost and locust_count is not None and raw < locust_count:
        found.append(reasons.COUNTS_DIFFER(captured=raw, counted=locust_count))
    found += [reasons.TORN(process=p.name, left=p.torn_bytes) for p in generators if p.torn_bytes and p.footer]
    found += _saturated(processes) + _cut_off(generators) + _jumped(processes)
    if not ended:
        found += _not_applied(processes, written, stages)
    if expected_arrivals is not None and not ended and not lost:
        found += _behind(generators, written, expected_arrivals, poisson)
    if written.rows and written.failed / written.rows > ERROR_LIMIT:
        found.append(reasons.MOST_FAILED(failed_fraction=written.failed / written.rows, limit_fraction=ERROR_LIMIT))
    warnings = _warnings(generators, written, raw)
    stalls = _stood_still(generators, written)
    found += [note for note in stalls if note.code == reasons.GENERATOR_BLOCKED.code]
    warnings += [note for note in stalls if note.code != reasons.GENERATOR_BLOCKED.code] or _held_up(generators)
    if not lost and locust_count is not None and raw > locust_count:
        warnings.append(reasons.COUNTED_FEWER(captured=raw, counted=locust_count))
    if exit_code and not ended:
        excused = _excused(processes, exit_code) if not found and raw == locust_count else None
        (warnings if excused else found).append(excused or reasons.EXIT_CODE(exit_code=exit_code))
    if expected_arrivals is None:
        warnings += _exposed(generators, written)
    else:
        warnings += _late(written)
    return Judgement(tuple(found), tuple(warnings))


def _lost(process: Process) -> Note:
    if process.role == "remote":
        return reasons.REMOTE_WORKER_LOST(Remedy("merge"), worker=process.name.removeprefix("remote-"))
    return (reasons.WORKER_LOST if process.role == "worker" else reasons.PROCESS_LOST)(process=process.name)


def _behind(generators: Sequence[Process], written: Written, expected: float, poisson: bool) -> list[Note]:
    """Why the schedule of an open plan was not kept."""
    found = []
    begun = sum(note["begun"] for p in generators for note in p.notes.get("arrivals", []))
    raised = sum(note.get("failed", 0) for p in generators for note in p.notes.get("arrivals", []))
    allowed = SCHEDULE_LIMIT + (4 / math.sqrt(expected) if poisson and expected else 0.0)
    if expected and abs(begun - expected) / expected > allowed:
        found.append(reasons.ARRIVALS_MISSED(started=begun, expected=round(expected)))
    elif expected and raised / expected > SCHEDULE_LIMIT:
        first = _first(generators, "user_error")
        found.append(reasons.ARRIVALS_RAISED(raised=raised, expected=round(expected), first=first))
    if written.lag.count:
        lag, latency = written.lag.quantile(0.95), written.latency.quantile(0.95)
        if lag > max(LAG_LIMIT_MS, LAG_SHARE * latency):
            found.append(reasons.ARRIVALS_LATE(lag_ms=lag, latency_ms=latency))
    return found


def account(processes: Sequence[Process], written: Written) -> dict[str, int]:
    """The fate of every request, for run.json; ``sent`` covers HttpUser and FastHttpUser only."""
    footers = [p.footer or {} for p in processes if p.role != "master"]
    names = ("sent", "cut", "dropped", "redirects", "repeats")
    sums = {name: sum(int(f.get(name) or 0) for f in footers) for name in names}
    late = _late_of(processes, written)
    return {"recorded": written.rows, "late": late, "impossible": written.impossible, **sums}


def _late_of(processes: Sequence[Process], written: Written) -> int:
    """The requests outside the plan's time: those reported, and those that were cut off."""
    return written.late + sum(int((p.footer or {}).get("late") or 0) for p in processes)


def schedule(processes: Sequence[Process], written: Written, expected: float) -> dict[str, float]:
    """How well an open plan's schedule was kept, as recorded with the run."""
    notes = [note for p in processes for note in p.notes.get("arrivals", [])]
    return {
        "arrivals_expected": expected,
        "arrivals_begun": sum(note["begun"] for note in notes),
        "lag_p50_ms": written.lag.quantile(0.5),
        "lag_p95_ms": written.lag.quantile(0.95),
        "lag_max_ms": written.lag.largest,
    }


def _late(written: Written) -> list[Note]:
    """A warning where a small lag is still a large part of the latency."""
    lag, latency = written.lag.quantile(0.95), written.latency.quantile(0.95)
    if not lag > LAG_SHARE * latency or lag > LAG_LIMIT_MS:
        return []
    return [reasons.LAG_IN_LATENCY(lag_ms=lag, latency_ms=latency)]


def _exposed(processes: Sequence[Process], written: Written) -> list[Note]:
    """A warning where stalls kept the users of a closed model from sending, so that slow moments are under-represented.

    During each request much slower than usual, its user would have sent as many more as fit into that time. Requests that
    were not sent cannot be slow in the records (coordinated omission; Gil Tene, How not to measure latency).
    """
    spans = [note["time"] for p in processes for kind in ("start", "stop") for note in p.notes.get(kind, [])]
    users = sum(_mean_users(p, min(spans), max(spans)) for p in processes) if spans else 0.0
    if written.rows < 100 or len(spans) < 2 or not users:
        return []
    cycle = (max(spans) - min(spans)) * 1e3 * users / written.rows
    missing = stalled = 0.0
    for latencies in written.by_endpoint.values():
        # Slow for this endpoint: a report that always takes long is not a stall.
        limit = max(10 * latencies.quantile(0.5), 2 * cycle)
        missing += latencies.above(limit, lambda waited: waited / cycle - 1) / written.rows
        stalled = max(stalled, latencies.largest if latencies.largest > limit else 0.0)
    # A stall of the generator looks the same, and has its own note.
    if missing <= OMISSION_LIMIT or _worst_s(processes) * 1e3 > stalled / 2:
        return []
    return [reasons.OMISSION(Remedy("Stage", {"rate": ...}), stall_ms=stalled, missing_fraction=missing)]


def _mean_users(process: Process, start: float, stop: float) -> float:
    notes = [note["users"] for note in process.notes.get("users", []) if start <= note["time"] <= stop]
    return sum(notes) / len(notes) if notes else 0.0


def _saturated(processes: Sequence[Process]) -> list[Note]:
    by_locust = [note["percent"] / 100 for p in processes for note in p.notes.get("cpu", [])]
    busiest = max([*by_locust, *map(_busy, processes)], default=0.0)
    return [reasons.GENERATOR_BUSY(cpu_fraction=busiest)] if busiest > BUSY_LIMIT else []


def _busy(process: Process) -> float:
    """The largest share of a core that a process used over ten seconds of the load, or over all of a shorter one."""
    loops = sorted((note["time"], note["cpu_s"]) for note in _loops([process]) if "cpu_s" in note)
    if len(loops) < _FEWEST_NOTES:
        return 0.0
    times, spent = np.array(loops).T
    spent = np.cumsum(spent)  # each note has the CPU time since the one before
    ends = np.append(np.flatnonzero(times[:-1] - times[0] >= BUSY_S), len(times) - 1)
    begins = np.maximum(np.searchsorted(times, times[ends] - BUSY_S, side="right") - 1, 0)
    return float(((spent[ends] - spent[begins]) / (times[ends] - times[begins])).max())


def _cut_off(generators: Sequence[Process]) -> list[Note]:
    """Requests that were sent and never reported, except those of a process that the locustfile ended."""
    known = [p for p in generators if not p.notes.get("exited")]
    stopped = [note for p in known for note in p.notes.get("stopped", [])]
    cut, own = (sum(int((p.footer or {}).get(name) or 0) for p in known) for name in ("cut", "timed_out"))
    waited_ms = max((note["took_s"] for note in stopped), default=0.0) * 1e3
    found = [reasons.CUT_OFF(requests=cut - own, waited_ms=waited_ms)] if cut > own else []
    return found + ([reasons.TIMED_OUT(requests=own)] if own else [])


def _first(generators: Sequence[Process], kind: str) -> str:
    """The first text noted of a kind."""
    notes = [note for p in generators for note in p.notes.get(kind, [])]
    return str(min(notes, key=lambda note: note.get("time", 0.0))["text"]) if notes else "unknown"


def _not_applied(processes: Sequence[Process], written: Written, stages: Sequence[Mapping[str, Any]]) -> list[Note]:
    """Reasons where the plan's duration or users were not reached, or the users did not do their work."""
    generators = [p for p in processes if p.role != "master"]
    starts = [note["time"] for p in processes for note in p.notes.get("start", [])]
    stops = [note["time"] for p in processes for note in p.notes.get("stop", [])]
    planned_s = sum(stage["duration_s"] for stage in stages)
    found = []
    if starts and stops and planned_s:
        ran_s = max(stops) - min(starts)
        if ran_s < planned_s * (1 - SHORTER_LIMIT) and ran_s < planned_s - SHORTER_S:
            found.append(reasons.RUN_SHORT(ran_ms=ran_s * 1e3, planned_ms=planned_s * 1e3))
        if stages[0].get("rate") is None:
            found += _users_missing(generators, stages, min(starts), min(max(stops), min(starts) + planned_s))
    errors = sum((p.footer or {}).get("user_errors", 0) for p in generators)
    if errors > max(written.rows, 1):
        first = _first(generators, "user_error")
        found.append(reasons.MOSTLY_RAISED(errors=errors, requests=written.rows, first=first))
    return found


def _users_missing(
    generators: Sequence[Process], stages: Sequence[Mapping[str, Any]], start: float, stop: float
) -> list[Note]:
    """Compare the users present with those planned over time, allowing for Locust's own delay in starting them."""
    fixed = [note["users"] for p in generators for note in p.notes.get("fixed", [])]
    most = fixed[0] if fixed and fixed[0] else math.inf
    times = np.arange(start, stop, 0.25)
    if not len(times):
        return []
    # The times at which users left are exact, so that a run of any length can be judged by them.
    left = np.sort([note["time"] for p in generators for note in p.notes.get("user_ended", [])])
    planned = np.minimum([_planned(stages, t - start) for t in times], most)
    present = planned - np.minimum(np.searchsorted(left, times, side="right"), planned)
    if stop - start > 2 * _SPAWN_S:
        least = np.minimum.reduce([_planned_at(stages, times - start - late, most) for late in (0.0, 1.0, _SPAWN_S)])
        seen = sum(_present(p, times) for p in generators)
        present = np.minimum(present, planned - np.maximum(0.0, least - seen))
    whole = float(planned.sum())
    if not whole or float(present.sum()) >= (1 - USERS_LIMIT) * whole:
        return []
    facts = {"present": round(float(present.mean()), 1), "planned": round(float(planned.mean()))}
    if not len(left):
        return [reasons.USERS_NEVER_CAME(**facts)]
    return [reasons.USERS_MISSING(**facts, ended=len(left), first=_first(generators, "user_ended"))]


def _planned_at(stages: Sequence[Mapping[str, Any]], seconds: Floats, most: float) -> Floats:
    return np.minimum([_planned(stages, s) for s in seconds], most)


def _planned(stages: Sequence[Mapping[str, Any]], second: float) -> float:
    """The number of users in the plan at a second of the run."""
    before = 0.0
    for stage in stages:
        length, users = stage["duration_s"], float(stage["users"])
        if second < length:
            if second < 0:
                return 0.0
            if stage["ramp"]:
                return before + (users - before) * second / float(length)
            pace = stage.get("spawn_rate")
            return min(users, before + float(pace) * second) if pace and users > before else users
        second, before = second - length, users
    return before


def _present(process: Process, times: Floats) -> Floats:
    """The users of one process at each of these times, by its notes."""
    notes = sorted((note["time"], note["users"]) for note in process.notes.get("users", []))
    if not notes:
        return np.zeros(len(times))
    noted, users = np.array(notes).T
    # Use the next note (they come twice a second): it describes the users up to its time.
    found: Floats = users[np.clip(np.searchsorted(noted, times), 0, len(noted) - 1)]
    return found


def _excused(processes: Sequence[Process], exit_code: int) -> Note | None:
    """How the locustfile caused the exit code of a run that is complete."""
    footers = [p.footer or {} for p in processes]
    if any(footer.get("own_exit_code") is not None for footer in footers):
        return reasons.OWN_EXIT_CODE(exit_code=exit_code)
    if first := next((footer["uncaught"] for footer in footers if footer.get("uncaught")), ""):
        return reasons.LISTENER_RAISED(exit_code=exit_code, first=first)
    return None


def _loops(processes: Sequence[Process]) -> list[dict[str, Any]]:
    """The loop lags noted while the load was on."""
    found = []
    for process in processes:
        start = min((note["time"] for note in process.notes.get("start", [])), default=0.0)
        found += [n for n in process.notes.get("loop", []) if not n.get("over") and n["time"] > start + 1.0]
    return found


def _worst_s(processes: Sequence[Process]) -> float:
    return max((note["worst_s"] for note in _loops(processes)), default=0.0)


def _stood_still(generators: Sequence[Process], written: Written) -> list[Note]:
    """A note where the generator was kept from running: by a call that blocks, by being stopped, or by a lack of CPU."""
    worst_s, late_s, share = 0.0, 0.0, 0.0
    for process in generators:
        loops = _loops([process])
        late = sum(note["late_s"] for note in loops)
        whole = sum(note["ticks"] for note in loops) * TICK_S + late
        late_s, share = max(late_s, late), max(share, late / whole if whole else 0.0)
        worst_s = max(worst_s, _worst_s([process]))
    if share <= STALL_LIMIT and worst_s <= STALL_S:
        return []
    latency = written.latency.quantile(0.95)
    if share > BLOCKED_LIMIT and worst_s * 1e3 > LAG_SHARE * latency:
        return [reasons.GENERATOR_BLOCKED(late_fraction=share, worst_ms=worst_s * 1e3, latency_ms=latency)]
    return [reasons.GENERATOR_STALLED(late_ms=late_s * 1e3, worst_ms=worst_s * 1e3)]


def _held_up(generators: Sequence[Process]) -> list[Note]:
    """A note where tasks block the generator, however little of its time that takes."""
    loops = _loops(generators)
    holds, held_s, tasks, requests = (sum(n.get(k, 0) for n in loops) for k in ("holds", "held_s", "tasks", "requests"))
    tasks = max(tasks, requests / _LONG_TASK)
    if holds < FEWEST_HOLDS or holds <= HOLDS_LIMIT * tasks:
        return []
    return [reasons.TASKS_BLOCK(blocks=holds, mean_ms=held_s / holds * 1e3)]


def _jumped(processes: Sequence[Process]) -> list[Note]:
    jump = max((abs(p.footer["clock_jump_s"]) for p in processes if p.footer), default=0.0)
    return [reasons.CLOCK_SET(jump_ms=jump * 1e3)] if jump > _CLOCK_JUMP_S else []


def _warnings(generators: Sequence[Process], written: Written, raw: int) -> list[Note]:
    found: list[Note] = []
    without_time = raw - written.rows - written.late - written.impossible
    footers = [p.footer or {} for p in generators]
    for kind, count in (
        (reasons.LATE, _late_of(generators, written)),
        (reasons.UNREPORTED, sum(f.get("dropped", 0) for f in footers)),
        (reasons.REPEATED, sum(f.get("repeats", 0) for f in footers)),
    ):
        found += [kind(requests=count)] if count else []
    for kind, count in (
        (reasons.IMPOSSIBLE, written.impossible),
        (reasons.ODD_STARTS, sum(f.get("odd_starts", 0) for f in footers)),
    ):
        found += [kind(events=count)] if count else []
    running = [note for p in generators for note in p.notes.get("stopped", []) if note.get("others")]
    if running:
        classes = sorted({name for note in running for name in note["others"]})
        found.append(reasons.TASKS_ENDED(classes=classes, waited_ms=max(n["took_s"] for n in running) * 1e3))
    noted = {
        str(note): (what, note) for what in ("shape", "host") for p in generators for note in p.notes.get(what, [])
    }
    for what, note in noted.values():
        found.append(reasons.SHAPE_UNUSED(**note) if what == "shape" else reasons.HOST_REPLACED(**note))
    unread = {note["where"]: note["names"] for p in generators for note in p.notes.get("unread", [])}
    found += [reasons.UNREAD(where=where, names=names) for where, names in unread.items()]
    errors = [note["text"] for p in generators for note in p.notes.get("user_error", [])]
    if errors:
        count = sum(max(len(p.notes.get("user_error", [])), (p.footer or {}).get("user_errors", 0)) for p in generators)
        found.append(reasons.USER_ERRORS(errors=count, first=errors[0]))
    if without_time:
        found.append(reasons.WITHOUT_TIME(events=without_time))
    names = max((len(p.notes.get("endpoint", [])) for p in generators), default=0)
    if names > 500:
        found.append(reasons.MANY_ENDPOINTS(endpoints=names))
    return found
