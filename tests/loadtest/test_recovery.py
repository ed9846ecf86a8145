"""Nothing captured is deleted when a last step fails: what stays, what the error says, and what `recover` makes of it."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import assert_clean, plan, target

import perflab as lab
from perflab.cli import main
from perflab.data.store import Draft
from perflab.loadtest import capture
from perflab.loadtest.records import RECORD
from perflab.notes import SHELL


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hidden folder of a run whose last step found the disk full."""
    store = tmp_path_factory.mktemp("left") / "runs"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Draft, "keep", full)
        with pytest.raises(lab.StoreError, match="No space left") as failed:
            lab.run(plan(2), target(env={"A_TOKEN": "hunter2"}), store=store, progress=False)
    (folder,) = store.iterdir()
    assert f'recover("{folder}")' in str(failed.value)
    assert "left out 1 unfinished run" not in str(failed.value)
    return folder


def copied(left: Path, place: Path) -> Path:
    return Path(shutil.copytree(left, place / "runs" / left.name))


def captured(folder: Path) -> int:
    return sum(file.stat().st_size // RECORD.size for file in folder.glob("generator/*.bin"))


def test_a_run_whose_last_step_failed_is_recovered_whole(left: Path, tmp_path: Path) -> None:
    draft = copied(left, tmp_path)
    count = captured(draft)
    back = lab.recover(draft)
    run = back.runs.iloc[0]
    assert run.valid, run.reasons
    assert len(back.requests) == count > 20
    assert (run.run, run.arm) == (left.name[1:], "tiny")
    assert run.environment["target"]["env"] == {"A_TOKEN": "…"}
    assert back.warnings[0].code == "recovered"
    assert_clean(tmp_path / "runs")
    with pytest.raises(lab.StoreError, match="no such folder"):
        lab.recover(draft)


def test_the_command_recovers_too(left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draft = copied(left, tmp_path / "a store")
    assert main(["recover", str(draft)]) == 0
    assert "recovered from the files of an unfinished run" in capsys.readouterr().out
    assert main(["recover", str(draft)]) == 3
    assert "no such folder" in capsys.readouterr().err
    again = copied(left, tmp_path / "a store")
    [note] = [note for note in lab.load(again.parent).warnings if note.code == "unfinished-runs"]
    assert f"perflab recover '{again}' makes" in note.written(SHELL)


def added(file: Path, torn: bytes) -> None:
    file.write_bytes(file.read_bytes() + torn)


BROKEN: dict[str, Callable[[Path], object]] = {
    "half a table": lambda draft: (draft / "requests.parquet").write_bytes(b"PAR1half"),
    "a torn record": lambda draft: added(next(draft.glob("generator/*.bin")), b"1234567"),
    "a torn note": lambda draft: added(next(draft.glob("generator/*.jsonl")), b'{"kind": "us'),
    "no end": lambda draft: (draft / "ended.json").unlink(),
    "no facts": lambda draft: (draft / "draft.json").write_bytes(b"{"),
    "no statistics": lambda draft: (draft / "generator" / "locust.json").unlink(),
    "no room": lambda draft: (draft / "ended.json").write_bytes(b""),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_whatever_is_there_is_recovered(left: Path, tmp_path: Path, broken: str) -> None:
    draft = copied(left, tmp_path)
    BROKEN[broken](draft)
    count = captured(draft)
    back = lab.recover(draft)
    assert len(back.requests) == count
    assert len(lab.load(tmp_path / "runs").requests) == count


@pytest.mark.parametrize("step", ["write_requests", "write_checks", "load_frame", "keep", "write"])
def test_a_recovery_that_fails_can_be_repeated(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    draft = copied(left, tmp_path)
    count = captured(draft)
    with monkeypatch.context() as patched:
        patched.setattr(Draft if step in ("keep", "write") else capture, step, full)
        with pytest.raises(lab.StoreError, match="No space left"):
            lab.recover(draft)
    assert len(lab.recover(tmp_path / "runs").requests) == count


def test_a_run_in_progress_is_left_alone(tmp_path: Path) -> None:
    draft = Draft(tmp_path, "eager")
    (draft.folder / "draft.json").write_text(json.dumps({}))
    with pytest.raises(lab.StoreError, match="still in progress"):
        lab.recover(draft.folder)
    draft.release()
    with pytest.raises(lab.StoreError, match="no request was captured"):
        lab.recover(draft.folder)
    with pytest.raises(lab.StoreError, match="expected one unfinished run"):
        lab.recover(draft.folder / "logs")
