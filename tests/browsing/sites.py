"""Small sites for a browser, served by this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """A response: its body, media type, status and headers, and how long it takes."""

    body: str | bytes = ""
    mime: str = "text/html"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0


def page(body: str, script: str = "") -> Answer:
    """A document without margins and without a favicon."""
    head = '<meta charset="utf-8"><link rel="icon" href="data:,"><style>*{margin:0}</style>'
    return Answer(f"<!doctype html><html><head>{head}</head><body>{body}<script>{script}</script></body></html>")


@contextmanager
def serving(answers: Mapping[str, Answer]) -> Iterator[str]:
    """The site's address, until the end of the block; a query does not change what is answered."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0], Answer("no such page", status=404))
            time.sleep(answer.after_s)
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self.send_response(answer.status)
            for name, value in {
                "Content-Type": answer.mime,
                "Content-Length": str(len(body)),
                **answer.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # the browser did not wait
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
