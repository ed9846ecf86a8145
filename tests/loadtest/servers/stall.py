"""A server that answers after 5 ms, and once stands still: python stall.py PORT --after S --for S --log FILE

The stall begins so many seconds after the first request; every request of that time is answered at its end. The log
takes the stall's real begin and end (seconds since 1970) once it is over.
"""

from __future__ import annotations

import argparse
import asyncio
import time

SERVICE_S = 0.005
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--after", type=float, default=3.0)
parser.add_argument("--for", dest="length", type=float, default=2.0)
parser.add_argument("--log", required=True)
arguments = parser.parse_args()
going = asyncio.Event()
begun: list[asyncio.Task[None]] = []


async def stall() -> None:
    await asyncio.sleep(arguments.after)
    begin = time.time()
    going.clear()
    await asyncio.sleep(arguments.length)
    with open(arguments.log, "w") as log:
        log.write(f"{begin} {time.time()}")
    going.set()


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while request := await reader.readline():
            while (await reader.readline()).strip():
                pass
            if b"/ready" not in request:
                if not begun:
                    begun.append(asyncio.create_task(stall()))
                await asyncio.sleep(SERVICE_S)
                await going.wait()
            writer.write(ANSWER)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    going.set()
    server = await asyncio.start_server(serve_one, "127.0.0.1", arguments.port, backlog=2048)
    await server.serve_forever()


asyncio.run(main())
