"""Runs in the background, in real kernels: stopping, interrupting and killing them; and the Stop button in a browser."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import SERVERS, USERS, assert_clean, free_port, mine, plan, target, wait_for
from jupyter_client.manager import start_new_kernel

import perflab as lab
from perflab import progress as live
from perflab.loadtest.tail import Tail


def test_a_run_in_the_background_can_be_stopped(tmp_path: Path) -> None:
    going = lab.start_run(plan(60), target(), store=tmp_path, progress=False)
    assert not going.done
    with pytest.raises(TimeoutError):
        going.result(0.01)
    wait_for(lambda: sum(p.stat().st_size for p in tmp_path.glob(".*/generator/*.bin")) > 2_000)
    with pytest.raises(lab.LoadTestError, match="another run is in progress"):
        lab.run(plan(1), target(), store=tmp_path, progress=False)
    with pytest.raises(lab.LoadTestError, match="another run is in progress"):
        lab.start_run(plan(1), target(), store=tmp_path, progress=False)
    began = time.monotonic()
    going.stop()
    one = going.result(30)
    assert time.monotonic() - began < 11 + 3
    # Stopped, not lost: Locust wrote all of its records.
    assert one.runs.reason_codes.item() == ["interrupted"]
    assert len(one.requests) > 20
    assert "ended" in repr(going)
    assert_clean(tmp_path)


def test_errors_of_the_background_are_raised_by_the_result(tmp_path: Path) -> None:
    going = lab.start_run(
        plan(1), lab.Target("gone", host=f"http://127.0.0.1:{free_port()}"), store=tmp_path, progress=False
    )
    with pytest.raises(lab.TargetError, match="is not running"):
        going.result(20)
    assert "failed" in repr(going)
    stopped = lab.start_run(plan(9), target(), store=tmp_path, progress=False)
    stopped.stop()
    with pytest.raises(lab.LoadTestError, match="nothing was kept"):
        stopped.result(20)
    with pytest.raises(ValueError, match="different arms"):
        lab.start_pairs(plan(1), target(), target())


def test_pairs_in_the_background_keep_what_was_captured(tmp_path: Path) -> None:
    going = lab.start_pairs(plan(1), target("a"), target("b"), pairs=5, seed=3, store=tmp_path, progress=False)
    wait_for(lambda: len(list(tmp_path.glob("2*/run.json"))) == 1, 60)
    wait_for(lambda: sum(p.stat().st_size for p in tmp_path.glob(".*/generator/*.bin")) > 500)
    going.stop()
    before, after = going.result(30)
    assert (len(before.runs), len(after.runs)) == (1, 1)
    assert (before + after).runs.valid.sum() == 1


def test_a_terminal_shows_what_matters(tmp_path: Path) -> None:
    """In a real terminal of 80 columns."""
    code = (
        "import time; from perflab.progress import Progress\n"
        "with Progress(2, 'users.py (Shopper): 4 users for 30 s; the first 10 % are warm-up') as shown:\n"
        "    for i in range(4): shown.update(i / 2, users=4, throughput='18.7/s', p95='63.5 ms'); time.sleep(0.15)\n"
    )
    lines = in_terminal([sys.executable, "-c", code], columns=80)
    assert "users.py (Shopper): 4 users for 30 s; the first 10 % are warm-up" in lines
    assert any(re.search(r" 50%\|.*users 4, throughput 18.7/s, p95 63.5 ms", line) for line in lines)


def test_a_terminal_shows_the_trend_and_each_finished_run() -> None:
    """Small bars for p95, a line for each run, nothing that only charts show."""
    code = (
        "import time; from perflab.progress import display, RUN; from perflab.loadtest.milestones import fact_text\n"
        "with display(2, 'round 1 of 2', shown=True, write=fact_text, trend='recent_p95_ms') as shown:\n"
        "    for i in range(5):\n"
        "        shown.update(i / 3, users=4, throughput_per_s=18.7, p95_ms=63.5, error_fraction=0.01, target_cores=0.8,\n"
        "                     recent_p95_ms=20.0 * (1 + i)); time.sleep(0.15)\n"
        "    shown.event(RUN, 'round 1 of 2, old: p95 of all requests 63.5 ms, 120 requests', arm='old')\n"
    )
    lines = in_terminal([sys.executable, "-c", code], columns=80)
    assert any(re.search("▂▃▅▆█ users 4, throughput 18.7/s", line) for line in lines), lines
    assert "round 1 of 2, old: p95 of all requests 63.5 ms, 120 requests" in lines
    assert not any("recent" in line for line in lines)


def in_terminal(command: list[str], columns: int) -> list[str]:
    child, terminal = pty.fork()
    if child == 0:
        time.sleep(0.2)
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    said = b""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 4096):
            said += part
    os.waitpid(child, 0)
    os.close(terminal)
    return said.decode().replace("\r", "\n").split("\n")


CELL = """
import sys
import perflab as lab
target = lab.Target("tiny", host="http://127.0.0.1:{port}", command=[sys.executable, {server!r}, "{port}"], ready="/ready")
plan = lab.LoadPlan({users!r}, stages=lab.Stage("60s", users=4), user_classes=["Shopper"])
"""


def cell(port: int) -> str:
    return CELL.format(port=port, server=str(SERVERS / "tiny.py"), users=str(USERS))


def recorded(store: Path) -> int:
    return sum(p.stat().st_size for p in store.glob(".*/generator/*.bin"))


@pytest.fixture(scope="module")
def kernel() -> Iterator[object]:
    manager, client = start_new_kernel(env={**os.environ})
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_interrupting_a_cell_keeps_the_run_and_the_kernel(tmp_path: Path, kernel: object) -> None:
    manager, client = kernel
    before = mine()
    client.execute_interactive(cell(free_port()), timeout=30, output_hook=lambda _: None)
    waiting = client.execute(f"lab.run(plan, target, store={str(tmp_path)!r})")
    wait_for(lambda: recorded(tmp_path) > 2_000)
    began = time.monotonic()
    manager.interrupt_kernel()
    while (reply := client.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != waiting:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert time.monotonic() - began < 11 + 3
    wait_for(lambda: not mine() - before, 10)
    said: list[str] = []
    asked = f"print(lab.load({str(tmp_path)!r}).runs.reasons[0], 'gevent' in sys.modules)"

    def hear(message: dict[str, Any]) -> None:
        said.append(str(message["content"].get("text", "")))

    # A kernel turns down what comes in the moment after an error ("aborted").
    wait_for(lambda: client.execute_interactive(asked, timeout=30, output_hook=hear)["content"]["status"] == "ok")
    assert re.search(r"interrupted after .*False", "".join(said)), said


def test_killing_the_kernel_leaves_no_process(tmp_path: Path, kernel: object) -> None:
    manager, client = kernel
    before = mine() - {manager.provisioner.pid}
    client.execute_interactive(cell(free_port()), timeout=30, output_hook=lambda _: None)
    client.execute(f"going = lab.start_run(plan, target, store={str(tmp_path)!r})")
    wait_for(lambda: recorded(tmp_path) > 0)
    assert len(mine() - before) > 3
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    wait_for(lambda: not mine() - before, 10)


def test_the_live_view_is_what_was_captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the display and the objectives see at the end is what was written."""
    seen: list[Any] = []
    said: list[dict[str, Any]] = []

    class Follower(Tail):
        def update(self) -> Any:
            seen.append(super().update())
            return seen[-1]

    monkeypatch.setattr("perflab.loadtest.drive.Tail", Follower)
    monkeypatch.setattr(live.Progress, "update", lambda self, done, label=None, **facts: said.append(facts))
    one = lab.run(plan(2), target(), store=tmp_path, progress=False)
    last = seen[-1]
    assert 0 < last.requests <= len(one.requests)
    assert last.users == 4
    assert last.requests_per_s > 10
    assert last.latency.quantile(0.5) == pytest.approx(one.requests.latency_ms.median(), rel=0.5)
    assert list(said[-1]) == [
        "users", "throughput_per_s", "p95_ms", "error_fraction", "requests", "p50_ms", "generator_cores", "target_cores",
        "machine_cores", "recent_p50_ms", "recent_p95_ms", "recent_error_fraction",
    ]  # fmt: skip
    assert 0 < said[-1]["generator_cores"] < 2 and 0 <= said[-1]["target_cores"] < 2 and said[-1]["machine_cores"] > 0
    assert said[-1]["recent_p50_ms"] == pytest.approx(last.latency.quantile(0.5), rel=0.5)
    assert said[-1]["requests"] == last.requests
