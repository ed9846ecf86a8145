"""A small server for recording samples: it writes a line for each request that it answered (port 0: a free one, printed).

    python tests/formats/recording/logged.py 8700 served.csv

Answers after a lognormal time: /orders, /orders/N and /cart with 200, /broken with 500, /flaky now and then with 503.
The log has columns ``start_s, method, path, status`` with the time at which the request had been read.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REASONS = {200: "OK", 500: "Internal Server Error", 503: "Service Unavailable"}


class Logged:
    """What was served, and the coroutine that serves it."""

    def __init__(self, seed: int = 8) -> None:
        self.served: list[tuple[float, str, str, int]] = []
        self._random = random.Random(seed)

    def status(self, path: str) -> int:
        if path.startswith("/broken"):
            return 500
        return 503 if path.startswith("/flaky") and self._random.random() < 0.3 else 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, version = head.split("\r\n", 1)[0].split(" ")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        await reader.readexactly(int(fields.get("content-length", 0)))
        path = target.split("?", 1)[0]
        start, status = time.time(), self.status(path)
        await asyncio.sleep(self._random.lognormvariate(-5.5, 0.6))
        body = b"x" * 120
        close = "close" in fields.get("connection", "") or (version == "HTTP/1.0" and "connection" not in fields)
        writer.write(
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Length: {len(body)}\r\nContent-Type: text/plain\r\n"
            f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n".encode()
            + body
        )
        self.served.append((start, method, path, status))
        await writer.drain()
        return not close

    def log(self) -> str:
        return "start_s,method,path,status\n" + "".join(f"{s:.6f},{m},{p},{c}\n" for s, m, p, c in self.served)


@contextlib.contextmanager
def running(log: Path) -> Iterator[int]:
    """The server in a process of its own, on a free port; when it ends the log holds all that it answered."""
    command = [sys.executable, __file__, "0", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


async def _main(port: int, path: Path) -> None:
    logged = Logged()
    server = await asyncio.start_server(logged.serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    try:
        async with server:
            await server.serve_forever()
    finally:
        path.write_text(logged.log())


if __name__ == "__main__":
    # A shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
