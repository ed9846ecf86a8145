"""A small real HTTP service for tests: python tiny.py PORT [--log FILE]

/ok answers at once, /slow after 60 ms, /sleep?S after S seconds, /fail with 500, /headers with one that was sent.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import serve

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--log", default="")
parser.add_argument("--die-after", type=float, default=0.0, help="seconds after the first request")
arguments = parser.parse_args()
lock, asked = threading.Lock(), threading.Event()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path != "/ready":
        asked.set()
    if path == "/slow":
        time.sleep(0.06)
    if path == "/sleep":
        time.sleep(float(environ["QUERY_STRING"]))
    if arguments.log and path != "/ready":
        with lock, open(arguments.log, "a") as log:
            process = environ.get("HTTP_X_PROCESS")
            log.write((f"{path} {process} {time.time()}" if process else path) + "\n")
    if path == "/headers":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"X-Plan: {environ.get('HTTP_X_PLAN', 'none')}".encode()]
    start_response("500 Oops" if path == "/fail" else "200 OK", [("Content-Type", "text/plain")])
    return [b"x" * 100]


if arguments.die_after:

    def die() -> None:
        import os

        asked.wait()
        time.sleep(arguments.die_after)
        print("giving up, as asked", flush=True)
        os._exit(3)

    threading.Thread(target=die, daemon=True).start()

serve(application, host=arguments.host, port=arguments.port, threads=16, _quiet=True)
