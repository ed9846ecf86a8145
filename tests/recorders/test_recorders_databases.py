"""The recorders on real frameworks and drivers: async SQLAlchemy, Django, and DB-API on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import perflab as lab
from perflab.recorders import asgi, context
from perflab.recorders.dbapi import VARIABLE, recorded
from perflab.recorders.sqlalchemy import record_queries

pytestmark = pytest.mark.timeout(120)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def postgresql(postgresql_server) -> int:
    return postgresql_server.port


@pytest.fixture
def mariadb(mariadb_server) -> int:
    return mariadb_server.port


def test_async_sqlalchemy_keeps_tasks_apart(tmp_path):
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main() -> Path:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite'}")
        log = record_queries(engine, tmp_path / "q.jsonl", redact=False, source=True)

        async def job(number: int) -> None:
            with context.unit_of_work(f"u{number}", f"job {number}"):
                async with engine.connect() as connection:
                    for _ in range(3):
                        await connection.execute(text("SELECT :n"), {"n": number})
                        await asyncio.sleep(0)

        await asyncio.gather(*(job(n) for n in range(5)))
        await engine.dispose()
        log.close()
        return log.path

    found = lines(asyncio.run(main()))
    assert len(found) == 15
    assert all((r["unit"], r["route"]) == (f"u{r['parameters'][0]}", f"job {r['parameters'][0]}") for r in found)
    assert all(r["source"].rpartition(":")[0] == __file__ for r in found)


def test_asgi_requests_have_an_id_inside_and_in_the_answer():
    seen, sent = [], []

    async def application(scope, receive, send):
        context.set_route("GET /found")
        seen.append((context.current_unit(), context.current_route()))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Request-ID", b"its own")]})

    async def send(message):
        sent.append(message)

    wrapped = asgi.RequestContext(application)
    scope = {"type": "http", "method": "GET", "headers": [(b"x-request-id", b"mine")]}
    asyncio.run(wrapped(scope, None, send))
    assert seen == [("mine", "GET /found")]
    assert sent[0]["headers"] == [(b"x-request-id", b"mine")]
    assert context.current_unit() is None


@pytest.mark.parametrize(
    ("found", "route"),
    [
        ({"route": SimpleNamespace(path="/orders/{order_id}"), "endpoint": len}, "GET /orders/{order_id}"),
        ({"route": SimpleNamespace(path="/deep/{x}"), "root_path": "/mounted"}, "GET /mounted/deep/{x}"),
        ({"endpoint": len}, "GET len"),
        ({}, "GET"),
    ],
)
def test_asgi_routes_are_known_as_soon_as_the_framework_has_found_them(found: dict[str, object], route: str) -> None:
    """FastAPI and Starlette write them into the scope, after the middleware and before the page."""
    seen = []

    async def application(scope, receive, send):
        seen.append(context.current_route())
        scope.update(found)
        seen.append(await asyncio.to_thread(context.current_route))

    async def around():
        with context.seen_route() as last:
            await asgi.RequestContext(application)({"type": "http", "method": "GET", "headers": []}, None, None)
        return last["route"]

    assert asyncio.run(around()) == route
    assert seen == ["GET", route]


DJANGO = """if 1:
    import sys, asyncio, json
    import django
    from django.conf import settings
    from django.http import HttpResponse, StreamingHttpResponse
    settings.configure(
        DEBUG=False, SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, PERFLAB_QUERY_LOG=sys.argv[1],
        DATABASES={"default": json.loads(sys.argv[2])}, MIDDLEWARE=["perflab.recorders.django.QueryRecorder"],
    )
    django.setup()
    from django.db import connection, models, DatabaseError
    from django.urls import path
    from perflab.recorders.django import record_queries

    class Book(models.Model):
        title = models.CharField(max_length=80)
        class Meta:
            app_label = "shop"

    def one(request, pk):
        for number in range(pk):
            Book.objects.filter(pk=number).first()
        return HttpResponse("ok")

    def stream(request):
        return StreamingHttpResponse(str(b.pk) for b in Book.objects.all())

    async def later(request):
        return HttpResponse(str(await Book.objects.acount()))

    urlpatterns = [path("books/<int:pk>/", one), path("stream/", stream), path("later/", later)]
    record_queries(redact=False, source=True)
    with connection.schema_editor() as editor:
        editor.create_model(Book)
    Book.objects.bulk_create([Book(title="a"), Book(title="it's")])
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE shop_book SET title = %s WHERE id = %s", [("x", 1), ("y", 2)])
        try:
            cursor.execute("SELECT nothing FROM nowhere")
        except DatabaseError:
            pass
    from django.test import Client, AsyncClient
    answer = Client().get("/books/3/", headers={"X-Request-ID": "mine"})
    assert answer["X-Request-ID"] == "mine", answer.headers
    b"".join(Client().get("/stream/"))
    asyncio.run(AsyncClient().get("/later/", headers={"X-Request-ID": "async"}))
    connection.close()
"""


def _django(folder: Path, database: dict) -> list[dict]:
    script = folder / "project.py"
    script.write_text(DJANGO.replace("if 1:\n", "", 1).replace("\n    ", "\n").lstrip())
    log = folder / "q.jsonl"
    done = subprocess.run(
        [sys.executable, script, log, json.dumps(database)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return lines(log)


def _check_django(found: list[dict], log: Path) -> None:
    requests = {}
    for record in found:
        requests.setdefault((record.get("unit"), record.get("route")), []).append(record)
    (three,) = [r for (unit, _), r in requests.items() if unit == "mine"]
    assert [r["route"] for r in three] == ["GET /books/<int:pk>/"] * 3
    assert {tuple(r["parameters"]) for r in three} == {(0,), (1,), (2,)}
    assert all(r["source"].startswith(str(log.parent / "project.py")) and r["database"] == "default" for r in three)
    assert [len(r) for (_, route), r in requests.items() if route == "GET /stream/"] == [1]
    assert [len(r) for (unit, route), r in requests.items() if (unit, route) == ("async", "GET /later/")] == [1]
    outside = requests[None, None]
    assert all(r["session"] for r in outside)
    (many,) = [r for r in outside if r.get("executions")]
    assert (many["executions"], many["parameters"]) == (2, ["x", 1])
    (failed,) = [r for r in outside if r.get("error")]
    assert failed["sql"] == "SELECT nothing FROM nowhere"
    table = lab.read(log).queries
    assert len(table) == len(found)


def test_django_on_sqlite(tmp_path):
    found = _django(tmp_path, {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "d.sqlite")})
    _check_django(found, tmp_path / "q.jsonl")


def test_django_on_postgresql(tmp_path, postgresql):
    database = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": postgresql, "USER": "postgres"}
    found = _django(tmp_path, database | {"NAME": "shop"})
    _check_django(found, tmp_path / "q.jsonl")
    assert [r["rows"] for r in found if r.get("unit") == "mine"] == [0, 1, 1]


def test_sqlite_behaves_as_ever_and_is_recorded(tmp_path):
    connect = recorded(sqlite3.connect, tmp_path / "q.jsonl", redact=False, source=True)
    with connect(tmp_path / "a.sqlite") as db, context.unit_of_work("u1", "GET /x"):
        db.row_factory = sqlite3.Row
        db.execute("CREATE TABLE t (a, b)")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, "y")])
        db.commit()
        cursor = db.cursor()
        rows = cursor.execute("SELECT a, b FROM t WHERE a > :low", {"low": 0}).fetchall()
        assert [tuple(r) for r in rows] == [(1, "x"), (2, "y")]
        assert [r["a"] for r in cursor.execute("SELECT a FROM t")] == [1, 2]
        with pytest.raises(sqlite3.OperationalError):
            cursor.execute("SELECT nothing FROM nowhere")
        cursor.executescript("DELETE FROM t; SELECT 1;")
        assert db.total_changes == 4
    db.close()
    connect.log.close()
    found = lines(tmp_path / "q.jsonl")
    assert [r["sql"].split()[0] for r in found] == [
        "CREATE", "INSERT", "COMMIT", "SELECT", "SELECT", "SELECT", "DELETE"
    ]  # fmt: skip
    assert (found[1]["executions"], found[1]["parameters"], found[1]["rows"]) == (2, [1, "x"], 2)
    assert found[3]["parameters"] == [0] and found[5]["error"] == "OperationalError"
    assert all(r["source"].rpartition(":")[0] == __file__ and r["unit"] == "u1" and r["session"] for r in found)


def test_without_a_file_the_driver_is_left_alone(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert recorded(sqlite3.connect) is sqlite3.connect


def test_psycopg_on_postgresql(tmp_path, postgresql):
    import psycopg
    from psycopg import sql

    connect = recorded(psycopg.connect, tmp_path / "q.jsonl")
    with connect(f"host=127.0.0.1 port={postgresql} user=postgres dbname=shop") as db:
        db.execute("CREATE TEMP TABLE t (a int, b text)")
        with db.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(1, "secret"), (2, None)])
            assert cursor.execute("SELECT a FROM t WHERE b = %s", ("secret",)).fetchall() == [(1,)]
            query = sql.SQL("SELECT {} FROM t").format(sql.Identifier("a"))
            assert list(cursor.execute(query)) == [(1,), (2,)]
        with db.transaction():
            assert db.execute(b"SELECT count(*) FROM t").fetchone() == (2,)
        with pytest.raises(psycopg.errors.UndefinedTable):
            db.execute("SELECT nothing FROM nowhere")
        db.rollback()
    connect.log.close()
    found = lines(tmp_path / "q.jsonl")
    assert "secret" not in (tmp_path / "q.jsonl").read_text()
    assert [r.get("rows") for r in found if r["sql"].startswith("SELECT")] == [1, 2, 1, None]
    assert [r["sql"] for r in found if '"a"' in r["sql"]] == ['SELECT "a" FROM t']
    assert [r["error"] for r in found if "error" in r] == ["UndefinedTable"]


def test_pymysql_on_mariadb(tmp_path, mariadb):
    import pymysql

    connect = recorded(pymysql.connect, tmp_path / "q.jsonl", redact=False)
    with connect(host="127.0.0.1", port=mariadb, user="root", database="shop") as db:
        with db.cursor() as cursor:
            cursor.execute("CREATE TABLE t (a int, b text)")
            cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(1, "x"), (2, "y")])
            assert cursor.execute("SELECT a FROM t WHERE b = %(b)s", args={"b": "y"}) == 1
            assert cursor.fetchall() == ((2,),)
        db.commit()
    connect.log.close()
    found = lines(tmp_path / "q.jsonl")
    assert [r["sql"].split()[0] for r in found] == ["CREATE", "INSERT", "SELECT", "COMMIT"]
    assert (found[1]["executions"], found[2]["parameters"], found[2]["rows"]) == (2, ["y"], 1)
    assert lab.read(tmp_path / "q.jsonl").queries["sql"].iloc[2] == "SELECT a FROM t WHERE b = %(b)s"
