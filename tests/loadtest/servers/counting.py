"""A server that knows nothing of perflab and counts what it reads: counting.py PORT COUNTS.json [LOG]

/flaky resets and /closes closes each fifth request without an answer, /brief closes the connection after each third answer,
/hang never answers, /moved sends to /ok, all else is answered after 5 ms. The log gets the time and the path of each request.
"""

import json
import pathlib
import socket
import struct
import sys
import threading
import time

port, counts = int(sys.argv[1]), pathlib.Path(sys.argv[2])
log = open(sys.argv[3], "a", buffering=1) if len(sys.argv) > 3 and sys.argv[3].endswith(".log") else None  # noqa: SIM115
seen: dict[str, int] = {}
lock = threading.Lock()


def count(path: str) -> int:
    with lock:
        seen[path] = seen.get(path, 0) + 1
        if log:
            log.write(f"{time.time()} {path}\n")
        half = counts.with_suffix(".half")
        half.write_text(json.dumps(seen))
        half.replace(counts)
        return seen[path]


def serve(connection: socket.socket) -> None:
    lines = connection.makefile("rb")
    answered = 0
    try:
        while line := lines.readline():
            path = line.split()[1].decode().partition("?")[0]
            while lines.readline() not in (b"\r\n", b""):
                pass
            number = 0 if path == "/ready" else count(path)
            if path == "/hang":
                time.sleep(60)
            if path == "/flaky" and number % 5 == 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if path == "/closes" and number % 5 == 0:
                return
            time.sleep(0.005)
            first = b"302 Found\r\nLocation: /ok" if path == "/moved" else b"200 OK"
            connection.sendall(b"HTTP/1.1 " + first + b"\r\nContent-Length: 2\r\n\r\nok")
            answered += 1
            if path == "/brief" and answered % 3 == 0:
                return
    except OSError:
        pass
    finally:
        lines.close()
        connection.close()


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(200)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
