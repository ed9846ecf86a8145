"""Stores that earlier versions recorded load in this one."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

import perflab as lab

DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.mark.parametrize(
    ("name", "tables"), [("shop_runs", "requests"), ("shop_recorded", "queries"), ("shop_fixes", "components")]
)
def test_what_0_1_0_recorded_is_read(name: str, tables: str) -> None:
    records = [orjson.loads(path.read_bytes()) for path in (DATASETS / name).glob("*/run.json")]
    assert {record["environment"]["packages"]["perflab"] for record in records} == {"0.1.0"}
    read = lab.load(DATASETS / name)
    assert len(read.runs) == len(records)
    assert read.runs["valid"].all()
    assert not [note for note in read.warnings if note.code in ("run-left-out", "newer-schema")]
    assert len(getattr(read, tables)) > 100
