"""Provenance: where and with what something was measured, so that numbers can be traced and a changed machine is noticed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from perflab.secret_spellings import HIDDEN, HINTS, LATER, MAYBE, QUERY, SECRET

_PACKAGES = ("perflab", "locust", "gevent", "pandas", "numpy", "scipy")
_LISTED = 20
_LONGEST_BLOCK = 8_192
"""Bytes of the lines of one secret at most."""
_BEFORE_SECRETS = ("-p", "-u", "-a", "--user", "--login", "password", "passwd", "secret", "authorization", "bearer")
_PAIR = re.compile(r"--[\w-]*(?:auth|basic|login|credentials?)", re.IGNORECASE)
"""Options that may take a user and a password."""
_WORD_OF_BOTH = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+=~\-]{8,}")
_USER_AND_SECRET = re.compile(r"([A-Za-z][\w.+\-]*:)(?!v?\d+(?:[.\-]|$))(?=.*\d)(?=.*[A-Za-z])[^\s:/@=,()]{6,}")
"""A bare "bob:hunter2"; "web:8000", "app:main" and "postgres:15-alpine" are none."""
_SHORTEST = 5
"""Characters of a value below which it would be found in all kinds of words."""
_MOST_LOOKED_AT = 1_000_000
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
    return hidden(QUERY.sub(r"\1…", text))


def hidden(text: str, given: Iterable[str] = ()) -> str:
    """Printed text, a name or an error, with what may be a secret as "…": values that were given, then what looks like one.

    Queries stay as they are, unless the name of a value says that it is a secret: they separate pages.

    >>> hidden("GET /orders?page=2&token=1"), hidden("KeyError: 'id'"), hidden("sent hunter2", ["hunter2"])
    ('GET /orders?page=2&token=…', "KeyError: 'id'", 'sent …')
    """
    for value in given:
        text = text.replace(value, "…")
    for pattern, kept in HIDDEN:
        text = pattern.sub(kept, text)
    return text


def hidden_in_lines(content: bytes, given: Iterable[str] = ()) -> bytes:
    """`hidden` for long output, line by line, in bounded time: beyond 1 MB of lines that may hold a secret, "…" is what stays.

    Output without one is returned as it is, in whatever encoding.
    """
    for value in given:
        content = content.replace(value.encode(), "…".encode())
    looked, parts = 0, []
    for part in _whole(re.findall(rb"[^\n]{1,4096}\n?|\n", content)):
        low = part.lower()
        if any(word in low for word in HINTS) and MAYBE.search(part):
            looked += len(part)
            text = part.decode("utf-8", "surrogateescape")
            part = (hidden(text) if looked < _MOST_LOOKED_AT else "…\n").encode("utf-8", "surrogateescape")
        parts.append(part)
    return b"".join(parts)


def _whole(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, those of one secret (a PEM block, a value on the line after its name) together."""
    held: list[bytes] = []
    until: Callable[[bytes], bool] | None = None
    for line in lines:
        held.append(line)
        if until is None or until(line) or sum(map(len, held)) > _LONGEST_BLOCK:
            until = _later(line)
        if until is None or sum(map(len, held)) > _LONGEST_BLOCK:
            yield b"".join(held)
            held, until = [], None
    if held:
        yield b"".join(held)


def _later(line: bytes) -> Callable[[bytes], bool] | None:
    """Where the line's secret is on later ones: which of those is the last."""
    if b"-----BEGIN " in line and b"-----END" not in line:
        return lambda later: b"-----END" in later
    end = line.rstrip()
    if end[-1:] not in b":=|>+-,\"'" and b"name" not in end[-200:].lower():
        return None
    found = LATER.search(end[-200:].decode("utf-8", "replace"))
    if found is None:
        return None
    indent = len(line) - len(line.lstrip())
    return (lambda later: len(later) - len(later.lstrip()) <= indent) if found["block"] else bool


_AROUND = re.compile(r"-----BEGIN|(?:bearer|basic|digest|token)$", re.IGNORECASE)
"""Words around a secret that are none."""


def secrets_in(*texts: str) -> list[str]:
    """The values in these texts that `hidden` hides, longest first: what must not be printed elsewhere either.

    >>> secrets_in("postgresql://shop:hunter2@db/shop", "Authorization: Bearer x1y2z3")
    ['hunter2', 'x1y2z3']
    """
    found: set[str] = set()
    for text in texts:
        for pattern, kept in HIDDEN:
            for match in pattern.finditer(text):
                value = match[0][len(match[1]) :].strip().strip("'\"`@\\")
                if kept in (r"\1", "…@"):
                    value = value.partition(":")[2] or value
                value = re.sub(r"^(?:bearer|basic|digest|token)\s+", "", value, flags=re.IGNORECASE)
                found |= {value, *re.findall(r"=\s*([^\s;,'\"]+)", value)}
    found = {each for each in found if len(each) >= _SHORTEST and not _AROUND.match(each)}
    return sorted(found, key=lambda each: (-len(each), each))


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command without possible secrets, however an option takes its value.

    >>> without_secrets(["psql", "--password", "hunter2", "-phunter2", "-H", "Authorization: Bearer hunter2", "--users=5"])
    ['psql', '--password', '…', '-p…', '-H', 'Authorization: …', '--users=5']
    >>> without_secrets(["--auth", "bob", "hunter2", "-w", "hunter2hunter2", "bob:hunter2", "web:8000", "app:main", "a:1.2"])
    ['--auth', '…', '…', '-w', '…', 'bob:…', 'web:8000', 'app:main', 'a:1.2']
    """
    kept: list[str] = []
    before = ""
    hide = 0
    for argument in arguments:
        option = argument.startswith("-")
        if hide and not argument.startswith("--"):
            named = kept[-1] == "…" and re.search(r"[./]", argument)  # the second value of an option: rather a file
            kept.append(without_credentials(argument) if named else "…")
            hide -= 1
        elif re.fullmatch("-[a-zA-Z]", before) and _WORD_OF_BOTH.fullmatch(argument):
            kept.append("…")
        else:
            secret = option and not re.search("[=: ]", argument) and SECRET.search(argument)
            hide = 2 if _PAIR.fullmatch(argument) else int(argument.lower() in _BEFORE_SECRETS or bool(secret))
            glued = re.fullmatch(r"(-[pu])([^-=\s].*)", argument)
            pair = _USER_AND_SECRET.fullmatch(argument)
            kept.append(
                f"{glued[1]}…"
                if glued and not glued[2].isdigit()
                else f"{pair[1]}…"
                if pair
                else without_credentials(argument)
            )
        before = argument
    return kept


def given_as_secrets(arguments: Sequence[str]) -> list[str]:
    """The values that `without_secrets` hides as a whole, or at the end of an argument.

    >>> given_as_secrets(["psql", "--password", "hunter2", "bob:x1y2z3w4", "--users=5"])
    ['hunter2', 'x1y2z3w4']
    """
    shown = zip(arguments, without_secrets(arguments), strict=True)
    return [given[len(kept) - 1 :] for given, kept in shown if kept.endswith("…") and given.startswith(kept[:-1])]


def secret_values(*named: Mapping[str, str], texts: Iterable[str] = ()) -> list[str]:
    """The values of what a name calls a secret, and the secrets in all other values and texts, longest first.

    >>> secret_values({"DB_PASS": "opensesame", "AUTH_MODE": "local", "URL": "redis://:hunter2@h"}, texts=["--users=5"])
    ['opensesame', 'hunter2']
    """
    pairs = [pair for each in named for pair in each.items()]
    found = {value for name, value in pairs if SECRET.search(name)}
    found |= {*secrets_in(*texts, *(value for _, value in pairs))}
    telling = (
        each
        for each in found
        if len(each) >= _SHORTEST and not each.isdigit() and (len(each) > 7 or not each.isalpha())
    )
    return sorted(telling, key=lambda each: (-len(each), each))


def harmless(named: Mapping[str, str], keep: Sequence[str] = ()) -> dict[str, str]:
    """Named values (headers, options, facts) for a record: possible secrets, by name or content, become "…"."""
    return {
        name: value if name in keep or (not SECRET.search(name) and without_credentials(value) == value) else "…"
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
