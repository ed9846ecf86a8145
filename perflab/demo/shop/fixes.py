"""The switch SHOP_FIXES, and the parser and cache for its fixes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from perflab.errors import one_of

FIXES = ("eager", "index", "parallel", "cache")
PAGE_FIXES = ("webp", "headers", "compress", "stable", "quick", "slim")
"""Fixes of the page that a browser sees (`storefront`)."""

T = TypeVar("T")


def parse_fixes(text: str) -> frozenset[str]:
    """The fixes named in a comma-separated list.

    >>> sorted(parse_fixes("eager, index"))
    ['eager', 'index']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (*FIXES, *PAGE_FIXES):
            raise one_of("SHOP_FIXES", name, (*FIXES, *PAGE_FIXES))
    return frozenset(names)


class Cached(Generic[T]):
    """The result of ``make``, cached for ``seconds``; while one thread makes it the others wait."""

    def __init__(self, make: Callable[[], T], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._seconds, self._clock = make, seconds, clock
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] >= self._seconds:
                self._kept = self._clock(), self._make()
            return self._kept[1]
