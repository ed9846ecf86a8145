"""Carries a request into what works for it elsewhere: threads, thread pools, tasks, greenlets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from perflab.recorders import context, timing

_logger = logging.getLogger("perflab.recorders")
_loops: set[type] = set()
_POOLS = ("concurrent.futures", "anyio", "perflab")


def threads(module: Any) -> None:
    """Count a thread that a request starts as the request's."""
    original = module.Thread.start

    @wraps(original)
    def start(thread: Any) -> None:
        found = timing.current()
        if found is not None and not _of_a_pool(thread):
            thread.run = partial(_run_in_thread, thread, found[0], context.carried(thread.run))
        original(thread)

    module.Thread.start = start


def _of_a_pool(thread: Any) -> bool:
    """A pool's thread outlives the request that needed it first, and gets its work by the hooks below."""
    places = (type(thread).__module__, str(getattr(getattr(thread, "_target", None), "__module__", "")))
    return any(place.startswith(_POOLS) for place in places)


def _run_in_thread(thread: Any, clock: timing.Clock, run: Callable[[], None]) -> None:
    thread.__dict__.pop("run", None)
    timing.work(clock, run)


def executors(module: Any) -> None:
    """Count work that a request passes to a thread pool as the request's."""
    original = module.ThreadPoolExecutor.submit

    @wraps(original)
    def submit(pool: Any, function: Callable[..., Any], /, *given: Any, **options: Any) -> Any:
        found = timing.current()
        if found is None:
            return original(pool, function, *given, **options)
        return original(pool, timing.work, found[0], context.carried(function), *given, **options)

    module.ThreadPoolExecutor.submit = submit


def anyio(module: Any) -> None:
    """FastAPI and Starlette run functions that are not async here."""
    original = module.run_sync

    @wraps(original)
    async def run_sync(function: Callable[..., Any], *given: Any, **options: Any) -> Any:
        found = timing.current()
        if found is None:
            return await original(function, *given, **options)
        return await original(timing.work, found[0], function, *given, **options)

    module.run_sync = run_sync


def install_loop() -> None:
    """Count tasks that a request starts as the request's (Starlette runs applications below some middleware in one).

    By the loop that runs: uvloop's is no kind of asyncio's. Under trio there is none.
    """
    try:
        owner = type(sys.modules["asyncio"].get_running_loop())
    except (KeyError, RuntimeError):
        return
    if owner in _loops:
        return
    _loops.add(owner)
    original = owner.create_task

    @wraps(original)
    def create_task(loop: Any, task: Any, **options: Any) -> Any:
        found = None if getattr(task, "cr_code", None) is timing.subtask.__code__ else timing.current()
        return original(loop, task if found is None else timing.subtask(task, found[0]), **options)

    try:
        owner.create_task = create_task
    except TypeError as problem:  # a class written in C
        _logger.warning("%s: tasks of %s are not recorded: %s", timing.VARIABLE, owner.__name__, problem)


def greenlets(module: Any) -> None:
    """Requests of gevent and eventlet share a thread, and its clock of CPU time: stop it where one leaves for another."""
    from greenlet import gettrace, settrace

    before = gettrace()

    def switched(event: str, given: tuple[Any, Any]) -> None:
        if before is not None:
            before(event, given)
        timing.switched(given[0].gr_context)

    settrace(switched)
