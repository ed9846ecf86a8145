"""`Repeating`: calls a function at intervals in a thread, for as long as a ``with`` block lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Repeating:
    """Calls ``look`` at once and then every ``interval_s`` seconds, until the block ends."""

    def __init__(self, look: Callable[[], None], interval_s: float, *, name: str) -> None:
        self._call, self._interval_s = look, interval_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(5)

    def _repeat(self) -> None:
        while True:
            self._call()
            if self._done.wait(self._interval_s):
                return
