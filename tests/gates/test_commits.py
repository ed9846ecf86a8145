"""Two commits side by side: the right code in each folder, and a repository that is left as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import perflab as lab
from perflab.gates import checked_out
from perflab.gates.commits import uncommitted


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "a repository"
    place.mkdir()
    git(place, "init", "-q")
    for text in ("first", "second"):
        (place / "app.py").write_text(text)
        git(place, "add", ".")
        git(place, "commit", "-qm", text)
    return place


def state(repository: Path) -> list[str]:
    asked = ("status --porcelain", "worktree list", "branch -a", "rev-parse HEAD")
    return [git(repository, *words.split()) for words in asked]


def test_each_side_has_its_commit_its_folder_and_its_port(repository: Path) -> None:
    (repository / "app.py").write_text("not committed")
    assert uncommitted(repository)
    before = state(repository)
    command = "python {folder}/app.py --port {port} --braces {}"
    build = "cat app.py > built && test $PORT -gt 0 && echo {folder} >> built"
    with checked_out("HEAD~1", command=command, build=build, repository=repository, ready="/health") as (old, new):
        for target, text in ((old, "first"), (new, "second")):
            folder = Path(str(target.cwd))
            assert (folder / "app.py").read_text() == text
            assert (folder / "built").read_text() == f"{text}{folder}\n"
            port = str(target.address[1])
            assert tuple(target.command) == ("python", f"{folder}/app.py", "--port", port, "--braces", "{}")
            assert (target.env["PORT"], target.ready) == (port, "/health")
        assert old.host != new.host and "HEAD~1" in old.arm
        folders = [Path(str(t.cwd)) for t in (old, new)]
    assert not any(folder.exists() for folder in folders)
    assert state(repository) == before


def test_what_goes_wrong_leaves_nothing_behind(repository: Path) -> None:
    before = state(repository)
    broken = {"command": "x", "build": "echo broken pipe wrench; exit 3", "repository": repository}
    with (
        pytest.raises(lab.TargetError, match=r"the build of HEAD~1 .* failed") as failed,
        checked_out("HEAD~1", **broken),
    ):
        pass
    assert failed.value.exit_code == 3 and "broken pipe wrench" in failed.value.output
    with pytest.raises(RuntimeError), checked_out("HEAD~1", command="x", repository=repository):
        raise RuntimeError
    assert state(repository) == before


@pytest.mark.parametrize(
    ("base", "head", "words"),
    [
        ("HEAD", "main", "the same commit"),
        ("no-such-branch", "HEAD", "has no commit 'no-such-branch'"),
        ("--upload-pack=x", "HEAD", "has no commit"),
        ("HEAD~9", "HEAD", "has no commit"),
        ("", "HEAD", "has no commit"),
    ],
)
def test_commits_that_are_none_are_named(repository: Path, base: str, head: str, words: str) -> None:
    with pytest.raises(ValueError, match=words), checked_out(base, head, command="x", repository=repository):
        pass


def test_a_shallow_clone_and_no_repository_are_said(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", str(tmp_path / "shallow"))
    with (
        pytest.raises(ValueError, match="fetch-depth: 0"),
        checked_out("HEAD~1", command="x", repository=tmp_path / "shallow"),
    ):
        pass
    (tmp_path / "plain").mkdir()
    with (
        pytest.raises(lab.PerflabError, match="not a git repository"),
        checked_out("a", command="x", repository=tmp_path / "plain"),
    ):
        pass


def test_in_a_hook_the_variables_of_git_do_not_lead_astray(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nothing")
    with checked_out("HEAD~1", command="x", repository=repository) as (old, _):
        assert (Path(str(old.cwd)) / "app.py").read_text() == "first"


def test_a_folder_of_the_repository_is_that_folder_on_both_sides(repository: Path) -> None:
    (repository / "service").mkdir()
    for text in ("third", "fourth"):
        (repository / "service" / "app.py").write_text(text)
        git(repository, "add", ".")
        git(repository, "commit", "-qm", text)
    with checked_out("HEAD~1", command="x {folder}", build="cat app.py", repository=repository / "service") as (
        old,
        new,
    ):
        assert [(Path(str(t.cwd)) / "app.py").read_text() for t in (old, new)] == ["third", "fourth"]
        assert old.command[1] == str(old.cwd)
    before = state(repository)
    with (
        pytest.raises(ValueError, match="has no folder service"),
        checked_out("HEAD~2", command="x", repository=repository / "service"),
    ):
        pass
    assert state(repository) == before
