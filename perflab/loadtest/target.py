"""The system under test: `Target`, and `Service`, one that perflab started and will stop."""

from __future__ import annotations

import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

from perflab import provenance, resources
from perflab.errors import TargetError
from perflab.loadtest import profiling
from perflab.loadtest.child import Child
from perflab.units import parse_duration

QUERY_LOG = "PERFLAB_QUERY_LOG"
"""The environment variable in which perflab's recorders find the file to write queries to."""


@dataclass(frozen=True)
class Target:
    """A deployment to put under load: one that is up already, or a command that perflab starts and stops.

    Parameters
    ----------
    arm : the name of this side of a comparison ("n+1", "eager").
    host : its base URL, ``http://127.0.0.1:8001``.
    command : the program and its arguments; started anew for each run. Without it the target must be up.
    env : environment variables for the command, beside those of this process.
    cwd : the folder to start it in.
    ready : path (or URL) that answers with a status below 400 once it can take load; without it, a TCP
        connection to the host is enough.
    ready_timeout : how long it may take to become ready.
    stop_timeout : how long it may take to end after SIGTERM, before SIGKILL.
    record_queries : let perflab's recorders, where the application has one, write the queries of the run, as the
        run's ``queries`` table. Such runs are evidence, not measurements: the recorder costs time too.
    profile : "py-spy", "pyinstrument" or "cprofile": take a profile of the run, see `run`.

    >>> Target("eager", host="http://127.0.0.1:8001").managed
    False
    """

    arm: str
    host: str
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | Path | None = None
    ready: str | None = None
    ready_timeout: str | float = "30s"
    stop_timeout: str | float = "5s"
    record_queries: bool = False
    profile: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.arm, str) or not self.arm.strip():
            raise ValueError(f"Target: arm must be a name; got {self.arm!r}")
        parts = urlsplit(self.host)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'Target: host must be a base URL like "http://127.0.0.1:8001"; got {self.host!r}')
        if isinstance(self.command, str):
            raise ValueError('Target: command must be a list like ["python", "app.py"], not one string')
        object.__setattr__(self, "command", tuple(map(str, self.command)))
        object.__setattr__(self, "env", MappingProxyType({str(k): str(v) for k, v in self.env.items()}))
        if self.record_queries and not self.command:
            raise ValueError(
                "Target: record_queries needs a command, so that perflab can tell the recorder where to write"
            )
        profiling.check(self.profile, managed=self.managed)
        for name in ("ready_timeout", "stop_timeout"):
            if parse_duration(getattr(self, name), parameter=f"Target: {name}") <= 0:
                raise ValueError(f"Target: {name} must be longer than zero; got {getattr(self, name)!r}")

    @property
    def managed(self) -> bool:
        """Whether perflab starts and stops it."""
        return bool(self.command)

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) of the base URL."""
        parts = urlsplit(self.host)
        return str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)

    def record(self) -> dict[str, Any]:
        """What is kept of the target with each run: no credentials."""
        return {
            "arm": self.arm,
            "host": provenance.without_credentials(self.host),
            "command": [
                Path(part).name if i == 0 else provenance.without_credentials(part)
                for i, part in enumerate(self.command)
            ],
            "env": provenance.harmless(self.env),
            "record_queries": self.record_queries,
        }


class Service:
    """A target while it is under load. ``pid`` is the root of its processes, None for one that was up already."""

    def __init__(self, target: Target, child: Child | None) -> None:
        self.target, self._child = target, child
        self.pid = child.pid if child else None

    def died(self) -> str | None:
        """How a managed target ended by itself, in words; None while it is well."""
        code = self._child.exit_code() if self._child else None
        return None if code is None else f"the target {self.target.arm!r} ended by itself with exit code {code}"

    def stop(self) -> None:
        if self._child:
            self._child.stop()


@contextmanager
def serving(target: Target, folder: Path) -> Iterator[Service]:
    """Start the target (or find it up), wait until it is ready, and stop it at the end.

    Raises `TargetError` when its port is taken, it ends, or it does not become ready; with its last output.
    """
    if not target.managed:
        _must_answer(target)
        yield Service(target, None)
        return
    _must_be_free(target)
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **target.env}
    variables.pop(QUERY_LOG, None)
    if target.record_queries:
        variables[QUERY_LOG] = str((folder / "queries.jsonl").resolve())
    variables.pop(profiling.VARIABLE, None)
    variables.update(profiling.variables(target.profile, folder))
    child = Child(
        target.command,
        log=folder / "logs" / "target.log",
        grace_s=parse_duration(target.stop_timeout) / 1e3,
        env=variables,
        cwd=None if target.cwd is None else Path(target.cwd),
    )
    try:
        _wait_until_ready(target, child)
        yield Service(target, child)
    finally:
        child.stop()


def _must_be_free(target: Target) -> None:
    host, port = target.address
    if _connects(host, port):
        raise TargetError(
            f"cannot start {target.arm!r}: {host}:{port} is taken by {resources.listener(port)}; "
            "stop that, or give the target another port"
        )


def _must_answer(target: Target) -> None:
    host, port = target.address
    if not _connects(host, port, timeout=5.0):
        raise TargetError(
            f"the target {target.arm!r} is not up: nothing accepts connections at {host}:{port}; "
            "start it first, or give Target a command"
        )
    if target.ready and (problem := _not_ready(target)):
        raise TargetError(f"the target {target.arm!r} is not ready: {problem}")


def _wait_until_ready(target: Target, child: Child) -> None:
    limit_s = parse_duration(target.ready_timeout) / 1e3
    deadline = time.monotonic() + limit_s
    problem = "it was not asked"
    while time.monotonic() < deadline:
        if (code := child.exit_code()) is not None:
            raise TargetError(
                f"the target {target.arm!r} ended at start with exit code {code}", exit_code=code, output=child.tail()
            )
        problem = _not_ready(target)
        if not problem:
            return
        time.sleep(0.05)
    raise TargetError(
        f"the target {target.arm!r} did not become ready within {limit_s:g} s: {problem}", output=child.tail()
    )


def _not_ready(target: Target) -> str:
    """Why the target cannot take load yet; empty when it can."""
    if not target.ready:
        host, port = target.address
        return "" if _connects(host, port) else f"nothing accepts connections at {host}:{port}"
    url = urljoin(target.host.rstrip("/") + "/", target.ready)
    # Proxies of the environment are for the way out, not for the service under test.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2.0) as answer:
            return "" if answer.status < 400 else f"{url} answered {answer.status}"
    except urllib.error.HTTPError as problem:
        return f"{url} answered {problem.code}"
    except (OSError, ValueError) as problem:
        return f"{url} did not answer: {getattr(problem, 'reason', problem)}"


def _connects(host: str, port: int, timeout: float = 1.0) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False
