"""The request recorder: what it writes adds up, and it never breaks or blocks the application."""

from __future__ import annotations

import asyncio
import contextvars
import http.client
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from perflab.formats import request_recorder
from perflab.recorders import timing
from perflab.recorders.breakdown import record_async_requests, record_requests

ENDPOINT = "GET /orders/[id] ü"


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.02)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def downstream():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def log(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "requests.jsonl"
    monkeypatch.setenv(timing.VARIABLE, str(path))
    return path


def lines(path: Path, count: int = 1) -> list[dict]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{len(found)} of {count} requests were recorded")


def ask(application, **headers: str) -> bytes:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **headers}
    body = application(environ, lambda status, headers, *rest: None)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def within(line: dict) -> None:
    """The parts are not negative and never more than the whole."""
    assert all(ms >= 0 for ms in line["parts"].values())
    assert sum(line["parts"].values()) <= line["ms"] + 0.01


def test_calls_are_named_without_values_which_are_kept_as_hashes(log, downstream):
    def application(environ, start_response):
        for path in ("/price/4711", "/stock/4711?in=Bonn", "/users/anna.berg/4712"):
            connection = http.client.HTTPConnection("127.0.0.1", downstream)
            connection.request("GET", path)
            connection.getresponse().read()
            connection.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{downstream}/offers/4711") as answer:
            answer.read()
        return [b"ok"]

    ask(record_requests(application), PATH_INFO="/products/4711/offer", QUERY_STRING="currency=EUR")
    (line,) = lines(log)
    names = [name for _, name, *_ in line["spans"] if name.startswith("GET ")]
    place = f"GET 127.0.0.1:{downstream}"
    assert names == [f"{place}/price/{{}}", f"{place}/stock/{{}}", f"{place}/users/{{}}/{{}}", f"{place}/offers/{{}}"]
    values = [span[5] for span in line["spans"] if span[1] in names]
    product = line["values"][0]
    assert values[0] == [product] == values[3] and values[1][0] == product and len(values[1]) == 2
    assert product not in values[2] and len(line["values"]) == 2
    text = log.read_text()
    assert "4711" not in text and "anna" not in text and "Bonn" not in text and "EUR" not in text
    spans = request_recorder.read(log)["spans"]
    assert (
        spans["attributes"].iloc[0]["perflab.values"] == line["values"]
        and "perflab.loop" not in spans["attributes"].iloc[0]
    )


def test_a_request_is_divided_into_what_it_did(log, tmp_path, downstream):
    engine = create_engine(f"sqlite:///{tmp_path / 'a.sqlite'}")

    def application(environ, start_response):
        busy(0.02)
        with engine.connect() as connection:
            connection.execute(text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<40000) "
                                    "SELECT max(i) FROM n")).all()  # fmt: skip
        with urllib.request.urlopen(f"http://127.0.0.1:{downstream}/") as answer:
            answer.read()
        time.sleep(0.01)
        return [b"ok"]

    recorded = record_requests(application)
    sent = time.time() - 0.5
    headers = {"HTTP_X_REQUEST_ID": "q-1", "HTTP_X_REQUEST_START": f"t={sent:.3f}"}
    assert ask(recorded, **headers, HTTP_X_PERFLAB_ENDPOINT="GET /orders/[id] %C3%BC") == b"ok"
    (line,) = lines(log)
    within(line)
    assert (line["request"], line["endpoint"]) == ("q-1", ENDPOINT)
    parts = line["parts"]
    assert parts["cpu"] >= 19 and parts["database"] > 1 and parts["downstream"] >= 19
    assert line["ms"] - sum(parts.values()) >= 9
    names = [name for _, name, *_ in line["spans"]]
    assert any("RECURSIVE" in name for name in names) and f"GET 127.0.0.1:{downstream}" in names
    tables = request_recorder.read(log)
    components = tables["components"].set_index("component")["duration_ms"]
    assert components.drop("queue").sum() == pytest.approx(line["ms"]) and 400 < components["queue"] < 5_000
    assert set(tables["spans"]["kind"]) >= {"server", "database", "downstream"}
    engine.dispose()


def test_calls_in_a_pool_of_threads_are_those_of_the_request(log, downstream):
    def call(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", downstream)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()

    with ThreadPoolExecutor(3) as pool:

        def application(environ, start_response):
            list(pool.map(call, range(3)))
            pool.submit(busy, 0.02).result()
            return [b"ok"]

        ask(record_requests(application))
    (line,) = lines(log)
    within(line)
    asked = [name for kind, name, *_ in line["spans"] if name.startswith("GET ")]
    assert len(asked) == 3
    took = sum(ms for kind, _, _, ms, *_ in line["spans"] if kind == "downstream")
    assert 19 <= line["parts"]["downstream"] < took - 20 and line["parts"]["cpu"] >= 19  # overlapping calls count once


def test_a_streamed_body_belongs_to_the_request_and_its_sending_does_not(log):
    def application(environ, start_response):
        def parts():
            for _ in range(3):
                busy(0.005)
                yield b"x"

        return parts()

    began = time.perf_counter()
    body = record_requests(application)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    for _ in body:
        time.sleep(0.03)
    body.close()
    took = (time.perf_counter() - began) * 1e3
    (line,) = lines(log)
    within(line)
    assert line["parts"]["cpu"] >= 14 and line["ms"] < took - 85


def test_a_body_that_is_left_early_is_closed_and_written_once(log):
    closed = []

    def application(environ, start_response):
        def parts():
            try:
                yield b"x"
                yield b"y"
            finally:
                closed.append(True)

        return parts()

    body = record_requests(application)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    assert next(body) == b"x"
    body.close()
    body.close()
    assert closed == [True]
    time.sleep(0.1)
    assert len(lines(log)) == 1


@pytest.mark.parametrize("wrapper", [None, len, list, tuple, type("FileWrapper", (list,), {})])
def test_a_file_is_handed_to_the_server_as_it_is(log, wrapper):
    body = wrapper([b"x"]) if isinstance(wrapper, type) else [b"x"]
    environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": wrapper}
    assert record_requests(lambda environ, start: body)(environ, lambda *_: None) is body
    assert lines(log)


def test_an_exception_is_raised_as_it_was_and_recorded(log):
    def application(environ, start_response):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ask(record_requests(application))
    assert lines(log)[0]["ms"] >= 0


def test_without_the_variable_nothing_is_wrapped_and_a_full_disk_stops_nothing(monkeypatch, caplog):
    def application(environ, start_response):
        return [b"ok"]

    monkeypatch.delenv(timing.VARIABLE, raising=False)
    assert record_requests(application) is application and record_async_requests(application) is application
    monkeypatch.setenv(timing.VARIABLE, "/dev/full")
    recorded = record_requests(application)
    with caplog.at_level(logging.WARNING, "perflab.recorders"):
        for _ in range(5):
            assert ask(recorded) == b"ok"
            time.sleep(0.05)
    assert "recording stopped" in caplog.text
    monkeypatch.setenv(timing.VARIABLE, "/nowhere/at/all.jsonl")
    assert ask(record_requests(application)) == b"ok"


def test_processes_that_fork_write_side_by_side(log):
    code = """
import os, sys
from perflab.recorders.breakdown import record_requests
app = record_requests(lambda environ, start: [b"ok"])
ask = lambda i: app({"REQUEST_METHOD": "GET", "HTTP_X_REQUEST_ID": f"{os.getpid()}-{i}"}, None)
ask(-1)
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        for i in range(50): ask(i)
        sys.exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=os.environ)
    found = [line["request"] for line in lines(log, 151)]
    assert len(found) == len(set(found)) == 151


def asgi(application, **scope: object) -> list[dict]:
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    async def receive() -> dict:
        return {"type": "http.request"}

    asyncio.run(application({"type": "http", "method": "GET", "headers": [], **scope}, receive, send))
    return sent


async def _answer(send, body: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def test_async_requests_of_one_thread_keep_their_own_cpu_time(log):
    async def application(scope, receive, send):
        for _ in range(4):
            busy(0.005 if scope["path"] == "/busy" else 0.0)
            await asyncio.sleep(0.001)
        await asyncio.to_thread(busy, 0.01)
        await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0)) for _ in range(3)))
        await _answer(send)

    recorded = record_async_requests(application)

    async def both() -> None:
        async def send(message: dict) -> None: ...

        scopes = [
            {"type": "http", "path": p, "headers": [(b"x-request-id", p[1:].encode())]} for p in ("/busy", "/idle")
        ]
        await asyncio.gather(*(recorded(s, None, send) for s in scopes))

    asyncio.run(both())
    found = {line["request"]: line for line in lines(log, 2)}
    for line in found.values():
        within(line)
    assert found["busy"]["parts"]["cpu"] >= 28 and 9 <= found["idle"]["parts"]["cpu"] < 25


def test_work_in_a_task_and_after_the_answer(log):
    async def application(scope, receive, send):
        await asyncio.create_task(work())
        await _answer(send)
        busy(0.03)  # a background task: after the answer

    async def work() -> None:
        busy(0.01)
        await asyncio.sleep(0)
        busy(0.01)

    assert len(asgi(record_async_requests(application))) == 2
    (line,) = lines(log)
    assert 19 <= line["parts"]["cpu"] < 30


def test_cancellation_reaches_the_application_and_the_request_is_written(log):
    seen = []

    async def application(scope, receive, send):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append(True)
            raise

    async def cancelled() -> None:
        task = asyncio.create_task(record_async_requests(application)({"type": "http", "headers": []}, None, None))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert seen == [True] and lines(log)[0]["ms"] >= 15


def test_exceptions_results_and_context_pass_through_the_driver():
    variable = contextvars.ContextVar("variable", default=0)

    async def inner(fail: bool) -> int:
        await asyncio.sleep(0)
        variable.set(1)
        if fail:
            raise ValueError("mine")
        return 7

    async def outer() -> int:
        result = await timing.driven(inner(False), timing.Strand())
        assert variable.get() == 1
        with pytest.raises(ValueError, match="mine"):
            await timing.driven(inner(True), timing.Strand())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(timing.driven(asyncio.sleep(5), timing.Strand()), 0.01)
        return result

    assert asyncio.run(outer()) == 7


@pytest.mark.parametrize("spans, expected", [
    ([("database", 0, 4), ("downstream", 4, 6)], {"database": 4, "downstream": 2}),
    ([("database", 0, 4), ("database", 1, 3)], {"database": 4}),
    ([("downstream", 0, 10), ("database", 2, 4)], {"downstream": 8, "database": 2}),
    ([("pool", 0, 5), ("database", 3, 5)], {"pool": 3, "database": 2}),
    ([("downstream", 1, 4), ("downstream", 2, 6), ("downstream", 8, 20)], {"downstream": 7}),
    ([("database", -5, 2)], {"database": 2}),
])  # fmt: skip
def test_each_moment_counts_once(spans, expected):
    ordered = sorted((float(b), float(e), k) for k, b, e in spans)
    assert timing._swept(ordered, 0.0, 10.0) == pytest.approx(expected)
    clock = timing.Clock("q", None, None)
    clock.began = 0.0
    clock.spans = [(k, "", float(b), float(e)) for k, b, e in spans]
    assert {k: v for k, v in timing.parts(clock, 10.0).items() if v} == pytest.approx(expected)


@pytest.mark.parametrize("given", [None, "", "x" * 2000, "a\nb", "%00", "GET /\x1b[31m", "é"])
def test_headers_of_strangers_do_no_harm(given, log):
    ask(record_requests(lambda environ, start: [b"ok"]), HTTP_X_PERFLAB_ENDPOINT=given, HTTP_X_REQUEST_START=given,
        HTTP_X_REQUEST_ID=given)  # fmt: skip
    (line,) = lines(log)
    assert line.get("endpoint", "GET").isprintable() and "sent" not in line


def test_sqlite_by_hand_is_recorded_by_the_dbapi_recorder(log):
    from perflab.recorders.dbapi import recorded

    connect = recorded(sqlite3.connect)

    def application(environ, start_response):
        connection = connect(":memory:")
        connection.execute("SELECT 1").fetchall()
        connection.close()
        return [b"ok"]

    ask(record_requests(application))
    assert [name for kind, name, *_ in lines(log)[0]["spans"] if kind == "database"] == ["SELECT 1"]


DJANGO = """
import sys, django
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[],
                   DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from perflab.recorders.breakdown import record_requests

def plain(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [1])
    return HttpResponse("ok")

def streamed(request):
    def parts():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 2")
        yield "ok"
    return StreamingHttpResponse(parts())

urlpatterns = [path("plain", plain), path("streamed", streamed)]
application = record_requests(get_wsgi_application())
import io
for name in ("plain", "streamed", "missing"):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/{name}", "SERVER_NAME": "x", "SERVER_PORT": "80",
               "wsgi.input": io.BytesIO(), "HTTP_X_REQUEST_ID": name}
    body = application(environ, lambda status, headers, *rest: None)
    list(body)
    body.close()
"""


def test_django_with_its_statements_also_of_a_streamed_page(log):
    subprocess.run([sys.executable, "-c", DJANGO], check=True, timeout=60, env=os.environ)
    found = {line["request"]: line for line in lines(log, 3)}
    statements = {r: [n for k, n, *_ in line["spans"] if k == "database"] for r, line in found.items()}
    assert (
        statements["plain"][-1] == "SELECT %s"
        and statements["streamed"][-1] == "SELECT 2"
        and not statements["missing"]
    )
    for line in found.values():
        within(line)
