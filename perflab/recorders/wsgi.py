"""Gives each request of a WSGI application an id, and returns it in ``X-Request-ID``.

application = RequestContext(application)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from perflab.recorders import context

Environ = dict[str, Any]


class RequestContext:
    """WSGI middleware: the unit of work is the ``X-Request-ID`` of the request, or a new id.

    ``route(environ)`` returns the route before the application runs. The default is the method alone, since raw paths
    have too many values; a framework hook can set a better one with `context.set_route`.
    """

    def __init__(
        self, application: Callable[..., Iterable[bytes]], route: Callable[[Environ], str] | None = None
    ) -> None:
        self.application = application
        self.route = route or _method

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
        unit = context.request_id(environ.get("HTTP_X_REQUEST_ID"))
        environ["perflab.request_id"] = unit
        tokens = context.enter(unit, context.endpoint_of(environ.get("HTTP_X_PERFLAB_ENDPOINT")) or self.route(environ))

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [(name, value) for name, value in headers if name.lower() != "x-request-id"]
            return start_response(status, [*kept, ("X-Request-ID", unit)], *rest)

        try:
            body = self.application(environ, start)
            route = context.current_route()
        finally:
            context.leave(tokens)
        return within(body, unit, route)


def within(body: Iterable[bytes], unit: str, route: str | None) -> Iterator[bytes]:
    """The body, with each part produced inside the unit of work (a streamed page queries while it is sent)."""
    parts = iter(body)
    try:
        while True:
            tokens = context.enter(unit, route)
            try:
                part = next(parts, None)
            finally:
                context.leave(tokens)
            if part is None:
                return
            yield part
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def _method(environ: Environ) -> str:
    return str(environ.get("REQUEST_METHOD", "GET"))
