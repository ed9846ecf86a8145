"""Lists of texts as JSON: what orjson writes, in one step."""

from __future__ import annotations

import orjson
import pandas as pd
import pyarrow as pa
import pytest

from perflab.data import listed_texts

KIND = pd.ArrowDtype(pa.list_(pa.string()))
LISTS = [["1", None, 'a"b\\c', "ü☃", ""], None, [], ["x,y]"], [None], ["null"], ["\x7f\u2028"], ["2026-01-01 00:00:00"]]


def test_lists_are_written_as_orjson_writes_them_and_read_back() -> None:
    written = listed_texts.as_json(pd.array(LISTS, dtype=KIND))
    texts = [None if one is None else orjson.dumps(one).decode() for one in LISTS]
    assert [None if pd.isna(text) else text for text in written] == texts
    found = listed_texts.from_json(pa.chunked_array([pa.array(texts[:3]), pa.array(texts[3:])]))
    assert [None if one is pd.NA else list(one) for one in found] == LISTS


@pytest.mark.parametrize(
    "values",
    [
        pd.array([["a\nb"]], dtype=KIND),
        pd.array(["a"], dtype="str"),
        pd.array([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        pd.array([], dtype=KIND),
    ],
)
def test_other_values_are_left_to_those_who_can(values: object) -> None:
    assert listed_texts.as_json(values) is None


@pytest.mark.parametrize("text", ["[1]", '{"a": "b"}', '["a", 1]', '"a"', "[[]]", "["])
def test_other_json_is_left_to_those_who_can(text: str) -> None:
    assert listed_texts.from_json(pa.chunked_array([pa.array(['["a"]', text])])) is None
