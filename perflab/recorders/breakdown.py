"""Records the components of each request: database, calls to other services, CPU, waiting for connections.

    application = record_requests(application)           # WSGI; app.wsgi_app = record_requests(app.wsgi_app) in Flask
    application = record_async_requests(application)     # ASGI; app.add_middleware(record_async_requests) in FastAPI, Starlette

Without the environment variable PERFLAB_REQUEST_LOG, which perflab sets for a `Target(record_requests=True)`, both return
the application unchanged and hook nothing, so they may stay in production code. In Django, wrap what ``get_wsgi_application``
or ``get_asgi_application`` returns. Several processes may write to one file.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from perflab.recorders import addresses, concurrency, context, hooks, timing
from perflab.recorders.log import QueryLog

Environ = dict[str, Any]
Scope = dict[str, Any]


def record_requests(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Wrap a WSGI application to record the components of its requests, if PERFLAB_REQUEST_LOG names a file."""
    path = os.environ.get(timing.VARIABLE)
    if not path:
        return application
    log = QueryLog(path)

    def recorded(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not log.recording:
            return application(environ, start_response)
        hooks.install()
        get = environ.get
        clock = timing.clock_of(get("HTTP_X_REQUEST_ID"), get("HTTP_X_PERFLAB_ENDPOINT"), get("HTTP_X_REQUEST_START"))
        clock.values = timing.hashed(addresses.values(get("PATH_INFO", ""), get("QUERY_STRING", "")))
        environ["HTTP_X_REQUEST_ID"] = clock.request  # one id for all recorders, if the client sent none
        strand = clock.strand()
        token = timing.enter(clock, strand)
        strand.start()
        try:
            with context.seen_route() as seen:
                body = application(environ, start_response)
        except BaseException:
            strand.stop()
            timing.finish(clock, log, seen.get("route"))
            raise
        finally:
            timing.leave(token)
        if strand.began >= 0:
            strand.stop()
        route = seen.get("route") or _method(environ)
        if isinstance(body, (list, tuple)) or _is_file(body, get("wsgi.file_wrapper")):
            timing.finish(clock, log, route)
            return body
        return _Body(body, clock, strand, log, route)

    return recorded


def _is_file(body: Any, wrapper: Any) -> bool:
    """Whether the server itself sends the body as a file; some servers' wrapper is a function."""
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _method(environ: Environ) -> str:
    return str(environ.get("REQUEST_METHOD", "GET"))


class _Body:
    """A body produced while it is sent; the request ends with it. The server's time between parts does not count."""

    def __init__(
        self, body: Iterable[bytes], clock: timing.Clock, strand: timing.Strand, log: QueryLog, route: str
    ) -> None:
        self._body, self._parts = body, iter(body)
        self._clock, self._strand, self._log, self._route = clock, strand, log, route
        self._left = perf_counter()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = self._resume()
        try:
            return next(self._parts)
        except BaseException:
            self._pause(token)
            token = None
            timing.finish(self._clock, self._log, self._route, self._left)
            raise
        finally:
            if token is not None:
                self._pause(token)

    def close(self) -> None:
        """Close the body, even if it was not read to its end."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            timing.finish(self._clock, self._log, self._route, self._left)

    def _resume(self) -> Any:
        self._clock.away_s += perf_counter() - self._left
        self._strand.start()
        return timing.enter(self._clock, self._strand)

    def _pause(self, token: Any) -> None:
        timing.leave(token)
        self._strand.stop()
        self._left = perf_counter()


def record_async_requests(application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Wrap an ASGI application to record the components of its requests, if PERFLAB_REQUEST_LOG names a file.

    A request ends with the last part of its response: background tasks after it do not count.
    """
    path = os.environ.get(timing.VARIABLE)
    if not path:
        return application
    log = QueryLog(path)

    async def recorded(scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope.get("type") != "http" or not log.recording:
            await application(scope, receive, send)
            return
        hooks.install()
        concurrency.install_loop()
        given = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ()) if len(name) < 20}
        clock = timing.clock_of(
            given.get(b"x-request-id"), given.get(b"x-perflab-endpoint"), given.get(b"x-request-start")
        )
        clock.loops = True
        query = scope.get("query_string", b"").decode("latin-1")
        clock.values = timing.hashed(addresses.values(str(scope.get("path", "")), query))
        if given.get(b"x-request-id") != clock.request:
            kept = [(n, v) for n, v in scope.get("headers", ()) if n.lower() != b"x-request-id"]
            scope = {**scope, "headers": [*kept, (b"x-request-id", clock.request.encode())]}
        strand = clock.strand()

        async def answer(message: dict[str, Any]) -> None:
            if message.get("type") != "http.response.body":
                await send(message)
                return
            if not message.get("more_body", False):
                # Before it is sent: what follows is the way back.
                if strand.began >= 0:
                    strand.stop()
                    strand.start()
                timing.finish(clock, log, _route(scope))
                await send(message)
                return
            left = perf_counter()
            await send(message)
            clock.away_s += perf_counter() - left

        token = timing.enter(clock, strand)
        try:
            await timing.driven(application(scope, receive, answer), strand)
        finally:
            timing.finish(clock, log, _route(scope))
            timing.leave(token)

    return recorded


def _route(scope: Scope) -> str:
    method = str(scope.get("method", "GET"))
    path = getattr(scope.get("route"), "path", None)
    return context.current_route() or (f"{method} {scope.get('root_path') or ''}{path}" if path else method)
