"""Records the samples of structured logs: python record.py FOLDER, with structlog and python-json-logger installed."""

import logging
import sqlite3
import sys
import time
from pathlib import Path

import structlog
from pythonjsonlogger.json import JsonFormatter


def pages(connection, log):
    """A list of authors and the books of each, twice, with what an application says between."""
    for request in ("r-1", "r-2"):
        log("page", request_id=request, path="/authors")
        asked = [("SELECT id, name FROM authors ORDER BY id LIMIT ?", [3])]
        asked += [("SELECT id, title FROM books WHERE author_id = ?", [author]) for author in (1, 2, 3)]
        for sql, values in asked:
            begun = time.perf_counter()
            rows = connection.execute(sql, values).fetchall()
            took = (time.perf_counter() - begun) * 1e3
            log("query", request_id=request, sql=sql, parameters=values, duration_ms=round(took, 4), rows=len(rows))


def main() -> None:
    folder = Path(sys.argv[1])
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE authors (id, name); CREATE TABLE books (id, title, author_id);"
        "INSERT INTO authors VALUES (1, 'A'), (2, 'B'), (3, 'C'); INSERT INTO books VALUES (1, 'X', 1), (2, 'Y', 1);"
    )
    with (folder / "structlog.jsonl").open("w") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.PrintLoggerFactory(file),
        )
        pages(connection, structlog.get_logger().debug)
    with (folder / "structlog.logfmt").open("w") as file:
        structlog.configure(
            processors=[
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "event"]),
            ],
            logger_factory=structlog.PrintLoggerFactory(file),
        )
        pages(connection, structlog.get_logger().debug)
    handler = logging.FileHandler(folder / "python_json_logger.jsonl", mode="w")
    handler.setFormatter(JsonFormatter("{asctime}{levelname}{name}{message}", style="{", timestamp=True))
    logger = logging.getLogger("app.sql")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    pages(connection, lambda text, **more: logger.debug(text, extra=more))


if __name__ == "__main__":
    main()
