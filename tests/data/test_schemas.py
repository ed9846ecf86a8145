"""The form of tables: every problem at once, fixed dtypes, nothing mutated."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perflab as lab
from perflab.data import schemas
from perflab.data.schemas import SCHEMAS, conform

NAMES = sorted(SCHEMAS)


@pytest.mark.parametrize("table", NAMES)
def test_a_conforming_table_stays_as_it_is(table, builders):
    once = conform(table, builders[table]())
    pd.testing.assert_frame_equal(conform(table, once), once)


@pytest.mark.parametrize("table", NAMES)
def test_required_columns_come_first_and_others_are_kept(table, builders):
    frame = builders[table]().assign(extra="kept")
    turned = conform(table, frame[frame.columns[::-1]])
    required = SCHEMAS[table].required
    assert tuple(turned.columns[: len(required)]) == required
    assert (turned["extra"] == "kept").all()


@pytest.mark.parametrize("table", NAMES)
def test_the_given_frame_is_not_changed(table, builders):
    frame = builders[table]()
    copy = frame.copy(deep=True)
    conform(table, frame)
    pd.testing.assert_frame_equal(frame, copy)


@pytest.mark.parametrize("table", NAMES)
def test_every_missing_column_is_named_at_once(table, builders):
    required = SCHEMAS[table].required
    with pytest.raises(lab.SchemaError) as caught:
        conform(table, builders[table]().drop(columns=list(required[1:])))
    assert caught.value.problems == tuple(f"column {c!r} is missing" for c in required[1:])


@pytest.mark.parametrize("table", NAMES)
def test_an_empty_table_conforms_and_stacks(table, builders):
    empty = schemas.empty(table)
    assert list(empty.columns) == list(SCHEMAS[table].required)
    full = conform(table, builders[table]())
    fixed = [
        c for c in SCHEMAS[table].required if c not in ("arm", "parent", "labels", "headers", "timings_ms")
    ]  # these may hold anything, or none
    assert empty.dtypes[fixed].equals(full.dtypes[fixed])


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_is_kept_and_does_not_matter(random):
    frame = pd.DataFrame(
        {
            "run": ["a", "b", "a"],
            "endpoint": ["GET /", "GET /b", "POST /c"],
            "start": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"], utc=True),
            "latency_ms": [3.0, 1.0, 2.0],
            "ok": [True, False, True],
        }
    )
    order = list(frame.index)
    random.shuffle(order)
    shuffled = conform("requests", frame.loc[order])
    pd.testing.assert_frame_equal(shuffled, conform("requests", frame).loc[order].reset_index(drop=True))


def test_all_kinds_of_problems_are_told_together(make_requests):
    frame = make_requests(count=4).drop(columns="endpoint")
    frame = frame.assign(latency_ms=[1.0, None, -3.0, 2.0], start=[1, 2, 3, 4], ok=["yes"] * 4, status=[200.5] * 4)
    with pytest.raises(lab.SchemaError) as caught:
        conform("requests", frame)
    text = str(caught.value)
    assert text.startswith("table 'requests': column 'endpoint' is missing; ")
    for part in (
        "'start': expected instants",
        "'latency_ms': 1 of 4 values missing",
        "row 1",
        "'ok'",
        "'status': expected whole",
    ):
        assert part in text
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("latency_ms", -1.0, "negative, the first in row 0: -1"),
        ("latency_ms", 1e15, r"above 1e\+12 ms \(30 years\), the first in row 0"),
        ("latency_ms", "fast", "expected numbers, found 'fast'"),
        ("latency_ms", float("inf"), "finite"),
        ("start", pd.Timestamp("2026-01-01"), "naive ones; use .dt.tz_localize"),
        ("start", "yesterday-ish", "expected instants"),
    ],
)
def test_a_wrong_value_says_what_was_found(column, value, problem, make_requests):
    with pytest.raises(lab.SchemaError, match=problem):
        conform("requests", make_requests(count=3).assign(**{column: value}))


def test_other_time_zones_become_utc(make_requests):
    frame = make_requests(count=3)
    moved = conform("requests", frame.assign(start=frame["start"].dt.tz_convert("Asia/Tokyo")))
    pd.testing.assert_series_equal(moved["start"], conform("requests", frame)["start"])


def test_an_unknown_or_doubled_name_is_refused(make_requests):
    with pytest.raises(ValueError, match="table must be one of runs, requests"):
        conform("request", make_requests())
    frame = make_requests(count=2)
    with pytest.raises(lab.SchemaError, match="'run' appears more than once"):
        conform("requests", pd.concat([frame, frame[["run"]]], axis=1))
