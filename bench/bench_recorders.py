"""What the SQLAlchemy recorder costs a statement, against the same work without it and with ``echo`` logging; and what the
request recorder costs a request, and each statement and outgoing call of one.

    python bench/bench_recorders.py

A file database, one row by primary key through SQLAlchemy Core; the variants take turns, so that the machine's
moods hit all of them.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from perflab.recorders import context
from perflab.recorders.sqlalchemy import record_queries
from perflab.recorders.timing import VARIABLE

ROUNDS, STATEMENTS, TURNS = 15, 2_000, 100


def engine_in(folder: Path, name: str) -> Engine:
    engine = create_engine(f"sqlite:///{folder / name}.sqlite")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)"))
        connection.execute(text("INSERT INTO t VALUES (:i, 'name')"), [{"i": i} for i in range(1_000)])
    return engine


def microseconds(engine: Engine) -> float:
    """Of CPU time of the whole process (the thread that flushes too) for a statement."""
    query = text("SELECT id, name FROM t WHERE id = :i")
    with context.unit_of_work(route="GET /bench"), engine.connect() as connection:
        began = time.process_time()
        for number in range(STATEMENTS):
            connection.execute(query, {"i": number % 1_000}).all()
        return (time.process_time() - began) / STATEMENTS * 1e6


def request_recorder() -> None:
    """CPU of a request with and without the recorder: the two take turns in one process, and the least of each counts.

    Without it the hooks are in place, which costs a call some 0.2 us.
    """
    code = """
import sys, time
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool
from perflab.recorders.breakdown import record_requests
engine = create_engine("sqlite://", poolclass=StaticPool)
query = text("SELECT 1")
connection = engine.connect()
import http.client
http.client.HTTPConnection.getresponse = lambda self: None
class Made(http.client.HTTPConnection): pass
made = Made("127.0.0.1")
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_REQUEST_ID": "00ff00ff00ff00ff", "HTTP_X_REQUEST_START":
           "t=1763942400.123456", "HTTP_X_PERFLAB_ENDPOINT": "GET /orders/[id]"}
def cpu(app):
    began = time.process_time()
    for _ in range(40): app(dict(environ), None)
    return (time.process_time() - began) / 40 * 1e6
def cost(statements, calls):
    def application(environ, start_response):
        for _ in range(statements): connection.execute(query)
        for _ in range(calls): made.getresponse()
        return [b"ok"]
    recorded = record_requests(application)
    pairs = [(cpu(application), cpu(recorded)) for _ in range(%d)]
    return min(r for _, r in pairs) - min(b for b, _ in pairs)
cost(1, 1)
print(cost(0, 0), cost(20, 0), cost(0, 20))
"""
    with tempfile.TemporaryDirectory() as name:
        variables = {**os.environ, VARIABLE: str(Path(name) / "r.jsonl")}
        done = subprocess.run(
            [sys.executable, "-c", code % TURNS], env=variables, capture_output=True, text=True, check=True
        )
    bare, statements, calls = map(float, done.stdout.split())
    sys.stdout.write(
        f"request recorder: +{bare:.1f} us a request (the aim is at most 60), +{(statements - bare) / 20:.1f} us a statement "
        f"and +{(calls - bare) / 20:.1f} us a call (at most 15)\n"
    )


def main() -> None:
    request_recorder()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engines = {variant: engine_in(folder, variant) for variant in ("plain", "hashed", "shown", "source", "echo")}
        record_queries(engines["hashed"], folder / "hashed.jsonl")
        record_queries(engines["shown"], folder / "shown.jsonl", redact=False)
        record_queries(engines["source"], folder / "source.jsonl", source=True)
        logger = logging.getLogger("sqlalchemy.engine.Engine")
        logger.propagate = False
        logger.addHandler(logging.FileHandler(folder / "echo.log"))
        engines["echo"].echo = True
        times: dict[str, list[float]] = {variant: [] for variant in engines}
        for _ in range(ROUNDS):
            for variant in engines:
                times[variant].append(microseconds(engines[variant]))
        plain = statistics.median(times["plain"])
        for variant, found in times.items():
            median = statistics.median(found)
            cost = f"{median:6.1f} us a statement, +{median - plain:5.1f} us, {median / plain:.2f} x plain"
            sys.stdout.write(f"{variant:8} {cost}\n")


if __name__ == "__main__":
    main()
