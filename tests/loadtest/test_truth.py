"""Whether the numbers are true: the open model against theory, counts against Locust's, losses said out loud."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import psutil
import pytest
from driving import SERVERS, free_port, open_plan, own, plan, target, wait_for

import perflab as lab
from perflab.loadtest import capture, records
from perflab.loadtest.resources import listening
from perflab.notes import codes


def record(store: Path, one: lab.Measurements) -> dict[str, object]:
    return orjson.loads((store / one.runs.run.item() / "run.json").read_bytes())


def seconds(instants: pd.Series) -> np.ndarray:
    return (instants - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy()


def unexpected(one: lab.Measurements) -> set[str]:
    """Codes of reasons against a run, but for those that a busy machine gives."""
    return own(one.runs.reason_codes.item())


def test_the_open_model_tells_what_a_stall_costs_and_the_closed_one_warns(tmp_path: Path) -> None:
    """A server of 5 ms that stands still once for 2 s: theory gives each arrival the rest of the stall to wait."""
    log = tmp_path / "stall.log"
    stalled = {"server": "stall.py"}
    one = lab.run(
        open_plan(7, rate=200),
        target("open", "--log", str(log), "--after", "2", **stalled),
        store=tmp_path / "o",
        progress=False,
    )
    begin, end = map(float, log.read_text().split())
    due = seconds(one.requests.due)
    # Constant arrivals: 1/400 s, 3/400 s, ... and none of them is dropped.
    assert len(one.requests) == 1400
    assert np.allclose(np.diff(np.sort(due)), 1 / 200, atol=2e-6)
    assert not unexpected(one)
    theory = 5.0 + np.where((due >= begin) & (due < end), (end - due) * 1e3, 0.0)
    for share in (0.95, 0.99):
        expected = np.quantile(theory, share, method="median_unbiased")
        assert expected > 1_000
        assert np.quantile(one.requests.latency_ms, share, method="median_unbiased") == pytest.approx(expected, rel=0.1)
    # Latency counts from the due time; the lag is the part before the actual start, and it is recorded.
    lag = (seconds(one.requests.start) - due) * 1e3
    assert (one.requests.latency_ms >= lag - 0.01).all()
    schedule = record(tmp_path / "o", one)["schedule"]
    assert schedule["arrivals_begun"] == schedule["arrivals_expected"] == 1400
    assert schedule["lag_p95_ms"] == pytest.approx(np.quantile(lag, 0.95), rel=0.02, abs=0.01)

    closed = lab.run(
        plan(4, users=10, user="Pacer"),
        target("closed", "--log", str(log), "--after", "1", **stalled),
        store=tmp_path / "c",
        progress=False,
    )
    # The same stall, and a p95 that knows nothing of it; so the run says so.
    assert np.quantile(closed.requests.latency_ms, 0.95) < 500
    assert "coordinated-omission" in codes(closed.warnings), closed.warnings


@pytest.mark.parametrize("workers", [1, 2])
def test_clean_runs_count_what_locust_counts(tmp_path: Path, workers: int) -> None:
    one = lab.run(plan(1.5, users=4, workers=workers), target(), store=tmp_path, progress=False)
    assert not unexpected(one)
    counted = {f"{e['method']} {e['name']}": e["num_requests"] for e in record(tmp_path, one)["locust"]}
    assert one.requests.endpoint.value_counts().to_dict() == counted
    summary = lab.summarize(one, warmup=0).set_index("endpoint")
    for endpoint in (*counted, "Aggregated"):
        raw = one.requests.latency_ms[(one.requests.endpoint == endpoint) | (endpoint == "Aggregated")]
        theirs = np.quantile(raw.to_numpy(), [0.5, 0.95, 0.99], method="median_unbiased")
        theirs[2] = theirs[2] if len(raw) >= 100 else np.nan  # summarize takes no maximum for a p99
        ours = summary.loc[endpoint, ["p50_ms", "p95_ms", "p99_ms"]].astype(float)
        assert np.allclose(ours, theirs, rtol=1e-12, equal_nan=True)
    assert one.load.users.max() == 4


def test_a_killed_worker_makes_the_run_invalid_and_loses_nothing_but_what_came_after_its_last_beat(
    tmp_path: Path,
) -> None:
    killed: dict[str, Any] = {}

    def kill_one() -> None:
        wait_for(lambda: sum(p.stat().st_size > 4_000 for p in tmp_path.glob(".*/generator/worker-*.bin")) == 2)
        file = next(tmp_path.glob(".*/generator/worker-*.bin"))
        process = psutil.Process(int(file.stem.partition("-")[2]))
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        notes = [orjson.loads(line) for line in file.with_suffix(".jsonl").read_bytes().splitlines()]
        visit = next(n["index"] for n in notes if n["kind"] == "endpoint" and n["name"] == "GET /visit")
        kept = int((np.fromfile(file, capture.DTYPE)["endpoint"] == visit).sum())
        killed.update(pid=str(process.pid), beat=max(n["time"] for n in notes if n["kind"] == "users"), kept=kept)

    killer = threading.Thread(target=kill_one)
    killer.start()
    log, users = tmp_path / "served.log", 4
    crowd = plan(5, users, user="Visitor", workers=2)
    one = lab.run(crowd, target("tiny", "--log", str(log)), store=tmp_path, progress=False)
    killer.join()
    run = one.runs.iloc[0]
    assert not run.valid
    assert "worker-lost" in run.reason_codes
    assert any(f"worker-{killed['pid']} was lost" in reason for reason in run.reasons), run.reasons
    asked = [line.split() for line in log.read_text().splitlines() if line.startswith("/ok ")]
    own = [float(at) for _, pid, at in asked if pid == killed["pid"]]
    # All that the other worker was answered is there, and of the dead one all that it had written ...
    visits = len(one.requests.query("endpoint == 'GET /visit'"))
    assert visits == killed["kept"] + len(asked) - len(own)
    # ... and that is all that it was answered until its last beat, but for the request that each user was waiting for.
    assert 0 <= sum(at <= killed["beat"] for at in own) - killed["kept"] <= users
    assert records.FLUSH_S <= 0.6  # from one beat to the next, and so what can be lost


def test_two_workers_share_one_schedule(tmp_path: Path) -> None:
    one = lab.run(open_plan(1, rate=60, workers=2), target(), store=tmp_path, progress=False)
    assert not unexpected(one)
    assert len(one.requests) == 60
    assert one.load.rate.max() > 0


def test_a_schedule_that_cannot_be_kept_is_invalid(tmp_path: Path) -> None:
    # Each task holds the whole generator for 50 ms: one process can't begin 50 of them in a second.
    one = lab.run(open_plan(1, rate=50, user="Blocker"), target(), store=tmp_path, progress=False)
    assert not one.runs.valid.item()
    assert "arrivals-late" in one.runs.reason_codes.item()
    # And still none was dropped.
    assert len(one.requests) == 50


def test_a_login_is_no_part_of_the_latency_of_the_next_request(tmp_path: Path) -> None:
    one = lab.run(open_plan(1, rate=10, user="Login"), target(), store=tmp_path, progress=False)
    login, rest = (one.requests.query(f"endpoint {sign} 'GET /login'") for sign in ("==", "!="))
    assert len(rest) == 10
    assert (login.latency_ms >= 300).all()
    assert login.due.isna().all()
    assert rest.latency_ms.median() < 150


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> lab.Measurements:
    """One run of many kinds of users."""
    classes = {"Mostly": 3, "Seldom": 1, "Visitor": 1, "Grumbler": 1, "Sessions": 1, "FastSessions": 1}
    crowd = plan(1.2, users=8, user_classes=classes, headers={"X-Plan": "yes"})
    return lab.run(crowd, target(), store=tmp_path_factory.mktemp("mixed"), progress=False)


def test_weights_mix_user_classes(mixed: lab.Measurements) -> None:
    users = mixed.requests.groupby("endpoint").user.nunique()
    assert (users["GET /mostly"], users["GET /seldom"]) == (3, 1)
    assert mixed.runs.plan.item()["weights"]["Mostly"] == 3


def test_headers_of_the_plan_are_sent(mixed: lab.Measurements) -> None:
    """By FastHttpUser and by HttpUser."""
    found = mixed.checks[mixed.checks.name == "has the header"]
    assert found.ok.all()
    assert set(found.endpoint) == {"GET /headers", "GET /session"}


def test_checks_are_recorded_beside_the_requests(mixed: lab.Measurements) -> None:
    assert mixed.requests.ok.all()
    found = lab.stats.summarize_checks(mixed).query("name != 'has the header'").set_index(["name", "endpoint"])
    asked = mixed.requests.endpoint.value_counts()
    assert found.passed_fraction.to_dict() == {
        ("always", "the visit"): 1.0,
        ("has 10 bytes", "GET /visit"): 0.0,
        ("is 200", "GET /visit"): 1.0,
        ("is JSON", "GET /slow"): 0.0,
    }
    assert found["count"]["is 200"].item() == asked["GET /visit"]
    assert found["count"]["is JSON"].item() == asked["GET /slow"]
    assert "Checks passed, %" in repr(mixed)


def test_exceptions_in_tasks_are_counted(mixed: lab.Measurements) -> None:
    count = (mixed.requests.endpoint == "GET /grumble").sum()
    [raised] = [w for w in mixed.warnings if w.code == "user-exceptions"]
    assert raised.facts["errors"] == count
    assert raised.facts["first"].startswith("LookupError")


def test_an_objective_ends_a_run_early(tmp_path: Path) -> None:
    strict = plan(20, objectives=[lab.Objective("p95", "<", "20ms", abort=True, delay_ms=500), "error rate < 50%"])
    one = lab.run(strict, target(), store=tmp_path, progress=False)
    run = one.runs.iloc[0]
    assert not run.valid
    assert run.reason_codes[0] == "stopped-by-objective"
    assert "the objective p95 of all requests < 20 ms: it was " in run.reasons[0]
    assert 450 <= run.duration_ms < 10_000  # the delay and the run are timed by two processes
    assert lab.check(one, strict.objectives, allow="invalid").verdict in ("fails", "inconclusive")
    assert len(one.requests) >= 20


def test_a_target_of_somebody_else_that_restarts_during_the_run_is_named(tmp_path: Path) -> None:
    port = free_port()
    tiny = f"{sys.executable} {SERVERS / 'tiny.py'} {port}"
    restarting = subprocess.Popen(["bash", "-c", f"{tiny} --die-after 0.7; {tiny} --die-after 6"])
    try:
        wait_for(lambda: listening(port))
        up = lab.Target("tiny", host=f"http://127.0.0.1:{port}")
        one = lab.run(plan(3), up, store=tmp_path, progress=False)
    finally:
        for process in (*psutil.Process(restarting.pid).children(), restarting):
            process.kill()
        restarting.wait()
    assert not one.runs.valid.item()
    assert "target-restarted" in one.runs.reason_codes.item()


def test_a_server_that_replaces_its_workers_is_no_restart(tmp_path: Path) -> None:
    """A parent with the port, and workers that end after some answers, as gunicorn --max-requests and uvicorn have them."""
    port = free_port()
    command = [sys.executable, str(SERVERS / "recycling.py"), str(port)]
    served = lab.Target("recycling", host=f"http://127.0.0.1:{port}", command=command, ready="/ready")
    one = lab.run(plan(2, user="Recycled"), served, store=tmp_path, progress=False)
    assert one.requests.error.isna().all()
    assert not unexpected(one)
    by_worker = one.requests.size_bytes.nunique()
    assert by_worker > 2
