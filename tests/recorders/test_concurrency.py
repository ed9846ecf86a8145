"""What works for a request elsewhere counts as the request's: threads, tasks of any loop, greenlets, streamed answers."""

from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from perflab.recorders import context, timing
from perflab.recorders.breakdown import record_async_requests, record_requests


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
        time.sleep(0.01)
    raise AssertionError(f"{len(found)} of {count} requests were recorded")


def ask(work: Any, name: str = "r") -> None:
    def application(environ, start_response):
        work()
        return [b"ok"]

    record_requests(application)({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_REQUEST_ID": name}, None)


async def ask_async(work: Any) -> None:
    async def application(scope, receive, send):
        await work()
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: dict) -> None: ...

    await record_async_requests(application)({"type": "http", "path": "/", "headers": []}, None, send)


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def call(seconds: float) -> None:
    started = timing.begin(timing.DATABASE)
    time.sleep(seconds)
    timing.end(started, timing.DATABASE, "SELECT 1")


class Subclass(threading.Thread):
    def run(self) -> None:
        call(0.01)


def of_threads() -> None:
    threads = [threading.Thread(target=call, args=(0.01,)), Subclass(), threading.Timer(0, partial(call, 0.01))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def of_a_pool() -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(call, [0.01] * 3))


@pytest.mark.parametrize("work", [of_threads, of_a_pool])
def test_calls_of_threads_that_a_request_starts_are_the_requests(work, log):
    ask(work)
    (line,) = lines(log)
    calls = [span for span in line["spans"] if span[0] == "database"]
    assert len({span[4] for span in calls}) == 3 and line["parts"]["database"] >= 9.9
    assert line["parts"].get("lock", 0) + line["parts"]["database"] <= line["ms"]


def test_threads_see_no_more_of_the_request_than_without_the_recorder(log):
    """A copied context would let code pass that fails without the recorder (Flask's proxies), or share what it must not."""
    own = contextvars.ContextVar("own", default="unset")
    seen: list[Any] = []

    def work() -> None:
        own.set("the request's")
        look = lambda **given: seen.append((own.get(), context.current_unit(), given))  # noqa: E731
        with context.unit_of_work("unit"), ThreadPoolExecutor(1) as pool:
            pool.submit(look, clock=1, function=2).result()
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()

    ask(work)
    assert seen == [("unset", "unit", {"clock": 1, "function": 2}), ("unset", "unit", {})]


class ForeignLoop(asyncio.SelectorEventLoop):
    """As uvloop's: its `create_task` is not asyncio's."""

    def create_task(self, coro: Any, **options: Any) -> Any:
        return asyncio.Task(coro, loop=self, **options)


class CallingUp(asyncio.SelectorEventLoop):
    def create_task(self, coro: Any, **options: Any) -> Any:
        return super().create_task(coro, **options)


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, ForeignLoop, CallingUp])
def test_tasks_of_any_loop_are_the_requests(loop, log):
    async def step() -> None:
        busy(0.01)
        await asyncio.sleep(0.001)

    async def work() -> None:
        await asyncio.gather(step(), step())

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask_async(work))
    (line,) = lines(log)
    assert 19.9 <= line["parts"]["cpu"] < 30


def test_requests_of_gevent_count_their_own_cpu_time_only(log):
    gevent = pytest.importorskip("gevent")
    trace = sys.modules["greenlet"].gettrace()
    try:
        pair = [
            gevent.spawn(ask, partial(gevent.sleep, 0.03), "waits"),
            gevent.spawn(ask, lambda: (busy(0.01), gevent.sleep(0), busy(0.01)), "computes"),
        ]
        gevent.joinall(pair, timeout=5)
    finally:
        sys.modules["greenlet"].settrace(trace)
    cpu = {line["request"]: line["parts"]["cpu"] for line in lines(log, 2)}
    assert cpu["waits"] < 5 and 19.9 <= cpu["computes"] < 30


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        for _ in range(3):
            time.sleep(0.005)
            yield b"ab"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.005)
            yield b"ab"


TRANSPORT = httpx.MockTransport(lambda request: httpx.Response(200, stream=Body()))
URL = "http://stock/items/7"


def streamed() -> None:
    with httpx.Client(transport=TRANSPORT) as client, client.stream("GET", URL) as answer:
        assert b"".join(answer.iter_bytes()) == b"ababab"


def left_early() -> None:
    with httpx.Client(transport=TRANSPORT) as client, client.stream("GET", URL) as answer:
        for _ in answer.iter_bytes():
            time.sleep(0.01)  # the application's own time
            break


def read_whole() -> None:
    with httpx.Client(transport=TRANSPORT) as client:
        assert client.send(request=client.build_request("GET", URL)).content == b"ababab"


async def streamed_async() -> None:
    async with httpx.AsyncClient(transport=TRANSPORT) as client, client.stream("GET", URL) as answer:
        assert await answer.aread() == b"ababab"


@pytest.mark.parametrize(
    ("work", "least", "most"), [(streamed, 15, 25), (left_early, 5, 10), (read_whole, 15, 25), (streamed_async, 15, 25)]
)
def test_the_body_of_a_streamed_answer_is_waited_for_downstream(work, least, most, log):
    if asyncio.iscoroutinefunction(work):
        asyncio.run(ask_async(work))
    else:
        ask(work)
    (line,) = lines(log)
    names = [name for kind, name, *_ in line["spans"] if kind == "downstream"]
    assert names[0] == "GET stock/items/{}" and set(names[1:]) <= {"(body)"}
    assert least <= line["parts"]["downstream"] < most
