"""Real Locust against a real server: what a run keeps, and what it does when things go wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from driving import SERVERS, USERS, assert_clean, free_port, mine, open_plan, own, plan, target, wait_for

import perflab as lab
from perflab.loadtest.drive import Driven
from perflab.loadtest.records import RECORD
from perflab.loadtest.run import draw_order, left
from perflab.loadtest.worker import work
from perflab.notes import codes


def test_a_run_keeps_every_request(tmp_path: Path) -> None:
    log = tmp_path / "served.log"
    one = lab.run(
        plan(3, response_headers=True), target("tiny", "--log", str(log)), store=tmp_path / "runs", progress=False
    )
    run = one.runs.iloc[0]
    assert run.valid, run.reasons
    assert not own(codes(one.warnings))
    # What was captured, what Locust counted and what the server served are the same requests.
    served = log.read_text().splitlines()
    record = orjson.loads((tmp_path / "runs" / run.run / "run.json").read_bytes())
    counted = {f"{e['method']} {e['name']}": e["num_requests"] for e in record["locust"]}
    assert one.requests.endpoint.value_counts().to_dict() == counted
    assert counted == {"GET /ok": served.count("/ok"), "GET /slow": served.count("/slow")}
    assert len(served) > 100
    # Locust rounds its percentiles, so agree within its two significant digits.
    slow = one.requests.query("endpoint == 'GET /slow'").latency_ms
    theirs = next(e for e in record["locust"] if e["name"] == "/slow")
    assert np.isclose(slow.mean(), theirs["total_response_time"] / theirs["num_requests"], rtol=1e-6)
    assert (slow >= 60).all()
    assert (one.requests.status == 200).all()
    assert (one.requests.size_bytes == 100).all()
    assert one.requests.ok.all()
    assert set(zip(one.exchanges.endpoint, one.exchanges.mime, strict=True)) == {
        (name, "text/plain") for name in counted
    }
    assert one.exchanges.timings_ms.map(lambda spent: spent["wait"]).between(0, slow.max()).all()
    # Starts are real instants inside the run.
    end = run.start + np.timedelta64(int(run.duration_ms) + 1, "ms")
    assert one.requests.start.between(run.start, end).all()
    assert 2_900 < run.duration_ms < 4_100
    assert set(one.resources.process) == {"generator", "target", "machine", "other"}
    assert (one.resources.query("process == 'machine'").steal_cores >= 0).all()
    assert run.offered_per_s > run.achieved_per_s > 10
    assert (one.resources.query("process != 'other'").rss_bytes > 1e6).all()
    assert one.load.users.max() == 4
    assert_clean(tmp_path / "runs")


def test_a_run_is_as_long_as_its_plan_says_though_locust_asks_once_a_second(tmp_path: Path) -> None:
    one = lab.run(plan(1.2), target(), store=tmp_path, progress=False)
    assert 1_150 < one.runs.duration_ms.item() < 1_950


def test_one_endpoint_can_be_chosen_by_tag(tmp_path: Path) -> None:
    one = lab.run(plan(1, tags=["slow"]), target(), store=tmp_path, progress=False)
    assert set(one.requests.endpoint) == {"GET /slow"}


def test_pairs_are_interleaved_in_random_order(tmp_path: Path) -> None:
    before, after = lab.run_pairs(
        plan(1), target("a"), target("b"), pairs=2, washout="700ms", seed=3, store=tmp_path, progress=False
    )
    assert before.runs.arm.to_list() == ["a", "a"]
    assert after.runs.pair.to_list() == [1, 2]
    both = (before + after).runs.sort_values("start")
    assert both.pair.to_list() == [1, 1, 2, 2]
    assert both.order.to_list() == [1, 2, 1, 2]
    ends = both.start + pd.to_timedelta(both.duration_ms, unit="ms")
    assert ((both.start.iloc[1:].array - ends.iloc[:-1].array) > pd.Timedelta("700ms")).all()
    first = both.query("order == 1").arm.eq("a").to_list()
    assert first == draw_order(2, 3)
    experiment = both.experiment.unique()
    assert len(experiment) == 1
    assert len(lab.load(tmp_path, experiment=experiment[0]).runs) == 4
    # Two arms of one plan have equal records of it: what differs is the target.
    assert both.plan.map(lambda p: orjson.dumps(p, option=orjson.OPT_SORT_KEYS)).nunique() == 1


def test_order_is_balanced_and_repeatable() -> None:
    for pairs in range(1, 30):
        order = draw_order(pairs, seed=pairs)
        assert order == draw_order(pairs, seed=pairs)
        assert abs(2 * sum(order) - pairs) <= 1
    assert len({tuple(draw_order(10, seed)) for seed in range(50)}) > 40


def test_failures_are_kept_with_their_errors(tmp_path: Path) -> None:
    one = lab.run(plan(1, user="Failing"), target(), store=tmp_path, progress=False)
    assert not one.requests.ok.any()
    assert (one.requests.status == 500).all()
    assert one.requests.error.str.contains("500").all()
    run = one.runs.iloc[0]
    assert not run.valid
    assert run.reason_codes[0] == "most-requests-failed"


def test_slow_requests_end_in_time_and_are_kept(tmp_path: Path) -> None:
    short = plan(1, user="Sleeper", timeout="0.5s", stop_timeout="2s")
    one = lab.run(short, target(), store=tmp_path, progress=False)
    # The client's time-out is in force: nothing waited for the 1.5 s of the server.
    assert one.requests.latency_ms.between(450, 1_400).all()
    assert not one.requests.ok.any()
    # Two workers, since Locust's master waits for half a second only.
    long = plan(1, user="Sleeper", timeout="5s", stop_timeout="6s", workers=2)
    waited = lab.run(long, target(), store=tmp_path, progress=False)
    assert waited.requests.latency_ms.min() > 1_450
    assert not own(waited.runs.reason_codes.item())
    assert "locust-counted-fewer" not in codes(waited.warnings)


def test_a_task_that_goes_on_is_ended_after_the_request_in_flight(tmp_path: Path) -> None:
    one = lab.run(plan(1, user="Chain", timeout="1s", stop_timeout="2s"), target(), store=tmp_path, progress=False)
    assert not own(one.runs.reason_codes[0])
    assert (
        one.requests.start < one.runs.start.item() + np.timedelta64(int(one.runs.duration_ms.item()) + 1, "ms")
    ).all()


@pytest.mark.parametrize(
    ("text", "first", "cause"),
    [
        ("x = 1\ndef f(:\n", ":2: the locustfile can't be loaded: SyntaxError: invalid syntax", "def f(:"),
        (
            "import os\nimport no_such_module_anywhere\n",
            ":2: the locustfile can't be loaded: ModuleNotFoundError: No module named 'no_such_module_anywhere'; expected",
            "import no_such_module_anywhere",
        ),
        ("\nimport beside\n", ":2: the locustfile can't be loaded: KeyError: 'TOKEN'", "beside.py"),
        ("raise SystemExit('set TOKEN')\n", ":1: the locustfile can't be loaded: SystemExit: set TOKEN", "set TOKEN"),
        ("class Page:\n    pass\n", ": expected a user class", "found Page, which is not a user class or is abstract"),
    ],
)
def test_a_broken_locustfile_says_so_by_file_and_line(tmp_path: Path, text: str, first: str, cause: str) -> None:
    (tmp_path / "users.py").write_text(text)
    (tmp_path / "beside.py").write_text("{}['TOKEN']\n")
    broken = lab.LoadPlan(tmp_path / "users.py", stages=lab.Stage(1, users=1))
    with pytest.raises(lab.LoadTestError) as caught:
        lab.run(broken, target(), store=tmp_path / "runs", progress=False)
    assert str(caught.value).startswith(f"{tmp_path / 'users.py'}{first}")
    assert cause in str(caught.value)
    assert "locust/main.py" not in str(caught.value) and "<frozen" not in str(caught.value)
    assert not list((tmp_path / "runs").glob("*"))


def test_a_locustfile_that_is_no_python_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "users.py").write_text("x = '\\d'\ndef f(:\n")
    broken = lab.LoadPlan(tmp_path / "users.py", stages=lab.Stage(1, users=1))
    sides = [lab.Target(arm, command=["no-such-program"], host="http://127.0.0.1:9") for arm in "ab"]
    for begin in (lab.run, lab.start_run):
        with pytest.raises(lab.LoadTestError, match=r"users\.py:2: the locustfile can't be loaded: SyntaxError"):
            begin(broken, sides[0], store=tmp_path / "runs", progress=False)
    with pytest.raises(lab.LoadTestError, match=r"users\.py:2: the locustfile can't be loaded: SyntaxError"):
        lab.run_pairs(broken, *sides, pairs=3, store=tmp_path / "runs", progress=False)
    assert not (tmp_path / "runs").exists()


def test_one_of_several_processes_reports_a_broken_locustfile_too(tmp_path: Path) -> None:
    (tmp_path / "users.py").write_text("import no_such_module_anywhere\n")
    broken = lab.LoadPlan(tmp_path / "users.py", stages=lab.Stage(1, users=2), workers=2)
    with pytest.raises(lab.LoadTestError, match=r"users\.py:1: the locustfile can't be loaded"):
        lab.run(broken, target(), store=tmp_path / "runs", progress=False)
    with pytest.raises(lab.LoadTestError, match=r"users\.py:1: the locustfile can't be loaded"):
        work(tmp_path / "users.py", f"127.0.0.1:{free_port()}", folder=tmp_path / "workers", token="only-for-this-test")


def test_unknown_user_class_and_users_that_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(lab.LoadTestError, match=r"expected the plan's user class Nobody; found .*Shopper"):
        lab.run(plan(1, user="Nobody"), target(), store=tmp_path, progress=False)
    with pytest.raises(lab.LoadTestError, match="no such account"):
        lab.run(plan(1, user="Broken"), target(), store=tmp_path, progress=False)
    with pytest.raises(lab.LoadTestError, match="no such account"):
        lab.run(open_plan(1, rate=10, user="Broken"), target(), store=tmp_path, progress=False)
    with pytest.raises(lab.LoadTestError, match=r"Nested\.Flow is a TaskSet, which never ends"):
        lab.run(open_plan(1, rate=10, user="Nested"), target(), store=tmp_path, progress=False)
    with pytest.raises(lab.LoadTestError, match="the run made no request at all"):
        lab.run(plan(1, user="Idle"), target(), store=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="locustfile must be an existing file"):
        lab.run(lab.LoadPlan("nowhere.py", stages=lab.Stage(1, users=1)), target(), store=tmp_path, progress=False)


def test_a_port_that_is_taken_names_its_owner(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(lab.TargetError, match=rf"is taken by .*pid {os.getpid()}"):
            lab.run(plan(1), target(port=taken.getsockname()[1]), store=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_service_that_dies_at_start_or_never_becomes_ready(tmp_path: Path) -> None:
    dies = [sys.executable, "-c", "import sys; print('no database'); sys.exit(7)"]
    with pytest.raises(lab.TargetError, match="exited during start-up with code 7") as caught:
        lab.run(plan(1), target(command=dies), store=tmp_path, progress=False)
    assert "no database" in str(caught.value)
    assert (caught.value.exit_code, "no database" in caught.value.output) == (7, True)
    with pytest.raises(lab.TargetError, match=r"did not become ready within 1.5 s: .*/fail answered 500"):
        lab.run(plan(1), target(ready="/fail", ready_timeout="1.5s"), store=tmp_path, progress=False)
    with pytest.raises(lab.TargetError, match="cannot start 'no-such-program'"):
        lab.run(plan(1), target(command=["no-such-program"]), store=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_an_unreachable_host(tmp_path: Path) -> None:
    with pytest.raises(lab.TargetError, match="is not running: nothing accepts connections"):
        lab.run(plan(1), lab.Target("gone", host=f"http://127.0.0.1:{free_port()}"), store=tmp_path, progress=False)


def test_a_service_that_dies_in_mid_run_is_kept_as_invalid(tmp_path: Path) -> None:
    one = lab.run(plan(20), target("mortal", "--die-after", "1"), store=tmp_path, progress=False)
    run = one.runs.iloc[0]
    assert not run.valid
    assert (run.reason_codes[0], run.reasons[0]) == ("target-exited", "the target 'mortal' exited with code 3")
    assert run.duration_ms < 6_000
    assert one.requests.ok.any()


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(lab.StoreError, match="cannot keep runs here"):
        lab.run(plan(1), target(), store=tmp_path / "file" / "runs", progress=False)


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"kernel permissions: cannot mount a small file system here ({mounted.stderr.strip()})")
    try:
        with pytest.raises(lab.StoreError, match="No space left") as failed:
            lab.run(plan(6, users=10), target(), store=disk / "runs", progress=False)
        (draft,) = (disk / "runs").iterdir()
        assert f'recover("{draft}")' in str(failed.value)
        del failed  # its frames hold files open, and the disk could not be unmounted
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        captured = sum(file.stat().st_size // RECORD.size for file in draft.glob("generator/*.bin"))
        assert len(lab.recover(draft).requests) == captured > 0
        assert_clean(disk / "runs")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


SCRIPT = """
import sys
import perflab as lab
target = lab.Target("tiny", host="http://127.0.0.1:{port}", command=[sys.executable, {server!r}, "{port}"], ready="/ready")
plan = lab.LoadPlan({users!r}, stages=lab.Stage("30s", users=4), user_classes=["Shopper"])
print("ready", flush=True)
lab.run_pairs(plan, target, lab.Target("same", host=target.host, command=target.command, ready="/ready"),
              pairs=2, seed=1, store={store!r}, progress=False)
"""


def started(tmp_path: Path) -> subprocess.Popen[str]:
    script = SCRIPT.format(
        port=free_port(), server=str(SERVERS / "tiny.py"), users=str(USERS), store=str(tmp_path / "runs")
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def recorded(tmp_path: Path) -> int:
    return sum(p.stat().st_size for p in (tmp_path / "runs").glob(".*/generator/*.bin"))


def test_an_interruption_stops_everything_and_keeps_the_run(tmp_path: Path) -> None:
    child = started(tmp_path)
    wait_for(lambda: recorded(tmp_path) > 2_000)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode
    experiment = re.search(r'experiment="(.*?)"', errors)
    assert experiment, errors
    kept = lab.load(tmp_path / "runs", experiment=experiment[1])
    assert len(kept.runs) == 1
    assert kept.runs.reason_codes[0] == ["interrupted"]
    assert len(kept.requests) > 20
    assert_clean(tmp_path / "runs")


def test_an_interrupted_experiment_says_how_to_load_what_there_is() -> None:
    whole, part = Driven(Path("runs/a"), interrupted=False), Driven(Path("runs/b"), interrupted=True)
    for driven, said in (
        ([[], []], "nothing was kept"),
        ([[part], []], 'what was captured is kept: lab.load("my runs", experiment="e1")'),
        ([[whole], [part]], 'what was captured is kept: lab.load("my runs", experiment="e1").where(valid=True)'),
    ):
        assert left("my runs", "e1", driven) == said


@pytest.mark.parametrize("after", [0.05, 0.4, 0.9])
def test_an_interruption_before_the_load_leaves_nothing(tmp_path: Path, after: float) -> None:
    child = started(tmp_path)
    time.sleep(after)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode
    if (tmp_path / "runs").exists():
        assert_clean(tmp_path / "runs")


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    before = mine()
    child = started(tmp_path)
    wait_for(lambda: recorded(tmp_path) > 0)
    child.kill()
    child.communicate()
    wait_for(lambda: not mine() - before, seconds=10)
    with pytest.raises(lab.StoreError, match="found none"):
        lab.load(tmp_path / "runs")
    # Its unfinished run is neither loaded nor in the way of the next.
    lab.run(plan(1), target(), store=tmp_path / "runs", progress=False)
    loaded = lab.load(tmp_path / "runs")
    assert len(loaded.runs) == 1
    [left_out] = [note for note in loaded.warnings if note.code == "unfinished-runs"]
    assert left_out.facts["unfinished"] == 1
    assert own(codes(loaded.warnings)) == {"unfinished-runs"}
    captured = recorded(tmp_path) // RECORD.size
    back = lab.recover(tmp_path / "runs")
    assert len(back.requests) == captured > 0
    assert not back.runs["valid"].any()
    assert "end-unknown" in back.runs.reason_codes[0]
    assert back.runs["plan"][0]["duration_s"] == 30
    assert_clean(tmp_path / "runs")


def test_settings_from_outside_the_plan_are_left_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locust.conf").write_text("tags = slow\n")
    (tmp_path / "pyproject.toml").write_text('[tool.locust]\nexclude-tags = ["slow"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCUST_USER_CLASSES", "Failing")
    one = lab.run(plan(1), target(), store=tmp_path / "runs", progress=False)
    assert set(one.requests.endpoint) == {"GET /ok", "GET /slow"}
