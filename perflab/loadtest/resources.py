"""CPU, memory and I/O of process trees, sampled while load runs."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
import psutil

from perflab.data.schemas import conform, empty
from perflab.loadtest.repeating import Repeating


class Sampler(Repeating):
    """Samples named process trees from a thread, in a ``with`` block.

    Parameters
    ----------
    processes : Mapping[str, Sequence[int]]
        Name -> ids of root processes. Their descendants are counted, themselves only where named in ``roots``: a
        guard's own few megabytes are not the service's.
    interval_s : float
        Seconds between samples.

    CPU is the difference of the CPU times of each process between samples, so 1.0 is one core busy; a process
    that starts and ends between two samples is not seen.
    """

    def __init__(
        self, processes: Mapping[str, Sequence[int]], *, interval_s: float = 0.5, roots: Collection[str] = ()
    ) -> None:
        self.processes, self.roots = dict(processes), frozenset(roots)
        self._rows: list[dict[str, Any]] = []
        self._seen: dict[tuple[str, int, float], dict[str, float]] = {}
        self._last: dict[str, float] = {}
        super().__init__(self._look, interval_s, name="perflab-resources")

    def frame(self, run: str) -> pd.DataFrame:
        """The ``resources`` table so far."""
        rows = list(self._rows)
        if not rows:
            return empty("resources")
        frame = pd.DataFrame.from_records(rows)
        frame["time"] = pd.to_datetime(frame["time"] * 1e9, unit="ns", utc=True)
        return conform("resources", frame.assign(run=run))

    def latest(self, process: str) -> dict[str, Any]:
        """The newest sample of a process tree; empty before the first."""
        return next((row for row in reversed(self._rows) if row["process"] == process), {})

    def _look(self) -> None:
        for name, pids in self.processes.items():
            self._sample(name, pids)

    def _sample(self, name: str, pids: Sequence[int]) -> None:
        now, total = time.time(), dict.fromkeys(("cpu", "rss", "threads", "fds", "read", "written"), 0.0)
        count, fresh = 0, True
        for process in (p for pid in pids for p in _tree(pid, name in self.roots)):
            try:
                facts = _facts(process)
                key = (name, process.pid, process.create_time())
            except psutil.Error:
                continue
            before = self._seen.get(key)
            fresh = fresh and before is None
            count += 1
            total["rss"] += facts["rss"]
            total["threads"] += facts["threads"]
            total["fds"] += facts["fds"]
            for growing in ("cpu", "read", "written"):
                total[growing] += facts[growing] - (before[growing] if before else 0.0)
            self._seen[key] = facts
        since, self._last[name] = self._last.get(name), now
        # The first sight of a tree has no interval to divide by.
        if count == 0 or since is None or fresh:
            return
        self._rows.append(
            {
                "time": now,
                "process": name,
                "cpu_cores": max(0.0, total["cpu"]) / (now - since),
                "rss_bytes": total["rss"],
                "threads": int(total["threads"]),
                "file_descriptors": int(total["fds"]) if total["fds"] == total["fds"] else None,
                "read_bytes": max(0.0, total["read"]),
                "written_bytes": max(0.0, total["written"]),
            }
        )


def begun(pid: int) -> float | None:
    """When a process started, which distinguishes it from a later one with its id; None when there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def listener(port: int) -> str:
    """Who listens on a local TCP port, for messages: "python (pid 123)", or "another process"."""
    found = _listening(port)
    return "another process" if found is None else f"{found.name()} (pid {found.pid})"


def listening(port: int) -> tuple[int, float] | None:
    """The process that listens on a local TCP port: (pid, when it was created); None where that can't be seen.

    Of several that share the port (workers of one server) it is the first, which began it.
    """
    found = _listening(port)
    return None if found is None else (found.pid, found.create_time())


def _listening(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                found = psutil.Process(connection.pid)
                found.name()  # psutil keeps both, so that they are known when it has ended
                return found
    except (psutil.Error, OSError):
        pass
    return None


def _tree(pid: int, with_root: bool) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [*([root] if with_root else []), *root.children(recursive=True)]
    except psutil.Error:
        return []


def _facts(process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        times = process.cpu_times()
        facts = {
            "cpu": times.user + times.system,
            "rss": float(process.memory_info().rss),
            "threads": float(process.num_threads()),
            "fds": math.nan,
            "read": 0.0,
            "written": 0.0,
        }
        with contextlib.suppress(psutil.AccessDenied, AttributeError, OSError):
            facts["fds"] = float(process.num_fds())
        try:
            io = process.io_counters()
            facts |= {"read": float(io.read_bytes), "written": float(io.write_bytes)}
        except (psutil.AccessDenied, AttributeError):
            # I/O of other users' processes is not readable, and macOS has no such counter.
            pass
    return facts
