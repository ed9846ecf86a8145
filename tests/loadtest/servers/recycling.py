"""A server whose parent holds the port and whose two workers end after 15 answers each and are replaced: recycling.py PORT

The body of an answer is as long as the number of the worker.
"""

import os
import signal
import socket
import sys

LENGTH = 15
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(100)
signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))


def work(number: int) -> None:
    for _ in range(LENGTH):
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            while lines.readline() not in (b"\r\n", b""):
                pass
            body = b"x" * number
            head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {number}\r\n\r\n"
            connection.sendall(head.encode() + body)
    os._exit(0)


number, workers = 0, 0
while True:
    while workers < 2:
        number += 1
        workers += 1
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            work(number)
    os.wait()
    workers -= 1
