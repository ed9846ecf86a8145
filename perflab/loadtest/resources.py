"""CPU, memory and I/O of process trees, sampled under load."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
import psutil

from perflab.data.schemas import conform, empty
from perflab.loadtest import reasons
from perflab.loadtest.repeating import Repeating
from perflab.notes import Note

FOREIGN_LIMIT, STEAL_LIMIT = 0.25, 0.05
"""Fractions of the machine's CPU."""
_LATEST = 12
"""The rows of the last few samples: a search in all of them would take longer from hour to hour."""
LAUNCHER = "perflab.loadtest.launcher"


class Sampler(Repeating):
    """Samples named process trees from a thread, in a ``with`` block.

    Parameters
    ----------
    processes : Mapping[str, Sequence[int]]
        Name -> ids of root processes. Their descendants are counted, the roots themselves only where named in ``roots``: a
        guard's own few megabytes are not the service's.
    interval_s : float
        Seconds between samples.

    ``machine`` adds rows for the whole machine and for all other processes on it.

    CPU is the difference of each process's CPU times between samples, so 1.0 is one busy core; a process that starts and
    ends between two samples is not counted.
    """

    def __init__(
        self,
        processes: Mapping[str, Sequence[int]],
        *,
        interval_s: float = 0.5,
        roots: Collection[str] = (),
        machine: bool = False,
    ) -> None:
        self.processes, self.roots = dict(processes), frozenset(roots)
        self._machine, self._before, self._others = machine, dict[str, float](), set[int]()
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
        """The latest sample of a process tree; empty before the first, and some samples after its end."""
        return next((row for row in reversed(self._rows[-_LATEST:]) if row["process"] == process), {})

    def warnings(self) -> list[Note]:
        """Warnings on load that is not this run's, and on CPU that the hypervisor took."""
        found: list[Note] = []
        cores = float(psutil.cpu_count() or 1)
        other, steal = self._mean("other", "cpu_cores") / cores, self._mean("machine", "steal_cores") / cores
        if other > FOREIGN_LIMIT:
            found.append(reasons.FOREIGN_LOAD(other_fraction=other))
        if steal > STEAL_LIMIT:
            found.append(reasons.STOLEN(stolen_fraction=steal))
        if self._others:
            found.append(reasons.OTHER_RUN(pids=sorted(self._others)))
        return found

    def _mean(self, process: str, column: str) -> float:
        values = [row[column] for row in self._rows if row["process"] == process and row.get(column) is not None]
        return sum(values) / len(values) if values else 0.0

    def _look(self) -> None:
        for name, pids in self.processes.items():
            self._sample(name, pids)
        if self._machine:
            self._sample_machine()

    def _sample_machine(self) -> None:
        """Sample the whole machine, and the rest without the run and perflab itself."""
        now, own = time.time(), psutil.Process().cpu_times()
        spent = psutil.cpu_times()
        steal = float(getattr(spent, "steal", 0.0))
        busy = sum(spent) - spent.idle - getattr(spent, "iowait", 0.0) - steal
        # Linux also counts the time of guests as user time.
        busy -= getattr(spent, "guest", 0.0) + getattr(spent, "guest_nice", 0.0)
        totals = {"now": now, "busy": busy, "steal": steal, "own": own.user + own.system}
        before, self._before = self._before, totals
        if not before:
            self._others = _other_runs({pid for pids in self.processes.values() for pid in pids})
            return
        passed = max(now - before["now"], 1e-3)
        rates = {name: max(0.0, totals[name] - before[name]) / passed for name in ("busy", "steal", "own")}
        mine = [self.latest(name) for name in self.processes]
        of_run = sum(row.get("cpu_cores", 0.0) for row in mine) + rates["own"]
        used = float(psutil.virtual_memory().used)
        row = {"time": now, "process": "machine", "cpu_cores": rates["busy"], "rss_bytes": used}
        self._rows.append({**row, "steal_cores": rates["steal"]})
        rest = max(0.0, used - sum(row.get("rss_bytes", 0.0) for row in mine))
        other = {"process": "other", "cpu_cores": max(0.0, rates["busy"] - of_run), "rss_bytes": rest}
        self._rows.append({"time": now, **other})

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
            count += facts["rss"] > 0  # an ended process that has not been reaped has none
            total["rss"] += facts["rss"]
            total["threads"] += facts["threads"]
            total["fds"] += facts["fds"]
            for growing in ("cpu", "read", "written"):
                total[growing] += facts[growing] - (before[growing] if before else 0.0)
            self._seen[key] = facts
        since, self._last[name] = self._last.get(name), now
        # The first sample of a tree has no interval to divide by.
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


def _other_runs(own: set[int]) -> set[int]:
    """The perflab generators that do not belong to this run."""
    found = set()
    for process in psutil.process_iter(["pid", "cmdline"]):
        if LAUNCHER in (process.info["cmdline"] or ()) and not own & {process.pid, *_ancestors(process)}:
            found.add(process.pid)
    return found


def _ancestors(process: psutil.Process) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [parent.pid for parent in process.parents()]
    return []


def tree_state(pids: Sequence[int]) -> tuple[frozenset[int], float, bool]:
    """The processes of these trees, their CPU seconds, and whether one of them is running now."""
    members = {process.pid: process for pid in pids for process in _tree(pid, True)}
    seconds, runnable = 0.0, False
    for process in members.values():
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            seconds += times.user + times.system
            runnable = runnable or process.status() == psutil.STATUS_RUNNING
    return frozenset(members), seconds, runnable


def children(pid: int | None = None) -> frozenset[int]:
    """The processes that a process, by default this one, has started."""
    with contextlib.suppress(psutil.Error):
        return frozenset(process.pid for process in psutil.Process(pid).children())
    return frozenset()


def begun(pid: int) -> float | None:
    """The start time of a process, which distinguishes it from a later one with its id; None if it does not exist."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def listener(port: int) -> str:
    """The process that listens on a local TCP port, for messages: "python (pid 123)", or "another process"."""
    found = _listening(port)
    return "another process" if found is None else f"{found.name()} (pid {found.pid})"


def listening(port: int) -> tuple[int, float] | None:
    """The process that listens on a local TCP port: (pid, creation time); None where it cannot be determined.

    Of several that share the port (workers of one server), the oldest, which started them: workers come and go.
    """
    found = _listening(port)
    return None if found is None else (found.pid, found.create_time())


def _listening(port: int) -> psutil.Process | None:
    found = []
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(connection.pid)
                    process.name()  # cached by psutil, so both are known after it has ended
                    found.append(process)
    return min(found, key=lambda process: (process.create_time(), process.pid), default=None)


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
