"""Every request that a server counts is a record, or counted apart; and what the plan asked for was done, or the run says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
from driving import SERVERS, free_port, own

import perflab as lab
from perflab.loadtest.capture import processes, write_requests
from perflab.notes import codes

HARD = SERVERS / "hard_users.py"


def counted(
    tmp_path: Path, plan: lab.LoadPlan, **options: Any
) -> tuple[lab.Measurements, dict[str, int], dict[str, Any]]:
    """A run against the counting server: its measurements, the server's counts, and the run's own account."""
    port, counts = free_port(), tmp_path / "counts.json"
    command = [sys.executable, str(SERVERS / "counting.py"), str(port), str(counts)]
    target = lab.Target("counting", host=f"http://127.0.0.1:{port}", command=command, ready="/ready", settle=0)
    one = lab.run(plan, target, store=tmp_path / "runs", progress=False, **options)
    record = orjson.loads((tmp_path / "runs" / one.runs.run.item() / "run.json").read_bytes())
    return one, json.loads(counts.read_text()), record["accounting"]


def hard(user: str, seconds: float = 1.5, users: int = 6, **options: Any) -> lab.LoadPlan:
    settings = {
        "stages": [lab.Stage(seconds, users=users)],
        "user_classes": [user],
        "timeout": "1s",
        "stop_timeout": "2s",
    }
    return lab.LoadPlan(HARD, **{**settings, **options})


URLS = lab.LoadPlan.from_urls(["/flaky", "/closes", "/brief", "/ok"], stages=lab.Stage(1.5, users=6), wait="20ms")


@pytest.mark.parametrize("plan", [hard("Fast"), hard("Requests"), URLS], ids=["fast", "requests", "urls"])
def test_resets_and_closed_connections_are_failures_and_nothing_is_sent_twice(
    tmp_path: Path, plan: lab.LoadPlan
) -> None:
    one, server, account = counted(tmp_path, plan)
    assert len(one.requests) + account["late"] + account["cut"] == sum(server.values())
    assert account["late"] == account["cut"] == account["dropped"] == 0
    assert one.requests.endpoint.value_counts().to_dict() == {f"GET {path}": n for path, n in server.items()}
    failed = one.requests[~one.requests.ok].endpoint.value_counts().to_dict()
    assert failed == {f"GET {path}": server[path] // 5 for path in ("/flaky", "/closes")}
    assert own(one.runs.reason_codes.item()) == set()
    assert own(codes(one.warnings)) == set()


@pytest.mark.parametrize("user", ["Repeats", "FastRepeats"])
def test_retries_of_the_locustfile_and_redirects_are_counted_apart(tmp_path: Path, user: str) -> None:
    one, server, account = counted(tmp_path, hard(user, seconds=1, users=3))
    sent = len(one.requests) + account["late"] + account["cut"]
    assert sent + account["repeats"] + account["redirects"] == sum(server.values())
    assert account["redirects"] == server["/moved"] == server["/ok"]
    assert account["repeats"] == (server["/closes"] // 5 if user == "Repeats" else server["/hang"] * 2 // 3) > 0
    assert "requests-repeated" in codes(one.warnings)


def test_the_plans_time_is_the_plans_time(tmp_path: Path) -> None:
    """A task without end: users end with nothing in flight, what they ask in on_stop is counted apart."""
    one, server, account = counted(tmp_path, hard("Pauses", users=4, seconds=1.2))
    run = one.runs.iloc[0]
    assert own(run.reason_codes) == set()
    assert own(codes(one.warnings)) == {"requests-after-end"}
    assert account["late"] == server["/farewell"] == 4
    assert len(one.requests) == server["/ok"]
    assert run.achieved_per_s == pytest.approx(len(one.requests) / run.duration_ms * 1e3)


def test_users_that_leave_make_a_run_invalid_that_names_the_first_exception(tmp_path: Path) -> None:
    one, server, account = counted(tmp_path, hard("Logins", users=8))
    assert own(one.runs.reason_codes.item()) == {"users-missing"}
    assert "6 users left" in one.runs.reasons.item()[0]
    assert "RuntimeError: cannot log in" in one.runs.reasons.item()[0]
    assert len(one.requests) + account["late"] == sum(server.values())
    assert len(one.requests.query("endpoint == 'GET /login'")) == 8


def test_users_that_stop_themselves(tmp_path: Path) -> None:
    one, server, _ = counted(tmp_path, hard("Stops", users=3))
    assert own(one.runs.reason_codes.item()) == {"users-missing"}
    assert "Stops stopped itself (StopUser)" in one.runs.reasons.item()[0]
    assert len(one.requests) == server["/ok"] == 15


def test_a_locustfile_that_quits(tmp_path: Path) -> None:
    one, server, account = counted(tmp_path, hard("Quits", seconds=6))
    assert own(one.runs.reason_codes.item()) <= {"run-short", "requests-cut-off"}
    assert "run-short" in one.runs.reason_codes.item()
    assert len(one.requests) + account["late"] + account["cut"] == server["/ok"]


def test_a_locustfile_that_exits(tmp_path: Path) -> None:
    one, server, account = counted(tmp_path, hard("Exits", seconds=6))
    assert "generator-exited" in one.runs.reason_codes.item()
    assert len(one.requests) + account["cut"] == server["/ok"]


def test_a_target_that_never_answers_names_what_was_sent(tmp_path: Path) -> None:
    with pytest.raises(lab.LoadTestError, match="3 requests were sent and none was answered"):
        counted(tmp_path, hard("Hangs", users=3, seconds=1))


def test_a_client_without_a_time_out_gets_the_plans(tmp_path: Path) -> None:
    one, server, account = counted(tmp_path, hard("HangsByDefault", users=2, seconds=1.2))
    assert len(one.requests) == server["/hang"] == account["sent"] == 4
    assert one.requests.error.str.contains("ReadTimeout").all()
    assert one.requests.latency_ms.between(990, 1900).all()


def test_requests_cut_off_at_the_end_are_counted_and_make_a_run_invalid(tmp_path: Path) -> None:
    one, server, account = counted(tmp_path, hard("Lingers", users=3, seconds=1))
    assert own(one.runs.reason_codes.item()) == {"requests-cut-off"}
    assert (len(one.requests), account["cut"]) == (server["/ok"], server["/hang"]) == (3, 3)


def test_a_listener_that_hides_failures_hides_them_from_locust_only(tmp_path: Path) -> None:
    one, server, _ = counted(tmp_path, hard("Hides", users=3))
    assert len(one.requests) == server["/closes"]
    assert (~one.requests.ok).sum() == server["/closes"] // 5
    assert own(one.runs.reason_codes.item()) == set()
    assert "locust-counted-fewer" in codes(one.warnings)


@pytest.mark.parametrize(
    ("user", "stages", "reasons", "warnings"),
    [
        ("Raises", lab.Stage(1.5, users=4), {"users-raise"}, {"user-exceptions"}),
        ("Raises", lab.Stage(1.5, rate=30), {"arrivals-raise", "users-raise"}, {"user-exceptions"}),
        # Beside them what looks like it: few users, few requests, an exit code, a ramp.
        ("Thinks", lab.Stage(2.5, users=4, ramp=True), set(), {"own-exit-code"}),
        ("Complains", lab.Stage(1.5, users=4), set(), {"listener-raised"}),
    ],
)
def test_work_that_was_not_done_is_a_reason_and_other_oddities_are_none(
    tmp_path: Path, user: str, stages: lab.Stage, reasons: set[str], warnings: set[str]
) -> None:
    one, server, account = counted(tmp_path, hard(user, stages=[stages]))
    assert own(one.runs.reason_codes.item()) == reasons
    assert own(codes(one.warnings)) == warnings
    assert len(one.requests) + account["late"] == server["/ok"]


@pytest.mark.parametrize(("user", "seconds"), [("Blocks", 2.5), ("Drags", 4)])
def test_a_generator_that_blocks_names_itself(tmp_path: Path, user: str, seconds: float) -> None:
    """8 ms in each task: most of the generator's time, or 3 % of it."""
    one, _, _ = counted(tmp_path, hard(user, users=2, seconds=seconds))
    noted = {*codes(one.warnings), *one.runs.reason_codes.item()}
    assert noted & {"generator-stalled", "generator-blocked", "generator-blocked-by-tasks"}


def test_events_with_odd_values_cost_no_other_record(tmp_path: Path) -> None:
    one, server, account = counted(tmp_path, hard("Odd", users=2))
    found = one.requests.endpoint.value_counts().to_dict()
    asked = server["/ok"]
    assert found.pop("GET /ok") == asked
    # A user whose request ended after the plan's time reports late.
    assert all(asked - 2 <= number <= asked for number in found.values())
    assert sum(found.values()) + account["late"] == 8 * asked
    assert {name.removeprefix("own ")[:15] for name in found} == {
        "float length", "text context", "no wall clock", "milliseconds", "not a number", "surrogate", "n" * 15,
    }  # fmt: skip
    assert sum(name.startswith("own nnn") for name in found) == 2
    assert account["impossible"] == asked
    noted = {note.code: note.facts for note in one.warnings}
    assert noted["start-no-clock"]["events"] == 3 * asked
    assert noted["events-without-time"]["events"] == asked
    run = one.runs.iloc[0]
    assert own(run.reason_codes) == set()
    within = (one.requests.start - run.start).dt.total_seconds()
    assert within.between(-0.1, run.duration_ms / 1e3 + 0.1).all()
    assert (one.requests.query("endpoint == 'own float length'").size_bytes == 3).all()
    assert one.requests.error.dropna().unique().tolist() == ["ValueError: half an emoji \\ud83d"]
    assert lab.load(tmp_path / "runs").runs.run.tolist() == [run.run]


JOURNAL = """
import sys, time
from pathlib import Path
import gevent
from perflab.loadtest.journal import Journal

class Unspeakable:
    def __str__(self): raise RuntimeError
class Response: status_code = 200
class Broken:
    def __getattr__(self, name): raise RuntimeError
    def __bool__(self): raise RuntimeError
    def __float__(self): raise RuntimeError
    def __str__(self): raise RuntimeError
journal = Journal(Path(sys.argv[1]) / "local-1")
usual = dict(request_type="GET", name="/", response_time=1.5, response_length=3, response=Response(), exception=None)
for more in (
    {}, {"name": ["a", "list"]}, {"name": "a \\udcff b"}, {"name": Unspeakable()}, {"response_time": "2.5"},
    {"response_time": "soon"}, {"response_time": float("inf")}, {"response_time": -1}, {"response_time": 2 + 1j},
    {"response_length": "long"}, {"response_length": 1e300}, {"response_length": 10**30}, {"response_length": 2.9},
    {"context": "text"}, {"context": {"perflab_due": "never"}}, {"start_time": "today"}, {"start_time": -1.0},
    {"start_time": float("nan")}, {"exception": Unspeakable()}, {"exception": "half \\ud83d"}, {"request_type": None},
    {"start_time": time.time() - 60}, {"response": Broken()}, {"start_time": Broken()}, {"context": Broken()},
    {"response_length": Broken()}, {"context": {"perflab_request": "text"}}, {"exception": Broken()},
):
    gevent.spawn(journal.on_request, **{**usual, **more}).get()
journal.note("footer", count=journal.count)
journal.flush()
"""


def test_a_journal_takes_any_value(tmp_path: Path) -> None:
    """In a process of its own, since gevent patches it."""
    subprocess.run([sys.executable, "-c", JOURNAL, str(tmp_path)], check=True)
    [process] = processes(tmp_path)
    assert (process.count, process.torn_bytes) == (28, 0)
    written = write_requests([process], tmp_path / "requests.parquet")
    # Without a number there is no latency: "soon" and the complex one are events without a time.
    assert (written.rows, written.impossible, written.failed) == (24, 2, 3)
    frame = pd.read_parquet(tmp_path / "requests.parquet")
    assert set(frame.endpoint.astype(str)) == {
        "GET /",
        "GET ['a', 'list']",
        "GET a \\udcff b",
        "GET Unspeakable",
        "None /",
    }
    assert set(frame.error.dropna()) == {"Unspeakable: Unspeakable", "half \\ud83d", "Broken: Broken"}
    assert (frame.status.fillna(200) == 200).all() and frame.status.isna().sum() == 1
    assert sorted(frame.latency_ms.unique()) == [1.5, 2.5]
    assert sorted(frame.size_bytes.unique()) == [0, 2, 3]
    ages = (pd.Timestamp.now("UTC") - frame.start).dt.total_seconds().sort_values()
    assert (ages.iloc[:-1] < 50).all()
    assert ages.iloc[-1] > 59


CACHED = """
import sys
from pathlib import Path
import gevent
from perflab.loadtest.journal import Journal

class Response:
    status_code = 200
    def __init__(self, headers): self.headers = headers

class Broken:
    def __bool__(self): return True
    def get(self, name): raise RuntimeError

journal = Journal(Path(sys.argv[1]) / "local-1")
for headers in ({"X-Cache": "HIT"}, {"Cache-Status": "c; fwd=miss"}, {}, None, Broken()):
    gevent.spawn(journal.on_request, request_type="GET", name="/", response_time=1.5, response=Response(headers)).get()
journal.note("footer", count=journal.count)
journal.flush()
"""


def test_what_headers_say_about_caches_is_kept(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CACHED, str(tmp_path)], check=True)
    write_requests(processes(tmp_path), tmp_path / "requests.parquet")
    cached = pd.read_parquet(tmp_path / "requests.parquet")["cached"]
    assert cached.iloc[:2].tolist() == [True, False]
    assert cached.iloc[2:].isna().all() and len(cached) == 5
