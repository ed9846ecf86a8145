"""What the SQLAlchemy recorder costs a statement, against the same work without it and with ``echo`` logging.

    python bench/bench_recorders.py

A file database, one row by primary key through SQLAlchemy Core; the variants take turns, so that the machine's
moods hit all of them.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from perflab.recorders import context
from perflab.recorders.sqlalchemy import record_queries

ROUNDS, STATEMENTS = 15, 2_000


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


def main() -> None:
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
