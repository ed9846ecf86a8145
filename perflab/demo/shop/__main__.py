"""``python -m perflab.demo.shop``: start the shop."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from perflab.demo.shop.fixes import FIXES, PAGE_FIXES, parse_fixes
from perflab.errors import MissingExtraError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; exit code 1 with a message if it cannot."""
    options = _parser().parse_args(arguments)
    try:
        fixes = parse_fixes(os.environ.get("SHOP_FIXES", ""))
        listening = _listen(options.host, options.port)
    except ValueError as problem:
        sys.stderr.write(f"shop: {problem}\n")
        return 1
    except OSError as problem:
        sys.stderr.write(f"shop: cannot listen at {options.host}:{options.port}: {problem.strerror or problem}\n")
        return 1
    with listening:
        return _serve(listening, options, fixes)


def _serve(listening: socket.socket, options: argparse.Namespace, fixes: frozenset[str]) -> int:
    try:
        import waitress
        from sqlalchemy.exc import SQLAlchemyError

        from perflab.demo.shop import data, downstream
        from perflab.demo.shop.app import create_app, open_database
    except ModuleNotFoundError as problem:
        sys.stderr.write(f"shop: {MissingExtraError.of(problem, 'demo')}\n")
        return 1

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a queue under load is what is measured
    signal.signal(signal.SIGTERM, _leave)
    try:
        services = downstream.Started()
    except OSError as problem:
        sys.stderr.write(f"shop: {problem}\n")
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="perflab-shop-", ignore_cleanup_errors=True) as folder:
            path = options.database or Path(folder) / "shop.sqlite"
            if not path.exists():
                data.copy_to(path, options.seed)
            engine = open_database(path, index="index" in fixes, connections=options.threads)
            app = create_app(engine, fixes, services.port)
            # Waitress' own limit of 100 connections would make further users wait until they time out.
            server = waitress.create_server(
                app, sockets=[listening], threads=options.threads, connection_limit=2000, asyncore_use_poll=True
            )
            host, port = listening.getsockname()[:2]
            sys.stderr.write(f"shop: http://{host}:{port}, fixes: {', '.join(sorted(fixes)) or 'none'}\n")
            server.run()
            engine.dispose()
    except (OSError, sqlite3.Error, SQLAlchemyError) as problem:
        sys.stderr.write(f"shop: cannot start with {options.database or 'its data'}: {problem}\n")
        return 1
    finally:
        services.close()
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Bind a socket before the data are copied, so that a taken port is reported at once."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(1024)
    except OSError:
        bound.close()
        raise
    return bound


def _leave(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m perflab.demo.shop",
        description="A web shop with performance defects to find.",
        epilog=f"Environment: SHOP_FIXES, a comma-separated list of {', '.join((*FIXES, *PAGE_FIXES))}, fixes the defects; "
        "PERFLAB_QUERY_LOG names a file to record every SQL statement to; SHOP_REDIS, a Redis server to keep pages in for "
        "SHOP_REDIS_TTL seconds.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8001, help="0 picks a free port and prints it")
    parser.add_argument("--threads", type=_positive, default=8, help="threads of the server (default 8)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the synthetic data (default 7)")
    parser.add_argument("--database", type=Path, help="an SQLite file to use and keep; built when it does not exist")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 256, found {text!r}")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
