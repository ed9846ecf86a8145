"""Inside Locust: tracks requests of HttpUser and FastHttpUser in flight, and keeps any from being sent twice.

A request counts from the call until its ``request`` event. Other clients are not tracked. What a call sends after its
first request (redirects, and retries that the locustfile configures) is counted separately.
"""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable
from typing import Any

from gevent import getcurrent
from gevent.timeout import Timeout
from geventhttpclient.connectionpool import ConnectionPool
from locust import clients
from locust.clients import HttpSession
from locust.contrib import fasthttp
from locust.contrib.fasthttp import FastHttpSession, LocustUserAgent
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

NO_REPEATS = -1
"""geventhttpclient retries a request (size of the pool + 1) times; the pool has read its size by then."""

_UNSENT = (ConnectionRefusedError, socket.gaierror, ConnectTimeoutError, NewConnectionError)
"""Without a connection, nothing was sent."""
_ASKS_AGAIN = (401, 407)
"""Statuses to which a client responds with its credentials, in a second request."""


class Calls:
    """The calls of one greenlet: its user, how many are in flight, and what the latest one sent."""

    __slots__ = ("attempts", "count", "late", "redirected", "user")

    def __init__(self, user: Any, late: bool = False) -> None:
        self.user, self.count, self.attempts, self.redirected, self.late = user, 0, 0, False, late


class Flight:
    """The requests in flight by greenlet, and those that ended without an event.

    ``cut`` counts those whose greenlet was killed, ``timed_out`` those of them that a timeout in the locustfile ended, ``late``
    those killed that were begun after the plan's end;
    ``dropped`` those whose ``with`` block or call raised, ``held`` those with ``catch_response`` that are answered and in no
    ``with`` block: Locust reports none of these. ``redirects`` and ``repeats`` count what calls sent after their first
    request.
    """

    def __init__(self) -> None:
        self.over = False
        self.late = self.sent = self.cut = self.timed_out = self.dropped = self.held = self.redirects = self.repeats = 0
        self.open: dict[Any, Calls] = {}
        """By greenlet; the journal counts reported requests down."""
        self.may_send: Callable[[Any], None] = lambda user: None
        """Raises where a user must not send any more."""

    @property
    def in_flight(self) -> int:
        return self._sent(late=False)

    @property
    def in_flight_late(self) -> int:
        return self._sent(late=True)

    def _sent(self, *, late: bool) -> int:
        """The calls in flight that have sent something."""
        found = [calls for calls in list(self.open.values()) if calls.late == late]
        return sum(calls.count - (not calls.attempts) for calls in found)

    def of(self, user: Any) -> bool:
        """Whether a request of this user is in flight."""
        return any(calls.user is user for calls in list(self.open.values()))

    def watch(self, timeout_s: float) -> None:
        """Follow the requests of Locust's two HTTP clients from now on; those without a timeout get this one."""
        for session in (HttpSession, FastHttpSession):
            session.request = self._followed(session.request)  # type: ignore[method-assign]
        for caught in (clients.ResponseContextManager, fasthttp.ResponseContextManager):
            caught.__enter__ = self._taken(caught.__enter__)  # type: ignore[method-assign]
            caught.__exit__ = self._left(caught.__exit__)  # type: ignore[method-assign]
        LocustUserAgent._urlopen = self._attempted(LocustUserAgent._urlopen)  # type: ignore[method-assign]
        HTTPConnectionPool._make_request = self._attempted(HTTPConnectionPool._make_request)  # type: ignore[method-assign]
        HTTPAdapter.send = self._limited(HTTPAdapter.send, timeout_s)  # type: ignore[method-assign]
        _never_repeat()

    def _less(self, greenlet: Any, found: Calls) -> None:
        found.count -= 1
        if found.count <= 0:
            self.open.pop(greenlet, None)

    def _ended(self, greenlet: Any, found: Calls, before: int, problem: BaseException) -> None:
        """A request ended by an exception: count it here unless its event was fired."""
        if self.open.get(greenlet) is found and found.count > before:
            self._less(greenlet, found)
            if isinstance(problem, Exception):
                self.dropped += 1
            elif found.late:
                self.late += 1
            else:
                self.cut += 1
                self.timed_out += isinstance(problem, Timeout)

    def _followed(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def followed(session: Any, *given: Any, **options: Any) -> Any:
            self.may_send(session.user)
            self.sent += 1
            greenlet = getcurrent()
            found = self.open.setdefault(greenlet, Calls(session.user, self.over))
            before, found.count, found.attempts = found.count, found.count + 1, 0
            try:
                answer = request(session, *given, **options)
            except BaseException as problem:
                if found.attempts:
                    self._ended(greenlet, found, before, problem)
                elif self.open.get(greenlet) is found and found.count > before:
                    # Wrong arguments, or killed before: nothing was sent.
                    self.sent -= 1
                    self._less(greenlet, found)
                raise
            if found.count > before and self.open.get(greenlet) is found:
                self._less(greenlet, found)
                self.held += 1
                answer.perflab_held = session.user
            return answer

        return followed

    def _attempted(self, attempt: Callable[..., Any]) -> Callable[..., Any]:
        """Count the requests on the wire that belong to the call in flight."""

        def attempted(*given: Any, **options: Any) -> Any:
            calls = self.open.get(getcurrent())
            if calls is None:
                return attempt(*given, **options)
            further, hop = calls.attempts > 0, calls.redirected
            calls.attempts, calls.redirected = calls.attempts + 1, False
            try:
                answer = attempt(*given, **options)
                status = getattr(answer, "status_code", getattr(answer, "status", 0))
                calls.redirected = 300 <= status < 400 or status in _ASKS_AGAIN
            except _UNSENT:
                calls.attempts, further = calls.attempts - 1, False
                raise
            finally:
                self.redirects += further and hop
                self.repeats += further and not hop
            return answer

        return attempted

    def _limited(self, send: Callable[..., Any], timeout_s: float) -> Callable[..., Any]:
        """Set a timeout, since HttpUser waits for ever by default; one set by the locustfile is kept."""

        def limited(adapter: Any, request: Any, *given: Any, **options: Any) -> Any:
            if not given and options.get("timeout") is None and getcurrent() in self.open:
                options["timeout"] = timeout_s
            return send(adapter, request, *given, **options)

        return limited

    def _take(self, caught: Any) -> None:
        """Follow an answer in the greenlet of its ``with`` block, which need not be the one that sent the request."""
        if (user := caught.__dict__.pop("perflab_held", self)) is not self:
            self.held -= 1
            calls = self.open.setdefault(getcurrent(), Calls(user, self.over))
            calls.count, calls.attempts = calls.count + 1, calls.attempts or 1

    def _taken(self, enter: Callable[..., Any]) -> Callable[..., Any]:
        def __enter__(caught: Any) -> Any:
            self._take(caught)
            return enter(caught)

        return __enter__

    def _left(self, leave: Callable[..., Any]) -> Callable[..., Any]:
        def __exit__(caught: Any, kind: Any, problem: Any, trace: Any) -> Any:
            self._take(caught)
            greenlet = getcurrent()
            found = self.open.get(greenlet) or Calls(None)
            before = found.count - 1
            result = leave(caught, kind, problem, trace)
            if problem is not None:
                self._ended(greenlet, found, before, problem)
            return result

        return __exit__


def _never_repeat() -> None:
    """Turn off retries: replace a pooled connection that the server has closed before anything is sent."""
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
    """Whether a connection is open with nothing to read; an idle one is readable only when it was closed."""
    try:
        _socket.socket.recv(getattr(connection, "_sock", connection), 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except (OSError, TypeError, ValueError):
        return False
    return False
