"""Gives each request of an ASGI application (Starlette, FastAPI, Quart, ...) an id, and returns it in ``X-Request-ID``.

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

    ``route(scope)`` returns the route whenever a statement is recorded, from what the framework has put into the scope by
    then. By default it is the method with the route's path ("GET /orders/{order_id}", FastAPI) or the function that responds
    (Starlette), or the method alone where neither is known, since raw paths have too many values. An application can set a
    better one with `context.set_route`.
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
    """The value of a request header; ``name`` is in lower case."""
    found = next((value for given, value in scope.get("headers", ()) if given.lower() == name), None)
    return None if found is None else str(found, "latin-1")


def _named(scope: Scope) -> str:
    method = str(scope.get("method", scope["type"]))
    if path := getattr(scope.get("route"), "path", None):
        return f"{method} {scope.get('root_path') or ''}{path}"
    function = getattr(scope.get("endpoint"), "__qualname__", None)
    return f"{method} {function}" if function else method
