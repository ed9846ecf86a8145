"""The clock of a request: its waiting and computing, measured inside the application.

A request is a `Clock`; what runs for it (its thread, the steps of its task, work that it passes to a thread pool) are
`Strand` objects, whose CPU time counts. Calls that it waits for are spans of a kind; at the end the request's time is
divided among the kinds, each moment once, and unmeasured time is ``rest``. Time in a call counts as the call's, including
its CPU. Standard library only; a clock never raises into the application.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Awaitable, Generator
from contextlib import suppress
from contextvars import Context, ContextVar, Token
from functools import lru_cache
from hashlib import blake2b
from threading import get_ident
from types import coroutine
from typing import Any

from perflab.recorders import context, lines
from perflab.recorders.log import QueryLog

VARIABLE = "PERFLAB_REQUEST_LOG"
"""The environment variable that names the file; without it nothing is recorded, and nothing is hooked."""
DATABASE, DOWNSTREAM, POOL, GC, CPU, LOCK = KINDS = ("database", "downstream", "pool", "gc", "cpu", "lock")
"""By priority: where calls overlap, a moment counts for the first."""
MAX_SPANS, MAX_NAME = 5_000, 2_000
_logger = logging.getLogger("perflab.recorders")
_perf, _cpu = time.perf_counter, time.thread_time
_SENT = re.compile(r"(?:t=)?(\d{9,16}(?:\.\d+)?)\s*")

Span = tuple[Any, ...]
"""Kind, name, start and end (by `time.perf_counter`), the number of its strand, and hashes of the values in its address."""


class Strand:
    """What one thread, or one task, does for a request: its CPU time, and the part of it inside calls."""

    __slots__ = ("began", "cpu_s", "depth", "inside_s", "kind", "mark", "number", "paused", "thread")

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.cpu_s = self.inside_s = self.mark = 0.0
        self.began = -1.0
        self.depth = self.thread = 0
        self.kind = ""
        self.paused = False

    def start(self) -> None:
        """Resume, in this thread."""
        self.thread, self.began = get_ident(), _cpu()

    def stop(self) -> None:
        """Pause, or finish."""
        self.cpu_s += _cpu() - self.began
        self.began = -1.0


class Clock:
    """One request. ``away_s`` is time in the server, after the application has passed it a part of the response; ``loops``
    whether an event loop serves it; ``values`` are hashes of the values in its address."""

    __slots__ = (
        "away_s", "began", "endpoint", "loops", "open", "pid", "request", "sent", "spans", "start", "strands", "values",
    )  # fmt: skip

    def __init__(self, request: str, endpoint: str | None, sent: float | None) -> None:
        self.loops = False
        self.values: list[int] | None = None
        self.start, self.began = time.time(), _perf()
        self.request, self.endpoint, self.sent = request, endpoint, sent
        self.spans: list[Span] = []
        self.strands: list[Strand] = []
        self.away_s = 0.0
        self.open = True
        self.pid = os.getpid()

    def strand(self) -> Strand:
        """Add a strand."""
        made = Strand(len(self.strands))
        self.strands.append(made)
        return made


Now = tuple[Clock, Strand]
_current: ContextVar[Now | None] = ContextVar("perflab_clock", default=None)
_collections: deque[tuple[float, float]] = deque(maxlen=1_000)
"""Recent pauses of the whole process by the garbage collector."""
_here = threading.local()
Started = tuple[Clock, Strand, bool, float]


def current() -> Now | None:
    """The request that this thread or task works for, while its clock runs."""
    found = _current.get()
    return found if found is not None and found[0].open else None


def enter(clock: Clock, strand: Strand) -> Token[Now | None]:
    """Make this thread or task work for the request; pass the token to `leave`."""
    return _current.set((clock, strand))


def leave(token: Token[Now | None]) -> None:
    """Undo `enter`. (A coroutine that is no longer awaited is closed in another context.)"""
    with suppress(ValueError):
        _current.reset(token)


def work(clock: Clock, function: Any, /, *given: Any, **options: Any) -> Any:
    """Call a function in another thread, for the request."""
    strand = clock.strand()
    before, _here.strand = getattr(_here, "strand", None), (clock, strand)
    token = enter(clock, strand)
    strand.start()
    try:
        return function(*given, **options)
    finally:
        strand.stop()
        leave(token)
        _here.strand = before


def switched(left: Context | None) -> None:
    """A thread of many requests (gevent, eventlet) leaves one for another: each counts its own CPU time."""
    found = left.get(_current) if left is not None else None
    if found is not None and found[1].began >= 0:
        found[1].stop()
        found[1].paused = True
    found = _current.get()
    if found is not None and found[1].paused:
        found[1].paused, found[1].began = False, _cpu()


@coroutine
def driven(task: Awaitable[Any], strand: Strand) -> Generator[Any, Any, Any]:
    """Await a task and count the CPU time of each step: other requests run between steps in the same thread."""
    steps: Any = task if hasattr(task, "send") else task.__await__()
    value: Any = None
    problem: BaseException | None = None
    while True:
        strand.start()
        try:
            waited = steps.send(value) if problem is None else steps.throw(problem)
        except StopIteration as done:
            return done.value
        finally:
            strand.stop()
        value, problem = None, None
        try:
            value = yield waited
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as raised:  # noqa: BLE001 - a cancellation belongs to the task
            problem = raised


async def subtask(task: Awaitable[Any], clock: Clock) -> Any:
    """Run a task that a request started as a strand of the request."""
    strand = clock.strand()
    enter(clock, strand)
    return await driven(task, strand)


def begin(kind: str) -> Started | None:
    """Start a call; None outside requests, and inside a call of the same kind."""
    found = _current.get()
    if found is None or not found[0].open:
        return None
    clock, strand = found
    # If another task of the same request started this one, its CPU time is unknown.
    counted = strand.began >= 0 and strand.thread == get_ident()
    if not counted:
        # In a pool's thread the context may be a copy of that of the thread that submitted the work.
        own = getattr(_here, "strand", None)
        if own is not None and own[0] is clock:
            strand, counted = own[1], True
    if counted:
        if strand.depth and strand.kind == kind:
            return None
        strand.depth += 1
        if strand.depth == 1:
            strand.mark, strand.kind = strand.cpu_s + _cpu() - strand.began, kind
    return clock, strand, counted, _perf()


def hashed(given: list[Any]) -> list[int]:
    """Equal values stay equal, and none can be recovered: the hash has a secret of this process, or the shared `lines.SALT`."""
    return [_code(str(value)) for value in given]


def _own_code(text: str) -> int:
    return hash(text) & 0xFFFFFFFF


def _shared_code(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), key=lines.KEY, digest_size=4).digest())


_code = _shared_code if os.environ.get(lines.SALT) else _own_code


def end(started: Started | None, kind: str, name: str, values: list[int] | None = None) -> None:
    """End the call."""
    if started is None:
        return
    clock, strand, counted, began = started
    if counted:
        strand.depth -= 1
        if not strand.depth and strand.began >= 0 and strand.thread == get_ident():
            strand.inside_s += strand.cpu_s + _cpu() - strand.began - strand.mark
    if len(clock.spans) < MAX_SPANS:
        clock.spans.append((kind, name, began, _perf(), strand.number, values))


def collected(phase: str, _: Any) -> None:
    """For ``gc.callbacks``: a collection stops all threads."""
    if phase == "start":
        _gc["started"], _gc["at"] = begin(GC), _perf()
    else:
        end(_gc.pop("started", None), GC, "garbage collection")
        if _perf() - _gc["at"] > 1e-4:
            _collections.append((_gc["at"], _perf()))


_gc: dict[str, Any] = {"at": 0.0}


def parts(clock: Clock, ended: float) -> dict[str, float]:
    """Seconds of each kind that the request waited for or computed; the rest of its time is not included."""
    began, total = clock.began, ended - clock.began - clock.away_s
    spans = [(s[0], s[2], s[3]) for s in clock.spans]
    spans += [(GC, b, e) for b, e in tuple(_collections) if e > began and b < ended]
    found = _divided(sorted(((b, e, k) for k, b, e in spans if e > b)), began, ended)
    lock = found.pop(LOCK, 0.0)
    left = max(0.0, total - sum(found.values()))
    computed = sum(s.cpu_s - s.inside_s for s in clock.strands)
    found[CPU] = min(max(computed, 0.0), left)
    if lock:
        # A thread that waits for its own thread pool waits for what that computes.
        found[LOCK] = min(lock, left - found[CPU])
    return found


def _divided(spans: list[tuple[float, float, str]], began: float, ended: float) -> dict[str, float]:
    """Assign each moment to one kind; ``spans`` are sorted by their start."""
    found: dict[str, float] = {}
    at = began
    for first, last, kind in spans:
        if first < at:
            break
        found[kind] = found.get(kind, 0.0) + min(last, ended) - min(first, ended)
        at = last
    else:
        return found
    return _swept(spans, began, ended)


def _swept(spans: list[tuple[float, float, str]], began: float, ended: float) -> dict[str, float]:
    """The same for overlapping calls: a moment counts for the first kind in `KINDS`."""
    edges = []
    for first, last, kind in spans:
        first, last = max(first, began), min(last, ended)
        if last > first:
            edges += [(first, 1, kind), (last, -1, kind)]
    edges.sort()
    found: dict[str, float] = {}
    running = dict.fromkeys(KINDS, 0)
    at = began
    for moment, step, kind in edges:
        if moment > at:
            for one in KINDS:
                if running[one]:
                    found[one] = found.get(one, 0.0) + moment - at
                    break
            at = moment
        running[kind] += step
    return found


_quoted = lru_cache(maxsize=4096)(json.dumps)


def finish(clock: Clock, log: QueryLog, endpoint: str | None, ended: float | None = None) -> None:
    """Write the line of a request, once; does nothing in a forked copy."""
    if not clock.open:
        return
    ended = _perf() if ended is None else ended
    clock.open = False
    if clock.pid != os.getpid():
        return
    try:
        took = ended - clock.began - clock.away_s
        divided = ", ".join([f'"{kind}": {s * 1e3:.4f}' for kind, s in parts(clock, ended).items()])
        spans = ", ".join(
            [
                f'["{kind}", {_quoted(name[:MAX_NAME])}, {(first - clock.began) * 1e3:.4f}, {(last - first) * 1e3:.4f}, '
                f"{strand}{'' if values is None else f', {values}'}]"
                for kind, name, first, last, strand, values in clock.spans
            ]
        )
        sent = f', "sent": {clock.sent:.6f}' if clock.sent else ""
        named = f', "endpoint": {_quoted(clock.endpoint or endpoint)}' if clock.endpoint or endpoint else ""
        more = f', "values": {clock.values}' if clock.values is not None else ""
        more += ', "loop": true' if clock.loops else ""
        log.write(
            f'{{"request": {_quoted(clock.request)}{named}, "start": {clock.start:.6f}{sent}, "ms": {took * 1e3:.4f}{more}, '
            f'"parts": {{{divided}}}, "spans": [{spans}]}}'
        )
    except Exception as problem:  # noqa: BLE001 - no error of the recorder may fail the request
        _logger.warning("%s: a request was not recorded: %s", VARIABLE, problem)


def clock_of(given_id: str | None, given_endpoint: str | None, given_start: str | None) -> Clock:
    """The clock of a request, from its headers."""
    return Clock(context.request_id(given_id), context.endpoint_of(given_endpoint), sent_at(given_start))


def sent_at(given: str | None) -> float | None:
    """Seconds since 1970 of ``X-Request-Start: t=...``, which proxies write in seconds, milliseconds or microseconds.

    >>> sent_at("t=1512379167.574"), sent_at("1512379167574"), sent_at("soon")
    (1512379167.574, 1512379167.574, None)
    """
    found = _SENT.fullmatch(given) if given and len(given) < 40 else None
    if found is None:
        return None
    value = float(found[1])
    return value / (1e6 if value > 1e14 else 1e3 if value > 1e11 else 1)
