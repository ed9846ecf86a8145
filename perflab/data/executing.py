"""Work on one item after another, here or by an executor: ``concurrent.futures`` or dask's ``Client.get_executor()``."""

from __future__ import annotations

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TypeVar

from perflab.errors import StoreError

AHEAD = 1 + (os.cpu_count() or 1)
"""The most items that workers have, or whose results wait to be used, where an item is a big part of something."""
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def _of_lost_workers() -> tuple[type[BaseException], ...]:
    """What executors raise for a worker process that exited; dask's, which has tried several times by then, if it is in use."""
    scheduler = sys.modules.get("distributed.scheduler")
    return (BrokenExecutor, *([scheduler.KilledWorker] if scheduler else []))


def mapped(
    work: Callable[[_In], _Out], items: Iterable[_In], executor: Executor | None, *, kept: str = "", ahead: int = 0
) -> Iterator[_Out]:
    """The results in the order of the items, each as soon as it is there. What is left is cancelled when the caller stops.

    With ``ahead`` no more items than that are taken, and no more results kept, before the caller wants them. StoreError where
    a worker process exits; ``kept`` says what becomes of the results so far.
    """
    if executor is None:
        yield from map(work, items)
        return
    waiting: deque[Future[_Out]] = deque()
    done = 0
    try:
        for item in items:
            with warnings.catch_warnings():
                # dask's advice to load the data with dask: a part of a log goes to one worker, once.
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                waiting.append(executor.submit(work, item))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
                done += 1
        while waiting:
            yield waiting.popleft().result()
            done += 1
    except _of_lost_workers() as problem:
        total = f" of {len(items)}" if isinstance(items, Sized) else ""
        raise StoreError(
            f"a worker process exited, often for want of memory, when {done}{total} were done{kept}: call again with a new "
            "executor of fewer workers"
        ) from problem
    finally:
        for future in waiting:
            future.cancel()
