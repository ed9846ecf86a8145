"""Inside Locust: the requests of HttpUser and FastHttpUser that were sent and not yet reported; and none is sent twice.

A request counts from the call until its ``request`` event. Other clients are not seen here.
"""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable
from typing import Any

from gevent import getcurrent
from geventhttpclient.connectionpool import ConnectionPool
from locust import clients
from locust.clients import HttpSession
from locust.contrib import fasthttp
from locust.contrib.fasthttp import FastHttpSession

NO_REPEATS = -1
"""geventhttpclient repeats a request (size of the pool + 1) times; the pool has read its size by then."""


class Flight:
    """The requests in flight by greenlet, and those that ended without an event.

    ``cut`` counts those whose greenlet was ended (by Locust, or a time-out of the locustfile), ``dropped`` those whose
    ``with`` block or call raised: Locust reports neither.
    """

    def __init__(self) -> None:
        self.sent = self.cut = self.dropped = 0
        self.open: dict[Any, list[Any]] = {}
        """Greenlet -> its user, and how many requests it has sent and not reported."""
        self.may_send: Callable[[Any], None] = lambda user: None
        """Raises where a user must not send any more."""

    @property
    def in_flight(self) -> int:
        return sum(count for _, count in list(self.open.values()))

    def of(self, user: Any) -> bool:
        """Whether a request of this user is in flight."""
        return any(owner is user for owner, _ in list(self.open.values()))

    def watch(self) -> None:
        """Follow the requests of Locust's two HTTP clients from now on."""
        for session in (HttpSession, FastHttpSession):
            session.request = self._followed(session.request)  # type: ignore[method-assign]
        for caught in (clients.ResponseContextManager, fasthttp.ResponseContextManager):
            caught.__exit__ = self._left(caught.__exit__)  # type: ignore[method-assign]
        _never_repeat()

    def reported(self, greenlet: Any) -> None:
        """The event of a request of this greenlet was fired."""
        found = self.open.get(greenlet)
        if found is not None:
            self._less(greenlet, found)

    def _less(self, greenlet: Any, found: list[Any]) -> None:
        found[1] -= 1
        if found[1] <= 0:
            self.open.pop(greenlet, None)

    def _ended(self, greenlet: Any, found: list[Any], before: int, problem: BaseException) -> None:
        """A request ended by an exception: unless its event was fired, nobody knows of it."""
        if self.open.get(greenlet) is found and found[1] > before:
            self._less(greenlet, found)
            if isinstance(problem, Exception):
                self.dropped += 1
            else:
                self.cut += 1

    def _followed(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def followed(session: Any, *given: Any, **options: Any) -> Any:
            self.may_send(session.user)
            self.sent += 1
            greenlet = getcurrent()
            found = self.open.setdefault(greenlet, [session.user, 0])
            before, found[1] = found[1], found[1] + 1
            try:
                return request(session, *given, **options)
            except BaseException as problem:
                self._ended(greenlet, found, before, problem)
                raise

        return followed

    def _left(self, leave: Callable[..., Any]) -> Callable[..., Any]:
        def __exit__(caught: Any, kind: Any, problem: Any, trace: Any) -> Any:
            greenlet = getcurrent()
            found = self.open.get(greenlet, [None, 0])
            before = found[1] - 1
            result = leave(caught, kind, problem, trace)
            if problem is not None:
                self._ended(greenlet, found, before, problem)
            return result

        return __exit__


def _never_repeat() -> None:
    """A pooled connection that the server has closed is replaced before anything is sent; then nothing is sent twice."""
    made, taken = ConnectionPool.__init__, ConnectionPool.get_socket

    def __init__(pool: Any, *given: Any, **options: Any) -> None:
        made(pool, *given, **options)
        pool.size = NO_REPEATS

    def get_socket(pool: Any) -> Any:
        while True:
            pooled = not pool._socket_queue.empty()
            found = taken(pool)
            if not pooled or _is_idle(found):
                return found
            pool.release_socket(found)

    ConnectionPool.__init__ = __init__  # type: ignore[assignment, method-assign]
    ConnectionPool.get_socket = get_socket  # type: ignore[assignment, method-assign]


def _is_idle(connection: Any) -> bool:
    """Whether a connection is open with nothing to read; what an idle one has to say is that it was closed."""
    try:
        _socket.socket.recv(getattr(connection, "_sock", connection), 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except (OSError, TypeError, ValueError):
        return False
    return False
