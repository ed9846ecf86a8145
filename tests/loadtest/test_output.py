"""What a child prints: all of it up to a limit, then its end; and its exit code, whatever it printed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from perflab.loadtest import child
from perflab.loadtest.logfiles import cut

PRINT = "import sys\nfor i in range({}): print(f'{{i:09d}}')\nsys.exit(3)"


def ran(log: Path, code: str) -> int:
    running = child.Child([sys.executable, "-c", code], log=log, grace_s=1.0)
    assert running.wait(60)
    return running.stop()


def test_all_is_kept_below_the_limit(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert ran(log, PRINT.format(20_000)) == 3
    assert log.read_text() == "".join(f"{i:09d}\n" for i in range(20_000))
    assert cut(tmp_path) == []


def test_the_end_is_kept_beyond_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MAX_OUTPUT", 100_000)
    log = tmp_path / "a.log"
    assert ran(log, PRINT.format(300_000)) == 3
    kept = log.read_text()
    assert 30_000 < len(kept) <= 100_000
    assert ("".join(f"{i:09d}\n" for i in range(300_000))).endswith(kept)
    (note,) = cut(tmp_path)
    assert (note.code, note.facts["grown_bytes"], note.facts["kept_bytes"]) == ("log-cut", 3_000_000, len(kept))
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_one_that_left_its_group_does_not_hold_the_end_up(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(6)'], start_new_session=True)\n"
        "print('ended')"
    )
    started = time.monotonic()
    assert ran(tmp_path / "a.log", code) == 0
    assert time.monotonic() - started < 6
    assert (tmp_path / "a.log").read_text() == "ended\n"
