# ruff: noqa: E501
"""What is related to an N+1: independent reads in a row, joins that multiply rows, a connection for each request, caches."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

import perflab as lab
from perflab.errors import SchemaError
from perflab.queries.clocks import CLIENT, SERVER, UNKNOWN, clock_of
from perflab.queries.multiplying_joins import multiplied


def unit(*statements: tuple[str, float], name: str = "u") -> pd.DataFrame:
    frame = pd.DataFrame(statements, columns=["sql", "duration_ms"])
    start = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(
        frame["duration_ms"].cumsum().shift(fill_value=0), unit="ms"
    )
    return frame.assign(run="r", unit=name, start=start)


@pytest.mark.parametrize(
    ("statements", "saved"),
    [
        ([("SELECT name FROM category", 1000.0), ("SELECT count(*) FROM product", 1200.0), ("SELECT text FROM news LIMIT 3", 900.0)], 1900.0),
        ([("SELECT * FROM person WHERE id = 5", 10.0), ("SELECT * FROM visit WHERE person_id = 5", 40.0), ("SELECT * FROM mail WHERE person_id = 5", 30.0)], 40.0),
        ([("SELECT team_id FROM person WHERE id = 5", 100.0), ("SELECT * FROM team WHERE id = 9", 40.0), ("SELECT * FROM mail WHERE person_id = 5", 30.0)], 30.0),
        ([("SELECT team_id FROM person WHERE id = 5", 100.0), ("SELECT * FROM team WHERE id = 9", 40.0)], 0.0),
        ([("SELECT * FROM team WHERE id = ?", 100.0), ("SELECT * FROM mail WHERE person_id = ?", 40.0)], 0.0),
        ([("SELECT * FROM team WHERE id = 1", 100.0), ("SELECT * FROM team WHERE id = 2", 90.0)], 0.0),
        ([("SELECT name FROM category", 100.0), ("UPDATE visit SET n = 1", 1.0), ("SELECT count(*) FROM product", 90.0)], 0.0),
        ([("SELECT name FROM category", 0.4), ("SELECT count(*) FROM product", 0.3)], 0.0),
    ],
    ids=["three scans", "by what the request has", "after a key is known", "chained", "unknown", "a loop", "a write", "too fast"],
)  # fmt: skip
def test_independent_reads_in_a_row_are_found(statements: Sequence[tuple[str, float]], saved: float) -> None:
    found = lab.queries.find_consecutive(unit(*statements))
    assert found["time_saved_ms"].sum() == pytest.approx(saved)


def test_reads_that_ran_side_by_side_are_not_in_a_row() -> None:
    queries = unit(("SELECT name FROM category", 100.0), ("SELECT count(*) FROM product", 90.0))
    queries["start"] = queries["start"].iloc[0] + pd.to_timedelta([0, 2], unit="ms")
    assert lab.queries.find_consecutive(queries).empty


def test_a_constant_of_every_unit_is_no_answer_of_another_read() -> None:
    parts = [
        unit(
            (f"SELECT * FROM person WHERE id = {i}", 20.0),
            ("SELECT v FROM setting WHERE k = 'tax'", 15.0),
            name=f"u{i}",
        )
        for i in range(4)
    ]
    found = lab.queries.find_consecutive(pd.concat(parts, ignore_index=True))
    assert found["units"].tolist() == [4]
    assert found["time_saved_ms"].tolist() == [60.0]


@pytest.mark.parametrize(
    ("sql", "collections"),
    [
        ("SELECT * FROM author a LEFT JOIN book b ON b.author_id = a.id LEFT JOIN award w ON w.author_id = a.id", ("book", "award")),
        ("SELECT * FROM author LEFT OUTER JOIN book AS b_1 ON author.id = b_1.author_id LEFT OUTER JOIN award AS a_1 ON author.id = a_1.author_id WHERE author.id = 5", ("book", "award")),
        ("SELECT * FROM posts LEFT JOIN post_tags pt ON pt.post_id = posts.id LEFT JOIN tags t ON t.id = pt.tag_id LEFT JOIN comments c ON c.post_id = posts.id", ("post_tags", "comments")),
        ('SELECT "A"."id" FROM "Author" AS "A" LEFT JOIN "Book" AS "B" ON "B"."authorId" = "A"."id" LEFT JOIN "Award" AS "W" ON "W"."authorId" = "A"."id"', ("book", "award")),
        ("SELECT * FROM customer c JOIN orders o ON o.customer_id = c.customer_id JOIN visits v ON v.customer_id = c.customer_id", ("orders", "visits")),
        ("SELECT * FROM posts LEFT JOIN post_tags pt ON pt.post_id = posts.id LEFT JOIN tags t ON t.id = pt.tag_id", ()),
        ("SELECT * FROM book JOIN author ON author.id = book.author_id JOIN publisher ON publisher.id = book.publisher_id", ()),
        ("SELECT * FROM a JOIN b ON b.a_id = a.id JOIN c ON c.b_id = b.id", ()),
        ("SELECT count(*) FROM author a LEFT JOIN book b ON b.author_id = a.id LEFT JOIN award w ON w.author_id = a.id", ()),
    ],
)  # fmt: skip
def test_two_collections_of_one_row_multiply(sql: str, collections: tuple[str, ...]) -> None:
    assert multiplied(lab.fingerprint(sql)) == collections
    queries = pd.DataFrame({"sql": [sql], "duration_ms": [3.0], "unit": ["u"]})
    assert len(lab.queries.find_multiplying_joins(queries.assign(rows=600))) == bool(collections)
    assert lab.queries.find_multiplying_joins(queries.assign(rows=6)).empty


def test_a_connection_for_each_request_is_a_finding() -> None:
    each = pd.DataFrame(
        {"sql": ["SELECT a FROM t WHERE id = 1", "SELECT b FROM s"] * 30, "duration_ms": [1.5, 0.5] * 30}
    )
    anew = each.assign(
        session=[str(i // 2) for i in range(60)], unit=[f"u{i // 2}" for i in range(60)], database="shop"
    )
    found = lab.queries.find_connections(anew)
    assert found[["evidence", "connections", "units", "first_ms"]].to_numpy().tolist() == [
        ["connection per request", 30, 30, 1.5]
    ]
    assert found["time_saved_ms"].iloc[0] == pytest.approx(30.0)
    kept = lab.queries.find_connections(anew.assign(session=[str(i % 3) for i in range(60)]))
    assert kept["evidence"].tolist() == ["reused"]
    with pytest.raises(SchemaError):
        lab.queries.find_connections(anew.drop(columns="session"))


def test_the_same_question_in_every_request_is_cacheable() -> None:
    parts = [
        unit(
            (f"SELECT * FROM person WHERE id = {i}", 1.0), ("SELECT v FROM setting WHERE k = 'tax'", 2.0), name=f"u{i}"
        )
        for i in range(12)
    ]
    queries = pd.concat(parts, ignore_index=True)
    found = lab.find_duplicates(queries, across_units=True)
    assert found[["statement", "evidence", "units", "needless"]].to_numpy().tolist() == [
        ["select v from setting where k = ?", "cacheable", 12, 11]
    ]
    written = pd.concat([queries, unit(("UPDATE setting SET v = 2 WHERE k = 'x'", 1.0), name="w")], ignore_index=True)
    assert lab.find_duplicates(written, across_units=True).empty


@pytest.mark.parametrize(
    ("tool", "clock"), [("postgresql", SERVER), ("perflab query recorder", CLIENT), ("django", CLIENT), (None, UNKNOWN)]
)
def test_the_time_of_statements_says_whose_it_is(tool: str | None, clock: str) -> None:
    queries = unit(*[("SELECT * FROM person WHERE id = 5", 4.0)] * 6)
    data = lab.Measurements.of(meta={"tool": tool} if tool else {}, queries=queries)
    assert clock_of(data) == clock
    for found in (lab.find_duplicates(data), lab.summarize_queries(data)):
        assert clock in found.attrs["sentence"]
    assert clock_of(data.queries) == UNKNOWN
