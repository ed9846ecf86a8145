"""What is recorded of the checkout: everything that a clone of the commit would lack."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from perflab import provenance


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("1\n")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.test"]
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_checkout_is_clean(checkout: Path) -> None:
    state = provenance.git_state(checkout)
    assert (len(state["git_sha"]), state["git_dirty"], "git_changes" in state) == (40, False, False)


def test_files_that_nobody_committed_count(checkout: Path) -> None:
    (checkout / "load tests").mkdir()
    (checkout / "load tests" / "café.py").write_text("2\n")
    (checkout / "locustfile.py").write_text("2\n")
    (checkout / "app.py").rename(checkout / "main.py")
    subprocess.run(["git", "add", "-A", "main.py", "app.py"], cwd=checkout, check=True)
    state = provenance.git_state(checkout / "load tests")
    assert state["git_dirty"]
    assert sorted(state["git_changes"]) == ["load tests/ (new)", "locustfile.py (new)", "main.py"]


def test_what_is_ignored_and_the_runs_themselves_do_not_count(checkout: Path) -> None:
    for place in ("ignored/x.py", "runs/r1/run.json", "results/today/r1/run.json"):
        (checkout / place).parent.mkdir(parents=True)
        (checkout / place).write_text("{}")
    assert provenance.git_state(checkout)["git_dirty"] is False


def test_the_list_is_bounded(checkout: Path) -> None:
    for number in range(50):
        (checkout / f"{number}.py").write_text("")
    changes = provenance.git_state(checkout)["git_changes"]
    assert (len(changes), changes[-1]) == (21, "and 30 more")


def test_there_is_nothing_to_say_outside_a_checkout(tmp_path: Path) -> None:
    assert provenance.git_state(tmp_path) == {}
