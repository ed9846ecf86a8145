"""Statements laid out for people: bounded, and never an error."""

from __future__ import annotations

import time

import pytest
import sqlparse
from sqlparse.exceptions import SQLParseError

from perflab.queries.layout import laid_out


def test_each_clause_has_its_line() -> None:
    text = laid_out("select a from t where b = ? and c in (...) limit ?", "  ")
    assert text.splitlines() == ["  select a", "  from t", "  where b = ?", "    and c in (...)", "  limit ?"]


@pytest.mark.parametrize(
    "sql", ["(" * 3000, "select " + "case when a then b else " * 400, "in (" + "1, " * 9000, "", "\0"]
)
def test_what_is_too_long_stays_as_it_is(sql: str) -> None:
    start = time.process_time()
    assert laid_out(sql) == sql
    assert time.process_time() - start < 2


@pytest.mark.parametrize("problem", [SQLParseError("too deep"), RecursionError()])
def test_what_sqlparse_refuses_stays_as_it_is(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise problem

    monkeypatch.setattr(sqlparse, "format", refuse)
    assert laid_out("select 1 from t") == "select 1 from t"
