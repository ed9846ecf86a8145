"""Work on one item after another, here or by an executor: ``concurrent.futures`` or dask's ``Client.get_executor()``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from contextlib import closing
from typing import Any, TypeVar, cast

from perflab.errors import StoreError

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def mapped(
    work: Callable[[_In], _Out], items: Sequence[_In], executor: Executor | None, *, kept: str = ""
) -> Iterator[_Out]:
    """The results in the order of the items, each as soon as it is there. What is left is cancelled when the caller stops.

    StoreError where a worker process exits; ``kept`` says what becomes of the results so far.
    """
    if executor is None or not items:
        yield from map(work, items)
        return
    done = 0
    try:
        with closing(cast("Any", executor.map(work, items))) as results:
            for result in results:
                yield result
                done += 1
    except BrokenExecutor as problem:
        raise StoreError(
            f"a worker process exited, often for want of memory, when {done} of {len(items)} were done{kept}: call again with a "
            "new executor of fewer workers"
        ) from problem
