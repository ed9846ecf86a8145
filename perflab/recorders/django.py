"""Records the statements of a Django project, each with its request.

    MIDDLEWARE = ["perflab.recorders.django.QueryRecorder", ...]      # first, so that other middleware counts too
    PERFLAB_QUERY_LOG = "queries.jsonl"                               # a setting, or the environment variable

Then ``lab.read("queries.jsonl").queries`` and ``lab.find_n_plus_one``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings  # type: ignore[import-untyped]
from django.core.exceptions import MiddlewareNotUsed  # type: ignore[import-untyped]
from django.db import connections  # type: ignore[import-untyped]
from django.db.backends.signals import connection_created  # type: ignore[import-untyped]

from perflab.recorders import context as current
from perflab.recorders import lines
from perflab.recorders.callsite import VARIABLE as SOURCE
from perflab.recorders.callsite import call_site, wanted
from perflab.recorders.log import QueryLog
from perflab.recorders.wsgi import within

VARIABLE = "PERFLAB_QUERY_LOG"

_wrappers: dict[Path, _Wrapper] = {}


def record_queries(
    path: str | os.PathLike[str] | None = None, redact: bool = True, *, source: bool = False
) -> QueryLog | None:
    """Append every statement of every database connection of this process to the file ``path``, as lines of JSON.

    `QueryRecorder` calls it; in management commands and workers call it yourself. Without ``path`` the setting, and then
    the environment variable, PERFLAB_QUERY_LOG names the file; without either nothing is recorded and None is returned.

    A line has start (seconds since 1970), duration_ms, sql (with its placeholders), parameters, database (the alias),
    unit and route (from `perflab.recorders.context`), rows where the driver knows them, ``executions`` for an executemany
    (with the parameters of its first set) and ``error``. Outside a unit of work ``session`` names the connection.
    ``redact=True`` writes keyed hashes in place of parameters; ``source=True``, or PERFLAB_QUERY_SOURCE in the settings or the
    environment, adds file and line of the caller, or of the template. Transactions that Django starts and ends without a
    statement are not recorded.
    """
    chosen = path if path is not None else getattr(settings, VARIABLE, None) or os.environ.get(VARIABLE)
    if not chosen:
        return None
    where = Path(chosen).absolute()
    known = _wrappers.get(where)
    if known is not None and known.log.recording:
        return known.log
    with_source = wanted(source or bool(getattr(settings, SOURCE, False)))
    wrapper = _wrappers[where] = _Wrapper(QueryLog(where), redact=redact, source=with_source)
    connection_created.connect(wrapper.hook, weak=False, dispatch_uid=f"perflab {where}")
    for connection in connections.all(initialized_only=True):
        wrapper.hook(connection=connection)
    return wrapper.log


class _Wrapper:
    """Django's execute wrapper (https://docs.djangoproject.com/en/5.2/topics/db/instrumentation/)."""

    def __init__(self, log: QueryLog, *, redact: bool, source: bool) -> None:
        self.log = log
        self.redact = redact
        self.source = source

    def hook(self, *, connection: Any, **_: Any) -> None:
        if not any(isinstance(w, _Wrapper) and w.log.path == self.log.path for w in connection.execute_wrappers):
            connection.execute_wrappers.insert(0, self)
            connection._perflab_session = current.request_id()[:12]

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        start, began = time.time(), time.perf_counter()
        error = None
        try:
            return execute(sql, params, many, context)
        except BaseException as problem:
            error = type(problem).__name__
            raise
        finally:
            if self.log.recording:
                self._write(start, (time.perf_counter() - began) * 1e3, str(sql), params, many, context, error)

    def _write(
        self, start: float, took: float, sql: str, params: Any, many: bool, context: dict[str, Any], error: str | None
    ) -> None:
        connection, unit = context["connection"], current.current_unit()
        count = getattr(context["cursor"], "rowcount", None) if error is None else None
        sets = params if isinstance(params, (list, tuple)) else None
        first = (sets[0] if sets else None) if many else params
        self.log.write(
            lines.line(
                start, took, sql, first if isinstance(first, (list, tuple, dict)) else None, redact=self.redact, unit=unit,
                route=current.current_route(), rows=count if isinstance(count, int) and count >= 0 else None,
                executions=len(sets) if many and sets is not None else None, error=error, database=connection.alias,
                session=None if unit else connection._perflab_session,
                source=call_site("django", "asgiref") if self.source else None,
            )
        )  # fmt: skip


class QueryRecorder:
    """Middleware, sync and async: makes each request a unit of work with its route, and records its statements.

    The id is the client's ``X-Request-ID`` if that is safe, else a new one; the response carries it. The route is the
    method and the URL pattern, ``"GET /orders/<int:pk>/"``.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.log = record_queries()
        if self.log is None:
            raise MiddlewareNotUsed("PERFLAB_QUERY_LOG names no file: nothing is recorded")
        self.get_response = get_response
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if self._async:
            return self._answer_async(request)
        unit, tokens = _begin(request)
        try:
            return _marked(self.get_response(request), unit)
        finally:
            current.leave(tokens)

    async def _answer_async(self, request: Any) -> Any:
        unit, tokens = _begin(request)
        try:
            answer: Awaitable[Any] = self.get_response(request)
            return _marked(await answer, unit)
        finally:
            current.leave(tokens)

    def process_view(self, request: Any, view: Any, arguments: Any, options: Any) -> None:
        """Set the route, which is known once Django has found the view."""
        match = request.resolver_match
        if match is not None:
            current.set_route(f"{request.method} /{match.route.lstrip('^/')}")


def _begin(request: Any) -> tuple[str, current.Tokens]:
    unit = current.request_id(request.headers.get("X-Request-ID"))
    named = current.endpoint_of(request.headers.get("X-Perflab-Endpoint"))
    return unit, current.enter(unit, named or f"{request.method} (no route)")


def _marked(response: Any, unit: str) -> Any:
    """Add the id to the response; a streamed one is also produced inside the unit."""
    response["X-Request-ID"] = unit
    if response.streaming and not response.is_async:
        response.streaming_content = within(response.streaming_content, unit, current.current_route())
    return response
