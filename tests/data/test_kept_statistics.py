"""Statistics kept beside a run are those of its files, whatever happens to either, and to the process, in the meantime."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import perflab as lab
from perflab.data import kept_statistics
from perflab.data.store import Draft


@pytest.fixture
def store(tmp_path: Path, make_requests: Callable[..., pd.DataFrame]) -> Path:
    for place in range(2):
        draft = Draft(tmp_path / "runs", "a")
        draft.write("requests", make_requests("r", count=300, seed=place))
        draft.keep({"arm": "a", "start": f"2026-11-24T0{place}:45:00+00:00", "duration_ms": 3e4, "valid": True})
    return tmp_path / "runs"


def _is_right(store: Path) -> None:
    eager, lazy = (lab.summarize(lab.load(store, lazy=lazy)) for lazy in (False, True))
    pd.testing.assert_frame_equal(eager, lazy, check_exact=True)


def test_a_run_that_is_replaced_while_it_is_read_keeps_nothing(store: Path) -> None:
    held, run = lab.load(store, lazy=True), min(store.glob("2*"))
    rows = pd.read_parquet(run / "requests.parquet")

    def replaced(one: Any) -> dict[str, Any]:
        found = {"sum": {"of": np.array([one.requests()["latency_ms"].sum()])}}
        rows.assign(latency_ms=rows["latency_ms"] * 2).to_parquet(one.folder / "requests.parquet")
        return found

    kept_statistics.computed([held.tables.stored[run.name]], "sum", replaced)  # type: ignore[attr-defined]
    assert not kept_statistics.kept(run)
    _is_right(store)


@pytest.mark.parametrize("column", ["key", "name", "numbers", "texts"])
def test_a_file_with_other_columns_counts_for_nothing(store: Path, column: str) -> None:
    _is_right(store)
    file = min(store.glob("2*")) / kept_statistics.FILE
    table = pq.read_table(file)
    other = table.set_column(table.column_names.index(column), column, pa.array([1] * len(table)))
    for wrong in (other, table.drop_columns([column])):
        pq.write_table(wrong.replace_schema_metadata(table.schema.metadata), file)
        assert not kept_statistics.kept(file.parent)
    _is_right(store)


def test_a_bit_that_flipped_changes_no_number(store: Path) -> None:
    _is_right(store)
    file, random = min(store.glob("2*")) / kept_statistics.FILE, np.random.default_rng(1)
    data, right = file.read_bytes(), kept_statistics.kept(file.parent)
    for place in random.integers(len(data), size=300).tolist():
        changed = bytearray(data)
        changed[place] ^= 1 << int(random.integers(8))
        file.write_bytes(changed)
        kept_statistics._read.cache_clear()
        for key, arrays in kept_statistics.kept(file.parent).items():
            assert all(
                np.array_equal(right[key][name], found, equal_nan=found.dtype == float)
                for name, found in arrays.items()
            )


def test_threads_and_another_working_directory_change_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_is_right, [store] * 8))
        monkeypatch.chdir(store.parent)
        held = lab.load("runs", lazy=True)
        monkeypatch.chdir("/")
        for file in store.glob(f"2*/{kept_statistics.FILE}"):
            file.unlink()
        found = lab.summarize(held, executor=pool)
    pd.testing.assert_frame_equal(found, lab.summarize(lab.load(store, lazy=False)), check_exact=True)
    pd.testing.assert_series_equal(held.count("requests"), lab.load(store, lazy=False).count("requests"))
