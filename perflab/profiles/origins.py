"""Whose code a frame is, by its file: the application's, a framework's, a database driver's, the standard library's."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import lru_cache

APPLICATION, FRAMEWORK, DRIVER, NETWORK, LIBRARY, STANDARD, NATIVE = (
    "application", "framework", "database driver", "network", "library", "standard library", "native"
)  # fmt: skip
KINDS = (APPLICATION, FRAMEWORK, DRIVER, NETWORK, LIBRARY, STANDARD, NATIVE)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DRIVERS = _words(
    "psycopg psycopg2 psycopg_pool psycopg_binary asyncpg pg8000 pymysql MySQLdb mysql aiomysql sqlite3 aiosqlite oracledb "
    "cx_Oracle pyodbc pymongo motor redis aioredis cassandra clickhouse_driver duckdb pymssql mysql2 pg pg-pool mongodb ioredis "
    "better-sqlite3"
)
_FRAMEWORKS = _words(
    "flask django sqlalchemy starlette fastapi werkzeug jinja2 waitress gunicorn uvicorn hypercorn uwsgi gevent eventlet tornado "
    "aiohttp celery pydantic rest_framework peewee tortoise pyramid bottle falcon sanic litestar click asgiref cheroot cherrypy "
    "express koa fastify next nestjs sequelize typeorm prisma knex react react-dom vue"
)
_NETWORK = _words(
    "requests urllib3 httpx httpcore httplib2 h11 h2 grpc botocore boto3 pycurl axios node-fetch undici got"
)
_NETWORK_MODULES = _words("socket ssl http urllib socketserver smtplib ftplib imaplib")
_SITE = re.compile(r"(?:site|dist)-packages/(?P<module>.+)")
_NODE = re.compile(r".*node_modules/(?P<package>@[^/]+/[^/]+|[^/]+)(?:/(?P<module>.*))?")
_PYTHON = re.compile(r"(?:^|.*/)(?:lib(?:64)?/python3?(?:\.\d+)?t?|Python3\d*/Lib)/(?P<module>.+)")
_GO_LIBRARY = re.compile(r"(?:.*/)?pkg/mod/(?P<package>[^@]+)@[^/]+/?.*")
_GO = re.compile(r".*/go(?:-?\d[\d.]*)?/src/(?P<module>.+)")
_SHARED = re.compile(r"\.so(?:\.\d+)*$|\.dll$|\.dylib$|^\[|^//anon$")
_PROGRAM = re.compile(
    r"^/(?:usr/)?s?bin/[^/]+$|(?:^|/)(?:(?:python|pypy|ruby|php|perl)[\d.]*t?|node|bun|deno|java|dotnet|beam\.smp)(?:\.exe)?$"
)
"""The system's programs and the interpreters of languages, as profilers of machine code name them."""


@lru_cache(maxsize=50_000)
def origin(file: str | None, application: tuple[str, ...] = ()) -> tuple[str, str, str]:
    """The (kind, package, module) of a file's code.

    ``application``: prefixes of paths or packages that belong to the application, whatever their location.

    >>> origin("/usr/lib/python3.11/site-packages/sqlalchemy/engine/base.py")
    ('framework', 'sqlalchemy', 'sqlalchemy.engine.base')
    >>> origin("json/decoder.py"), origin("shop/views.py")
    (('standard library', 'json', 'json.decoder'), ('application', 'shop', 'shop.views'))
    """
    if not file or file in ("~", "<built-in>", "inlined"):
        return NATIVE, "(built-in)", "(built-in)"
    path = file.replace("\\", "/").removeprefix("file://").removesuffix(" (deleted)")
    if any(path.startswith(a) or f"/{a.strip('/')}/" in f"/{path}" for a in application):
        return APPLICATION, *_own(path)
    if match := _SITE.search(path):
        return _python(match["module"], LIBRARY)
    if match := _NODE.fullmatch(path):
        package = match["package"]
        return _kind(package.rsplit("/", 1)[-1], LIBRARY), package, "/".join(filter(None, (package, match["module"])))
    if path.startswith("node:"):
        return STANDARD, path.split("/")[0], path
    if path.startswith(("java/", "javax/", "jdk/", "sun/", "com/sun/")):
        return STANDARD, path.split("/")[0], path
    if path.startswith(("<frozen", "<string", "<")):
        return STANDARD, path, path
    if (match := _GO_LIBRARY.fullmatch(path)) is not None:
        return LIBRARY, match["package"], match["package"]
    if (match := _GO.fullmatch(path)) is not None:
        package = match["module"].rsplit("/", 1)[0]
        return STANDARD, package, package
    if _SHARED.search(path) or _PROGRAM.search(path):
        name = path.rsplit("/", 1)[-1]
        return NATIVE, name, name
    if path.endswith((".py", ".pyx", ".pyc")):
        if match := _PYTHON.search(path):
            return _python(match["module"], STANDARD)
        first = path.split("/")[0].removesuffix(".py")
        if not path.startswith("/") and (first in sys.stdlib_module_names or _kind(first, "") != ""):
            # py-spy writes paths relative to sys.path.
            return _python(path, STANDARD if first in sys.stdlib_module_names else LIBRARY)
    return APPLICATION, *_own(path)


def _python(path: str, otherwise: str) -> tuple[str, str, str]:
    module = re.sub(r"(?:/__init__)?\.py[xc]?$", "", path).replace("/", ".")
    package = module.split(".")[0]
    kind = _kind(package, otherwise)
    if kind == STANDARD and package in _NETWORK_MODULES:
        kind = NETWORK
    return kind, package, module


def _own(path: str) -> tuple[str, str]:
    parts = path.strip("/").split("/")
    if len(parts) == 1:
        name = re.sub(r"\.pyx?$", "", parts[0])
        return name, name
    if not path.endswith((".py", ".pyx")):
        return "/".join(parts[-2:-1]), "/".join(parts[-2:])
    near = parts[-3:] if path.startswith("/") else parts
    module = re.sub(r"(?:\.__init__)?\.pyx?$", "", ".".join(near))
    return module.split(".")[0], module


def _kind(package: str, otherwise: str) -> str:
    for names, kind in ((_DRIVERS, DRIVER), (_FRAMEWORKS, FRAMEWORK), (_NETWORK, NETWORK)):
        if package in names:
            return kind
    return otherwise


def origins(files: Sequence[str | None], application: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    """The `origin` of each file; missing files are native."""
    marked = tuple(application)
    return [origin(file if isinstance(file, str) else None, marked) for file in files]
