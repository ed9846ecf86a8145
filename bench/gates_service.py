"""The service that bench/gates.py puts under load.

python bench/gates_service.py PORT FACTOR
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import cast


class Service(asyncio.Protocol):
    """HTTP/1.1 with connections kept open: a fifth of a millisecond of CPU and about twenty-five of waiting, times the factor."""

    factor = 1.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        end = time.thread_time() + 2e-4 * self.factor
        while time.thread_time() < end:
            pass
        waits = min(0.25, 25e-3 * self.factor * random.lognormvariate(0, 0.35)) if b"GET /work" in data else 0.0
        asyncio.get_running_loop().call_later(waits, self.answer)

    def answer(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)


async def serve(port: int, factor: float) -> None:
    """A version of the service, until it is stopped."""
    Service.factor = factor
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
