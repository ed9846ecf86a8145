"""Which request the current thread or task is working on: the unit of work that recorded queries belong to."""

from __future__ import annotations

import contextvars
import re
import secrets
from typing import NamedTuple


class Work(NamedTuple):
    """A unit of work: a request id, and the route that it is for ("GET /orders/<id>")."""

    unit: str
    route: str | None


_current: contextvars.ContextVar[Work | None] = contextvars.ContextVar("perflab_work", default=None)
_ALLOWED = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


def begin(unit: str | None = None, route: str | None = None) -> Work:
    """Say that a unit of work begins here; returns it. An id from outside is taken only if it is harmless.

    >>> begin("req-1", "GET /orders").unit
    'req-1'
    """
    accepted = unit if unit and _ALLOWED.fullmatch(unit) else secrets.token_hex(8)
    work = Work(accepted, route)
    _current.set(work)
    return work


def end() -> None:
    """Say that the unit of work is over."""
    _current.set(None)


def current() -> Work | None:
    """The unit of work of this thread or task, if any."""
    return _current.get()
