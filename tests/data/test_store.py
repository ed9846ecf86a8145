"""Stores: what was written is what is read, whatever its folder is called; a damaged run never closes its store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import perflab as lab
from perflab.data.store import DAMAGED, NEWER, Draft

FOLDERS = ["endpoint=orders", "users=50", "ok=false", "run=x", "latency_ms=5", "start=2026-01-01", "arm=x/status=200",
           "runs[1]", "runs*", "a?b", "with space", "it's \"quoted\"", "🦊 runs", "__HIVE_DEFAULT_PARTITION__=1"]  # fmt: skip
Keep = Callable[..., Path]


@pytest.fixture
def keep(make_requests: Callable[..., pd.DataFrame], make_load: Callable[..., pd.DataFrame]) -> Keep:
    def kept(store: Path, arm: str = "eager", **record: Any) -> Path:
        draft = Draft(store, arm)
        draft.write("requests", make_requests("r", count=50))
        draft.write("load", make_load("r", users=4))
        return draft.keep(
            {"arm": arm, "start": "2026-11-24T01:45:00+00:00", "duration_ms": 3e4, "valid": True, **record}
        )

    return kept


@pytest.mark.parametrize("name", FOLDERS)
def test_the_name_of_a_folder_changes_nothing(
    tmp_path: Path, keep: Keep, name: str, make_requests: Callable[..., pd.DataFrame]
) -> None:
    keep(tmp_path / name)
    decoy = tmp_path / "runs1"
    draft = Draft(decoy, "eager")
    draft.write("requests", make_requests("r", count=50).assign(latency_ms=1e6))
    draft.keep({"arm": "eager", "valid": True, "duration_ms": 1.0})
    for place in (tmp_path / name, next((tmp_path / name).iterdir())):
        read = lab.load(place)
        assert not read.warnings
        assert list(read.tables) == ["runs", "requests", "load"]
        written = make_requests("r", count=50)
        assert read.requests.columns.tolist() == written.columns.tolist()
        pd.testing.assert_frame_equal(
            read.requests.drop(columns="run"), lab.Measurements.of(requests=written).requests.drop(columns="run")
        )
        assert read.load["users"].max() == 4


def _json(text: str) -> Callable[[Path], None]:
    return lambda run: (run / "run.json").write_text(text)


def _field(**values: Any) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / "run.json").write_text(json.dumps({**json.loads((run / "run.json").read_text()), **values}))

    return write


def _table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return lambda run: change(pd.read_parquet(run / "requests.parquet")).to_parquet(run / "requests.parquet")


def _cut(run: Path) -> None:
    file = run / "requests.parquet"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flipped(run: Path) -> None:
    file = run / "requests.parquet"
    file.write_bytes(bytes(byte ^ (0xFF * (place % 97 == 60)) for place, byte in enumerate(file.read_bytes())))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a list": _json("[]"),
    "null": _json("null"),
    "a text": _json('"x"'),
    "no JSON": _json("{"),
    "not UTF-8": lambda run: (run / "run.json").write_bytes(b'{"run": "\xff"}'),
    "reasons": _field(reasons=5),
    "reasons are letters": _field(reasons="abc"),
    "warnings": _field(warnings=3),
    "start": _field(start="yesterday"),
    "valid": _field(valid=None),
    "plan": _field(plan="locustfile.py"),
    "warm-up": _field(plan={"warmup": "a while", "duration_s": 30}),
    "warm-up of all": _field(plan={"warmup": "100%"}),
    "pair": _field(pair="one"),
    "duration": _field(duration_ms="long"),
    "schema": _field(schema_version="1"),
    "newer": _field(schema_version=99),
    "truncated": _cut,
    "empty": lambda run: (run / "requests.parquet").write_bytes(b""),
    "text": lambda run: (run / "load.parquet").write_text("users"),
    "missing": lambda run: (run / "requests.parquet").unlink(),
    "a folder": lambda run: ((run / "load.parquet").unlink(), (run / "load.parquet").mkdir()),
    "negative": _table(lambda frame: frame.assign(latency_ms=-1.0)),
    "infinite": _table(lambda frame: frame.assign(latency_ms=float("inf"))),
    "columns": _table(lambda frame: frame.drop(columns="latency_ms")),
    "kinds": _table(lambda frame: frame.assign(latency_ms="fast")),
    "lists": _table(lambda frame: frame.assign(endpoint=[["GET", "/"]] * len(frame))),
    "texts": _table(lambda frame: frame.assign(latency_ms="1 ms")),
    "a pipe": lambda run: ((run / "requests.parquet").unlink(), os.mkfifo(run / "requests.parquet")),
    "a record in a pipe": lambda run: ((run / "run.json").unlink(), os.mkfifo(run / "run.json")),
    "flipped bits": _flipped,
    "columns of one name": lambda run: pq.write_table(
        pa.table([pa.array([1.0]), pa.array([2.0])], names=["latency_ms", "latency_ms"]), run / "requests.parquet"
    ),
    "naive": _table(lambda frame: frame.assign(start=frame["start"].dt.tz_localize(None))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_left_out_by_name(tmp_path: Path, keep: Keep, damage: str) -> None:
    runs = [keep(tmp_path / "runs", arm) for arm in ("a", "b", "c")]
    whole = lab.load(tmp_path / "runs")
    DAMAGE[damage](runs[1])
    left = lab.load(tmp_path / "runs")
    assert list(left.runs["run"]) == [runs[0].name, runs[2].name]
    (note,) = left.warnings
    assert note.code == (NEWER.code if damage == "newer" else DAMAGED.code)
    assert runs[1].name in str(note)
    for name in ("requests", "load"):
        rest = whole.tables[name].query("run != @runs[1].name").reset_index(drop=True)
        pd.testing.assert_frame_equal(left.tables[name].reset_index(drop=True), rest)
    with pytest.raises(lab.StoreError, match=runs[1].name):
        lab.load(runs[1])


@pytest.mark.parametrize("other", ["1", 1.0, 1, True])
def test_a_run_whose_column_is_of_another_kind_is_read_if_it_can_be(tmp_path: Path, keep: Keep, other: object) -> None:
    column = "ok" if isinstance(other, int) else "latency_ms"
    runs = [keep(tmp_path, arm) for arm in ("a", "b", "c")]
    _table(lambda frame: frame.assign(**{column: other}))(runs[1])
    read = lab.load(tmp_path).requests
    assert len(read) == 150
    assert (read.loc[read["run"] == runs[1].name, column] == 1).all()


def test_a_plan_written_by_hand_has_its_warmup(tmp_path: Path, keep: Keep) -> None:
    for warmup in ("10%", 0.1, "3s"):
        keep(tmp_path, plan={"warmup": warmup, "duration_s": 30.0})
    assert [plan["warmup"] for plan in lab.load(tmp_path).runs["plan"]] == [0.1] * 3


def test_a_store_that_was_copied_is_the_same(tmp_path: Path, keep: Keep) -> None:
    keep(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b=1")
    pd.testing.assert_frame_equal(lab.load(tmp_path / "a").requests, lab.load(tmp_path / "b=1").requests)
