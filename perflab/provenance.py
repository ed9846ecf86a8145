"""Where and with what something was measured, so that a number can be traced and a changed machine can't hide."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_PACKAGES = ("perflab", "locust", "gevent", "pandas", "numpy", "scipy")
_LISTED = 20
_SECRET = re.compile(r"key|token|secret|passw|credential|auth|cookie|session|dsn", re.IGNORECASE)
_PLAIN = re.compile(r"[\w.,:/+=\- ]{0,120}")


def stamp() -> dict[str, Any]:
    """The state of this machine and checkout now: versions, CPU, load average, git SHA, command line, time in UTC."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := package_version(name))},
        "system": f"{platform.system()} {platform.release()}",
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count() or 0,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "command": [Path(sys.argv[0]).name, *map(without_credentials, sys.argv[1:])] if sys.argv else [],
        **git_state(Path.cwd()),
    }


def package_version(name: str) -> str | None:
    """The installed version of a package, without importing it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_state(folder: Path) -> dict[str, Any]:
    """``git_sha``, ``git_dirty`` and ``git_changes`` of the checkout that the folder is in; empty outside one.

    Files that git neither tracks nor ignores count too: a locustfile that nobody committed can't be found again. Stores
    of runs do not. ``git_changes`` lists the first of them, and how many more there are.
    """

    def git(*arguments: str) -> str | None:
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, timeout=5, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", errors="replace")

    sha, root = git("rev-parse", "HEAD"), git("rev-parse", "--show-toplevel")
    if not sha or not root:
        return {}
    status = git("status", "--porcelain", "-z", "--untracked-files=normal")
    if status is None:
        return {"git_sha": sha.strip()}
    changes = _changes(status, Path(root.rstrip("\n")))
    more = [f"and {len(changes) - _LISTED:,} more"] if len(changes) > _LISTED else []
    listed = {"git_changes": [*changes[:_LISTED], *more]} if changes else {}
    return {"git_sha": sha.strip(), "git_dirty": bool(changes), **listed}


def _changes(status: str, root: Path) -> list[str]:
    """The paths in what ``git status -z`` says; new ones are marked."""
    entries, changes = iter(status.split("\0")), []
    for entry in entries:
        state, path = entry[:2], entry[3:]
        if "R" in state or "C" in state:
            next(entries, None)  # the name it had before
        if state == "??" and not _holds_runs(root / path):
            changes.append(f"{path} (new)")
        elif path and state != "??":
            changes.append(path)
    return changes


def _holds_runs(path: Path) -> bool:
    """Whether it is what perflab wrote: a store of runs, or a folder of stores."""
    return path.is_dir() and any(next(path.glob(f"{depth}run.json"), None) for depth in ("", "*/", "*/*/"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sha256_of(settings: object) -> str:
    """The SHA-256 of what can be written as JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def without_credentials(text: str) -> str:
    """A URL without its user, password and query values; other texts as they are, long random-looking ones hidden.

    >>> without_credentials("http://bob:hunter2@example.test/a?token=1")
    'http://example.test/a?token=…'
    """
    if "://" in text:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        query = re.sub(r"=[^&]*", "=…", parts.query)
        return urlunsplit((parts.scheme, host, parts.path, query, ""))
    name, equals, value = text.partition("=")
    if equals and value and _SECRET.search(name):
        return f"{name}=…"
    return text


def harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that can be kept in a record: values that may be secrets are replaced by "…"."""
    return {
        name: value if not _SECRET.search(name) and _PLAIN.fullmatch(value) and "@" not in value else "…"
        for name, value in environment.items()
    }
