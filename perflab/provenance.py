"""Provenance: where and with what something was measured, so that numbers can be traced and a changed machine is noticed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("perflab", "locust", "gevent", "pandas", "numpy", "scipy")
_LISTED = 20
_NAME = (
    r"(?:key|token|secret|pass|pwd|pswd|credential|auth(?!or)|cookie|session|dsn|jwt|bearer|private|salt|signature|sentry|"
    r"(?<![a-z0-9])(?:sk|pin|pw|sig|sid|otp|x-api)(?![a-z0-9]))"
)
"""Parts of names that indicate a secret."""
_SECRET = re.compile(_NAME, re.IGNORECASE)
_HIDDEN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kept)
    for pattern, kept in (
        (r"//[^\s/@'\"]*@", "//"),
        (r"(?<![\w.])[\w.+-]+:[^\s@/:'\"]+@(?=[\w\[])", "…@"),
        (r"([?&;#][\w.\-\[\]%]+=)[^&;#\s'\"]*", r"\1…"),
        (r"\b((?:[\w-]*cookie|[\w-]*authorization)\s*[:=]\s*)[^'\"\r\n]+", r"\1…"),
        (r"\b(bearer|basic|digest|token)\s+[^\s'\",]+", r"\1 …"),
        (rf"([\w.\-]*{_NAME}[\w.\-]*[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s'\"&;,]+)", r"\1…"),
        (rf"(--?[\w\-]*{_NAME}[\w\-]*\s+)(?!--)\S+", r"\1…"),
        (r"\beyJ[\w-]{8,}(?:\.[\w-]*)*|\b[spr]k_(?:live|test)_\w+|\bgh[pousr]_\w{16,}|\bxox[abprs]-[\w-]+", "…"),
        (r"\bSG\.[\w-]{8,}\.[\w-]+|\bAKIA[0-9A-Z]{12,}", "…"),
    )
)

_PLAIN_HEADERS = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding",
    "content-language", "content-type", "expect", "host", "origin", "pragma", "user-agent",
})  # fmt: skip


def stamp() -> dict[str, Any]:
    """The current state of this machine and checkout: versions, CPU, load average, git SHA, command line, time in UTC."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := package_version(name))},
        "system": f"{platform.system()} {platform.release()}",
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count() or 0,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "command": [Path(sys.argv[0]).name, *without_secrets(sys.argv[1:])] if sys.argv else [],
        **git_state(Path.cwd()),
    }


def package_version(name: str) -> str | None:
    """The installed version of a package, without importing it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def cpu_model() -> str:
    """The processor's name as reported by the system."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def git_state(folder: Path) -> dict[str, Any]:
    """``git_sha``, ``git_dirty`` and ``git_changes`` of the checkout that contains the folder; empty outside one.

    Files that git neither tracks nor ignores count too: an uncommitted locustfile cannot be recovered. Stores of runs do
    not. ``git_changes`` lists the first of them, and the number of others.
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
    """The paths in the output of ``git status -z``; new ones are marked."""
    entries, changes = iter(status.split("\0")), []
    for entry in entries:
        state, path = entry[:2], entry[3:]
        if "R" in state or "C" in state:
            next(entries, None)  # its former name
        if state == "??" and not _holds_runs(root / path):
            changes.append(f"{path} (new)")
        elif path and state != "??":
            changes.append(path)
    return changes


def _holds_runs(path: Path) -> bool:
    """Whether perflab wrote it: a store of runs, or a folder of stores."""
    return path.is_dir() and any(next(path.glob(f"{depth}run.json"), None) for depth in ("", "*/", "*/*/"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sha256_of(settings: object) -> str:
    """The SHA-256 of a JSON-serialisable value."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def without_credentials(text: str) -> str:
    """The text with possible secrets as "…": passwords in URLs and connection strings, values in queries and headers,
    values with a name that indicates a secret, and tokens of known kinds.

    >>> without_credentials("http://bob:hunter2@example.test/a?token=1")
    'http://example.test/a?token=…'
    >>> without_credentials("host=db password=hunter2"), without_credentials("--header=X-Api-Key: 1")
    ('host=db password=…', '--header=X-Api-Key: …')
    """
    for pattern, kept in _HIDDEN:
        text = pattern.sub(kept, text)
    return text


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command without possible secrets, however an option takes its value.

    >>> without_secrets(["psql", "--password", "hunter2", "-phunter2", "-H", "Authorization: Bearer hunter2", "--users=5"])
    ['psql', '--password', '…', '-p…', '-H', 'Authorization: …', '--users=5']
    """
    kept: list[str] = []
    hide_next = False
    for argument in arguments:
        if hide_next and not argument.startswith("--"):
            kept.append("…")
            hide_next = False
            continue
        hide_next = argument in ("-p", "-u", "--user") or bool(
            argument.startswith("-") and not re.search("[=: ]", argument) and _SECRET.search(argument)
        )
        glued = re.fullmatch(r"(-[pu])([^-=\s].*)", argument)
        kept.append(f"{glued[1]}…" if glued and not glued[2].isdigit() else without_credentials(argument))
    return kept


def harmless(named: Mapping[str, str], keep: Sequence[str] = ()) -> dict[str, str]:
    """Named values (headers, options, facts) for a record: possible secrets, by name or content, become "…"."""
    return {
        name: value if name in keep or (not _SECRET.search(name) and without_credentials(value) == value) else "…"
        for name, value in named.items()
    }


def headers_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers for a record: all names, and the values of those that never contain a secret.

    >>> headers_of({"Accept": "text/html", "X-Tenant": "acme"})
    {'Accept': 'text/html', 'X-Tenant': '…'}
    """
    return {name: value if name.lower() in _PLAIN_HEADERS else "…" for name, value in harmless(headers).items()}


def names_of(environment: Mapping[str, str], keep: Sequence[str] = ()) -> dict[str, str]:
    """Environment variables for a record: all names, and only the requested values."""
    return {name: value if name in keep else "…" for name, value in environment.items()}
