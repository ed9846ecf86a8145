"""Endpoints that wait for 90 % of their time, in four ways, under three profilers: what `summarize_time` says against the truth.

    python bench/waiting.py [--write]      --write: bench/waiting.md (about 2 minutes; needs a quiet machine)

The truth is the server's own: the share of each request's wall-clock time that it spent in the call that waits. FastAPI and
uvicorn are installed into a throwaway environment: pyinstrument profiles the asynchronous application (and one endpoint that is a
plain function), cProfile and py-spy the same in WSGI under waitress. The exit code is 1 where fewer than 9 of 12 are within .05,
the rest is not "unseen" with its reason, or any wait is called computing.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pandas as pd

import perflab as lab
from perflab.loadtest.urls import Url
from perflab.notes import codes

WAYS = ("future", "sleep", "to_thread", "driver")
NEAR = 0.05
COMMON = """
import asyncio, concurrent.futures, json, sqlite3, sys, threading, time
WAIT, COMPUTE = 0.036, 0.004
truth = open(sys.argv[2], "a", buffering=1)

def burn():
    end = time.thread_time() + COMPUTE
    while time.thread_time() < end:
        sum(range(100))

def say(way, began, waited):
    truth.write(json.dumps([way, time.perf_counter() - began, waited - began]) + chr(10))
"""
WSGI = """
pool = concurrent.futures.ThreadPoolExecutor(2)

own = threading.local()

def driver():
    if not hasattr(own, "database"):
        own.database = sqlite3.connect(":memory:")
        own.database.create_function("wait", 1, time.sleep)
    own.database.execute("SELECT wait(?)", (WAIT,)).fetchall()

def to_thread():
    if not hasattr(own, "loop"):
        own.loop = asyncio.new_event_loop()
    own.loop.run_until_complete(asyncio.to_thread(time.sleep, WAIT))

WAYS = {
    "future": lambda: pool.submit(time.sleep, WAIT).result(),
    "sleep": lambda: time.sleep(WAIT),
    "to_thread": to_thread,
    "driver": driver,
}

def application(environ, start_response):
    way = environ["PATH_INFO"].strip("/")
    began = time.perf_counter()
    if way in WAYS:
        WAYS[way]()
        waited = time.perf_counter()
        burn()
        say(way, began, waited)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

from perflab.recorders.profiling import profile_requests
import waitress
waitress.serve(profile_requests(application), host="127.0.0.1", port=int(sys.argv[1]), threads=4)
"""
ASGI = """
import aiosqlite, fastapi, uvicorn
from perflab.recorders.profiling import profile_async_requests
app = fastapi.FastAPI()

async def future():
    loop = asyncio.get_running_loop()
    waited = loop.create_future()
    loop.call_later(WAIT, waited.set_result, None)
    await waited

opened = []

async def driver():
    if not opened:
        opened.append(await aiosqlite.connect(":memory:"))
        await opened[0].create_function("wait", 1, time.sleep)
    await opened[0].execute_fetchall("SELECT wait(?)", (WAIT,))

async def timed(way, wait):
    began = time.perf_counter()
    await wait
    waited = time.perf_counter()
    burn()
    say(way, began, waited)
    return "ok"

@app.get("/future")
async def _future(): return await timed("future", future())
@app.get("/sleep")
async def _sleep(): return await timed("sleep", asyncio.sleep(WAIT))
@app.get("/to_thread")
async def _to_thread(): return await timed("to_thread", asyncio.to_thread(time.sleep, WAIT))
@app.get("/driver")
async def _driver(): return await timed("driver", driver())
@app.get("/function")
def _function():
    began = time.perf_counter()
    time.sleep(WAIT)
    waited = time.perf_counter()
    burn()
    say("function", began, waited)
    return "ok"
@app.get("/ready")
def ready(): return "ok"

uvicorn.run(profile_async_requests(app), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


def environment(folder: Path) -> str:
    """A Python with FastAPI, uvicorn and this perflab."""
    python = folder / "fastapi" / "bin" / "python"
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "fastapi")], check=True)
    packages = ["fastapi", "uvicorn", "pyinstrument", "aiosqlite"]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *packages], check=True)
    return str(python)


def measured(profiler: str, python: str, source: str, ways: tuple[str, ...], folder: Path) -> list[dict[str, object]]:
    """What is said of each way, in one run, and the truth."""
    name = f"{profiler}-{ways[0]}"
    (folder / f"{name}.py").write_text(COMMON + source)
    truth = folder / f"{name}.jsonl"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = lab.Target(
        profiler, host=f"http://127.0.0.1:{port}", command=[python, str(folder / f"{name}.py"), str(port), str(truth)],
        env={"PYTHONPATH": f"{Path(lab.__file__).parent.parent}:{sysconfig.get_path('purelib')}"}, ready="/ready",
    )  # fmt: skip
    plan = lab.LoadPlan.from_urls(
        [Url(f"/{way}") for way in ways], stages=[lab.Stage(f"{3 * len(ways) + 1}s", users=1)]
    )
    run = lab.run(plan, target, profile=profiler, store=folder / "runs", progress=False)
    found = lab.summarize_time(run)
    said = pd.DataFrame(
        [json.loads(line) for line in truth.read_text().splitlines()], columns=["way", "took", "waited"]
    )
    sums = said.groupby("way")[["took", "waited"]].sum()
    rows = []
    for way in ways:
        endpoint = f"GET /{way}" if f"GET /{way}" in set(found.endpoint) else "Aggregated"
        row = found.set_index("endpoint").loc[endpoint]
        waiting = row.database_fraction + row.network_fraction + row.waiting_fraction
        true = sums.loc[way, "waited"] / sums.loc[way, "took"]
        verdict = "within .05" if abs(waiting - true) <= NEAR else "differs"
        if row.unseen_fraction > NEAR and waiting + row.unseen_fraction >= true - NEAR:
            said_so = "worker-threads-unseen" in codes(found.attrs["warnings"])
            verdict = "unseen, with its reason" if said_so else "unseen, without a reason"
        if row.cpu_fraction > 1 - true + NEAR:
            verdict = "called computing"
        if "profiler-fell-behind" in codes(run.warnings):
            verdict = "py-spy fell behind: repeat on a quiet machine"
        rows.append({
            "profiler": profiler, "way": way, "truth": true, "waiting": waiting, "unseen": row.unseen_fraction,
            "computing": row.cpu_fraction, "verdict": verdict, "sentence": row.sentence,
        })  # fmt: skip
    return rows


def main() -> int:
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        python = environment(folder)
        rows += measured("pyinstrument", python, ASGI, (*WAYS, "function"), folder)
        rows += measured("cprofile", sys.executable, WSGI, WAYS, folder)
        for way in WAYS:
            rows += measured("py-spy", sys.executable, WSGI, (way,), folder)
    lines = [
        "| profiler | waits by | truth | waiting | unseen | computing | | sentence |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = " | ".join(f"{row[name]:.2f}" for name in ("truth", "waiting", "unseen", "computing"))
        lines.append(f"| {row['profiler']} | {row['way']} | {shares} | {row['verdict']} | {row['sentence']} |")
    twelve = [row["verdict"] for row in rows if row["way"] in WAYS]
    near = twelve.count("within .05")
    rest = [verdict for verdict in twelve if verdict not in ("within .05", "unseen, with its reason")]
    lines.append(
        f"\nOf the twelve, {near} are within .05 of the truth; {twelve.count('unseen, with its reason')} are unseen."
    )
    text = "\n".join(lines)
    print(text)
    if "--write" in sys.argv:
        head = "Endpoints that wait for 90 % of their time, by `bench/waiting.py`; `function` is a sync endpoint of FastAPI."
        Path(__file__).with_suffix(".md").write_text(f"{head}\n\n{text}\n", encoding="utf-8")
    return int(near < 9 or bool(rest))


if __name__ == "__main__":
    sys.exit(main())
