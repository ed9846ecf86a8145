"""Real runs that show the reasons that tests show by hand-made files only, and beside each a run that must not have it.

python bench/reasons_shown.py > reasons_shown.md

Ends with exit code 1 if a reason is missing where its cause is there, or is there without it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

import perflab as lab

SERVER = Path(__file__).parent.parent / "tests" / "loadtest" / "servers" / "tiny.py"
USERS = """
import os, sys, time
from pathlib import Path
from locust import FastHttpUser, constant, events, task

class Visitor(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def ok(self):
        self.client.get("/ok")
        self.then()

    def then(self):
        pass
"""
BUSY = """
def burn(self):
    end = time.thread_time() + {seconds}
    while time.thread_time() < end:
        pass
Visitor.then = burn
Visitor.wait_time = constant(0)
"""
HANGS = """
@events.quitting.add_listener
def hang(**_):
    until = time.monotonic() + {seconds}
    while time.monotonic() < until:
        time.sleep(0.2)
"""
CLOCK = """
@events.test_start.add_listener
def later(**_):
    import gevent, threading
    told = time.time
    def jump():
        gevent.sleep(1)
        time.time = lambda: told() + {seconds}
    gevent.spawn(jump)
"""
TORN = """
@events.quit.add_listener
def tear(**_):
    import atexit
    folder = Path(os.environ["FOLDER"])
    def cut():
        for file in folder.rglob("*.bin"):
            with file.open("ab") as records:
                records.write(b"x" * {count})
    atexit.register(cut)
"""
COUNTED = """
@events.test_stopping.add_listener
def more(environment, **_):
    for _ in range({count}):
        environment.stats.log_request("GET", "/never", 1.0, 1)
"""


@dataclass(frozen=True)
class Case:
    """A reason or warning, the locustfile (or what is done from outside) that has it, and the one that has not."""

    code: str
    cause: str
    shows: str
    shows_not: str
    seconds: float = 3.0
    outside: Callable[[], None] | None = None
    outside_not: Callable[[], None] | None = None


def generators() -> list[psutil.Process]:
    """Locust's processes that were started from here."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            found += [process] if "-m perflab.loadtest.launcher" in line and "guard.py" not in line else []
    return found


def stopped(seconds: float) -> Callable[[], None]:
    """Stop the generator for so long, once it makes requests."""

    def do() -> None:
        time.sleep(1.0)
        for process in generators():
            process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        for process in generators():
            process.send_signal(signal.SIGCONT)

    return do


CASES = [
    Case("generator-stalled", "the generator is stopped for 2 s", "", "", 6.0, stopped(2.0), stopped(0.001)),
    Case("generator-busy", "its tasks compute all the time", BUSY.format(seconds=0.004), BUSY.format(seconds=0.0), 14.0),
    Case("generator-did-not-end", "its process hangs for 90 s at the end", HANGS.format(seconds=90), HANGS.format(seconds=1)),
    Case("clock-set", "its clock is put 3 s forward", CLOCK.format(seconds=3), CLOCK.format(seconds=0)),
    Case("torn-record", "7 bytes follow its last record", TORN.format(count=7), TORN.format(count=0)),
    Case("counts-differ", "Locust counts 5 requests more", COUNTED.format(count=5), COUNTED.format(count=0)),
]  # fmt: skip


@contextlib.contextmanager
def beside(do: Callable[[], None] | None) -> Iterator[None]:
    """While the load is on, what is done to it from outside."""
    if do is None:
        yield
        return

    def once_loaded() -> None:
        until = time.monotonic() + 30
        while not generators() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(2.0)
        do()

    thread = threading.Thread(target=once_loaded)
    thread.start()
    yield
    thread.join()


def codes(case: Case, more: str, do: Callable[[], None] | None, place: Path) -> set[str]:
    """All codes of one run, and "refused" for an error."""
    place.mkdir()
    (place / "users.py").write_text(USERS + more)
    os.environ["FOLDER"] = str(place / "runs")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = lab.Target(
        "tiny", host=f"http://127.0.0.1:{port}", command=[sys.executable, str(SERVER), str(port)], ready="/ready"
    )
    plan = lab.LoadPlan(
        place / "users.py", stages=lab.Stage(case.seconds, users=2), seed=1, timeout="3s",
        stop_timeout="4s",
    )  # fmt: skip
    with beside(do):
        one = lab.run(plan, target, store=place / "runs", progress=False)
    return {note.code for note in one.warnings} | set(one.runs.reason_codes.item())


def main() -> int:
    rows, good = [], True
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(CASES):
            there = codes(case, case.shows, case.outside, Path(scratch) / f"{number}a")
            absent = codes(case, case.shows_not, case.outside_not, Path(scratch) / f"{number}b")
            holds = case.code in there and case.code not in absent
            good &= holds
            rows.append(
                f"| {case.code} | {case.cause} | {', '.join(sorted(there))} | {', '.join(sorted(absent))} | {holds} |"
            )
            print(rows[-1], file=sys.stderr, flush=True)
    print(f"Made by `make reasons` on {date.today()}: each cause in a real run, and the same locustfile without it.\n")
    print("| code | cause | all that the run says | without the cause | holds |\n|---|---|---|---|---|")
    print("\n".join(rows))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
