"""The services that the shop depends on: a real HTTP server on 127.0.0.1 that takes 15 to 25 ms per response."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICES = ("price", "stock", "delivery")
TIMEOUT_SECONDS = 5.0


class Downstream:
    """The server; its first service takes ``slower_ms`` more.

    ``served`` counts its responses, ``peak`` is the largest number of concurrent requests.
    """

    def __init__(self, low_ms: float = 15.0, high_ms: float = 25.0, slower_ms: float = 0.0) -> None:
        self.low_ms, self.high_ms, self.slower_ms = low_ms, high_ms, slower_ms
        self.served = self.peak = self._working = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="downstream", daemon=True)
        self._thread.start()

    def answer(self, service: str, product: int) -> dict[str, Any]:
        with self._lock:
            self._working += 1
            self.peak = max(self.peak, self._working)
        # Derived from the request alone, so that a response and its delay are the same before and after a fix.
        draw = zlib.crc32(f"{service}/{product}".encode()) % 1000
        took_ms = self.low_ms + (self.high_ms - self.low_ms) * draw / 1000
        time.sleep((took_ms + (self.slower_ms if service == SERVICES[0] else 0.0)) / 1e3)
        with self._lock:
            self._working -= 1
            self.served += 1
        return {"service": service, "product": product, "value": draw}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Started:
    """The server in its own process, so that the shop's computing does not slow it down; it ends with the shop."""

    def __init__(self, slower_ms: float = 0.0) -> None:
        command = [sys.executable, "-m", "perflab.demo.shop.downstream", str(slower_ms)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        written = self._process.stdout.readline().strip()
        if not written.isdigit():
            raise OSError(f"the downstream service did not start (exit code {self._process.wait(5)})")
        self.port = int(written)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Serve until standard input closes, when the parent process ends."""
    slower_ms = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    downstream = Downstream(slower_ms=slower_ms)
    sys.stdout.write(f"{downstream.port}\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()
    downstream.close()


def ask(port: int, service: str, product: int) -> dict[str, Any]:
    """Request a service's answer on a product."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"/{service}/{product}")
        response = connection.getresponse()
        if response.status != 200:
            raise http.client.HTTPException(f"{service} answered {response.status}")
        answer: dict[str, Any] = json.loads(response.read())
        return answer
    finally:
        connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(downstream: Downstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            service, _, product = self.path.strip("/").partition("/")
            if service not in SERVICES or not product.isdigit():
                self.send_error(404)
                return
            body = json.dumps(downstream.answer(service, int(product))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing: the requests are in the measurements."""

    return Handler


if __name__ == "__main__":
    main()
