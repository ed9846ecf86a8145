"""``python -m perflab.demo.shop``: serve the shop with waitress until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from sqlalchemy import create_engine
from waitress import create_server

from perflab.demo.shop import seed
from perflab.demo.shop.app import FIXES, chosen_fixes, create_app
from perflab.demo.shop.downstream import Downstream
from perflab.recorders.sqlalchemy import record_queries


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m perflab.demo.shop", description="A shop with real defects.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8001, help="port to listen on (%(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="threads that answer requests (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the data (%(default)s)")
    parser.epilog = f"Environment: SHOP_FIXES, comma-separated names out of {', '.join(FIXES)}; PERFLAB_QUERY_LOG."
    given = parser.parse_args()
    try:
        fixes = chosen_fixes(os.environ.get("SHOP_FIXES", ""))
    except ValueError as problem:
        return _fail(str(problem))
    # A queue of requests is what load looks like, not a fault.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _stop)
    database = seed.database(given.seed, index="index" in fixes)
    try:
        return _serve(database, given, fixes)
    finally:
        for path in (database, *(Path(f"{database}{suffix}") for suffix in ("-wal", "-shm"))):
            path.unlink(missing_ok=True)


def _serve(database: Path, given: argparse.Namespace, fixes: frozenset[str]) -> int:
    engine = create_engine(f"sqlite:///{database}", pool_size=given.threads, connect_args={"timeout": 10})
    # The data are made up, so their values may be recorded.
    journal = record_queries(engine, redact=False)
    downstream = Downstream()
    try:
        server = create_server(
            create_app(engine, downstream, fixes), host=given.host, port=given.port, threads=given.threads
        )
    except OSError as problem:
        return _fail(f"cannot listen on {given.host}:{given.port}: {problem.strerror}")
    try:
        with suppress(KeyboardInterrupt):
            server.run()
    finally:
        server.close()
        downstream.close()
        if journal:
            journal.close()
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(why: str) -> int:
    sys.stderr.write(f"shop: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
