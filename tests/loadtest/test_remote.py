"""Workers on other machines: on loopback as such, and on three hosts made of network namespaces, one link cut."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import orjson
import pytest
import zmq
from driving import SERVERS, USERS, free_port, open_plan, own, plan, target, wait_for

import perflab as lab
from perflab.loadtest.records import RECORD, stem_of
from perflab.notes import codes

ASK, PARTS = "perflab_ask", "perflab_parts"

ROOT = Path(__file__).parent.parent.parent
TOKEN = "correct horse battery"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFLAB_TOKEN", TOKEN)


def free_pair() -> int:
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def worker(master: str, folder: Path, *, within: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [
        *within,
        sys.executable,
        "-m",
        "perflab",
        "worker",
        str(USERS),
        "--master",
        master,
        "--folder",
        str(folder),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


@contextmanager
def strangers(port: int) -> Iterator[list[object]]:
    """Processes of others that reach the master's port and have no token, or a wrong one: what they are answered."""
    context, answers, done = zmq.Context(), [], threading.Event()
    # Who connects and says no more, half a greeting, or that a gigabyte follows.
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE".ljust(55, b"\0")
    halves = (
        b"\xff",
        greeting,
        greeting + b"\x06" + (1 << 30).to_bytes(8, "big") + bytes(100_000),
        b"GET / HTTP/1.1\r\n\r\n",
    )
    held: list[socket.socket] = []
    sockets = []
    for key in (None, zmq.curve_keypair()[0]):
        stranger = context.socket(zmq.DEALER)
        stranger.setsockopt(zmq.IDENTITY, b"stranger")
        stranger.setsockopt(zmq.LINGER, 0)
        if key:
            stranger.setsockopt(zmq.CURVE_SERVERKEY, key)
            stranger.curve_publickey, stranger.curve_secretkey = zmq.curve_keypair()
        stranger.connect(f"tcp://127.0.0.1:{port}")
        sockets.append(stranger)

    def ask() -> None:
        messages = [("client_ready", "2.40.0", "stranger"), (ASK, {"asked": 0.0}, "stranger"), ("exception", [1], "stranger"),
                    ("stats", {PARTS: [[".bin", 0, b"x" * RECORD.size]]}, "stranger")]  # fmt: skip
        while not done.wait(0.2):
            for stranger in sockets:
                for message in messages:
                    with contextlib.suppress(zmq.Again):
                        stranger.send(msgpack.dumps(message), zmq.NOBLOCK)
                with contextlib.suppress(zmq.Again):
                    answers.append(stranger.recv(zmq.NOBLOCK))
            for half in halves * 5 * (len(held) < 200):
                with contextlib.suppress(OSError):
                    held.append(socket.create_connection(("127.0.0.1", port), timeout=1))
                    held[-1].sendall(half)
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as raw:
                raw.sendall(b"\xff" + b"\x7f" * 200_000)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answers
    finally:
        done.set()
        asking.join()
        for each in held:
            each.close()
        context.destroy()


def test_records_of_a_worker_elsewhere_come_home(tmp_path: Path) -> None:
    port, log = free_pair(), tmp_path / "served.log"
    more = {"workers": 1, "remote_workers": 1, "master": f"127.0.0.1:{port}"}
    secret = open_plan(2, 60, headers={"Authorization": "Bearer hunter2"}, **more)
    other = worker(f"127.0.0.1:{port}", tmp_path / "worker")
    try:
        with strangers(port) as answers:
            one = lab.run(secret, target("tiny", "--log", str(log)), store=tmp_path / "runs", progress=False)
        told = other.communicate(timeout=30)[0]
    finally:
        other.kill()
    assert answers == []
    memory = one.resources.query("process == 'generator'").rss_bytes
    assert memory.max() - memory.iloc[0] < 100e6
    assert [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []
    run = one.runs.iloc[0]
    # Two generators begin a schedule that they share a little apart.
    assert own(run.reason_codes) <= {"schedule-not-kept"}, (run.reasons, told)
    record = orjson.loads((tmp_path / "runs" / run.run / "run.json").read_bytes())
    served = log.read_text().splitlines()
    assert len(one.requests) == sum(e["num_requests"] for e in record["locust"]) == len(served) > 50
    assert other.returncode == 0, told
    assert "the records are in" in told
    # The worker's own copy holds the same bytes that came home: its footer counts all of its requests.
    copy = next((tmp_path / "worker").glob("*/remote-*.jsonl"))
    footer = json.loads(copy.read_text().splitlines()[-1])
    assert footer["kind"] == "footer"
    assert footer["count"] == copy.with_suffix(".bin").stat().st_size / RECORD.size
    assert 0 < footer["count"] < len(one.requests)
    assert one.requests.due.nunique() == len(one.requests) == 120


def test_a_worker_that_never_comes_is_an_error(tmp_path: Path) -> None:
    alone = plan(1, workers=1, remote_workers=1, master=f"127.0.0.1:{free_pair()}", worker_timeout="1s")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        up = lab.Target("up", host=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(lab.LoadTestError, match="not all of the 2 workers connected within 1 s"):
            lab.run(alone, up, store=tmp_path / "runs", progress=False)
    assert not list((tmp_path / "runs").glob("*/run.json"))


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an address and a port like"):
        plan(1, master="here")
    with pytest.raises(ValueError, match="token must be a secret"):
        plan(1, remote_workers=1, token="short")
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        plan(1, workers=0)
    with pytest.raises(ValueError, match="remote workers need a locustfile"):
        lab.LoadPlan.from_urls("/", stages=lab.Stage(1, users=1), remote_workers=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_pair()))
        taken.listen()
        busy = plan(1, remote_workers=1, master=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(lab.LoadTestError, match="can't listen at"):
            lab.run(busy, target(), store=tmp_path, progress=False)
    with pytest.raises(lab.StoreError, match="expected the folder of a run"):
        lab.loadtest.merge(tmp_path, tmp_path)
    shutil.copytree(next((ROOT / "datasets" / "shop_runs").iterdir()), tmp_path / "whole")
    with pytest.raises(lab.StoreError, match="nothing to merge"):
        lab.loadtest.merge(tmp_path / "whole", tmp_path)


HOSTS = ("master", "left", "right")
ADDRESS = "10.203.17"
DRIVER = """
import sys, perflab as lab
from pathlib import Path
users, server, store, log, address = sys.argv[1:]
target = lab.Target("tiny", host=f"http://{address}:8123", ready="/ready",
                    command=[sys.executable, server, "8123", "--host", address, "--log", log])
plan = lab.LoadPlan(users, stages=lab.Stage("7s", users=6), user_classes=["Shopper"], workers=0, remote_workers=2, seed=1,
                    timeout="2s", stop_timeout="3s", master=f"{address}:5557")
one = lab.run(plan, target, store=store, progress=False)
print(one.runs.run[0])
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    """Three hosts: network namespaces of their own, joined by a bridge in the master's."""
    if shutil.which("ip") is None:
        pytest.skip("needs ip: apt-get install iproute2")
    names = {name: f"perflab-{os.getpid()}-{name}" for name in HOSTS}
    try:
        try:
            for name in names.values():
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", names["master"], "link", "add", "bridge0", "type", "bridge")
            ip("-n", names["master"], "addr", "add", f"{ADDRESS}.1/24", "dev", "bridge0")
            ip("-n", names["master"], "link", "set", "bridge0", "up")
            for number, name in enumerate(("left", "right"), start=2):
                ip(
                    "-n",
                    names["master"],
                    "link",
                    "add",
                    name,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "eth0",
                    "netns",
                    names[name],
                )
                ip("-n", names["master"], "link", "set", name, "master", "bridge0", "up")
                ip("-n", names[name], "addr", "add", f"{ADDRESS}.{number}/24", "dev", "eth0")
                ip("-n", names[name], "link", "set", "eth0", "up")
        except subprocess.CalledProcessError as problem:
            pytest.skip(f"kernel permissions: no network namespaces here ({problem.stderr.strip()})")
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def drive(hosts: dict[str, str], place: Path) -> tuple[subprocess.Popen[str], list[subprocess.Popen[str]]]:
    """The run on the master's host, and a worker on each of the others."""
    inside = {name: ("ip", "netns", "exec", hosts[name]) for name in HOSTS}
    workers = [worker(f"{ADDRESS}.1", place / name, within=inside[name]) for name in ("left", "right")]
    command = [*inside["master"], sys.executable, "-c", DRIVER, str(USERS), str(SERVERS / "tiny.py")]
    command += [str(place / "runs"), str(place / "served.log"), f"{ADDRESS}.1"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    return run, workers


def ended(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def test_a_link_that_is_cut_makes_the_run_invalid_until_its_files_are_merged(
    hosts: dict[str, str], tmp_path: Path
) -> None:
    run, workers = drive(hosts, tmp_path)
    served = tmp_path / "served.log"
    try:
        wait_for(lambda: served.exists() and served.read_text().count("\n") > 100, 120)
        time.sleep(3.5)  # reports go home every three seconds
        ip("-n", hosts["master"], "link", "set", "right", "down")
        told = run.communicate(timeout=200)[0]
        ip("-n", hosts["master"], "link", "set", "right", "up")
    finally:
        ended([run, *workers])
    one = lab.load(tmp_path / "runs")
    lost = next((tmp_path / "right").glob("*/remote-*.jsonl"))
    reasons = one.runs.reasons[0]
    assert not one.runs.valid.any(), told
    assert "remote-worker-lost" in one.runs.reason_codes[0]
    assert any(lost.stem.removeprefix("remote-") in reason for reason in reasons), reasons
    with pytest.raises(lab.ComparisonError, match="not valid"):
        lab.compare(one, one)

    folder = tmp_path / "runs" / one.runs.run[0]
    left = next((tmp_path / "left").glob("*/remote-*.jsonl"))
    # What the other host made is home, all of it.
    at_home = (folder / "generator" / left.stem).with_suffix(".bin").read_bytes()
    assert at_home == left.with_suffix(".bin").read_bytes()
    assert len(at_home) / RECORD.size > 50
    with pytest.raises(lab.StoreError, match="expected the files of a worker"):
        lab.loadtest.merge(folder, tmp_path)
    whole = lab.loadtest.merge(folder, lost.parent)
    remaining = [code for code in whole.runs.reason_codes[0] if code != "most-requests-failed"]
    assert not remaining, remaining
    # All of both workers' records until the load's end are in it, and the rest of what was there is untouched.
    assert len(whole.requests) > len(one.requests)
    assert "merged" in codes(whole.warnings)
    assert len(whole.requests) <= sum(
        f.stat().st_size // RECORD.size for f in (lost.with_suffix(".bin"), left.with_suffix(".bin"))
    )


def test_names_of_workers_are_no_paths() -> None:
    assert "/" not in stem_of("../../etc/passwd")
    assert stem_of("host_1f") == "remote-host_1f"
