"""The hooks of the request recorder: database drivers, HTTP clients, connection and thread pools, the garbage collector.

Only libraries that the application has imported are hooked, each once, and a hook does nothing outside a recorded request.
Functions that a library no longer has are left out.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any

from perflab.recorders import addresses, concurrency, timing
from perflab.recorders.timing import DATABASE, DOWNSTREAM, LOCK, POOL

_logger = logging.getLogger("perflab.recorders")
_done: set[str] = set()
_state = {"modules": 0}
_one = Lock()
Named = str | tuple[str, list[Any]]
Naming = Callable[[tuple[Any, ...], dict[str, Any]], Named]
"""A call's name, and the values that it was made with where they are known."""


def install() -> None:
    """Hook what was imported since the last call; costs almost nothing if nothing was."""
    if len(sys.modules) == _state["modules"] or not _one.acquire(blocking=False):
        return
    try:
        _state["modules"] = len(sys.modules)
        for module, hook in _HOOKS:
            if module in sys.modules and f"{module} {hook.__name__}" not in _done:
                _done.add(f"{module} {hook.__name__}")
                try:
                    hook(sys.modules[module])
                except Exception as problem:  # noqa: BLE001 - another version of a library must not stop the application
                    _logger.warning("%s: %s is not recorded: %s", timing.VARIABLE, module, problem)
    finally:
        _one.release()


# How a function is timed


def _timed(owner: Any, method: str, kind: str, naming: Naming) -> None:
    original = owner.__dict__.get(method) if isinstance(owner, type) else getattr(owner, method, None)
    if not callable(original):
        return

    @wraps(original)
    def timed(*given: Any, **options: Any) -> Any:
        started = timing.begin(kind)
        if started is None:
            return original(*given, **options)
        try:
            return original(*given, **options)
        finally:
            timing.end(started, kind, *_name(naming, given, options))

    setattr(owner, method, timed)


def _timed_async(owner: Any, method: str, kind: str, naming: Naming) -> None:
    original = owner.__dict__.get(method)
    if not callable(original):
        return

    @wraps(original)
    async def timed(*given: Any, **options: Any) -> Any:
        started = timing.begin(kind)
        if started is None:
            return await original(*given, **options)
        try:
            return await original(*given, **options)
        finally:
            timing.end(started, kind, *_name(naming, given, options))

    setattr(owner, method, timed)


def _timed_parts(owner: Any, method: str, kind: str, name: str) -> None:
    """A generator, whose parts are waited for one by one."""
    original = owner.__dict__.get(method)
    if not callable(original):
        return

    @wraps(original)
    def timed(*given: Any, **options: Any) -> Any:
        parts = original(*given, **options)
        try:
            while True:
                started = timing.begin(kind)
                try:
                    part = next(parts)
                except StopIteration:
                    return
                finally:
                    timing.end(started, kind, name)
                yield part
        finally:
            parts.close()

    setattr(owner, method, timed)


def _timed_async_parts(owner: Any, method: str, kind: str, name: str) -> None:
    original = owner.__dict__.get(method)
    if not callable(original):
        return

    @wraps(original)
    async def timed(*given: Any, **options: Any) -> Any:
        parts = original(*given, **options)
        try:
            while True:
                started = timing.begin(kind)
                try:
                    part = await anext(parts)
                except StopAsyncIteration:
                    return
                finally:
                    timing.end(started, kind, name)
                yield part
        finally:
            await parts.aclose()

    setattr(owner, method, timed)


def _name(naming: Naming, given: tuple[Any, ...], options: dict[str, Any]) -> tuple[str, list[int] | None]:
    try:
        found = naming(given, options)
        if isinstance(found, tuple):
            return found[0], timing.hashed(found[1])
        return found if isinstance(found, str) else str(found), None
    except Exception:  # noqa: BLE001 - a missing name must not fail a request
        return "?", None


def _called(name: str) -> Naming:
    return lambda given, options: name


def _statement(given: tuple[Any, ...], options: dict[str, Any]) -> str:
    """The second argument of ``execute``, as text."""
    sql = given[1] if len(given) > 1 else next(iter(options.values()), "?")
    return (
        sql
        if isinstance(sql, str)
        else sql.decode("utf-8", "replace")
        if isinstance(sql, bytes)
        else type(sql).__name__
    )


# Databases


def _sqlalchemy(module: Any) -> None:
    from sqlalchemy.engine import cursor, default
    from sqlalchemy.pool import QueuePool

    # Not by SQLAlchemy's events, which cost three times as much once there is a listener.
    for dialect in _with_children(default.DefaultDialect):
        for name in ("do_execute", "do_execute_no_params", "do_executemany"):
            _timed(dialect, name, DATABASE, lambda given, options: given[2])
    # Some drivers run the statement while rows are fetched (SQLite does).
    for name in ("fetchall", "fetchmany"):
        _timed(cursor.CursorFetchStrategy, name, DATABASE, _called("(rows)"))
    _timed(default.DefaultDialect, "do_commit", DATABASE, _called("COMMIT"))
    _timed(default.DefaultDialect, "connect", DATABASE, _called("(connect)"))
    _timed(QueuePool, "_do_get", POOL, _called("connection from the pool"))


def _with_children(owner: type[Any]) -> list[type[Any]]:
    return [owner, *(each for child in owner.__subclasses__() for each in _with_children(child))]


def _django(module: Any) -> None:
    from django.db.backends.base.base import BaseDatabaseWrapper  # type: ignore[import-untyped]

    for name in ("execute", "executemany", "callproc"):
        _timed(module.CursorWrapper, name, DATABASE, _statement)
    _timed(BaseDatabaseWrapper, "connect", DATABASE, _called("(connect)"))
    _timed(BaseDatabaseWrapper, "_commit", DATABASE, _called("COMMIT"))


def _psycopg(module: Any) -> None:
    for name in ("execute", "executemany"):
        _timed(module.Cursor, name, DATABASE, _statement)
        _timed_async(module.AsyncCursor, name, DATABASE, _statement)
    _timed(module.Connection, "commit", DATABASE, _called("COMMIT"))
    _timed_async(module.AsyncConnection, "commit", DATABASE, _called("COMMIT"))


def _psycopg_pool(module: Any) -> None:
    _timed(module.ConnectionPool, "getconn", POOL, _called("connection from the pool"))
    _timed_async(module.AsyncConnectionPool, "getconn", POOL, _called("connection from the pool"))


def _pymysql(module: Any) -> None:
    _timed(module.Cursor, "execute", DATABASE, _statement)


def _pymysql_connections(module: Any) -> None:
    _timed(module.Connection, "commit", DATABASE, _called("COMMIT"))


def _asyncpg(module: Any) -> None:
    for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval"):
        _timed_async(module.Connection, name, DATABASE, _statement)


def _asyncpg_pool(module: Any) -> None:
    _timed_async(module.Pool, "_acquire", POOL, _called("connection from the pool"))


# Calls to other services


def _http_client(module: Any) -> None:
    """Also used by urllib and urllib3 (so by requests): connecting, sending, waiting, and reading the body."""

    def place(given: tuple[Any, ...], options: dict[str, Any]) -> str:
        return f"{given[0].host}:{given[0].port}"

    def sent(given: tuple[Any, ...], options: dict[str, Any]) -> str:
        given[0]._perflab_target = given[2]
        return f"(send) {place(given, options)}"

    def answered(given: tuple[Any, ...], options: dict[str, Any]) -> Named:
        method = getattr(given[0], "_method", None) or ""
        return _of_target(method, place(given, options), getattr(given[0], "_perflab_target", ""))

    for owner in (module.HTTPConnection, module.HTTPSConnection):
        _timed(owner, "connect", DOWNSTREAM, lambda given, options: f"(connect) {place(given, options)}")
    _timed(module.HTTPConnection, "_send_request", DOWNSTREAM, sent)
    _timed(module.HTTPConnection, "getresponse", DOWNSTREAM, answered)
    for name in ("read", "read1", "readinto"):
        _timed(module.HTTPResponse, name, DOWNSTREAM, _called("(body)"))


def _urllib3(module: Any) -> None:
    for name in ("HTTPConnection", "HTTPSConnection"):
        _timed(
            getattr(module, name),
            "connect",
            DOWNSTREAM,
            lambda given, options: f"(connect) {given[0].host}:{given[0].port}",
        )


def _urllib(module: Any) -> None:
    def named(given: tuple[Any, ...], options: dict[str, Any]) -> Named:
        asked = given[1]
        if isinstance(asked, str):
            return _of_url("GET" if given[2:3] in ((), (None,)) else "POST", asked)
        return _of_url(asked.get_method(), asked.full_url)

    _timed(module.OpenerDirector, "open", DOWNSTREAM, named)


def _requests(module: Any) -> None:
    _timed(module.Session, "send", DOWNSTREAM, lambda given, options: _of_url(given[1].method, given[1].url))


def _httpx(module: Any) -> None:
    def named(given: tuple[Any, ...], options: dict[str, Any]) -> Named:
        asked = given[1] if len(given) > 1 else options["request"]
        return _of_url(asked.method, str(asked.url))

    _timed(module.Client, "send", DOWNSTREAM, named)
    _timed_async(module.AsyncClient, "send", DOWNSTREAM, named)
    _timed_parts(module.Response, "iter_raw", DOWNSTREAM, "(body)")
    _timed_async_parts(module.Response, "aiter_raw", DOWNSTREAM, "(body)")


def _aiohttp(module: Any) -> None:
    _timed_async(module.ClientSession, "_request", DOWNSTREAM, lambda given, options: _of_url(given[1], str(given[2])))
    _timed_async(module.ClientResponse, "read", DOWNSTREAM, _called("(body)"))
    for name in ("read", "readany", "readchunk", "readexactly", "readline", "readuntil"):
        _timed_async(module.StreamReader, name, DOWNSTREAM, _called("(body)"))


def _of_url(method: str, url: str) -> Named:
    """Host and path without values: an address may hold a secret, and has as many values as there are products."""
    host, slash, target = url.partition("#")[0].partition("://")[2].partition("/")
    if not slash:
        host, mark, target = host.partition("?")
        target = mark + target
    return _of_target(method, host.rpartition("@")[2], f"/{target}")


def _of_target(method: str, host: str, target: str) -> Named:
    path, _, query = target.partition("?")
    if "://" in path:  # through a proxy
        path = "/" + path.partition("://")[2].partition("/")[2]
    return f"{method} {host}{addresses.template(path)}".strip(), addresses.values(path, query)


# Waiting within the process


def _threading(module: Any) -> None:
    """Events, queues, semaphores and results of other threads wait on a condition. (A plain Lock cannot be hooked.)"""
    _timed(module.Condition, "wait", LOCK, _called("condition variable"))
    _timed(module.Thread, "join", LOCK, _called("end of a thread"))


def _asyncio(module: Any) -> None:
    _timed_async(module.Lock, "acquire", LOCK, _called("asyncio.Lock"))
    _timed_async(module.Semaphore, "acquire", LOCK, _called("asyncio.Semaphore"))


def _collector(module: Any) -> None:
    gc.callbacks.append(timing.collected)


_HOOKS: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("sqlalchemy.engine", _sqlalchemy),
    ("django.db.backends.utils", _django),
    ("psycopg", _psycopg),
    ("psycopg_pool", _psycopg_pool),
    ("pymysql.cursors", _pymysql),
    ("pymysql.connections", _pymysql_connections),
    ("asyncpg.connection", _asyncpg),
    ("asyncpg.pool", _asyncpg_pool),
    ("http.client", _http_client),
    ("urllib3.connection", _urllib3),
    ("urllib.request", _urllib),
    ("requests.sessions", _requests),
    ("httpx", _httpx),
    ("aiohttp", _aiohttp),
    ("threading", _threading),
    ("asyncio", _asyncio),
    ("threading", concurrency.threads),
    ("concurrent.futures.thread", concurrency.executors),
    ("anyio.to_thread", concurrency.anyio),
    ("gevent.hub", concurrency.greenlets),
    ("eventlet.hubs", concurrency.greenlets),
    ("gc", _collector),
)
