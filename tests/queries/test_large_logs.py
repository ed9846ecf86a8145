"""Query logs larger than memory: pieces and parts give what the whole log gives."""

from __future__ import annotations

import bz2
import errno
import gzip
import importlib.util
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import perflab as lab
from perflab import formats
from perflab.cli import main
from perflab.data import stored_runs
from perflab.data.accounting import Accounting
from perflab.errors import FormatError, StoreError
from perflab.formats import _log_joining, _log_pieces
from perflab.queries import large_logs

RECORDED = Path(__file__).parents[1] / "corpora" / "recorded"
EXACT = ["parent", "child", "route", "units", "calls", "calls_saved", "evidence"]


def _rotated(folder: Path, name: str, end: bytes) -> list[Path]:
    """A recorded log in three files whose names are not in the order of time, one of them compressed."""
    data = bz2.decompress((RECORDED / name).read_bytes())
    files = []
    for number in range(3):
        cut = len(data) if number == 2 else data.index(end, (len(data) // (3 - number))) + 1
        while b"DETAIL: " in data[cut : data.find(b"\n", cut)]:  # a server writes it into the same file
            cut = data.index(end, cut) + 1
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
    whole, kept = lab.read(RECORDED / "rental.stderr.log.bz2", run="server"), lab.load(store)
    assert len(kept.runs) == 1
    assert len(kept.queries) == len(whole.queries)
    # Within each session the same statements with the same values in the same order.
    for session, mine in kept.queries.groupby("session"):
        theirs = whole.queries[whole.queries["session"] == session]
        assert mine["sql"].to_list() == theirs["sql"].to_list()
        assert _lists_of(mine["parameters"]) == _lists_of(theirs["parameters"])
        np.testing.assert_allclose(mine["duration_ms"], theirs["duration_ms"], rtol=0, atol=1e-9)
    assert not kept.warnings
    # No unit of work is divided by a cut.
    pd.testing.assert_frame_equal(lab.find_n_plus_one(kept)[EXACT], lab.find_n_plus_one(whole)[EXACT])


def _lists_of(values: pd.Series) -> list[list[str | None] | None]:
    return [None if held is None or held is pd.NA else list(held) for held in values]


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
    data, log = bz2.decompress((RECORDED / name).read_bytes()), tmp_path / name.removesuffix(".bz2")
    log.write_bytes(data[: data.index(end, len(data) // 4) + 1])
    monkeypatch.setattr(_log_pieces, "PIECE_BYTES", log.stat().st_size // 4)
    monkeypatch.setattr(_log_pieces, "_READ", 10_000)
    assert len(list(_log_pieces.pieces(0, log, formats.of_file(log), {}))) in (4, 5)
    whole = lab.read(log)
    lab.ingest(log, tmp_path / "store", run="log")
    kept = lab.load(tmp_path / "store")
    assert sorted(kept.queries["sql"]) == sorted(whole.queries["sql"])
    assert kept.runs["duration_ms"].item() == pytest.approx(whole.runs["duration_ms"].item(), abs=0.002)  # µs


GIVEN = """
import json, sys
import perflab as lab

*names, store = sys.argv[1:]
lab.ingest(names, store, run="log")
held = lab.load(store, lazy=True)
found = lab.find_n_plus_one(held)
sure = found[found["evidence"].isin(["confirmed", "likely"])]
counts = [held.length("queries"), int(sure["calls"].sum()), int(sure["units"].sum())]
most_kb = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([counts, int(most_kb) / 1e3]))
"""


def test_a_log_of_200_mb_is_its_pieces_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("scale_of_logs", "bench/scale_of_logs.py")
    assert spec and spec.loader
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    monkeypatch.setattr(bench, "FILES", 3)
    bench.write(tmp_path, 200e6)
    done = subprocess.run(
        [sys.executable, "-c", GIVEN, *map(str, bench.files(tmp_path)), str(tmp_path / "store")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    counts, most_mb = json.loads(done.stdout.splitlines()[-1])
    copies = np.sum(json.loads((tmp_path / "log" / "written.json").read_text())["copies"], axis=0)
    pieces = bench.one_by_one(tmp_path)
    assert counts == sum(n * np.array(pieces[name]) for n, name in zip(copies, bench.LOGS, strict=True)).tolist()
    assert counts[0] > 400_000
    assert most_mb < 1_000


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


def _lines(first: int, count: int, text: str = "duration: 0.5 ms  statement: SELECT * FROM van WHERE id = {n}") -> str:
    """Lines of a PostgreSQL log, one a second."""
    start = pd.Timestamp("2026-03-01 10:00:00")
    at = [
        (n, (start + pd.Timedelta(seconds=n)).strftime("%Y-%m-%d %H:%M:%S.000 UTC"))
        for n in range(first, first + count)
    ]
    return "".join(f"{when} [{4000 + n % 7}] app@shop LOG:  {text.format(n=n)}\n" for n, when in at)


QUIET = "checkpoint complete: wrote {n} buffers"


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_pieces, "PIECE_BYTES", 3_000)
    monkeypatch.setattr(_log_pieces, "_READ", 900)


@pytest.mark.usefixtures("small_pieces")
def test_pieces_and_files_without_statements_are_part_of_the_log(tmp_path: Path) -> None:
    busy = tmp_path / "b.log"
    busy.write_text(_lines(100, 60, QUIET) + _lines(160, 40) + _lines(200, 60, QUIET) + _lines(260, 40))
    night = tmp_path / "a.log"
    night.write_text(_lines(300, 10, QUIET))
    (tmp_path / "new.log").touch()
    lab.ingest([night, tmp_path / "new.log", busy], tmp_path / "store", run="log")
    kept = lab.load(tmp_path / "store")
    assert kept.queries["sql"].to_list() == [
        f"SELECT * FROM van WHERE id = {n}" for n in [*range(160, 200), *range(260, 300)]
    ]
    assert not kept.warnings
    with pytest.raises(FormatError) as refused:
        lab.ingest([night, night], tmp_path / "none", run="log")
    assert refused.value.args[0].code == "no-statements"
    assert not list((tmp_path / "none").glob("*"))


@pytest.mark.usefixtures("small_pieces")
def test_counts_in_notes_add_up_over_pieces(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(_lines(0, 20) + _lines(20, 50, "duration: 0.1 ms  statement: DEALLOCATE s{n}") + _lines(70, 20))
    lab.ingest(log, tmp_path / "store", run="log")
    read, kept = lab.read(log), lab.load(tmp_path / "store")
    assert len(kept.queries) == 40
    (one,), (stored,) = read.warnings, kept.warnings
    assert (one.code, one.facts["count"]) == ("deallocate-left-out", 50)
    assert stored.code == one.code and stored.facts["count"] == 50


@pytest.mark.usefixtures("small_pieces")
def test_parse_and_bind_records_before_a_cut_count_with_their_statement(tmp_path: Path) -> None:
    steps = [("parse", 0.1), ("bind", 0.2), ("execute", 0.3)]
    rows = [
        f"2026-03-01 10:00:{n:02d}.000 UTC [{4000 + who}] app@shop LOG:  duration: {ms} ms  {step} s{who}: SELECT $1\n"
        for n in range(30) for step, ms in steps for who in range(3)
    ]  # fmt: skip
    files = [tmp_path / "a.log", tmp_path / "b.log"]
    for file, part in zip(files, (rows[:131], rows[131:]), strict=True):
        file.write_text("".join(part))
    lab.ingest(files, tmp_path / "store", run="log")
    kept = lab.load(tmp_path / "store")
    np.testing.assert_allclose(kept.queries["duration_ms"], np.full(90, 0.6))
    assert not kept.warnings


def _files(folder: Path) -> list[Path]:
    """A log in two files, the second compressed, each of several pieces."""
    (folder / "a.log").write_text(_lines(0, 70))
    (folder / "b.log.gz").write_bytes(gzip.compress(_lines(70, 70).encode()))
    return [folder / "b.log.gz", folder / "a.log"]


@pytest.mark.usefixtures("small_pieces")
def test_workers_read_the_pieces_of_a_file(tmp_path: Path) -> None:
    files = _files(tmp_path)
    with ProcessPoolExecutor(2) as pool:
        lab.ingest(files, tmp_path / "theirs", run="log", executor=pool)
    lab.ingest(files, tmp_path / "ours", run="log")
    theirs, ours = lab.load(tmp_path / "theirs"), lab.load(tmp_path / "ours")
    pd.testing.assert_frame_equal(
        theirs.queries.drop(columns="run"), ours.queries.drop(columns="run"), check_exact=True
    )
    pd.testing.assert_frame_equal(theirs.runs.drop(columns="run"), ours.runs.drop(columns="run"), check_exact=True)
    assert len(ours.queries) == 140 and not ours.warnings and not theirs.warnings


def _dies(piece: _log_pieces.Piece) -> object:
    """Read a piece as a worker that is killed in the second file."""
    if piece.number:
        os.kill(os.getpid(), signal.SIGKILL)
    return _log_pieces.read_piece(piece)


def _interrupted(piece: _log_pieces.Piece) -> object:
    if piece.number:
        raise KeyboardInterrupt
    return _log_pieces.read_piece(piece)


@pytest.mark.usefixtures("small_pieces")
def test_a_killed_worker_and_an_interruption_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _files(tmp_path)
    monkeypatch.setattr(_log_joining, "_read_piece", _dies)
    with ProcessPoolExecutor(1) as pool, pytest.raises(StoreError, match="worker process exited"):
        lab.ingest(files, tmp_path / "store", run="log", executor=pool)
    monkeypatch.setattr(_log_joining, "_read_piece", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.ingest(files, tmp_path / "store", run="log")
    assert not list((tmp_path / "store").iterdir())


@pytest.mark.usefixtures("small_pieces")
def test_a_compressed_log_that_was_cut_is_refused(tmp_path: Path) -> None:
    files = _files(tmp_path)
    files[0].write_bytes(files[0].read_bytes()[:-200])
    with pytest.raises(FormatError, match=r"b\.log\.gz"):
        lab.ingest(files, tmp_path / "store", run="log")
    assert not list((tmp_path / "store").glob("*"))


EMPTY = {"plain": b"", "compressed": gzip.compress(b""), "a line end": b"\r\n"}


@pytest.mark.parametrize("how", ["ingest", "read"])
@pytest.mark.parametrize("empty", EMPTY)
def test_a_part_that_holds_nothing_is_passed_over(tmp_path: Path, empty: str, how: str) -> None:
    (tmp_path / "a.log").write_bytes(EMPTY[empty])
    (tmp_path / "b.log").write_text(_lines(0, 9))
    files = sorted(tmp_path.glob("*.log"))
    held = (
        lab.read(files, run="log") if how == "read" else lab.load(lab.ingest(files, tmp_path / "store", run="log")[0])
    )
    assert len(held.queries) == 9 and not held.warnings
    with pytest.raises(FormatError, match=r"a\.log: expected results, found an empty file"):
        lab.read(files[:1], run="log")


@pytest.mark.parametrize("program", ["xz", "lz4", "zstd", "bz2", "gzip"])
def test_parts_are_read_whatever_compressed_them(tmp_path: Path, program: str) -> None:
    pack = {"xz": lzma.compress, "bz2": bz2.compress, "gzip": gzip.compress}.get(
        program, lambda data: pa.compress(data, program, asbytes=True)
    )
    log = _lines(0, 40).encode()
    (tmp_path / "a.log").write_bytes(pack(log))
    assert len(lab.read(tmp_path / "a.log").queries) == 40
    lab.ingest(tmp_path / "a.log", tmp_path / "store", run="log")
    assert len(lab.load(tmp_path / "store").queries) == 40
    (tmp_path / "a.log").write_bytes(pack(log)[:-30])
    with pytest.raises(FormatError, match=r"a\.log: cannot be read"):
        lab.read(tmp_path / "a.log")


@pytest.mark.usefixtures("small_pieces")
def test_a_log_with_times_for_some_statements_is_kept_and_loads(tmp_path: Path) -> None:
    untimed = "".join(f"LOG:  duration: 0.5 ms  statement: SELECT {n}\n" for n in range(60))
    (tmp_path / "a.log").write_text(untimed)
    (tmp_path / "b.log").write_text(_lines(0, 60))
    for files in ([tmp_path / "a.log", tmp_path / "b.log"], [tmp_path / "b.log"]):
        place = tmp_path / f"store{len(files)}"
        lab.ingest(files, place, run="log")
        kept = lab.load(place)
        assert len(kept.queries) == 60 * len(files)
        assert kept.runs["duration_ms"].item() == pytest.approx(59_000.5)
        assert kept.runs["start"].item() == pd.Timestamp("2026-03-01 10:00:00", tz="UTC") - pd.Timedelta("0.5ms")


def test_logs_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    for server in ("db1", "db2"):
        (tmp_path / server).mkdir()
        (tmp_path / server / "postgresql.log").write_text(_lines(0, 20))
    files = sorted(tmp_path.glob("*/postgresql.log"))
    lab.ingest(files, tmp_path / "store", run="log")
    for held in (lab.read(files, run="log"), lab.load(tmp_path / "store")):
        (note,) = held.warnings
        assert "db1/postgresql.log and db2/postgresql.log overlap" in str(note)


def test_a_full_disk_of_parts_is_named(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(large_logs, "PART_ROWS", 1000)
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter", full)
    with pytest.raises(StoreError, match="set TMPDIR"):
        lab.find_n_plus_one(lab.load(store, lazy=True))
    monkeypatch.setattr(Path, "write_bytes", full)
    piece = _log_pieces.Piece(0, tmp_path / "a.log", "postgresql_stderr", {}, data=b"x")
    with pytest.raises(StoreError, match="set TMPDIR"):
        _log_pieces.read_piece(piece)


def test_an_error_in_a_piece_names_the_log(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"{n} duration: 0.5 ms  statement: SELECT {n}\n" for n in range(9)))
    with pytest.raises(FormatError) as problem:
        lab.ingest(tmp_path / "a.log", tmp_path / "store", run="log", format="postgresql_stderr")
    assert str(problem.value).startswith(str(tmp_path / "a.log"))


def test_statements_are_summed_up_some_at_a_time(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of runs with other columns and dialects, too."""
    shutil.copytree(store, tmp_path / "store")
    for name in ("music.jsonl.bz2", "zoo.slow.log.bz2"):
        lab.ingest(RECORDED / name, tmp_path / "store", run=name)
    lab.ingest("datasets/shop_queries.jsonl", tmp_path / "store")
    whole, lazy = (lab.load(tmp_path / "store", lazy=lazy) for lazy in (False, True))
    expected, short = lab.summarize_queries(whole), lab.data.time_window(lazy, 1, 9)
    monkeypatch.setattr(stored_runs, "_BATCH", 700)
    pd.testing.assert_frame_equal(
        lab.summarize_queries(short), lab.summarize_queries(lab.data.time_window(whole, 1, 9))
    )
    monkeypatch.setattr(stored_runs.StoredRun, "table", None)  # no table as a whole
    found = lab.summarize_queries(lazy)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert found.attrs["sentence"] == expected.attrs["sentence"]


def test_the_command_reads_large_logs_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = _rotated(tmp_path, "rental.stderr.log.bz2", b"\n2026-11-25 01:")
    given = ["queries", *map(str, files), "--run", "log", "--json"]
    small = main(given), json.loads(capsys.readouterr().out)
    read = []
    monkeypatch.setattr("perflab.formats.reading._read_one", read.append)
    monkeypatch.setattr(_log_pieces, "PIECE_BYTES", 300_000)
    monkeypatch.setattr(_log_pieces, "_READ", 70_000)
    code, large = main(given), json.loads(capsys.readouterr().out)
    assert not read and code == small[0]
    exact = ("parent", "child", "units", "calls", "evidence", "fingerprint")
    for one, other in zip(small[1]["results"], large["results"], strict=True):
        assert one["sentence"] == other["sentence"]
        mine, theirs = ([str([row.get(name) for name in exact]) for row in each["rows"]] for each in (one, other))
        assert sorted(mine) == sorted(theirs)


def test_the_command_ingests_the_parts_of_a_log_as_one_run(tmp_path: Path, log: list[Path]) -> None:
    assert main(["ingest", *map(str, log), "--run", "log", "--store", str(tmp_path)]) == 0
    assert len(lab.load(tmp_path).runs) == 1
