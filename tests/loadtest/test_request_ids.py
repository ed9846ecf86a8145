"""Ids of requests: on the requests to the target, on no other, and in the record."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from perflab.loadtest.capture import DTYPE, _ids
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.stages import Stage

SCRIPT = """
import json, sys, threading
from locust import HttpUser
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from perflab.loadtest.request_ids import RequestIds

class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/away"):
            self.send_response(302); self.send_header("Location", f"http://localhost:{other}/end"); self.end_headers(); return
        seen.append((self.path, {n.lower(): v for n, v in self.headers.items()}))
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    do_POST = do_GET
    def log_message(self, *a): pass

seen, events = [], []
servers = [ThreadingHTTPServer(("127.0.0.1", 0), Echo) for _ in range(2)]
port, other = (s.server_address[1] for s in servers)
for s in servers: threading.Thread(target=s.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{port}"
RequestIds(host, trace="trace" in sys.argv).watch()
environment = Environment(host=host)
environment.events.request.add_listener(lambda **e: events.append((e["name"], e["context"].get("perflab_request", 0))))
from requests.auth import AuthBase
class Signs(AuthBase):
    def __call__(self, r): return r
found = {}
for kind, session in (
    ("http", HttpSession(host, environment.events.request, None)),
    ("fast", FastHttpSession(host, environment.events.request, None)),
):
    def go(label, url, **options):
        seen.clear(); events.clear()
        session.get(url, **options)
        found[f"{kind} {label}"] = (seen[-1][1] if seen else {}, events[-1] if events else None)
    go("plain", "/orders?x=1", name="/orders")
    go("unnamed", "/orders/7")
    go("absolute", f"{host}/orders")
    go("odd name", "/a", name="/ü %\\n")
    go("other host", f"http://127.0.0.1:{other}/orders")
    go("redirected away", "/away")
    go("own id", "/a", headers={"x-request-id": "mine"})
    go("signed header", "/a", headers={"X-Hub-Signature": "abc"})
    go("signed authorization", "/a", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=x"})
    go("bearer", "/a", headers={"Authorization": "Bearer x"})
    go("signed url", "/a?X-Amz-Signature=abc")
    go("basic", "/a", auth=("a", "b"))
    if kind == "http":
        go("signer", "/a", auth=Signs())
print(json.dumps(found))
"""


def echoed(*arguments: str) -> dict[str, tuple[dict[str, str], list]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def found():
    return echoed()


@pytest.mark.parametrize("client", ["http", "fast"])
def test_the_target_gets_id_start_and_endpoint_and_the_record_the_same_id(found, client):
    for label, endpoint in (
        ("plain", "GET /orders"),
        ("unnamed", "GET /orders/7"),
        ("odd name", "GET /%C3%BC %25"),
        ("bearer", "GET /a"),
        ("basic", "GET /a"),
    ):
        headers, (_, number) = found[f"{client} {label}"]
        assert headers["x-request-id"] == f"{number:016x}" and number, label
        assert headers["x-perflab-endpoint"] == endpoint
        assert headers["x-request-start"].startswith("t=1") and "traceparent" not in headers
    assert found[f"{client} absolute"][0]["x-request-id"]


LABELS = ["other host", "signed header", "signed authorization", "signed url", "redirected away"]


@pytest.mark.parametrize(
    ("client", "label"),
    [
        *((client, label) for client in ("http", "fast") for label in LABELS),
        ("http", "signer"),
    ],  # FastHttpUser takes none
)
def test_nobody_else_does_and_nothing_that_is_signed(found, client, label):
    headers, event = found[f"{client} {label}"]
    assert headers and not {"x-request-id", "x-perflab-endpoint", "x-request-start"} & set(headers)
    assert event[1] == 0 or label == "redirected away"


@pytest.mark.parametrize("client", ["http", "fast"])
def test_an_id_of_the_locustfile_stays(found, client):
    headers, event = found[f"{client} own id"]
    assert headers["x-request-id"] == "mine" and event[1] == 0


def test_traceparent_only_with_trace():
    headers, (_, number) = echoed("trace")["fast plain"]
    assert headers["traceparent"] == f"00-{number:032x}-{number:016x}-01"


def test_plans_that_differ_in_it_are_different_plans(tmp_path):
    file = tmp_path / "locustfile.py"
    file.write_text("from locust import HttpUser\n")
    usual, traced, bare = (
        LoadPlan(file, stages=Stage("1s", users=1), **more).record()
        for more in ({}, {"trace": True}, {"request_ids": False})
    )
    assert usual != traced != bare != usual and "trace" not in usual


def test_ids_are_written_as_they_were_sent():
    chunk = np.zeros(3, DTYPE)
    chunk["request"] = [1, 0, (1 << 62) + 255]
    assert _ids(chunk["request"]).to_pylist() == ["0000000000000001", None, "40000000000000ff"]
    assert _ids(chunk["request"][:0]).type == pa.string()
