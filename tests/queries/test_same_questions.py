# ruff: noqa: E501
"""When two statements ask the same: values, database, schema and tenant are known to be equal, and nothing changed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import perflab as lab
from perflab.queries.questions import _value_codes, questions
from perflab.queries.tokens import DIALECTS

T = "SELECT a FROM t WHERE "
UNKNOWN = [
    *(T + f"id = {p}" for p in ("?", "$1", "%s", ":id", "%(id)s", ":1", "@id", "@p0", "@__p_0", "@P1", ":P1", "{0}", "?1", "#{id}")),
    *(T + p for p in ("at > ?", "at >= $1", "at < %s", "at > :since", "id <> $1", "name LIKE ?", "name ILIKE $1", "name LIKE %s")),
    *(T + p for p in ("at BETWEEN ? AND ?", "at BETWEEN $1 AND $2", "tags @> $1", "doc @@ $1", "name ~ $1", "id IN ?", "id IN (?, ?)")),
    *(T + p for p in ("id IN (@p0, @p1)", "id = ANY($1)", "id = ANY(@ids)", "id = '?'", "id = [?]", "id = [Filtered]", "id = ***")),
    "SELECT a FROM t LIMIT ? OFFSET ?", "SELECT a FROM t ORDER BY id LIMIT $1 OFFSET $2", "SELECT a FROM t LIMIT %s OFFSET %s",
    "SELECT a FROM t ORDER BY id OFFSET @__p_0 ROWS FETCH NEXT @__p_1 ROWS ONLY",
    T + "id IN (1, 2, 3, 4...", T + "name = 'abc...", T + "name = 'ab",
]  # fmt: skip
CUT = [
    T + "id = ",
    T + "id IN (1, 2",
    'SELECT a FROM t WHERE "t"."na',
    T + "id = '[REDACTED]'",
    T + "a = '<masked>'",
    "SELECT a FROM " + "t" * 242,
]
KNOWN = [
    T + "id = 5", T + "b = 'it''s (x'", T + "b = 'who?'", T + "b = '...'", "SELECT count(*) FROM t", T + "id IN (1, 2)", T + "m = 'a@b.c'",
    T + "state = 'removed'", "SELECT a * b FROM t", T + "d = '12:30'",
]  # fmt: skip


def code(sql: str, dialect: str, parameters: object = None) -> int:
    return int(questions(pd.DataFrame({"sql": [sql], "parameters": [parameters]}), dialect)[0])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_value_that_the_log_lacks_is_not_known(dialect: str) -> None:
    assert len(UNKNOWN) == 43
    assert [sql for sql in UNKNOWN + CUT if code(sql, dialect) >= 0] == []
    assert [sql for sql in KNOWN if code(sql, dialect) < 0] == []


def test_values_are_known_where_each_placeholder_has_one() -> None:
    two = T + "id = ? AND b = ?"
    assert code(two, "generic", [1, 2]) >= 0
    assert code(two, "generic", [1]) < 0
    assert code(two, "generic", [1, None]) < 0  # a reader could not tell it
    for sql, bound in (
        ("id = @p0", {"@p0": 1}),
        ("id = @id", {"id": 1}),
        ("id = :id", {"id": 1}),
        ("id = %(id)s", {"id": 1}),
    ):
        assert code(T + sql, "generic", bound) >= 0
        assert code(T + sql, "generic", {"other": 1}) < 0


def needless(statements: list[str], **columns: object) -> int:
    frame = pd.DataFrame({"sql": statements, "duration_ms": 0.5, "unit": "u"}).assign(**columns)
    return int(lab.find_duplicates(frame)["needless"].sum())


def test_no_spelling_of_an_unknown_value_is_a_duplicate() -> None:
    statements = [sql for sql in UNKNOWN + CUT for _ in range(6)]
    frame = pd.DataFrame({"sql": statements, "duration_ms": 0.5, "unit": "u"})
    assert lab.find_duplicates(frame).empty
    assert "duplicate" not in set(lab.find_n_plus_one(frame)["evidence"])


READ = "SELECT name, plan FROM account WHERE id = 5"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE account SET name = 'x' WHERE id = 5", "UPDATE account SET name = 'x'", 'UPDATE "Account" SET name = 1 WHERE id = 5',
        "UPDATE shop.account SET name = 'x' WHERE id = 5", "DELETE FROM account WHERE name = 'y'", "INSERT INTO account (name) VALUES ('x')",
        "INSERT INTO account (id, name) VALUES (5, 'x')", "TRUNCATE account", "TRUNCATE TABLE account", "COPY account FROM STDIN",
        "MERGE INTO account USING x ON x.id = account.id WHEN MATCHED THEN UPDATE SET name = x.name", "CALL rename(5)", "EXECUTE rename(5)",
        "WITH x AS (UPDATE account SET name = 'x' RETURNING id) SELECT * FROM x", "SELECT rename_account(5)", "REFRESH MATERIALIZED VIEW account",
        "UPDATE orders o JOIN account a ON a.id = o.account_id SET a.plan = 'x'", "ROLLBACK", "ROLLBACK TO SAVEPOINT a", "SELECT pg_sleep(1)",
        "UPDATE account SET name = 'x' WHERE id = ?",
    ],
)  # fmt: skip
def test_what_may_have_changed_in_between_is_read_again(change: str) -> None:
    units = ([READ, change, READ], [READ] * 20 + [change] + [READ] * 20, [READ] * 39 + [change, READ])
    said = [(f"u{number}", sql) for number, unit in enumerate(units) for sql in unit]
    found = lab.find_duplicates(pd.DataFrame(said, columns=["unit", "sql"]).assign(duration_ms=0.5))
    assert found[["units", "needless"]].values.tolist() == [[2, 76]]


@pytest.mark.parametrize(
    "other",
    [
        "UPDATE account SET name = 'x' WHERE id = 6", "INSERT INTO account (id, name) VALUES (6, 'x')", "DELETE FROM account WHERE id = 7",
        "UPDATE orders SET a = 2", "SELECT a FROM orders WHERE id = 5", "SELECT nextval('s')",
    ],
)  # fmt: skip
def test_a_write_to_another_row_hides_nothing(other: str) -> None:
    assert needless([READ] * 20 + [other] + [READ] * 20) == 39


@pytest.mark.parametrize(
    "tenant",
    [
        "SET search_path = t{}", "USE t{}", "SELECT set_config('app.tenant', '{}', true)", "SET LOCAL app.tenant = '{}'", "SET ROLE r{}",
        "SET SESSION app.tenant = {}",
    ],
)  # fmt: skip
def test_another_tenant_is_another_question(tenant: str) -> None:
    setting = "SELECT plan FROM settings WHERE name = 'billing'"
    several = [s for i in range(8) for s in (tenant.format(i), setting)]
    assert needless(several) == 0
    again = [s for _ in range(8) for s in (tenant.format(1), setting)]
    assert needless(again) == 7
    found = lab.find_n_plus_one(pd.DataFrame({"sql": several, "duration_ms": 0.5, "unit": "u"}))
    assert "duplicate" not in set(found["evidence"])


def test_a_setting_of_a_transaction_ends_with_it() -> None:
    parts = [s for i in range(8) for s in ("BEGIN", f"SET LOCAL app.tenant = '{i}'", READ, "COMMIT")]
    assert needless(parts) == 0
    assert needless(["BEGIN", "SET LOCAL app.tenant = '1'", "COMMIT", READ, READ]) == 1


def test_another_database_is_another_question() -> None:
    assert needless([READ] * 8, database=[f"shard{i}" for i in range(8)]) == 0
    assert needless([READ] * 8, database=["a", "b"] * 4) == 6


def test_a_read_of_every_request_is_cacheable() -> None:
    def units(*statements: str) -> pd.DataFrame:
        said = [(f"u{u}", s.format(u)) for u in range(40) for s in statements]
        return pd.DataFrame(said, columns=["unit", "sql"]).assign(duration_ms=2.0)

    frame = units("SELECT name, value FROM settings", "SELECT * FROM orders WHERE id = {}")
    assert lab.find_duplicates(frame).empty
    found = lab.find_duplicates(frame, across_units=True)
    assert found[["statement", "evidence", "units", "needless"]].values.tolist() == [
        ["select name, value from settings", "cacheable", 40, 39]
    ]
    written = pd.concat([frame, units("UPDATE settings SET value = 1 WHERE name = 'x'")[:1]])
    assert lab.find_duplicates(written, across_units=True).empty


@pytest.mark.parametrize("kind", ["arrow", "lists", "arrays", "texts", "mappings"])
def test_long_lists_that_differ_in_the_middle_are_two_questions(kind: str) -> None:
    """An array's own text leaves its middle out."""
    one = [str(n) for n in range(2_000)]
    other = [*one[:1_000], "x", *one[1_001:]]
    rows: list[Any] = [one, other, one, None, [], [None], ["None"]]
    column = {
        "arrow": lambda: pd.array(rows, dtype=pd.ArrowDtype(pa.list_(pa.string()))),
        "lists": lambda: rows,
        "arrays": lambda: [None if row is None else np.array(row, dtype=object) for row in rows],
        "texts": lambda: pd.array([None if row is None else json.dumps(row) for row in rows], dtype="str"),
        "mappings": lambda: [None if row is None else dict(enumerate(row)) for row in rows],
    }[kind]()
    codes = _value_codes(pd.Series(column, dtype=None if kind in ("arrow", "texts") else object))
    assert codes[0] == codes[2] and codes[3] == -1
    assert len({*codes.tolist()} - {-1}) == 5
