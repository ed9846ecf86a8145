"""What the corpora share: the truth by construction, requests in several threads, and where files go."""

from __future__ import annotations

import bz2
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
LEAST = 5
"""Calls from which on a loop over the rows of a parent counts as an N+1."""

Page = Callable[[random.Random], Mapping[str, int] | None]
"""Does the work of a request; returns the tables that it asked row by row, with the number of calls, by construction."""


@dataclass
class Truth:
    """A line for each request: when, on which connection, and what is true of it."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(
        self, route: str, calls: Mapping[str, int] | None, start: float, end: float, session: object, unit: str | None
    ) -> None:
        found = sorted(table for table, count in (calls or {}).items() if count >= LEAST)
        line = {"route": route, "start": round(start, 6), "end": round(end, 6), "session": str(session), "unit": unit,
                "n_plus_one": found}  # fmt: skip
        with self.lock:
            self.lines.append(line)


def requests(
    pages: Mapping[str, tuple[int, Page]],
    count: int,
    truth: Truth,
    around: Callable[[str, Callable[[], Any]], tuple[Any, object, str | None]],
    *,
    threads: int = 1,
    seed: int = 1,
    pause: float = 0.003,
) -> None:
    """``count`` requests, drawn by the weights of the pages; ``around`` runs one and names its connection and unit."""
    draw = random.Random(seed)
    chosen = draw.choices(list(pages), [weight for weight, _ in pages.values()], k=count)
    jobs = list(enumerate(chosen))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not jobs:
                    return
                number, route = jobs.pop(0)
            rng = random.Random(seed * 1_000_003 + number)
            start = time.time()
            calls, session, unit = around(route, lambda route=route, rng=rng: pages[route][1](rng))
            truth.note(route, calls, start, time.time(), session, unit)
            time.sleep(pause)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def keep(name: str, log: bytes, ending: str, truth: Truth) -> None:
    """Write the log and its truth, compressed."""
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.{ending}.bz2").write_bytes(bz2.compress(log, 9))
    lines = "".join(json.dumps(line) + "\n" for line in truth.lines)
    (RECORDED / f"{name}.truth.jsonl.bz2").write_bytes(bz2.compress(lines.encode(), 9))
    print(name, len(truth.lines), "requests,", (RECORDED / f"{name}.{ending}.bz2").stat().st_size, "bytes")
