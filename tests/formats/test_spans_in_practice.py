"""Spans as exporters write them when something is missing: an end, a zero in front, another trace's ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import perflab as lab

AT = 1_700_000_000_000_000
Row = tuple[str, str | None, str, float, float | None]
"""Id, parent, name, begin and end in ms; no end: it never ended."""


def otlp(rows: list[Row], trace: str = "0af7651916cd43dd8448eb211c80319c") -> list[dict[str, Any]]:
    spans = [
        {"traceId": trace, "spanId": own.zfill(16), "parentSpanId": (above or "").zfill(16) if above else "",
         "name": name, "kind": 1 if above else 2, "startTimeUnixNano": str((AT + int(begin * 1e3)) * 1000),
         "endTimeUnixNano": "0" if end is None else str((AT + int(end * 1e3)) * 1000 % 2**64),
         "attributes": [{"key": "db.statement", "value": {"stringValue": name}}] if name.startswith("SELECT") else []}
        for own, above, name, begin, end in rows
    ]  # fmt: skip
    return [{"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}]


def printed(rows: list[Row]) -> list[dict[str, Any]]:
    def at(ms: float | None) -> str | None:
        return None if ms is None else f"2026-01-31T12:00:00.{int(ms * 1e3):06d}Z"

    return [
        {"context": {"trace_id": "0x" + "a" * 32, "span_id": "0x" + own.zfill(16)}, "name": name, "start_time": at(begin),
         "parent_id": "0x" + above.zfill(16) if above else None, "end_time": at(end), "kind": "SpanKind.INTERNAL"}
        for own, above, name, begin, end in rows
    ]  # fmt: skip


def zipkin(rows: list[Row]) -> list[list[dict[str, Any]]]:
    return [
        [
            {"traceId": "ab", "id": own, "parentId": above, "name": name, "timestamp": AT + int(begin * 1e3),
             **({} if end is None else {"duration": int((end - begin) * 1e3)})}
            for own, above, name, begin, end in rows
        ]
    ]  # fmt: skip


def jaeger(rows: list[Row], how: str = "CHILD_OF") -> list[dict[str, Any]]:
    spans = [
        {"traceID": "00ab", "spanID": own, "operationName": name, "startTime": AT + int(begin * 1e3),
         "duration": int(((end or begin) - begin) * 1e3),
         "references": [{"refType": "FOLLOWS_FROM", "traceID": "other", "spanID": "9"}]
         + ([{"refType": how, "traceID": "ab", "spanID": above}] if above else [])}
        for own, above, name, begin, end in rows
    ]  # fmt: skip
    return [{"data": [{"traceID": "ab", "spans": spans}]}]


def spans_in(documents: list[Any], path: Path) -> lab.Measurements:
    path.write_text("\n".join(map(json.dumps, documents)))
    return lab.read(path)


ROOT: list[Row] = [("a1", None, "page", 0, 100)]


@pytest.mark.parametrize(
    ("written", "end"),
    [
        (otlp, None),
        (otlp, 0.5),
        (otlp, 2e16),
        (printed, None),
        (printed, 0.5),
        (zipkin, None),
        (zipkin, 0.5),
        (jaeger, 0.5),
    ],
)
def test_the_children_of_a_span_without_an_end_stay_in_their_trace(
    written: Any, end: float | None, tmp_path: Path
) -> None:
    read = spans_in(
        written([*ROOT, ("b2", "a1", "handler", 1, end), ("c3", "b2", "call", 10, 50)]), tmp_path / "spans.json"
    )
    assert len(read.spans) == 3 and read.warnings == ()
    path = lab.critical_path(read.spans)
    assert dict(zip(path["operation"], path["mean_ms"], strict=True)) == {"page": 60.0, "call": 40.0}
    assert [note.code for note in path.warnings] == ["unfinished-spans"]


def test_a_statement_that_never_ended_is_no_query(tmp_path: Path) -> None:
    rows: list[Row] = [("a", None, "page", 0, 9), ("b", "a", "SELECT 1", 1, 2), ("c", "a", "SELECT 2", 3, None)]
    read = spans_in(otlp(rows), tmp_path / "spans.json")
    assert list(read.queries["sql"]) == ["SELECT 1"] and len(read.spans) == 3


def test_traces_that_number_their_spans_alike_are_apart(tmp_path: Path) -> None:
    one: list[Row] = [("1", None, "GET /a", 0, 100), ("2", "1", "SELECT 1", 10, 50)]
    other: list[Row] = [("1", None, "GET /b", 0, 100), ("2", "1", "SELECT 1", 10, 50)]
    read = spans_in(otlp(one) + otlp(other, "1" * 32), tmp_path / "spans.jsonl")
    assert list(read.spans["route"]) == ["GET /a", "GET /a", "GET /b", "GET /b"]
    assert list(read.queries["route"]) == ["GET /a", "GET /b"] and len(lab.critical_path(read.spans)) == 4


@pytest.mark.parametrize("zeros", ["0", "0000000000000000"])
def test_a_parent_of_zeros_is_none(zeros: str, tmp_path: Path) -> None:
    rows: list[Row] = [("a1", zeros, "page", 0, 100), ("b2", "a1", "call", 10, 50)]
    for written in (zipkin, jaeger, otlp):
        read = spans_in(written(rows), tmp_path / f"{written.__name__}.json")
        assert read.spans["parent"].isna().sum() == 1
        assert lab.critical_path(read.spans).warnings == ()


def test_the_second_half_of_a_traces_id_is_that_trace(tmp_path: Path) -> None:
    """A service of 64-bit ids between those of 128 (Jaeger's issue 3084, Zipkin's B3)."""
    whole = "7ca373f7c7e0f17df9965485593768ce"
    spans = [
        {"traceId": trace, "id": own, "parentId": above, "name": own, "timestamp": AT, "duration": took}
        for trace, own, above, took in [
            (whole, "a1", None, 90), (whole[16:], "b2", "a1", 50), ("0" * 16 + whole[16:], "c3", "b2", 20),
            (whole, "d4", "c3", 10),
        ]
    ]  # fmt: skip
    read = spans_in([spans], tmp_path / "spans.json")
    assert set(read.spans["trace"]) == {whole} and lab.critical_path(read.spans).warnings == ()


@pytest.mark.parametrize("how", ["CHILD_OF", "FOLLOWS_FROM"])
@pytest.mark.parametrize("parent", ["0a1", "a1", "00000000000000A1"])
def test_a_parent_in_jaegers_references(how: str, parent: str, tmp_path: Path) -> None:
    rows: list[Row] = [("0a1", None, "page", 0, 100), ("b2", parent, "call", 10, 50), ("c3", parent, "audit", 90, 300)]
    read = spans_in(jaeger(rows, how), tmp_path / "spans.json")
    assert read.spans["parent"].isna().sum() == 1


def test_a_service_that_a_recorded_one_calls_with_its_id_counts_once(tmp_path: Path) -> None:
    """It inherits the recorder's variable. A redirection brings an id twice, too, but one after the other."""
    made = [("a", 0.0, 50.0, "downstream", 40.0), ("a", 0.005, 30.0, "database", 20.0), ("a", 0.02, 10.0, "cpu", 9.0),
            ("b", 0.0, 10.0, "cpu", 4.0), ("b", 0.012, 10.0, "database", 5.0)]  # fmt: skip
    path = tmp_path / "requests.jsonl"
    records = [
        {"request": own, "start": 1.7e9 + at, "ms": ms, "parts": {part: took}, "spans": []}
        for own, at, ms, part, took in reversed(made)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    read = lab.read(path)
    sums = read.components.groupby(["request", "component"])["duration_ms"].sum().round(3).to_dict()
    assert sums == {
        ("a", "downstream"): 40, ("a", "rest"): 10, ("b", "cpu"): 4, ("b", "database"): 5, ("b", "rest"): 11,
    }  # fmt: skip
    assert len(read.spans) == 3
    (note,) = read.warnings
    assert (note.code, note.facts["count"]) == ("inner-requests", 2)


STATEMENT = "select id, name from books where author_id = 7"


@pytest.mark.parametrize(
    ("tags", "counts"),
    [
        ({"component": "database/sql", "query": STATEMENT}, True),
        ({"sql": STATEMENT}, True),
        ({"db.sql": STATEMENT}, True),
        ({"mysql.statement": STATEMENT}, True),
        ({"app.sql_text": STATEMENT}, True),
        ({"db.type": "sql", "db.query": "INSERT INTO a (b) VALUES (1)"}, True),
        ({"stmt": "/* page */ update books set name = 'x'"}, True),
        ({"query": "select"}, False),
        ({"query": "books by age"}, False),
        ({"search.query": "delete my account"}, False),
        ({"query": " " * 300 + "x"}, False),
        ({"message": STATEMENT}, False),
        ({"graphql.query": "query { books { id } }"}, False),
    ],
)
def test_sql_under_a_name_of_ones_own_is_a_statement(tags: dict[str, str], counts: bool, tmp_path: Path) -> None:
    """And its span says so to what reads spans, too."""
    span = {"traceID": "ab", "spanID": "1", "operationName": "query", "startTime": AT, "duration": 900,
            "tags": [{"key": name, "type": "string", "value": text} for name, text in tags.items()]}  # fmt: skip
    path = tmp_path / "jaeger.json"
    path.write_text(json.dumps({"data": [{"traceID": "ab", "spans": [span], "processes": {}}]}))
    read = lab.read(path).tables
    assert ("queries" in read) is counts
    assert ("db.statement" in read["spans"].loc[0, "attributes"]) is counts


def test_a_span_named_by_its_statement_is_one(tmp_path: Path) -> None:
    path = tmp_path / "jaeger.json"
    path.write_text(json.dumps(jaeger([("1", None, "GET /books", 0, 9), ("2", "1", STATEMENT, 1, 2)])[0]))
    assert lab.read(path).tables["queries"]["sql"].tolist() == [STATEMENT]
