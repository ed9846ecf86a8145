# ruff: noqa: E501
"""N+1 over Redis and MongoDB, whose calls are spans without SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import perflab as lab
from perflab.queries.http_calls import http_call
from perflab.queries.stores import store_calls

SQL = ("postgresql", "SELECT id, title, author_id FROM book ORDER BY title LIMIT 9")
Calls = Sequence[tuple[str, str]]


def traced(path: Path, requests: Sequence[Calls]) -> lab.Measurements:
    """OpenTelemetry's spans: a server's span for each request, with the calls of databases below it."""
    spans = []

    def span(number: int, parent: int | None, name: str, kind: int, attributes: dict[str, Any]) -> None:
        start = 1_767_225_600_000_000_000 + number * 2_000_000
        spans.append(
            {
                "traceId": f"{1:032x}", "spanId": f"{number:016x}", "name": name, "kind": kind,
                "parentSpanId": f"{parent:016x}" if parent else "", "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(start + 400_000),
                "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()],
            }
        )  # fmt: skip

    number = 1
    for calls in requests:
        server = number
        span(server, None, "GET /books", 2, {"http.route": "/books", "http.request.method": "GET"})
        for system, text in calls:
            number += 1
            span(number, server, text.split()[0], 3, {"db.system": system, "db.statement": text})
        number += 1
    path.write_text(json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]}) + "\n")
    return lab.read(path)


def find(collection: str, **wanted: object) -> str:
    return json.dumps({"find": collection, "filter": wanted})


@pytest.mark.parametrize(
    ("parent", "call", "child"),
    [
        (SQL, lambda i: ("redis", f"GET author:{i}"), "get from author where id = ?"),
        (SQL, lambda i: ("redis", f"HGETALL cover:{i}"), "get from cover where id = ?"),
        (SQL, lambda i: ("mongodb", find("review", book_id=i)), "find from review where book_id = ?"),
        (("mongodb", find("book", shop=3)), lambda i: ("mongodb", find("author", _id={"$oid": f"{i:024x}"})), "find from author where id = ?"),
        (("mongodb", find("book")), lambda i: ("mongodb", find("review", book_id=i, state="new")), "find from review where book_id = ? and state = ?"),
    ],
    ids=["redis", "redis hash", "sql and mongo", "to one", "to many"],
)  # fmt: skip
def test_a_call_for_each_row_is_claimed(tmp_path: Path, parent: Any, call: Any, child: str) -> None:
    data = traced(tmp_path / "spans.json", [[parent, *(call(100 * n + i) for i in range(n))] for n in (8, 12, 6)])
    found = lab.find_n_plus_one(data)
    assert found[["child", "calls", "evidence", "route"]].to_numpy().tolist() == [[child, 26, "likely", "GET /books"]]
    assert "JOIN" not in found["suggestion"].iloc[0]
    with pytest.raises(AssertionError):
        lab.assert_no_n_plus_one(data)


@pytest.mark.parametrize(
    "calls",
    [
        [("redis", f"GET session:{i}") for i in range(9)],
        [SQL, *[("redis", f"MGET author:{i} author:{i + 1}") for i in range(9)]],
        [SQL, *[("redis", f"PING {i}") for i in range(9)]],
        [("mongodb", find("book")), *[("mongodb", find("author", _id={"$in": [i, i + 1]})) for i in range(9)]],
        [("mongodb", find("book")), *[("mongodb", find("setting", key="currency"))] * 9],
    ],
    ids=["no parent", "batches", "no read", "in", "the same"],
)
def test_other_calls_are_no_n_plus_one(tmp_path: Path, calls: Calls) -> None:
    found = lab.find_n_plus_one(traced(tmp_path / "spans.json", [calls]))
    assert not found["evidence"].isin(["confirmed", "likely"]).any()


def test_no_value_of_a_key_is_shown(tmp_path: Path) -> None:
    calls = [
        *[("redis", f"GET session:anna.berg{i}@example.org") for i in range(9)],
        *[("redis", f"GET anna.berg{i}@example.org") for i in range(9)],
        *[("mongodb", find("users", mail=f"anna.berg{i}@example.org")) for i in range(9)],
    ]
    found = lab.find_n_plus_one(traced(tmp_path / "spans.json", [calls]))
    assert len(found) == 3
    assert "anna" not in found.to_csv()


def test_the_same_call_again_is_a_duplicate_and_writes_are_a_loop(tmp_path: Path) -> None:
    calls = [("redis", "GET book:7")] * 4 + [("redis", f"SET seen:{i} 1") for i in range(6)]
    data = traced(tmp_path / "spans.json", [calls])
    assert lab.find_duplicates(data)["needless"].tolist() == [3]
    assert lab.queries.find_write_loops(data)["calls"].tolist() == [6]


def test_spans_without_such_calls_add_nothing() -> None:
    assert store_calls(None) is None
    assert store_calls(pd.DataFrame({"span": ["a"], "attributes": [{"db.system": "postgresql"}]})) is None


def service(path: str, method: str = "GET") -> dict[str, Any]:
    return {"http.request.method": method, "url.full": f"http://catalog:8080{path}"}


def asked(path: Path, requests: Sequence[Sequence[dict[str, Any]]]) -> lab.Measurements:
    """As `traced`, of calls to another service by their attributes."""
    data = traced(path, [[("", json.dumps(call)) for call in calls] for calls in requests])
    spans = data.spans
    attributes = [
        json.loads(held["db.statement"]) if held.get("db.system") == "" else held for held in spans["attributes"]
    ]
    return lab.Measurements.of(spans=spans.assign(attributes=attributes))


def test_a_call_to_another_service_for_each_row_is_claimed(tmp_path: Path) -> None:
    requests = [
        [service(f"/books?page={n}"), *(service(f"/authors/{100 * n + i}") for i in range(n))] for n in (8, 12, 6)
    ]
    found = lab.find_n_plus_one(asked(tmp_path / "spans.json", requests))
    assert found[["child", "calls", "evidence"]].to_numpy().tolist() == [
        ["request from catalog.authors where id = ?", 26, "likely"]
    ]
    assert "gather" in found["suggestion"].iloc[0] and "JOIN" not in found["suggestion"].iloc[0]


@pytest.mark.parametrize(
    "calls",
    [
        [service("/books"), *[service(f"/authors?ids={i},{i + 1},{i + 2}") for i in range(3)]],
        [service("/books"), *[service("/settings/currency")] * 9],
        [service("/books"), *[service(f"/views/{i}", "POST") for i in range(9)]],
        [service(f"/a/{i}") for i in range(9)],
        [service("/books"), *[service(f"/{word}") for word in ("price", "stock", "offer", "rating", "image", "text")]],
    ],
    ids=["batches", "the same", "writes", "no parent", "different calls"],
)
def test_other_calls_to_services_are_no_n_plus_one(tmp_path: Path, calls: Sequence[dict[str, Any]]) -> None:
    found = lab.find_n_plus_one(asked(tmp_path / "spans.json", [calls]))
    assert not found["evidence"].isin(["confirmed", "likely"]).any()


def test_no_value_of_an_address_is_shown(tmp_path: Path) -> None:
    calls = [service("/books"), *[service(f"/users/anna.berg{i}@example.org?name=anna") for i in range(9)]]
    assert "anna" not in lab.find_n_plus_one(asked(tmp_path / "spans.json", [calls])).to_csv()


@pytest.mark.parametrize(
    ("name", "attributes", "label", "values"),
    [
        (
            "GET",
            {"http.request.method": "GET", "url.full": "http://a:80/items/17?in=Bonn"},
            "GET a:80/items/{}",
            ("17", "Bonn"),
        ),
        (
            "GET",
            {"http.method": "get", "http.target": "/items/17?x=2", "net.peer.name": "a"},
            "GET a/items/{}",
            ("17", "2"),
        ),
        ("GET a:51234/items/{}", {}, "GET a/items/{}", None),
        ("GET https://user:secret@a/items/17#top", {}, "GET a/items/{}", ("17",)),
        ("HTTP GET", {"http.request.method": "GET", "server.address": "a"}, "GET a", None),
        ("GET /items/[Filtered]", {}, "GET /items/{}", None),
        ("GET", {"http.request.method": 5, "url.full": ["a"]}, None, None),
        ("GET", {"db.system": "redis"}, None, None),
        ("load items", {}, None, None),
    ],
)
def test_calls_over_http_are_named_without_values(
    name: str, attributes: dict[str, Any], label: Any, values: Any
) -> None:
    call = http_call(name, attributes)
    assert (call and call.label, call and call.values) == (label, values)
