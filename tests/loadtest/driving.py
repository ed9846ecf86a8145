"""What the tests of load share: targets on free ports, plans, and the proof that nothing is left behind."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

import perflab as lab

SERVERS = Path(__file__).parent / "servers"
USERS = SERVERS / "users.py"
MARK = "PERFLAB_TEST_PROCESS"
# Inherited by all that is started from here, so that tests side by side do not take each other's for their own.
os.environ[MARK] = str(os.getpid())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def target(
    arm: str = "tiny", *arguments: str, port: int | None = None, server: str = "tiny.py", **options: object
) -> lab.Target:
    port = port or free_port()
    command = [sys.executable, str(SERVERS / server), str(port), *arguments]
    settings = {"command": command, "ready": "/ready", **options}
    return lab.Target(arm, host=f"http://127.0.0.1:{port}", **settings)


def plan(seconds: float = 2, users: int = 4, user: str = "Shopper", **options: object) -> lab.LoadPlan:
    return lab.LoadPlan(
        USERS, **{"stages": [lab.Stage(seconds, users=users)], "user_classes": [user], "seed": 1, **options}
    )


def open_plan(seconds: float, rate: float, user: str = "Pacer", **options: object) -> lab.LoadPlan:
    return plan(user=user, stages=[lab.Stage(seconds, rate=rate)], **options)


MACHINE = {
    "generator-stalled", "generator-blocked", "generator-blocked-by-tasks", "foreign-load", "stolen-cpu", "another-run",
    "coordinated-omission", "generator-busy", "arrivals-late", "lag-in-latency", "target-still-starting",
}  # fmt: skip
"""What a busy machine adds to any run."""


def own(noted: Iterable[str]) -> set[str]:
    """The codes that are a run's own."""
    return set(noted) - MACHINE


def mine() -> set[int]:
    """Processes that this test process began, however indirectly: guards, Locusts and servers."""
    return {p.pid for p in psutil.process_iter() if p.pid != os.getpid() and _mark(p) == os.environ[MARK]}


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK) if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_clean(store: Path) -> None:
    """No unfinished or half-written run in the store."""
    assert not list(store.glob(".*"))
    for folder in store.iterdir():
        assert {p.suffix for p in folder.iterdir() if p.is_file()} <= {".json", ".parquet"}
