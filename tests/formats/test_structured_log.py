# ruff: noqa: E501
"""Structured logs of applications as their loggers write them, one line of each kind made by hand after the loggers' own encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import perflab as lab

ASKED = 'SELECT "id", "name" FROM "books" WHERE "author_id" = 7'
ESCAPED = json.dumps(ASKED)
LINES = {
    "zap (gorm), duration in seconds without a unit": '{"level":"debug","ts":1764000001.5,"caller":"repo/book.go:31","msg":"trace","elapsed":0.0015,"rows":1,"sql":%s}',
    "zap with a duration as text": '{"level":"debug","ts":"2025-11-24T16:00:01.500Z","caller":"repo/book.go:31","msg":"trace","elapsed":"1.5ms","rows":1,"sql":%s}',
    "gorm-zap": '{"occurredAt":"2025-11-24T17:00:01.500+0100","source":"repo/book.go:31","duration":"1.5ms","sql":%s,"values":["7"],"other":["1 rows affected or returned "]}',
    "slog (nanoseconds without a unit)": '{"time":"2025-11-24T16:00:01.5Z","level":"INFO","msg":"Conn.QueryContext Complete","query":%s,"args":[7],"duration":1500000}',
    "zerolog": '{"level":"debug","elapsed_ms":1.5,"rows":1,"sql":%s,"time":1764000001,"message":"gorm query"}',
    "pino": '{"level":20,"time":1764000001500,"pid":12,"hostname":"a","reqId":"req-1","sql":%s,"bindings":[7],"durationMs":1.5,"msg":"query"}',
    "pino (Drizzle)": '{"level":30,"time":1764000001500,"pid":12,"hostname":"a","params":[7],"query":%s,"msg":"DrizzleLogger"}',
    "winston": '{"level":"debug","message":%s,"timestamp":"2025-11-24T16:00:01.500Z","executionTimeMs":1.5}',
    "structlog": '{"sql":%s,"duration_ms":1.5,"event":"query","level":"debug","timestamp":"2025-11-24T16:00:01.500000Z","request_id":"req-1"}',
    "tracing (sqlx)": '{"timestamp":"2025-11-24T16:00:01.500000Z","level":"DEBUG","fields":{"summary":"SELECT \\"id\\", …","db.statement":%s,"rows_affected":0,"rows_returned":1,"elapsed":"1.5ms","elapsed_secs":0.0015},"target":"sqlx::query"}',
    "tracing (sqlx, short)": '{"timestamp":"2025-11-24T16:00:01.500000Z","level":"DEBUG","fields":{"summary":%s,"db.statement":"","rows_affected":0,"rows_returned":1,"elapsed_secs":0.0015},"target":"sqlx::query"}',
    "Monolog (Laravel)": '{"message":%s,"context":{"bindings":[7],"time_ms":1.5},"level":100,"level_name":"DEBUG","channel":"local","datetime":"2025-11-24T16:00:01.500000+00:00","extra":{"request_id":"req-1"}}',
    "logstash": '{"@timestamp":"2025-11-24T16:00:01.500Z","@version":"1","message":"query","logger_name":"app.sql","sql":%s,"took":"1.5ms","trace_id":"req-1"}',
    "microseconds": '{"ts":1764000001.5,"statement":%s,"duration_us":1500}',
    "slog as text": 'time=2025-11-24T16:00:01.500Z level=INFO msg="QueryContext" query=%s conn_id=Ty7tgM duration=1.5ms',
    "logrus as text": 'time="2025-11-24T16:00:01.500Z" level=debug msg="sql query" sql=%s request_id=req-1 took_us=1500 rows=1',
}  # fmt: skip


@pytest.mark.parametrize("kind", LINES)
def test_a_structured_log_is_its_statements(kind: str, tmp_path: Path) -> None:
    """With a line of another matter before and after each; what has no unit says so, and takes one."""
    line = LINES[kind] % ESCAPED
    path = tmp_path / "app.log"
    other = (
        'level=info msg="page"'
        if "as text" in kind and "zap" not in kind
        else '{"level":"info","start_time":1764000001,"msg":"page"}'
    )
    path.write_text(f"{other}\n{line}\n" * 40)
    read = lab.read(path, unit="ns" if "nanoseconds" in kind else "s")
    table = read.tables["queries"]
    assert len(table) == 40
    assert set(table["sql"]) == {ASKED}
    timed = "Drizzle" not in kind
    assert table["duration_ms"].round(6).unique().tolist() == [1.5 if timed else 0.0]
    start = table["start"].iloc[0]
    assert pd.Timestamp("2025-11-24T16:00:00.998Z") < start <= pd.Timestamp("2025-11-24T16:00:01.500Z")
    assert start.microsecond % 500_000 == (498_500 if timed else 0)
    if "req-1" in line:
        assert set(table["unit"]) == {"req-1"}
    if "without a unit" in kind:
        plain = lab.read(path)
        assert [note.code for note in plain.warnings] == ["duration-unit-unknown"]
        assert set(plain.tables["queries"]["duration_ms"]) == {0.0}
    else:
        assert [note.code for note in read.warnings] == ([] if timed else ["no-durations"])


def test_the_start_of_a_statement_is_not_a_second_one(tmp_path: Path) -> None:
    begin: dict[str, Any] = {"time": "2025-11-24T16:00:01Z", "msg": "Conn.QueryContext Start", "query": ASKED}
    end = begin | {"msg": "Conn.QueryContext Complete", "duration": "1ms"}
    path = tmp_path / "app.log"
    path.write_text("".join(json.dumps(record) + "\n" for _ in range(3) for record in (begin, end)))
    assert len(lab.read(path).tables["queries"]) == 3
    path.write_text("".join(json.dumps(begin) + "\n" for _ in range(3)))
    assert len(lab.read(path).tables["queries"]) == 3


def test_lines_that_are_no_json_are_counted(tmp_path: Path) -> None:
    line = LINES["structlog"] % ESCAPED
    path = tmp_path / "app.log"
    path.write_text(f"Starting\n{line}\n{line[:40]}\n\n{line}\n")
    read = lab.read(path)
    assert len(read.tables["queries"]) == 2
    (note,) = read.warnings
    assert (note.code, note.facts["skipped"]) == ("skipped", 2)


@pytest.mark.parametrize(
    "record",
    [
        {"msg": "Select a plan from the list", "time": 1},
        {"query": "select shoes", "took_ms": 3},
        {"query": "query { books { id } }"},
        {"message": "Update your profile"},
        {"sql": 7},
        {"sql": {"select": 1}},
    ],
)
def test_what_is_no_sql_is_no_log_of_statements(record: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text((json.dumps(record) + "\n") * 9)
    with pytest.raises(lab.FormatError):
        lab.read(path)


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(LINES["structlog"] % ESCAPED + "\n")
    with pytest.raises(ValueError, match="unit must be"):
        lab.read(path, unit="hours")


@pytest.mark.parametrize(
    "line",
    [
        LINES["structlog"] % ESCAPED,
        "2026-01-05 10:00:00,123 INFO sqlalchemy.engine.Engine SELECT a FROM t WHERE b = ?\n2026-01-05 10:00:00,124 INFO sqlalchemy.engine.Engine [generated in 0.00021s] (1,)",
        "2026-01-05 10:00:00.123 UTC [12] LOG:  duration: 1.5 ms  statement: SELECT a FROM t WHERE b = 1",
    ],
)
def test_a_log_that_begins_with_other_lines_is_read(line: str, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text('{"level":"info","msg":"starting module"}\n' * 3_000 + f"{line}\n" * 30)
    assert path.stat().st_size > 100_000
    assert len(lab.read(path).tables["queries"]) == 30


def test_a_tools_own_log_is_not_taken_for_any_loggers(tmp_path: Path) -> None:
    """PostgreSQL's jsonlog has a field for the statement that failed."""
    line = {
        "timestamp": "2026-01-05 10:00:00.123 UTC",
        "pid": 12,
        "error_severity": "LOG",
        "message": "duration: 1.5 ms  statement: SELECT a FROM t",
    }
    failed = line | {
        "error_severity": "ERROR",
        "message": "deadlock detected",
        "statement": "SELECT a FROM t WHERE b = 1",
    }
    path = tmp_path / "postgresql.json"
    path.write_text(f"{json.dumps(line)}\n{json.dumps(failed)}\n" * 9)
    assert lab.read(path).meta["format"] == "postgresql_jsonlog"
