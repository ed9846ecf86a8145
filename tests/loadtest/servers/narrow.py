"""A service with one counter: python narrow.py PORT SECONDS [--leak BYTES]

Each request holds the only counter for SECONDS, so no more than 1/SECONDS requests a second can be answered, on any
machine. With --leak each request also keeps that many bytes for ever. /metrics tells Prometheus how many were served.
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
parser.add_argument("seconds", type=float)
parser.add_argument("--leak", type=int, default=0)
arguments = parser.parse_args()
counter, kept, served = threading.Lock(), [], [0]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain; version=0.0.4")])
    if environ["PATH_INFO"] == "/metrics":
        return [
            b"# HELP served_total Requests answered.\n# TYPE served_total counter\n"
            b'served_total{path="a \\"quoted\\" one",zone="x"} %d\nbroken line here\nload NaN\n' % served[0]
        ]
    if environ["PATH_INFO"] != "/ready":
        with counter:
            time.sleep(arguments.seconds)
            served[0] += 1
            if arguments.leak:
                kept.append(bytes(arguments.leak))
    return [b"x" * 100]


serve(application, host="127.0.0.1", port=arguments.port, threads=64, _quiet=True, connection_limit=1000)
