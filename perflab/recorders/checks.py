"""Checks: named assertions about responses, whose pass rate is a measurement (as in k6).

In a locustfile::

    from perflab.recorders.checks import check

    response = self.client.get("/orders")
    check(response, {
        "status is 200": lambda r: r.status_code == 200,
        "has orders": lambda r: b"orders" in r.content,
    })
    check("cart is not empty", len(self.cart) > 0)

A failed check fails no request and raises nothing. Under perflab each one is recorded in the run's ``checks``
table; in plain Locust it is only evaluated. Standard library only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger("perflab")

listener: Callable[[str, bool, Any, str | None], None] | None = None
"""The callback of perflab's recorder inside Locust: (name, ok, response, endpoint)."""

_complained: set[str] = set()


def check(subject: Any, assertions: Any, *, endpoint: str | None = None) -> bool:
    """Make one or more named assertions; return whether all of them hold.

    Parameters
    ----------
    subject : object
        The response to check, or the name of a single assertion.
    assertions : mapping or bool
        A mapping of name to a function of the response (or to a true or false value); with a name as the subject, the
        value itself.
    endpoint : str, optional
        The endpoint that they are about ("GET /orders"); by default the response's own.

    An assertion that raises has failed; its first error is logged.

    Examples
    --------
    >>> check("two is even", 2 % 2 == 0)
    True
    >>> check({"total": 3}, {"has a total": lambda r: "total" in r, "has a name": lambda r: r["name"]})
    False
    """
    if isinstance(subject, str) and not isinstance(assertions, Mapping):
        return _record(subject, bool(assertions), None, endpoint)
    held = True
    for name, assertion in assertions.items():
        held &= _record(str(name), _holds(str(name), assertion, subject), subject, endpoint)
    return held


def _holds(name: str, assertion: Any, subject: Any) -> bool:
    if not callable(assertion):
        return bool(assertion)
    try:
        return bool(assertion(subject))
    except Exception as problem:  # noqa: BLE001 - an assertion may raise anything; an error page has no JSON, say
        if name not in _complained and len(_complained) < 1000:
            _complained.add(name)
            logger.warning("the check %r raised %s: %s", name, type(problem).__name__, problem)
        return False


def _record(name: str, ok: bool, response: Any, endpoint: str | None) -> bool:
    if listener is not None:
        listener(name, ok, response, endpoint)
    return ok
