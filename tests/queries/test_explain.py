"""Plans of real databases: the scan that is named, the index that serves, and that nothing is ever written."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import servers

import perflab as lab
from perflab.notes import codes
from perflab.queries.conditions import sought, where

TABLE = (
    'CREATE TABLE "parcel post" (id INTEGER PRIMARY KEY, tracking TEXT, state TEXT, weight INTEGER, "or""der" INTEGER)'
)
ROWS = 20_000
SLOW = """SELECT * FROM "parcel post" p WHERE p.tracking = 'PX77'"""


def rows() -> list[tuple[Any, ...]]:
    return [(i, f"PX{i}", "lost" if i % 100 == 0 else "ok", i % 50, i // 10) for i in range(ROWS)]


@pytest.fixture(scope="module")
def sqlite() -> Iterator[Any]:
    with sqlite3.connect(":memory:", isolation_level=None) as connection:
        connection.execute(TABLE)
        connection.executemany('INSERT INTO "parcel post" VALUES (?, ?, ?, ?, ?)', rows())
        yield connection
    connection.close()


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Any]:
    psycopg = pytest.importorskip("psycopg")
    if servers.postgresql_bin() is None:
        pytest.skip("needs PostgreSQL 15 or later (apt: postgresql)")
    with servers.postgresql(log_destination="stderr") as server:
        address = f"host=127.0.0.1 port={server.port} user=postgres dbname=shop"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(TABLE)
            with connection.cursor().copy('COPY "parcel post" FROM STDIN') as copy:
                for row in rows():
                    copy.write_row(row)
            connection.execute("ANALYZE")
            yield connection


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def counted(connection: Any) -> int:
    return int(connection.execute('SELECT count(*) FROM "parcel post"').fetchone()[0])


def typical_ms(run: Callable[[], Any]) -> float:
    took = []
    for _ in range(9):
        start = time.perf_counter()
        run()
        took.append((time.perf_counter() - start) * 1e3)
    return statistics.median(took)


@pytest.mark.parametrize("analyze", [False, True])
def test_a_wasteful_scan_is_named_with_the_index_that_serves(database: Any, analyze: bool) -> None:
    plan = lab.explain(database, """SELECT * FROM "parcel post" p WHERE p.tracking = 'PX77'""", analyze=analyze)
    assert plan.sentence.startswith("reads all 20,000 rows of parcel post to keep 1 (0.005 %)")
    assert [(i.table, i.columns) for i in plan.indexes] == [("parcel post", ("tracking",))]
    assert plan.table["full_scan"].any()
    assert (plan.time_ms > 0) == analyze


def test_the_advice_is_right_the_index_is_used_and_faster(database: Any) -> None:
    sql = """SELECT id FROM "parcel post" WHERE "or""der" = 77 AND weight > 3"""
    plan = lab.explain(database, sql)
    (index,) = plan.indexes
    assert index.columns[0] == 'or"der'
    before = typical_ms(lambda: database.execute(sql).fetchall())
    database.execute(index.statement)
    try:
        after = lab.explain(database, sql)
        assert after.indexes == ()
        assert index.name in "".join(after.table["index"].dropna())
        assert not after.table["full_scan"].any()
        assert typical_ms(lambda: database.execute(sql).fetchall()) < before / 2
    finally:
        database.execute(f'DROP INDEX "{index.name}"')


def test_what_keeps_most_rows_or_reads_few_is_not_named(database: Any) -> None:
    assert lab.explain(database, """SELECT * FROM "parcel post" WHERE state <> 'lost'""").indexes == ()
    assert (
        lab.explain(database, 'SELECT * FROM "parcel post" WHERE id = 5').sentence == "no table is read from end to end"
    )
    few = lab.explain(database, """SELECT * FROM "parcel post" WHERE tracking = 'x'""", many_rows=10**6)
    assert few.indexes == ()


def test_placeholders_of_a_log_are_planned_for_any_value(database: Any) -> None:
    for sql in (
        'SELECT id FROM "parcel post" WHERE tracking = ?',
        'SELECT id FROM "parcel post" /* ? */ WHERE ? = tracking',
    ):
        assert lab.explain(database, sql).indexes[0].columns == ("tracking",)
    with_values = lab.explain(
        database,
        'SELECT id FROM "parcel post" WHERE tracking = ' + ("?" if isinstance(database, sqlite3.Connection) else "%s"),
        ["PX5"],
        analyze=True,
    )
    assert with_values.indexes[0].columns == ("tracking",)


def test_no_value_is_shown(database: Any) -> None:
    secret = "<img src=x onerror=alert(1)>"
    plan = lab.explain(database, f"""SELECT id FROM "parcel post" WHERE tracking = '{secret}' AND state = '{secret}'""")
    for shown in (repr(plan), plan._repr_html_(), plan.table.to_csv(), plan.sentence):
        assert "onerror" not in shown


def test_several_statements_or_an_explain_are_refused(database: Any) -> None:
    before = counted(database)
    for sql, match in (
        ('SELECT 1; DELETE FROM "parcel post"', "several"),
        ('EXPLAIN ANALYZE DELETE FROM "parcel post"', "EXPLAIN"),
        ('DROP TABLE "parcel post"', "begins with 'DROP'"),
        ("  ", "one statement"),
        ("SELECT 1\0", "NUL"),
    ):
        with pytest.raises(ValueError, match=match):
            lab.explain(database, sql)
    assert counted(database) == before


def test_a_write_is_planned_and_never_run(database: Any) -> None:
    before = counted(database)
    plan = lab.explain(database, """DELETE FROM "parcel post" WHERE tracking = 'PX5'""")
    assert plan.indexes[0].columns == ("tracking",)
    with pytest.raises(ValueError, match="only a SELECT is run; got DELETE"):
        lab.explain(database, 'DELETE FROM "parcel post"', analyze=True)
    with pytest.raises(ValueError, match="only a SELECT is run"):
        lab.explain(database, 'WITH d AS (SELECT 1) DELETE FROM "parcel post"', analyze=True)
    assert counted(database) == before


def test_postgresql_refuses_a_write_hidden_in_a_function(postgresql: Any) -> None:
    postgresql.execute(
        """CREATE OR REPLACE FUNCTION purge() RETURNS int LANGUAGE sql AS 'DELETE FROM "parcel post"; SELECT 1'"""
    )
    before = counted(postgresql)
    with pytest.raises(Exception, match="read-only transaction"):
        lab.explain(postgresql, "SELECT purge()", analyze=True)
    assert counted(postgresql) == before
    assert postgresql.info.transaction_status == 0


@pytest.mark.parametrize(
    "sql", ["SELECT id FROM {} ORDER BY md5(id::text) LIMIT 3", "SELECT count(DISTINCT tracking) FROM {}"]
)
def test_a_table_that_is_read_whole_without_a_condition_is_named(postgresql: Any, sql: str) -> None:
    found = lab.explain(postgresql, sql.format('"parcel post"'))
    assert found.sentence.startswith("reads all rows of parcel post, on which it has no condition")
    assert not found.indexes
    for few in ("SELECT id FROM {} LIMIT 3", "SELECT id FROM {} WHERE id = 5", "SELECT max(id) FROM {}"):
        assert lab.explain(postgresql, few.format('"parcel post"')).sentence == "no table is read from end to end"


def test_an_open_transaction_stays_open_and_writable(postgresql: Any) -> None:
    with postgresql.transaction(force_rollback=True):
        postgresql.execute("""INSERT INTO "parcel post" VALUES (-1, 'new')""")
        lab.explain(postgresql, """SELECT * FROM "parcel post" WHERE tracking = 'new'""", analyze=True)
        postgresql.execute("""INSERT INTO "parcel post" VALUES (-2, 'new')""")
        assert counted(postgresql) == ROWS + 2
    assert counted(postgresql) == ROWS


def test_sqlite_is_writable_again_after_a_run(sqlite: Any) -> None:
    lab.explain(sqlite, 'SELECT * FROM "parcel post"', analyze=True)
    sqlite.execute("CREATE TABLE after (a)")
    sqlite.execute("DROP TABLE after")


def test_an_automatic_index_of_sqlite_is_advised_for_good(sqlite: Any) -> None:
    sqlite.execute("CREATE TABLE claim (parcel INTEGER, text TEXT)")
    sqlite.executemany("INSERT INTO claim VALUES (?, '')", [(i * 3 % ROWS,) for i in range(5000)])
    plan = lab.explain(sqlite, """SELECT * FROM "parcel post" p JOIN claim c ON c.parcel = p.weight WHERE p.id < 40""")
    assert [(i.table, i.columns) for i in plan.indexes] == [("claim", ("parcel",))]


def test_sqlalchemy_connections_are_taken(sqlite: Any) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
        assert lab.explain(connection, "SELECT * FROM t WHERE a = 1").sentence == "no wasteful full scan found"
    engine.dispose()
    with pytest.raises(ValueError, match="connection must be an open one of sqlite3"):
        lab.explain(object(), "SELECT 1")


@pytest.mark.parametrize(
    ("condition", "equal", "bounded", "plain"),
    [
        ("((t.a = 5) AND ((t.b)::text = 'x'::text))", ["a", "b"], [], True),
        ("(a > 3) AND (b BETWEEN 1 AND 5) AND c IS NULL", ["c"], ["a", "b"], True),
        ("(a = 1) OR (b = 2)", [], [], False),
        ("lower(a) = 'x'", [], [], False),
        ("(a = b) AND (c = ANY ('{1,2}'::integer[]))", ["c"], [], False),
        ("5 = a", ["a"], [], True),
        ("a = 1 AND (b = 2 OR c = 3)", ["a"], [], False),
        ("a IS NOT NULL AND a LIKE 'x%'", [], [], False),
        ('"we""ird" = $1', ['we"ird'], [], True),
    ],
)
def test_conditions_are_taken_apart(condition: str, equal: list[str], bounded: list[str], plain: bool) -> None:
    found = sought(condition, "postgresql")
    assert [c.name for c in found.equal] == equal
    assert [c.name for c in found.bounded] == bounded
    assert found.plain == plain


def test_the_where_of_a_statement_is_found() -> None:
    sql = "SELECT a, (SELECT max(x) FROM u WHERE u.y = 1) FROM t WHERE t.b = 2 AND c IN (1, 2) ORDER BY d LIMIT 3"
    assert [c.name for c in where(sql, "sqlite").equal] == ["b", "c"]


def test_a_scan_inside_a_loop_is_multiplied(tmp_path: Path) -> None:
    """SQLite without statistics reads a materialised subquery once for each row of the outer table."""
    with sqlite3.connect(tmp_path / "runs.sqlite") as connection:
        connection.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, kind INTEGER)")
        connection.execute("CREATE TABLE latest (key TEXT, run TEXT, value REAL, PRIMARY KEY (key, run))")
        connection.executemany("INSERT INTO runs VALUES (?, ?)", [(f"r{i}", i % 4) for i in range(2000)])
        values = [(k, f"r{i}", float(i)) for i in range(2000) for k in ("loss", "score")]
        connection.executemany("INSERT INTO latest VALUES (?, ?, ?)", values)
        sql = (
            "SELECT DISTINCT runs.id, a.value FROM runs LEFT OUTER JOIN (SELECT value, run FROM latest WHERE key = 'loss') AS a "
            "ON runs.id = a.run WHERE runs.kind IN (1) ORDER BY a.value LIMIT 100"
        )
        plan = lab.explain(connection, sql)
        assert "reads all of a once for each of up to 2,000 rows of runs" in plan.sentence
        assert [note.code for note in plan.warnings] == ["no-statistics"]
        assert repr(plan).startswith(plan.sentence) and "run ANALYZE" in repr(plan)
        direct = sql.replace("(SELECT value, run FROM latest WHERE key = 'loss') AS a", "latest AS a").replace(
            "WHERE", "WHERE a.key = 'loss' AND"
        )
        assert "once for each" not in lab.explain(connection, direct).sentence
    connection.close()


def indexes_of(connection: Any) -> int:
    sqlite = type(connection).__module__.startswith("sqlite3")
    where = "sqlite_master WHERE type = 'index'" if sqlite else "pg_indexes WHERE schemaname = 'public'"
    return int(connection.execute(f"SELECT count(*) FROM {where}").fetchone()[0])


def test_advice_is_proved_in_a_transaction_that_is_rolled_back(database: Any) -> None:
    before = indexes_of(database)
    plan = lab.explain(database, SLOW, prove=True)
    assert plan.proof is not None
    assert plan.proof.used
    assert plan.proof.after_ms < plan.proof.before_ms
    assert "(tried, rolled back)" in plan.sentence
    assert indexes_of(database) == before
    again = lab.explain(database, 'SELECT count(*) FROM "parcel post"', prove=True)
    assert again.proof is None
    assert "nothing-to-prove" in codes(again.warnings)


def test_a_proof_gives_up_at_a_lock_or_the_time_limit(postgresql: Any, sqlite: Any, tmp_path: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgresql.info.dsn) as other:
        other.execute('UPDATE "parcel post" SET id = id WHERE id = 1')
        plan = lab.explain(postgresql, SLOW, prove=True)
        other.rollback()
    assert plan.proof is None
    assert "proof-stopped" in codes(plan.warnings)
    assert postgresql.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    sqlite.commit()
    sqlite.execute("BEGIN")
    with pytest.raises(ValueError, match="open transaction"):
        lab.explain(sqlite, SLOW, prove=True)
    sqlite.rollback()
    with pytest.raises(ValueError, match="only a SELECT"):
        lab.explain(sqlite, 'DELETE FROM "parcel post"', prove=True)


def test_nothing_is_tried_on_mysql() -> None:
    pymysql = pytest.importorskip("pymysql")
    with pytest.raises(ValueError, match="sqlite3, psycopg or psycopg2"):
        lab.explain(pymysql.connections.Connection(defer_connect=True), "SELECT 1", prove=True)
