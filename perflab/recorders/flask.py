"""Gives each request of a Flask application an id and a route, and returns the id in ``X-Request-ID``.

from perflab.recorders.flask import identify_requests
identify_requests(app)
"""

from __future__ import annotations

from typing import Any

from flask import Flask, g, request

from perflab.recorders import context


def identify_requests(app: Flask) -> None:
    """Set unit of work and route (``"GET /orders/<int:order_id>"``) for each request of ``app``.

    The id is the client's ``X-Request-ID`` if that is safe, else a new one; in views it is ``flask.g.request_id``. Call
    it before adding other hooks that query, so that their statements count too.
    """

    def begin() -> None:
        rule = request.url_rule
        g.request_id = context.request_id(request.headers.get("X-Request-ID"))
        named = context.endpoint_of(request.headers.get("X-Perflab-Endpoint"))
        route = named or f"{request.method} {rule.rule if rule else '(no route)'}"
        g.perflab_tokens = context.enter(g.request_id, route)

    def answer(response: Any) -> Any:
        if "request_id" in g:
            response.headers["X-Request-ID"] = g.request_id
        return response

    def end(_: BaseException | None = None) -> None:
        tokens = g.pop("perflab_tokens", None)
        if tokens is not None:
            context.leave(tokens)

    app.before_request(begin)
    app.after_request(answer)
    app.teardown_request(end)
