"""Reads records while they are written, for the live display and the objectives that abort a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from perflab.loadtest.capture import DTYPE
from perflab.loadtest.histogram import Histogram

_WINDOW_S = 3.0


@dataclass(frozen=True)
class Snapshot:
    """A run so far; ``requests_per_s`` and what is ``recent`` are those of the last seconds."""

    elapsed_s: float
    users: int
    requests: int
    errors: int
    requests_per_s: float
    latency: Histogram
    recent: Histogram
    recent_errors: int


class Tail:
    """Follows the files of a generator's processes; a run of any length takes the same memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests = self.errors = 0
        self.latency = Histogram()
        self._began: float | None = None
        self._users: dict[str, int] = {}
        self._read: dict[Path, int] = {}
        self._recent: list[tuple[float, int, int, Histogram]] = []

    def update(self) -> Snapshot:
        """Read new records and return the run so far."""
        for path in self.folder.glob("*.bin"):
            self._requests(path)
        for path in self.folder.glob("*.jsonl"):
            self._notes(path)
        now = time.monotonic()
        earlier = [r for r in self._recent if now - r[0] <= _WINDOW_S]
        self._recent = [*earlier, (now, self.requests, self.errors, self.latency.copy())]
        then, before, failed, latency = self._recent[0]
        pace = (self.requests - before) / (now - then) if now - then > 0.2 else 0.0
        elapsed = time.time() - self._began if self._began is not None else 0.0
        return Snapshot(
            elapsed, sum(self._users.values()), self.requests, self.errors, pace, self.latency,
            self.latency.since(latency), self.errors - failed,
        )  # fmt: skip

    def _requests(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            fresh = np.fromfile(file, DTYPE)
        self._read[path] = self._read.get(path, 0) + fresh.nbytes
        self.requests += len(fresh)
        self.errors += int((fresh["error"] > 0).sum())
        lag = np.maximum(np.nan_to_num((fresh["start"] - fresh["due"]) * 1e3), 0.0)
        self.latency.add(fresh["latency"] + lag)

    def _notes(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            fresh = file.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(whole)
        for line in whole.splitlines():
            if line.startswith((b'{"kind": "users"', b'{"kind": "start"')):
                self._note(path.stem, orjson.loads(line))

    def _note(self, process: str, note: dict[str, Any]) -> None:
        if note["kind"] == "users":
            self._users[process] = int(note["users"])
        elif self._began is None:
            self._began = float(note["time"])
