"""The database's own counts: deltas equal what was sent, and what goes wrong ends no run."""

from __future__ import annotations

import threading

import pytest
import servers

import perflab as lab
from perflab.loadtest.server_statements import ServerStatements, without_password

psycopg = pytest.importorskip("psycopg")


@pytest.fixture(scope="module")
def dsn():
    if servers.postgresql_bin() is None:
        pytest.skip("PostgreSQL is not installed")
    with servers.postgresql(shared_preload_libraries="pg_stat_statements") as server:
        found = f"host=127.0.0.1 port={server.port} user=postgres dbname=shop password=secret"
        with psycopg.connect(found, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            connection.execute("CREATE TABLE t AS SELECT i, 'name ' || i AS name FROM generate_series(1, 1000) i")
        yield found


def test_deltas_equal_the_servers_own_counts(dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number in range(7):
            connection.execute("SELECT name FROM t WHERE i = %s", [number])
        with ServerStatements(dsn) as counted:
            for number in range(40):
                connection.execute("SELECT name FROM t WHERE i = %s", [number])
            for _ in range(3):
                connection.execute("SELECT count(*) FROM t")
            sleeping = threading.Thread(target=lambda: connection.execute("SELECT pg_sleep(0.5)"))
            sleeping.start()
            sleeping.join()
        whole = connection.execute(
            "SELECT calls FROM pg_stat_statements WHERE query LIKE 'SELECT name FROM t WHERE i%'"
        ).fetchall()
    assert counted.warnings == ()
    table = counted.summary().set_index(["endpoint", "statistic"])["value"].unstack()
    point = table[table.index.str.startswith("SELECT name FROM t WHERE i")]
    assert point["count"].sum() == 40 == sum(calls for (calls,) in whole) - 7
    assert point["rows"].sum() == 39 and table.loc["SELECT count(*) FROM t", "count"] == 3
    assert (table["total"] >= 0).all() and not table.index.str.contains("perflab").any()
    waits = counted.waits()
    assert {"type": "Timeout", "event": "PgSleep"} in list(waits["labels"]) and (waits["value"] > 0).all()


@pytest.fixture(scope="module")
def mariadb():
    pymysql = pytest.importorskip("pymysql")
    if servers.mariadb_bin() is None:
        pytest.skip("MariaDB is not installed")
    with servers.mariadb(performance_schema="ON") as server:
        with pymysql.connect(host="127.0.0.1", port=server.port, user="root", database="shop") as connection:
            connection.cursor().execute("CREATE TABLE t (i INT PRIMARY KEY, name VARCHAR(20))")
            connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(i, f"name {i}") for i in range(1000)])
            connection.commit()
        yield server.port, f"mysql://root:@127.0.0.1:{server.port}/shop"


def test_digests_of_mariadb_equal_what_was_sent(mariadb):
    import pymysql

    port, dsn = mariadb
    with pymysql.connect(host="127.0.0.1", port=port, user="root", database="shop", autocommit=True) as connection:
        cursor = connection.cursor()
        for number in range(7):
            cursor.execute("SELECT name FROM t WHERE i = %s", [number])
        with ServerStatements(dsn) as counted:
            for number in range(990, 1030):
                cursor.execute("SELECT name FROM t WHERE i = %s", [number])
            for _ in range(3):
                cursor.execute("SELECT count(*) FROM t")
            cursor.execute("SELECT SLEEP(0.5)")
        with ServerStatements(dsn) as reset:
            cursor.execute("TRUNCATE performance_schema.events_statements_summary_by_digest")
            cursor.execute("SELECT 1")
    assert counted.warnings == ()
    table = counted.summary().set_index(["endpoint", "statistic"])["value"].unstack()
    [point] = [i for i in table.index if "NAME" in i.upper() and "WHERE" in i.upper()]
    assert table.loc[point, ["count", "rows", "rows_examined"]].to_list() == [40, 10, 10]
    [sleep] = [i for i in table.index if "SLEEP" in i.upper()]
    assert 480 < table.loc[sleep, "total"] < 900
    assert len(table) == 3, table.index.to_list()
    waits = counted.waits()
    assert {"type": "state", "event": "User sleep"} in list(waits["labels"])
    assert [note.code for note in reset.warnings] == ["server-statements-reset"]


def test_a_reset_and_a_server_that_is_gone_are_notes(dsn):
    with ServerStatements(dsn) as counted, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_statements_reset()")
        connection.execute("SELECT 1")
    assert [note.code for note in counted.warnings] == ["server-statements-reset"]
    with ServerStatements("host=127.0.0.1 port=1 dbname=x password=hunter2") as counted:
        pass
    assert counted.summary().empty and counted.waits().empty
    (note,) = counted.warnings
    assert note.code == "server-statements-unread" and "hunter2" not in str(note)
    with ServerStatements("mysql://root:hunter2@127.0.0.1:1/shop") as counted:
        pass
    assert [note.code for note in counted.warnings] == ["server-statements-unread"]
    assert "hunter2" not in str(counted.warnings)


@pytest.mark.parametrize("dsn, kept", [
    ("postgresql://a:b@h:5/d?sslmode=require", "postgresql://a@h:5/d?sslmode=require"),
    ("postgresql://h/d?user=a&password=b", "postgresql://h/d?user=a"),
    ("postgresql://h/d?password=b&user=a", "postgresql://h/d?user=a"),
    ("host=h password=b", "host=h"),
    ("password = 'a \\' b' host=h", "host=h"),
    ("host=h sslpassword=x", "host=h"),
    ("postgresql://a:b%40c@h/d", "postgresql://a@h/d"),
    ("service=shop", "service=shop"),
    ("mysql://a:b@h:3306/d", "mysql://a@h:3306/d"),
])  # fmt: skip
def test_the_password_is_not_kept(dsn, kept):
    assert without_password(dsn) == kept
    target = lab.Target("a", host="http://127.0.0.1:1", database=dsn)
    assert target.record()["database"] == kept and "b@" not in repr(target)
