"""Reads a page of the target, limited in time and size however slowly or long it is sent."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

_OF_A_READ_S = 2.0


def read_page(url: str, *, within_s: float, most_bytes: int = 0) -> tuple[int, bytes]:
    """(status, content) of a page, with at most ``most_bytes`` of content; a redirect to another host is an HTTPError.

    Raises OSError (TimeoutError where the response is late), ValueError, and `urllib.error.HTTPError` as
    `urllib.request.urlopen` does.
    """
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    sockets: list[socket.socket] = []
    opener = _opener(sockets, parts)
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=place)))
    if user:
        # urllib would take it for part of the host name.
        request.add_header("Authorization", "Basic " + base64.b64encode(unquote(user).encode()).decode())
    late = threading.Event()

    def end() -> None:
        late.set()
        for each in sockets:
            with suppress(OSError):
                # Shut down the socket beneath TLS, which would read on.
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    # A socket's timeout applies to each read: a response that trickles in would never time out.
    timer = threading.Timer(within_s, end)
    timer.daemon = True
    timer.start()
    try:
        with opener.open(request, timeout=min(within_s, _OF_A_READ_S)) as answer:
            content = answer.read(most_bytes) if most_bytes else b""
            if not late.is_set():
                return answer.status, content
    except (OSError, ValueError, http.client.HTTPException) as problem:
        if isinstance(problem, urllib.error.HTTPError):
            problem.close()  # it holds the response, and so the socket
        if not late.is_set():
            if isinstance(problem, http.client.HTTPException) and not isinstance(problem, (OSError, ValueError)):
                raise ValueError(f"not an HTTP response: {problem!r}") from problem
            raise
    finally:
        timer.cancel()
        for each in sockets:
            each.close()
    raise TimeoutError(f"no complete response within {within_s:g} s")


def _opener(sockets: list[socket.socket], asked: SplitResult) -> urllib.request.OpenerDirector:
    """An opener that collects its sockets."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    class Http(urllib.request.HTTPHandler):
        def http_open(self, request: Any) -> Any:
            return self.do_open(Plain, request)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, request: Any) -> Any:
            return self.do_open(Secure, request)

    class Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request: Any, *rest: Any) -> urllib.request.Request | None:
            there = urlsplit(rest[-1])
            if there.hostname != asked.hostname or there.scheme not in ("http", "https"):
                return None
            following = super().redirect_request(request, *rest)
            # Another port, or no TLS any more: whoever listens there gets no password.
            if following and (there.port, there.scheme) != (asked.port, asked.scheme):
                following.remove_header("Authorization")
            return following

    # Proxies of the environment are for the way out, not for the service under test.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), Http, Https, Redirects)
