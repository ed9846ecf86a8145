"""`checked_out`: two commits of a repository, each in a folder of its own, built and ready to be started."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perflab.errors import PerflabError, TargetError
from perflab.loadtest.target import Target

_TAIL = 4_000


@contextmanager
def checked_out(
    base: str,
    head: str = "HEAD",
    *,
    command: str | Sequence[str],
    build: str | None = None,
    repository: str | Path = ".",
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[tuple[Target, Target]]:
    """Two commits as targets: each in a git worktree that is removed at the end.

    Parameters
    ----------
    base, head : str
        Commits, branches or tags of the repository. What is not committed is not measured.
    command : str or sequence of str
        Starts the application in its folder, for each run. ``{port}`` stands for a free port, which the variable PORT has too,
        and ``{folder}`` for its folder: that of ``repository``, in the worktree.
    build : str, optional
        A line for the shell, run once in each worktree before the first run (with ``{folder}``).
    repository : str or Path
        A folder of the repository.
    env : mapping, optional
        Further variables of build and command.
    **options
        Of `Target`, for both: ``ready="/health"``, ``settle="5s"``, ``ready_timeout="60s"``.

    Yields
    ------
    tuple[Target, Target]
        The base and the head.

    Raises
    ------
    ValueError
        A commit that the repository does not have, or twice the same one.
    TargetError
        The build failed; with the end of its output.

    >>> with checked_out("main", "HEAD", command="python app.py {port}", ready="/health") as (old, new):  # doctest: +SKIP
    ...     lab.gates.gate(plan, old, new)
    """
    place = Path(repository)
    shas = [_sha(place, name) for name in (base, head)]
    inside = _git(place, "rev-parse", "--show-prefix").strip()
    if shas[0] == shas[1]:
        raise ValueError(f"base and head are the same commit, {shas[0][:10]}: there is no change to gate")
    words = shlex.split(command) if isinstance(command, str) else list(command)
    if not words:
        raise ValueError("command must start the application; got nothing")
    ports = _free_ports(2)
    with tempfile.TemporaryDirectory(prefix="perflab-gate-") as temporary:
        folders = [Path(temporary) / name for name in ("base", "head")]
        try:
            targets = []
            for name, sha, folder, port in zip((base, head), shas, folders, ports, strict=True):
                _git(place, "worktree", "add", "--quiet", "--detach", str(folder), sha)
                own, where = {"PORT": str(port), **(env or {})}, folder / inside
                if not where.is_dir():
                    raise ValueError(f"{name} ({sha[:10]}) has no folder {inside.rstrip('/')}")
                if build:
                    _build(build.replace("{folder}", str(where)), where, own, f"{name} ({sha[:10]})")
                filled = [word.replace("{port}", str(port)).replace("{folder}", str(where)) for word in words]
                arm = sha[:10] if sha.startswith(name) else f"{name} {sha[:10]}"
                targets.append(
                    Target(arm, host=f"http://127.0.0.1:{port}", command=filled, cwd=where, env=own, **options)
                )
            yield targets[0], targets[1]
        finally:
            for folder in folders:
                if folder.exists():
                    _git(place, "worktree", "remove", "--force", "--force", str(folder), check=False)


def uncommitted(repository: str | Path = ".") -> bool:
    """Whether tracked files differ from the last commit: a gate of commits does not measure that."""
    return bool(_git(Path(repository), "status", "--porcelain", "--untracked-files=no", check=False).strip())


def _sha(repository: Path, name: str) -> str:
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)
    if not found.strip():
        shallow = _git(repository, "rev-parse", "--is-shallow-repository", check=False).strip() == "true"
        hint = (
            "; this is a shallow clone: fetch its history first (actions/checkout: fetch-depth: 0)" if shallow else ""
        )
        _git(repository, "rev-parse", "--git-dir")  # which says why, where this is no repository
        raise ValueError(f"{repository.resolve()} has no commit {name!r}{hint}")
    return found.strip()


def _git(repository: Path, *arguments: str, check: bool = True) -> str:
    # In a hook git's own variables name the repository that it works on, and would win over -C.
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == "GIT_SSH_COMMAND"
    }
    own = kept | {"LC_ALL": "C"}
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, env=own, check=False)
    except OSError as problem:
        raise PerflabError(f"a gate of two commits needs git: {problem.strerror}") from problem
    if check and done.returncode:
        raise PerflabError(f"git {arguments[0]} {arguments[1]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace") if not done.returncode else ""


def _build(line: str, folder: Path, env: Mapping[str, str], name: str) -> None:
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            ["sh", "-c", line], cwd=folder, stdout=output, stderr=output, env={**os.environ, **env}, check=False
        )
        output.seek(max(0, output.tell() - _TAIL))
        said = output.read().decode(errors="replace")
    if done.returncode:
        raise TargetError(f"the build of {name} failed", exit_code=done.returncode, output=said)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()
