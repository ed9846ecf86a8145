# ruff: noqa: E501
"""Planted values in every spelling of every dialect, read as every other dialect, as none, and cut off: no fingerprint shows one."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab.queries import vectorised
from perflab.queries.tokens import DIALECTS

PLANTED = "planted"
SPELLINGS = [
    "'planted'", "'it''s planted'", r"'it\'s planted'", r"'\'planted\''", r"'C:\', 'planted'", r"'a\\', 'planted'", r"'a\'b \\\'planted'",
    '"planted"', '"planted one"', r'"it\"s planted"', '"ann@planted.org"', '"it\'s planted"', "'say \"planted\"'",
    "N'planted'", "_utf8mb4'planted'", "x'planted'", r"E'it\'s planted'", r"E'\\', 'planted'", "U&'planted'", "$$planted$$",
    "$a$it's planted$a$", "q'[it's planted]'", "7 # planted\n", "7 # it's planted\n", "7 -- it's planted\n", "7 /* it's planted */",
    "'two\nlines planted'", "date '2026-01-01 planted'", "'#planted'", "'--', 'planted'", "'/*', 'planted', '*/'",
    "ARRAY['planted']", "0xplanted", "0bplanted", "12planted", "1_planted", "7planted$x", "1.5planted", ".5planted",
]  # fmt: skip
STATEMENTS = [
    "SELECT a FROM t WHERE b = {} AND c = {}", "INSERT INTO t (a, b) VALUES ({}, 1), (2, {})", "UPDATE t SET a = {} WHERE b IN ({}, 3)",
    "SELECT a FROM t WHERE b LIKE {} OR c IN ({})", "DELETE FROM t WHERE a > {}\nAND b <> {}", "CALL f({}); SELECT 1 WHERE a = {}",
]  # fmt: skip
SETTINGS = [
    "SET app.token = planted", "SET LOCAL app.token TO planted", "SET @token = planted, b = planted", "SET NAMES planted",
    "SET app.token = planted; SELECT 1", "SET SESSION token = \"planted\"", "PRAGMA key = planted", "SET ROLE planted",
    'ALTER USER a IDENTIFIED BY "planted"', 'LOAD DATA INFILE "planted" INTO TABLE t', "SELECT 1; SET app.token = planted",
    "EXEC p planted", "EXECUTE dbo.find 5, planted OUTPUT", "exec @rc = p @name = planted, @other = planted", "EXEC db..p planted; SELECT 1",
    "SET NOCOUNT ON EXEC p planted SELECT 1", "SELECT 1; EXEC [dbo].[p] planted WITH RECOMPILE",
]  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_planted_value_is_in_a_fingerprint(dialect: str) -> None:
    """In either stage: a statement of two values, each spelt anyhow."""
    every = [sql.format(one, other) for sql in STATEMENTS for one in SPELLINGS for other in SPELLINGS]
    texts = random.Random(len(dialect)).sample(every, 800)
    places, skeletons = vectorised._skeletons(texts, dialect)
    for text, place in zip(texts, places, strict=True):
        assert PLANTED not in lab.fingerprint(text, dialect)
        assert PLANTED not in lab.fingerprint(skeletons[place], dialect)


@pytest.mark.parametrize("sql", SETTINGS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_setting_shows_what_it_was_set_to(sql: str, dialect: str) -> None:
    assert PLANTED not in lab.fingerprint(sql, dialect)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_value_that_was_cut_is_not_shown(spelling: str) -> None:
    sql = f"SELECT a FROM t WHERE b = {spelling}"
    cut = sql[: sql.index(PLANTED) + len(PLANTED)]
    shown = [lab.fingerprint(cut, dialect) for dialect in DIALECTS]
    assert not any(PLANTED in text for text in shown), shown


@pytest.mark.parametrize("dialect", [None, "postgresql"])
def test_no_planted_value_is_in_a_report(dialect: str | None, tmp_path: Path) -> None:
    """Of a table of one's own, whose dialect is missing or wrong."""
    texts = [sql.format(value, value) for value in SPELLINGS for sql in STATEMENTS[:2]]
    texts += [f"SELECT a FROM t WHERE id = '{PLANTED}{n}'" for n in range(12)] + SETTINGS
    table = pd.DataFrame({"run": "r", "sql": texts, "duration_ms": 1.0, "unit": "u"})
    table["start"] = pd.Timestamp("2026-02-03", tz="UTC") + pd.to_timedelta(range(len(texts)), unit="ms")
    table = table if dialect is None else table.assign(dialect=dialect)
    results = [lab.summarize_queries(table), lab.find_n_plus_one(table), lab.find_duplicates(table)]
    lab.Report("What the page asks", results).save(tmp_path / "report.html")
    assert PLANTED not in (tmp_path / "report.html").read_text()
    assert not any(PLANTED in str(note) for found in results for note in getattr(found, "notes", ()))


ORDINARY = [
    ("EXEC find 5", "EXEC search 5"),
    ("GRANT EXECUTE ON FUNCTION f TO bob", "GRANT EXECUTE ON FUNCTION g TO bob"),
    ("REVOKE GRANT OPTION FOR EXECUTE ON f FROM bob", "REVOKE GRANT OPTION FOR EXECUTE ON g FROM bob"),
    ("CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION g()"),
    ("SELECT a FROM exec WHERE exec.b = c", "SELECT a FROM exec WHERE exec.b = d"),
    ("SELECT a FROM 2fa_keys WHERE b = 1", "SELECT a FROM 2fa_codes WHERE b = 1"),
    ('SELECT a FROM t WHERE "userId" = "ownerId"', 'SELECT a FROM t WHERE "userId" = "buyerId"'),
    ('SELECT "a"."id" FROM "a" WHERE "a"."b" IN ("a"."c")', 'SELECT "a"."id" FROM "a" WHERE "a"."b" IN ("a"."d")'),
    ("SELECT a # b FROM t", "SELECT a # b FROM u"),
    ("SELECT a FROM t WHERE b #> '{c}' AND d = 1", "SELECT a FROM t WHERE b #> '{c}' AND e = 1"),
    (r"SELECT a FROM t WHERE p = 'C:\' AND q = 'D:\' AND r = 1", r"SELECT a FROM t WHERE p = 'C:\' AND s = 'D:\' AND r = 1"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ORDINARY)
def test_what_postgresql_keeps_apart_stays_apart(one: str, other: str) -> None:
    assert lab.fingerprint(one, "postgresql") != lab.fingerprint(other, "postgresql")


def test_temporary_tables_of_sql_server_are_no_comments() -> None:
    assert lab.fingerprint("SELECT a FROM #orders WHERE b = 1") != lab.fingerprint("SELECT a FROM #orders WHERE c = 1")
