"""The current unit of work, to which recorded statements belong.

A unit of work is a request, a job or a message: whatever the statements of an N+1 have in common. The request
hooks set it; a job sets its own:

>>> with unit_of_work(route="job nightly-invoices") as unit:
...     current_unit() == unit, current_route()
(True, 'job nightly-invoices')
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any
from urllib.parse import unquote

MAX_ID_LENGTH = 128

_GOOD_ID = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{MAX_ID_LENGTH}}}", re.ASCII)

_unit: ContextVar[str | None] = ContextVar("perflab_unit", default=None)
Route = str | Callable[[], str | None] | None
"""The name of a route, or a function that returns it: many frameworks know it only after the request has started."""
_route: ContextVar[Route] = ContextVar("perflab_route", default=None)

_seen: ContextVar[dict[str, str] | None] = ContextVar("perflab_seen_route", default=None)

Tokens = tuple[Token[str | None], Token[Route]]


def request_id(given: str | None = None) -> str:
    """The id that a client sent, or a new one of 32 hex digits if it sent none or an unsafe one.

    Safe ids are up to 128 ASCII letters, digits and ``. _ : / + = @ -``: nothing that could end a header or a line.
    """
    return given if given is not None and _GOOD_ID.fullmatch(given) else uuid.uuid4().hex


class Endpoint(str):
    """A route named by the load generator (``X-Perflab-Endpoint``), which no framework's pattern replaces."""

    __slots__ = ()


def endpoint_of(given: str | None) -> Endpoint | None:
    """The name in that header; None if there is none, or an unsafe one.

    >>> endpoint_of("GET /orders/[id]%20%C3%BC")
    'GET /orders/[id] ü'
    """
    if not given or len(given) > 1500:
        return None
    found = unquote(given, errors="replace")[:500]
    return Endpoint(found) if found.isprintable() else None


def current_unit() -> str | None:
    """The id of the current unit of work of this thread or task, if any."""
    return _unit.get()


def current_route() -> str | None:
    """The route of the current unit of work, such as ``"GET /orders"``, where a hook knows it."""
    route = _route.get()
    return route() if callable(route) else route


def enter(unit: str, route: Route = None) -> Tokens:
    """Start a unit of work; pass the result to `leave` in the same thread or task."""
    _notice(route)
    return _unit.set(unit), _route.set(route)


def leave(tokens: Tokens) -> None:
    """End a unit of work."""
    unit, route = tokens
    _route.reset(route)
    _unit.reset(unit)


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which then works for the current unit in whichever thread it is called."""
    unit, route = _unit.get(), _route.get()
    if unit is None:
        return function

    def within(*given: Any, **options: Any) -> Any:
        tokens = enter(unit, route)
        try:
            return function(*given, **options)
        finally:
            leave(tokens)

    return within


def set_route(route: Route) -> None:
    """Set the route of the current unit, once the framework has found it."""
    if isinstance(_route.get(), Endpoint) and route is not None:
        route = _route.get()
    _notice(route)
    _route.set(route)


def _notice(route: Route) -> None:
    seen = _seen.get()
    if seen is not None and isinstance(route, str) and route:
        seen["route"] = str(route)


@contextmanager
def seen_route() -> Iterator[dict[str, str]]:
    """For middleware around the hooks: yield a mapping whose ``route`` is the last one set inside the block."""
    seen: dict[str, str] = {}
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


@contextmanager
def unit_of_work(unit: str | None = None, route: str | None = None) -> Iterator[str]:
    """Make a block of code a unit of work; yield its id (a new one if ``unit`` is None or unsafe)."""
    known = request_id(unit)
    tokens = enter(known, route)
    try:
        yield known
    finally:
        leave(tokens)
