"""Gives each request of an ASGI application (Starlette, FastAPI, Quart, ...) its id, and answers with it in ``X-Request-ID``.

application = RequestContext(application)          # or, in FastAPI and Starlette: app.add_middleware(RequestContext)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from perflab.recorders import context

Scope = dict[str, Any]
Application = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]


class RequestContext:
    """ASGI middleware: the unit of work is the ``X-Request-ID`` of the request, or a new id.

    ``route(scope)`` names the route whenever a statement is recorded, with what the framework has written into the scope by
    then. The default is the method and the route's path ("GET /orders/{order_id}", FastAPI) or the function that answers
    (Starlette); the method alone where neither is known, since a raw path has as many values as there are products. An
    application may do better with `context.set_route`.
    """

    def __init__(self, application: Application, route: Callable[[Scope], str] | None = None) -> None:
        self.application = application
        self.route = route or _named

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.application(scope, receive, send)
            return
        unit = context.request_id(header(scope, b"x-request-id"))
        tokens = context.enter(
            unit, context.endpoint_of(header(scope, b"x-perflab-endpoint")) or (lambda: self.route(scope))
        )

        async def answer(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept = [(n, v) for n, v in message.get("headers", ()) if n.lower() != b"x-request-id"]
                message = {**message, "headers": [*kept, (b"x-request-id", unit.encode("latin-1"))]}
            await send(message)

        try:
            await self.application(scope, receive, answer)
        finally:
            context.set_route(context.current_route())  # for middleware around this one
            context.leave(tokens)


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a header of a request, its name in lower case."""
    found = next((value for given, value in scope.get("headers", ()) if given.lower() == name), None)
    return None if found is None else str(found, "latin-1")


def _named(scope: Scope) -> str:
    method = str(scope.get("method", scope["type"]))
    if path := getattr(scope.get("route"), "path", None):
        return f"{method} {scope.get('root_path') or ''}{path}"
    function = getattr(scope.get("endpoint"), "__qualname__", None)
    return f"{method} {function}" if function else method
