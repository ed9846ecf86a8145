"""Profiles of an application's requests: the middleware, runs under load, and the join with endpoints and queries."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import perflab as lab
from perflab.data import store
from perflab.loadtest import profiled_target
from perflab.notes import codes
from perflab.recorders import context, profiling

SERVERS = Path(__file__).parent.parent / "loadtest" / "servers"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(200))


def slow_page() -> None:
    burn(0.004)
    time.sleep(0.004)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    with context.unit_of_work(route=f"GET {environ['PATH_INFO'].rsplit('/', 1)[0]}/<id>"):
        slow_page() if "slow" in environ["PATH_INFO"] else burn(0.0005)
        start_response("200 OK", [])
        return [b"ok"]


def ask(wsgi: Callable[..., Any], path: str) -> None:
    assert wsgi({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *_: None) == [b"ok"]


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.setattr(profiling, "FLUSH_S", 0.05)

    def start(tool: str) -> Path:
        monkeypatch.setenv(profiling.PROFILE, f"{tool}:{tmp_path}")
        return tmp_path

    return start


def written(folder: Path, requests: int) -> dict[str, Any]:
    """What was written once it holds so many requests."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        for file in folder.glob("profile-*.json"):
            found = dict(json.loads(file.read_text()))
            counts = found.get("perflab", found)["endpoints"]
            if sum(c["profiled"] + c["timed"] for c in counts.values()) >= requests:
                return found
        time.sleep(0.02)
    raise AssertionError(f"{requests} requests were not written")


def test_without_the_variable_nothing_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(profiling.PROFILE, raising=False)
    assert profiling.profile_requests(application) is application
    assert profiling.profile_async_requests(application) is application  # type: ignore[arg-type,comparison-overlap]


@pytest.mark.parametrize("value", ["nonsense:/tmp", "pyinstrument:/no/such/folder", "pyinstrument"])
def test_a_bad_variable_is_said_and_ignored(
    value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(profiling.PROFILE, value)
    with caplog.at_level(logging.WARNING):
        assert profiling.profile_requests(application) is application
    assert "must be pyinstrument:FOLDER or cprofile:FOLDER" in caplog.text


def test_pyinstrument_by_endpoint_from_several_threads(recording: Callable[[str], Path]) -> None:
    folder = recording("pyinstrument")
    wsgi = profiling.profile_requests(application)
    threads = [threading.Thread(target=lambda: [ask(wsgi, f"/slow/{i}") for i in range(12)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        ask(wsgi, f"/quick/{i}")
    facts = written(folder, 40)["perflab"]["endpoints"]
    assert set(facts) == {"GET /slow/<id>", "GET /quick/<id>"}
    counts = facts["GET /slow/<id>"]
    assert counts["profiled"] + counts["timed"] == 36
    assert 6 <= counts["profiled"] <= 30
    profile = lab.read(next(folder.glob("profile-*.json")))
    flat = lab.flat_profile(lab.profiles.focus(profile, "slow_page"))
    assert {"burn", "sleep"} & set(flat.function)
    assert profile.profile.function[profile.profile.depth == 0].eq("application").all()  # nothing of the middleware


def test_cprofile_profiles_one_request_at_a_time(recording: Callable[[str], Path]) -> None:
    folder = recording("cprofile")
    wsgi = profiling.profile_requests(application, route=lambda environ: "the page")
    for i in range(20):
        ask(wsgi, f"/slow/{i}")
    facts = written(folder, 20)
    assert set(facts["endpoints"]) == {"the page"}
    calls = lab.read(folder / facts["files"]["the page"])
    flat = lab.flat_profile(calls).set_index("function")
    assert flat.loc["slow_page", "calls"] == facts["endpoints"]["the page"]["profiled"]
    assert sys.getprofile() is None


def test_the_application_s_error_is_its_own(recording: Callable[[str], Path]) -> None:
    recording("pyinstrument")

    def failing(*_: Any) -> list[bytes]:
        raise LookupError("mine")

    wsgi = profiling.profile_requests(failing)
    for _ in range(5):
        with pytest.raises(LookupError, match="mine"):
            wsgi({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, None)


def test_asgi_one_request_at_a_time(recording: Callable[[str], Path]) -> None:
    folder = recording("pyinstrument")

    async def page(scope: dict[str, Any], receive: Any, send: Any) -> None:
        burn(0.003)
        await asyncio.sleep(0.003)

    asgi = profiling.profile_async_requests(page)

    async def main() -> None:
        scopes = [{"type": "http", "method": "GET", "path": f"/page{i % 2}"} for i in range(30)]
        for _ in range(2):
            await asyncio.gather(*(asgi(scope, None, None) for scope in scopes))
        await asgi({"type": "lifespan"}, None, None)

    asyncio.run(main())
    facts = written(folder, 60)["perflab"]["endpoints"]
    assert set(facts) == {"GET /page0", "GET /page1"}
    assert sum(c["profiled"] + c["timed"] for c in facts.values()) == 60
    assert 1 <= sum(c["profiled"] for c in facts.values()) < 60


SERVER = """
import sys, time
from wsgiref.simple_server import WSGIRequestHandler, make_server
from perflab.recorders import context
from perflab.recorders.profiling import profile_requests

def load_lines():
    time.sleep(0.004)

def page(environ, start_response):
    with context.unit_of_work(route="GET " + environ["PATH_INFO"]):
        load_lines()
        end = time.process_time() + 0.002
        while time.process_time() < end:
            pass
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

class Quiet(WSGIRequestHandler):
    def log_message(self, *args): pass

make_server("127.0.0.1", int(sys.argv[1]), profile_requests(page), handler_class=Quiet).serve_forever()
"""


@pytest.fixture
def target(tmp_path: Path) -> lab.Target:
    (tmp_path / "server.py").write_text(SERVER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(tmp_path / "server.py"), str(port)]
    return lab.Target("now", host=f"http://127.0.0.1:{port}", command=command, ready="/ready")


def run(target: lab.Target, tmp_path: Path, profile: str | None) -> lab.Measurements:
    plan = lab.LoadPlan(SERVERS / "users.py", stages=[lab.Stage("1500ms", users=3)], user_classes=["Shopper"])
    return lab.run(plan, target, profile=profile, store=tmp_path / "runs", progress=False)


def test_a_run_keeps_its_profile_and_says_what_it_cost(target: lab.Target, tmp_path: Path) -> None:
    one = run(target, tmp_path, "pyinstrument")
    environment = one.runs.environment[0]
    assert environment["profiled"] == "pyinstrument"
    assert "profiled-by-middleware" in codes(one.warnings)
    assert environment["profiling"]["overhead_fraction"] is not None
    time_ = lab.summarize_time(one).set_index("endpoint")
    top = time_.iloc[0]
    assert top["waiting_fraction"] > 0.25
    assert top["waiting_fraction"] + top["cpu_fraction"] == pytest.approx(1)
    assert top["requests"] >= 1
    assert set(one.profile.endpoint) == set(time_.index)
    plain = {k: v for k, v in environment.items() if k not in ("profiled", "profiling")}
    runs = one.runs.assign(run="plain", environment=[plain])
    unprofiled = lab.Measurements.of(runs=runs, requests=one.requests.assign(run="plain"))
    with pytest.raises(lab.ComparisonError, match="profiles were recorded in some of the runs only"):
        lab.compare(one, unprofiled)


def test_cprofile_under_load_gives_a_graph(target: lab.Target, tmp_path: Path) -> None:
    one = run(target, tmp_path, "cprofile")
    flat = lab.flat_profile(one, per=())
    assert flat.function.str.contains("time.sleep").any()
    assert lab.summarize_time(one).waiting_fraction.max() > 0.25
    assert lab.profiles.callers_of(one, "load_lines").caller.to_list() == ["page"]


def test_py_spy_attaches_from_outside(target: lab.Target, tmp_path: Path) -> None:
    try:
        one = run(target, tmp_path, "py-spy")
    except lab.LoadTestError as problem:
        if "ermission" in problem.output:
            pytest.skip("the kernel does not permit py-spy to attach (ptrace): run as root, or with CAP_SYS_PTRACE")
        raise
    assert "page" in set(one.profile.function)
    assert one.runs.environment[0]["profiling"]["cpu_cores"] >= 0
    assert not one.profile.function.str.startswith("process ").any()


def test_a_target_that_records_nothing_says_so(tmp_path: Path) -> None:
    facts, warnings = profiled_target.keep("pyinstrument", store.Draft(tmp_path, "now"))
    assert facts == {"profiled": "pyinstrument"}
    assert codes(warnings) == ("profile-unreadable",)
    assert "profile_requests()" in str(warnings[0])


def test_bad_arguments() -> None:
    with pytest.raises(
        ValueError, match="profile must be one of 'py-spy', 'pyinstrument', 'cprofile', 'node'; got 'perf'"
    ):
        lab.Target("a", host="http://127.0.0.1:1", command=["x"], profile="perf")
    with pytest.raises(ValueError, match="needs a target with a command that is started for each run"):
        lab.Target("a", host="http://127.0.0.1:1", profile="cprofile")


def test_shares_of_the_database_are_joined_with_its_queries() -> None:
    site = "/usr/lib/python3.11/site-packages"
    rows = [
        (0, None, 0, "orders", "shop/app.py", 0.0),
        (1, 0, 1, "do_execute", f"{site}/sqlalchemy/engine/default.py", 0.0),
        (2, 1, 2, "wait", "/usr/lib/python3.11/threading.py", 710.0),
        (3, 0, 1, "recv_into", "/usr/lib/python3.11/socket.py", 90.0),
        (4, 0, 1, "sleep", "<built-in>", 50.0),
        (5, 0, 1, "_order", "shop/app.py", 150.0),
    ]
    profile = pd.DataFrame(rows, columns=["node", "parent", "depth", "function", "file", "self"])
    total = profile["self"].where(profile.depth > 0, 1000.0).where(profile.node != 1, 710.0)
    profile = profile.assign(run="r", thread=None, line=1, total=total, unit="ms", endpoint="GET /orders")
    start = pd.Timestamp("2026-11-24T01:45:00Z")
    queries = pd.DataFrame(
        {"run": "r", "start": start, "sql": ["SELECT 1"] * 1204, "duration_ms": 0.1, "route": "GET /orders"}
    )
    row = lab.summarize_time(lab.Measurements.of(profile=profile, queries=queries)).iloc[0]
    assert row.sentence == "GET /orders spends 71 % of its time waiting for 1,204 queries and 15 % computing"
    assert [row.database_fraction, row.network_fraction, row.waiting_fraction, row.cpu_fraction] == [
        0.71,
        0.09,
        0.05,
        0.15,
    ]
    assert pd.isna(row.requests)


NODE_SERVER = """
const http = require("http");
function burn() { const end = process.hrtime.bigint() + 3000000n; while (process.hrtime.bigint() < end); }
http.createServer((request, response) => { burn(); response.end("ok"); }).listen(+process.argv[2], "127.0.0.1");
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js: apt-get install nodejs")
def test_node_writes_its_profile_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "server.js").write_text(NODE_SERVER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["node", str(tmp_path / "server.js"), str(port)]
    one = run(lab.Target("now", host=f"http://127.0.0.1:{port}", command=command, ready="/ready"), tmp_path, "node")
    assert "profiled-by-node" in codes(one.warnings)
    assert {"burn", "hrtimeBigInt"} & set(lab.flat_profile(one, per=()).function[:2])
    assert "on-cpu-only" in codes(lab.summarize_time(one).attrs["warnings"])
