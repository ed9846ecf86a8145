"""The service that the shop depends on: prices of carriers over real HTTP, each answer taking its time."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import create_server

CARRIERS = ("PostNL", "DHL", "GLS")
ANSWER_S = 0.018


class Downstream:
    """A carrier's rate service on a free port of this machine, in threads of this process.

    ``most_at_once`` is the highest number of requests that it had to answer at the same time.
    """

    def __init__(self, threads: int = 32) -> None:
        self.calls = self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        self._server = create_server(self._answer, host="127.0.0.1", port=0, threads=threads)
        self.port = int(self._server.effective_port)
        threading.Thread(target=self._server.run, name="downstream", daemon=True).start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self.calls += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(ANSWER_S)
        with self._lock:
            self._now -= 1
        carrier = environ["PATH_INFO"].rsplit("/", 1)[-1]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"carrier": carrier, "cents": 395 + 100 * len(carrier)}).encode()]

    def rate(self, carrier: str) -> dict[str, Any]:
        """Ask the service for a carrier's rate, as a client would."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", f"/rates/{carrier}")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def close(self) -> None:
        self._server.close()
