"""Before the load: targets that still start, runs that are short; and what a target leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from driving import free_port

import perflab as lab
from perflab.loadtest.child import Child
from perflab.loadtest.guard import __file__ as GUARD
from perflab.loadtest.resources import _other_runs
from perflab.loadtest.serving import serving
from perflab.loadtest.shortness import checked, too_short

BUSY = """
import http.server, multiprocessing, sys, time
def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end: pass
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
if __name__ == "__main__":
    multiprocessing.Process(target=work, args=(float(sys.argv[2]),), daemon=True).start()
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""


@pytest.mark.parametrize(("busy_s", "settle", "still"), [(0.6, "20s", False), (30.0, "1s", True), (30.0, 0, False)])
def test_a_target_settles_before_the_load_or_the_run_says_so(
    tmp_path: Path, busy_s: float, settle: float | str, still: bool
) -> None:
    """Ready is the word of one process; another is still busy."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "busy.py").write_text(BUSY)
    port = free_port()
    command = [sys.executable, str(tmp_path / "busy.py"), str(port), str(busy_s)]
    target = lab.Target("busy", host=f"http://127.0.0.1:{port}", command=command, ready="/", settle=settle)
    with serving(target, tmp_path) as service:
        assert (service.still_starting is not None) == still
        if still:
            assert (service.still_starting.code, service.still_starting.about) == ("target-still-starting", "target")
    with pytest.raises(ValueError, match="settle must be zero or longer"):
        lab.Target("a", host="http://127.0.0.1:1", settle=-1)


def test_what_left_its_session_ends_with_the_target(tmp_path: Path) -> None:
    marker = f"{time.time_ns() % 10**6 + 10**6}"
    nested = f"setsid sleep {marker} & setsid bash -c 'sleep {marker} & exec sleep {marker}' & sleep 0.5; exit 5"
    guard = subprocess.run(
        [sys.executable, "-I", "-S", GUARD, "2", "1000000", os.devnull, "bash", "-c", nested],
        stdin=subprocess.PIPE,
        check=False,
    )
    assert guard.returncode in (5, 143)
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", marker]]


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ("a hunter2 b", "a … b"),
        ("hunt|er2 x", "… x"),  # in two parts
        ("hunter2|hunter2", "……"),
        ("hunter23 hunter2", "… …"),  # the longer one first
        ("hunt", "hunt"),  # the end of the output looks like a beginning
        ("hunt|hunter2|hunt|ing", "hunt…hunting"),
        ("nothing|of it", "nothingof it"),
    ],
)
def test_a_secret_is_not_in_the_output_even_for_a_moment(printed: str, kept: str, tmp_path: Path) -> None:
    code = f"import os, time\nfor part in {printed.split('|')!r}: os.write(1, part.encode()); time.sleep(0.05)"
    child = Child([sys.executable, "-c", code], log=tmp_path / "log", grace_s=1.0, secrets=["hunter2", "hunter23"])
    assert child.wait(10.0)
    assert child.stop() == 0
    assert (tmp_path / "log").read_text() == kept


def test_another_run_on_this_machine_is_seen() -> None:
    code = "import sys, time; sys.argv = ['-m']; time.sleep(30)"
    other = subprocess.Popen([sys.executable, "-c", code, "-m", "perflab.loadtest.launcher"])
    try:
        assert other.pid in _other_runs(set())
        assert other.pid not in _other_runs({other.pid})
    finally:
        other.kill()
        other.wait()


def first(counts: dict[str, int], valid: bool = True) -> lab.Measurements:
    """A run of 10 s with so many requests after its warm-up of a tenth."""
    start = pd.Timestamp("2026-11-24T10:00", tz="UTC")
    rows = [(endpoint, start + pd.Timedelta(seconds=1 + 9 * i / n)) for endpoint, n in counts.items() for i in range(n)]
    early = [(endpoint, start + pd.Timedelta(seconds=0.5)) for endpoint in counts for _ in range(50)]
    frame = pd.DataFrame(rows + early, columns=["endpoint", "start"]).assign(run="r", latency_ms=5.0, ok=True)
    runs = pd.DataFrame([{"run": "r", "arm": "a", "start": start, "duration_ms": 10_000.0, "valid": valid}])
    return lab.Measurements.of(runs=runs, requests=frame)


def test_short_runs_are_noticed_after_the_first_one() -> None:
    found = too_short(first({"GET /orders": 500, "GET /checkout": 25, "GET /cart": 199}), "p95", 0.1)
    assert [(n.facts["endpoint"], n.facts["requests"], n.facts["needed"]) for n in found] == [
        ("GET /checkout", 25, "200"),
        ("GET /cart", 199, "200"),
    ]
    assert found[0].facts["needed_ms"] == pytest.approx(10_000 * 200 / 25)
    assert found[0].code == "endpoint-runs-short"
    # The metric says what it needs.
    assert len(too_short(first({"GET /orders": 500}), "p99", 0.1)) == 1
    assert not too_short(first({"GET /orders": 31}), "mean", 0.1)
    assert not too_short(first({"GET /orders": 5}, valid=False), "p95", 0.1)
    with pytest.raises(ValueError, match="on_short"):
        checked("ask")
