"""Files that are ingested together: every one is one run, or none is kept."""

from __future__ import annotations

import os
import signal
import warnings
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import perflab as lab
from perflab.data import batches
from perflab.data.executing import mapped
from perflab.data.store import Draft
from perflab.errors import FormatError, StoreError
from perflab.formats import reading


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for place in range(3):
        file = tmp_path / f"part{place}.jsonl"
        file.write_text(
            f'{{"sql": "SELECT {place}", "start": {1795488875 + place}.0, "duration_ms": 1.0, "unit": "r"}}\n' * 9
        )
        made.append(file)
    return made


def _dies(given: Any, *, marker: Path, when: str) -> batches.Written:
    """Ingest a file; in the second one the process is killed before or after that, once or always."""
    fatal = given[0].stem == "part1" and (when == "always" or not marker.exists())
    found = reading._ingest_one(*given) if when == "after" or not fatal else None
    if fatal:
        if found is None:
            batches.draft(given[1], "x")
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    assert found is not None
    return found


def _sources(store: Path) -> list[str]:
    return sorted(file.parent.name.rpartition("-")[0][16:] for file in store.glob("*/run.json"))


class _Again(Executor):
    """Does everything twice, as a cluster does whose worker was lost with its result, in another working directory."""

    def submit(self, work: Any, /, *given: Any, **_: Any) -> Future[Any]:
        found: Future[Any] = Future()
        warnings.warn("Sending large graph of size 40.00 MiB.", UserWarning, stacklevel=2)  # an error in tests
        with chdir("/"):
            work(*given)
            found.set_result(work(*given))
        return found


def test_work_that_is_done_again_elsewhere_keeps_each_file_once(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = lab.ingest("part*.jsonl", "runs", executor=_Again())
    assert sorted(places) == sorted(Path("runs").iterdir())
    assert _sources(tmp_path / "runs") == ["part0", "part1", "part2"]
    ours, theirs = lab.read("part*.jsonl"), lab.read("part*.jsonl", executor=_Again())
    pd.testing.assert_frame_equal(ours.queries, theirs.queries)
    assert ours.meta == theirs.meta
    assert len(lab.load(lab.ingest("part*.jsonl", "logs", run="log", executor=_Again())[0]).queries) == 27


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_worker_is_an_error_and_keeps_nothing(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(reading, "_ingest_given", partial(_dies, marker=tmp_path / "killed", when=when))
    with ProcessPoolExecutor(1) as pool, pytest.raises(StoreError, match="a worker process exited"):
        lab.ingest(files, tmp_path / "runs", executor=pool)
    assert not list((tmp_path / "runs").iterdir())


def test_what_a_cluster_gives_up_is_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = pytest.importorskip("distributed.scheduler")

    def gives_up(_: int) -> None:
        raise scheduler.KilledWorker("ingest", None, 3)

    with ThreadPoolExecutor(1) as pool, pytest.raises(StoreError, match="a worker process exited"):
        list(mapped(gives_up, [1], pool))


@pytest.mark.parametrize("problem", ["a bad file", "an interruption"])
def test_a_file_at_fault_keeps_none_of_those_before_it(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    kept = lab.ingest(files[0], tmp_path / "runs")
    if problem == "a bad file":
        files[2].write_text("nothing of any tool\n")
        with pytest.raises(FormatError, match=r"part2\.jsonl"):
            lab.ingest(files, tmp_path / "runs")
    else:
        ingest = reading._ingest_one

        def interrupted(path: Path, *given: Any) -> batches.Written:
            if path == files[2]:
                raise KeyboardInterrupt
            return ingest(path, *given)

        monkeypatch.setattr(reading, "_ingest_one", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lab.ingest(files, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == kept


def test_who_is_still_writing_when_others_failed_keeps_nothing(files: list[Path], tmp_path: Path) -> None:
    with batches.Batch(tmp_path / "runs") as batch:
        late = batches.draft(batch.at, "late")
    for step in (lambda: late.keep({"valid": True}), lambda: batches.draft(batch.at, "later")):
        with pytest.raises(StoreError):
            step()
    assert not list((tmp_path / "runs").iterdir())


def test_what_a_killed_ingest_left_is_named(files: list[Path], tmp_path: Path) -> None:
    """And it is no run to recover."""
    lab.ingest(files[0], tmp_path / "runs")
    held = batches.Batch(tmp_path / "runs")  # never left
    reading._ingest_one(files[1], held.at, None, None, {})
    Draft(tmp_path / "runs", "ingest").release()
    loaded = lab.load(tmp_path / "runs")
    assert len(loaded.runs) == 1
    assert [note.code for note in loaded.warnings] == ["unfinished-ingest", "unfinished-runs"]
    assert held.at.name in str(loaded.warnings[0])


@pytest.mark.parametrize("given", ["a pattern and a file", "a link", "a relative path"])
def test_a_file_that_is_named_twice_is_one_run(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if given == "a link":
        (tmp_path / "latest.jsonl").symlink_to(files[2])
    named: Any = {
        "a pattern and a file": [str(tmp_path / "part*.jsonl"), files[1]],
        "a link": str(tmp_path / "*.jsonl"),
        "a relative path": [*files, Path("part0.jsonl")],
    }[given]
    assert len(lab.ingest(named, tmp_path / "runs")) == 3
    assert len(lab.read(named, run="log").queries) == 27
