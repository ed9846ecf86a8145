"""Small real traffic that has in it what readers get wrong: quotes, lines, NULLs, errors, prepared statements, comments."""

from __future__ import annotations

import contextlib
from typing import Any

COMMENT = (
    "/*route='GET%%20%%2Fbooks',"  # %%: the drivers read % as their own
    "traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/"  # as sqlcommenter writes it
)


def schema(execute: Any) -> None:
    """Two tables and a few rows."""
    execute("CREATE TABLE author (id INT PRIMARY KEY, name VARCHAR(80), born DATE)")
    execute("CREATE TABLE book (id INT PRIMARY KEY, author_id INT, title VARCHAR(80), price NUMERIC(8, 2))")
    execute("INSERT INTO author VALUES (1, 'Ada', '1815-12-10'), (2, 'Bo''b', NULL), (3, 'Grüße, \"x\"', '1970-01-01')")
    execute("INSERT INTO book VALUES (1, 1, 'Notes', 9.5), (2, 1, 'a; b -- c', 3), (3, 2, 'tab\tand\nline', 2)")


def postgresql(port: int) -> None:
    """Simple and extended protocol, named and unnamed statements, a transaction, errors, a comment with a trace."""
    import psycopg

    place = f"host=127.0.0.1 port={port} user=postgres dbname=shop"
    with psycopg.connect(place, autocommit=True, application_name="set, up") as db:
        schema(db.execute)
    with psycopg.connect(place, application_name="web") as db:
        for author in (1, 2, 3, 2):
            db.execute("SELECT id, title\nFROM book\nWHERE author_id = %s", (author,)).fetchall()
            db.execute(f"SELECT name FROM author WHERE id = %s {COMMENT}", (author,), prepare=True).fetchall()
        db.commit()
        db.execute("SELECT title FROM book WHERE title = %s AND price > %s", ("it's; $1 = 'x'\n\ttab", None))
        db.execute("SELECT id FROM book WHERE id = ANY(%s)", ([1, 2, 3],)).fetchall()
        with db.cursor() as cursor:
            cursor.executemany("INSERT INTO book VALUES (%s, %s, %s, %s)", [(i, 3, f"b{i}", i) for i in range(10, 13)])
        db.rollback()
        with contextlib.suppress(psycopg.Error):
            db.execute("INSERT INTO author VALUES (%s, %s, NULL)", (1, "twice"))
        db.rollback()
    with psycopg.connect(place, autocommit=True) as db:
        db.execute("SELECT count(*) FROM book b JOIN author a ON a.id = b.author_id WHERE a.name <> 'x'")
        db.execute("SELECT 1; SELECT 'Grüße'")
        with contextlib.suppress(psycopg.Error):
            db.execute("SELECT broken FROM nowhere")


def mariadb(port: int) -> int:
    """The same through PyMySQL (literals in the text) and a prepared statement; returns how many statements were sent."""
    import pymysql

    sent = 0
    db = pymysql.connect(host="127.0.0.1", port=port, user="root", database="shop", charset="utf8mb4", autocommit=True)
    with db, db.cursor() as cursor:

        def execute(sql: str, parameters: Any = None) -> None:
            nonlocal sent
            sent += 1
            cursor.execute(sql, parameters)

        schema(execute)
        for author in (1, 2, 3, 2):
            execute("SELECT id, title\nFROM book\nWHERE author_id = %s", (author,))
            execute(f"SELECT name FROM author WHERE id = %s {COMMENT}", (author,))
        execute("SELECT title FROM book WHERE title = %s AND price > %s", ("it's; \\ # Time: x\n# User@Host: y", None))
        execute("BEGIN")
        execute("INSERT INTO book VALUES (%s, %s, %s, %s)", (10, 3, "b\r\nc", 1))
        execute("ROLLBACK")
        execute("PREPARE p FROM 'SELECT title FROM book WHERE id = ?'")
        execute("EXECUTE p USING 2")
        with contextlib.suppress(pymysql.Error):
            execute("INSERT INTO author VALUES (1, 'twice', NULL)")
    return sent
