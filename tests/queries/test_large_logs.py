"""Query logs larger than memory: pieces and parts give what the whole log gives."""

from __future__ import annotations

import bz2
import gzip
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.data.accounting import Accounting
from perflab.errors import FormatError
from perflab.formats import _log_pieces
from perflab.queries import large_logs

RECORDED = Path(__file__).parents[1] / "corpora" / "recorded"
EXACT = ["parent", "child", "route", "units", "calls", "calls_saved", "evidence"]


def _rotated(folder: Path, name: str, end: bytes) -> list[Path]:
    """A recorded log in three files whose names are not in the order of time, one of them compressed."""
    data = bz2.decompress((RECORDED / name).read_bytes())
    files = []
    for number in range(3):
        cut = len(data) if number == 2 else data.index(end, (len(data) // (3 - number))) + 1
        file = folder / f"log.{2 - number}"
        file.write_bytes(gzip.compress(data[:cut]) if number == 1 else data[:cut])
        files.append(file)
        data = data[cut:]
    return files


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return _rotated(tmp_path_factory.mktemp("log"), "rental.stderr.log.bz2", b"\n2026-11-25 01:")


@pytest.fixture(scope="module")
def store(log: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_log_pieces, "PIECE_BYTES", 300_000)
        patch.setattr(_log_pieces, "_READ", 70_000)
        lab.ingest(sorted(log), place, run="server")
    return place


def test_rotated_files_are_one_log(log: list[Path], store: Path) -> None:
    whole, kept = lab.read(sorted(log), run="server"), lab.load(store)
    assert len(kept.runs) == 1
    for column in ("sql", "start", "session"):
        assert kept.queries[column].to_list() == whole.queries[column].to_list()
    assert [held if held is None else list(held) for held in kept.queries["parameters"]] == [
        None if held is None or held is pd.NA else list(held) for held in whole.queries["parameters"]
    ]
    # Parse and bind records at the end of a piece have lost their statement.
    np.testing.assert_allclose(kept.queries["duration_ms"].sum(), whole.queries["duration_ms"].sum(), rtol=0.01)
    assert not [note for note in kept.warnings if "skipped" in note.code or "differ" in note.code]


@pytest.mark.parametrize("by", ["pattern", "unit"])
def test_parts_find_what_the_whole_log_has(store: Path, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lazy, whole = lab.load(store, lazy=True), lab.load(store, lazy=False)
    expected = lab.find_n_plus_one(whole, by=by)
    pd.testing.assert_frame_equal(lab.find_n_plus_one(lazy, by=by), expected)
    monkeypatch.setattr(large_logs, "PART_ROWS", lazy.length("queries") // 3)
    found = lab.find_n_plus_one(lazy, by=by)
    if by == "unit":
        columns = ["unit", "child", "calls", "distinct_parameters"]
        wanted, got = (t[columns].sort_values(columns, ignore_index=True) for t in (expected, found))
        pd.testing.assert_frame_equal(wanted, got)
        return
    # Which SELECT is the parent is decided in each part; parts as small as these have few units for that.
    wanted, got = (t.groupby("child")[["units", "calls"]].sum() for t in (expected, found))
    pd.testing.assert_frame_equal(wanted, got)
    np.testing.assert_allclose(found["time_ms"].sum(), expected["time_ms"].sum())


def _lists(limits: list[int], session: str, name: str = "van") -> list[dict[str, object]]:
    """A unit for each limit: a list of so many rows, then a lookup of each of them five times."""
    rows: list[tuple[str, str]] = []
    for number, limit in enumerate(limits):
        unit = f"{session}-{number}"
        rows.append((unit, f"SELECT id FROM {name} WHERE depot_id = 3 LIMIT {limit}"))
        rows += [(unit, f"SELECT id FROM trip WHERE {name}_id = {number * 100 + n}") for n in range(max(limit, 5))]
    return [{"unit": unit, "sql": sql, "session": session, "duration_ms": 0.1} for unit, sql in rows]


def _found(*parts: list[dict[str, object]]) -> list[large_logs.Found]:
    start = pd.Timestamp("2026-01-01", tz="UTC")
    frames = [pd.DataFrame(rows).assign(run="r") for rows in parts]
    times = [start + pd.to_timedelta(np.arange(len(frame)), unit="ms") for frame in frames]
    return [
        large_logs.found_in(frame.assign(start=at), 5, None) for frame, at in zip(frames, times, strict=True)
    ]  # fmt: skip


def test_a_list_that_is_limited_to_one_row_once_is_a_list_in_every_part() -> None:
    limits = [1, 5, 7, 9, 6, 8, 5, 7, 9, 6]
    whole, first, second = _found(_lists(limits + limits[1:], "a"), _lists(limits, "a"), _lists(limits[1:], "b"))
    both = large_logs.merged([first, second])
    for found in (whole, both):
        assert found.patterns["parent"].notna().all()
        assert found.patterns["units"].to_list() == [19]
        assert set(found.patterns["evidence"]) <= {"confirmed", "likely"}
    assert both.patterns["calls"].sum() == whole.patterns["calls"].sum()


def test_a_part_that_shows_no_parent_takes_that_of_the_part_with_most_units() -> None:
    sure, blind = _found(_lists([5, 7, 9, 6, 8, 5, 7], "a"), _lists([1, 1], "b"))
    assert sure.patterns["parent"].notna().all() and blind.patterns["parent"].isna().all()
    both = large_logs.merged([blind, sure]).patterns
    assert both["units"].to_list() == [9]
    for column in ("parent", "evidence"):
        assert both[column].to_list() == sure.patterns[column].to_list()


def test_one_part_and_processes_change_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = lab.load(store, lazy=True)
    assert isinstance(held.tables, large_logs.StoredTables)
    expected = large_logs.find_in_parts(held.tables, 5, None, None)
    pd.testing.assert_frame_equal(expected.patterns[EXACT], large_logs.found_in(held.queries, 5, None).patterns[EXACT])
    monkeypatch.setattr(large_logs, "PART_ROWS", held.length("queries") // 2)
    with ProcessPoolExecutor(2) as pool:
        found = lab.find_n_plus_one(held, executor=pool)
    pd.testing.assert_frame_equal(found, lab.find_n_plus_one(held))


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("newsroom.csv.bz2", b"\n2026"),
        ("festival.json.bz2", b"\n{"),
        ("zoo.slow.log.bz2", b"\n# User@Host"),
        ("music.jsonl.bz2", b"\n{"),
    ],
)
def test_pieces_hold_every_statement(tmp_path: Path, name: str, end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_pieces, "PIECE_BYTES", 200_000)
    monkeypatch.setattr(_log_pieces, "_READ", 50_000)
    whole = lab.read(RECORDED / name)
    lab.ingest(RECORDED / name, tmp_path, run="log")
    kept = lab.load(tmp_path)
    assert sorted(kept.queries["sql"]) == sorted(whole.queries["sql"])
    assert kept.runs["duration_ms"].item() == pytest.approx(whole.runs["duration_ms"].item())


def test_files_that_are_no_log_are_refused_and_leave_nothing(tmp_path: Path, log: list[Path]) -> None:
    (tmp_path / "other.jsonl").write_text('{"sql": "SELECT 1", "start": "2026-01-01T00:00:00Z", "duration_ms": 1.0}\n')
    with pytest.raises((ValueError, FormatError)):
        lab.ingest([log[0], tmp_path / "other.jsonl"], tmp_path / "store", run="log")
    with pytest.raises(ValueError, match="parts of a query log"):
        lab.ingest("datasets/other_tools/wrk.txt", tmp_path / "store", run="log")
    assert not list((tmp_path / "store").glob("*"))


@pytest.mark.parametrize(("given", "expected"), [((0, 1), False), ((0, 2), True), ((1, 0, 1), True)])
def test_parts_of_the_same_time_are_reported(tmp_path: Path, given: tuple[int, ...], expected: bool) -> None:
    lines = [
        f'{{"sql": "SELECT {n}", "start": {1795488875 + n}.0, "duration_ms": {3000 if n == 20 else 1}.0}}\n'
        for n in range(40)
    ]
    parts = (lines[:20], lines[20:], lines[10:30])
    files = [tmp_path / f"{place}-{n}.jsonl" for place, n in enumerate(given)]
    for file, n in zip(files, given, strict=True):
        file.write_text("".join(parts[n]))
    lab.ingest(files, tmp_path / "store", run="log")
    for held in (lab.load(tmp_path / "store"), lab.read(files, run="log")):
        assert len(held.queries) == sum(len(parts[n]) for n in given)
        assert ("logs-overlap" in [note.code for note in held.warnings]) == expected


def test_accounts_of_pieces_add_up() -> None:
    first = Accounting("line", total=10, rows=7, known=3, markers={"x": (2, 2)})
    second = Accounting("line", total=5, rows=3, skipped=2, first=4, why="cut", markers={"x": (1, 1), "y": (1, 0)})
    both = first + second
    assert (both.total, both.rows, both.skipped, both.first, both.why) == (15, 10, 2, 14, "cut")
    assert both.markers == {"x": (3, 3), "y": (1, 0)} and not both.lost
