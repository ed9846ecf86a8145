"""What a locustfile brings along is kept, refused before the start, or named; the plan replaces nothing silently."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from driving import SERVERS, free_port, own, target

import perflab as lab
from perflab.loadtest.serving import _connects
from perflab.loadtest.target import _address
from perflab.notes import codes

BRINGS = """
import os
import time
from locust import FastHttpUser, LoadTestShape, constant, events, task

seen = {}

@events.init_command_line_parser.add_listener
def more(parser):
    parser.add_argument("--tenant", default="none")
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--paths", nargs="*", default=[])
    parser.add_argument("--place", env_var="LOCUST_PLACE", default="nowhere")

@events.test_start.add_listener
def started(environment, **_):
    seen["target"] = environment.runner.target_user_count
    environment.host = "http://127.0.0.1:2"
    time.sleep(0.5)

@events.test_stopping.add_listener
def stopping(**_):
    time.sleep(0.5)

class Steps(LoadTestShape):
    def tick(self):
        return (7, 7) if self.get_run_time() < 60 else None

class Visitor(FastHttpUser):
    host = "http://127.0.0.1:1"
    wait_time = constant(0.1)

    @task
    def ask(self):
        o = self.environment.parsed_options
        facts = (o.tenant, o.images, o.verbose, *o.paths, o.place, os.environ.get("LOCUST_TENANT"), o.num_users, o.run_time,
                 seen["target"])
        self.client.get("/ok", name=" ".join(map(str, facts)))
"""


def test_arguments_settings_and_numbers_reach_the_locustfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "users.py").write_text(BRINGS)
    (tmp_path / "locust.conf").write_text("tenant = acme\nusers = 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCUST_PLACE", "here")
    monkeypatch.setenv("LOCUST_TENANT", "own")
    monkeypatch.setenv("LOCUST_SPAWN_RATE", "1")
    arguments = {"images": True, "verbose": False, "paths": ["a", "b"]}
    ramp = lab.LoadPlan("files", stages=lab.Stage(1.5, users=4, ramp=True), arguments=arguments)
    one = lab.run(ramp, target(), store=tmp_path / "runs", progress=False)
    assert set(one.requests.endpoint) == {"GET acme True False a b here own 4 1.5 4"}
    assert not own(one.runs.reason_codes.item())
    # Neither listener takes from the plan's time, or adds to it.
    assert one.runs.duration_ms.item() == pytest.approx(1_500, abs=400)
    assert one.requests.ok.all()
    noted = {note.code: note.facts for note in reversed(one.warnings)}
    assert noted["shape-unused"]["name"] == "Steps"
    assert noted["host-replaced"]["classes"] == ["Visitor"]
    assert ["environment.host"] in [note.facts["classes"] for note in one.warnings if note.code == "host-replaced"]
    unread = {Path(w.facts["where"]).name: w.facts["names"] for w in one.warnings if w.code == "settings-unread"}
    assert unread == {"locust.conf": ["users"], "the environment": ["LOCUST_SPAWN_RATE"]}


HOSTS = """
from locust import FastHttpUser, constant, task

class Shop(FastHttpUser):
    host = "http://127.0.0.1:{shop}"
    wait_time = constant(0.05)
    @task
    def ok(self): self.client.get("/ok", name="/shop")

class Login(FastHttpUser):
    host = "http://127.0.0.1:{login}"
    wait_time = constant(0.05)
    @task
    def ok(self): self.client.get("/ok", name="/login")
"""


def test_classes_keep_their_hosts_where_one_is_the_targets(tmp_path: Path) -> None:
    shop, login = free_port(), free_port()
    (tmp_path / "users.py").write_text(HOSTS.format(shop=shop, login=login))
    plan = lab.LoadPlan(tmp_path / "users.py", stages=lab.Stage(1, users=2))
    served = target(port=shop)
    with pytest.raises(lab.LoadTestError, match=r"different hosts \(Shop http://.* and none is the target's"):
        lab.run(plan, target(), store=tmp_path / "runs", progress=False)
    log = tmp_path / "login.log"
    other = subprocess.Popen([sys.executable, str(SERVERS / "tiny.py"), str(login), "--log", str(log)])
    try:
        while not _connects("127.0.0.1", login):
            pass
        one = lab.run(plan, served, store=tmp_path / "runs", progress=False)
    finally:
        other.terminate()
        other.wait()
    assert one.requests.ok.all()
    assert (one.requests.endpoint == "GET /login").sum() == log.read_text().count("/ok")
    assert not {"host-replaced"} & set(codes(one.warnings))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("http://127.0.0.1:8001", ("127.0.0.1", 8001)),
        ("https://shop.test", ("shop.test", 443)),
        ("localhost:50051", ("localhost", 50051)),
        ("mongodb://user:pw@db:27017/x", ("db", 27017)),
        ("dns://resolver", ("resolver", 0)),
        ("[::1]:50051", ("::1", 50051)),
        ("localhost", None),
        ("/path", None),
        ("http://", None),
        ("http://[abc", None),
        ("", None),
    ],
)
def test_hosts_of_any_client(host: str, address: tuple[str, int] | None) -> None:
    assert _address(host) == address
    if address is None:
        with pytest.raises(ValueError, match="host must be a base URL"):
            lab.Target("a", host=host)
    else:
        assert lab.Target("a", host=host).address == address
