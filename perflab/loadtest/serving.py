"""A running target: started, waited for, watched and stopped."""

from __future__ import annotations

import os
import secrets
import socket
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urljoin

from perflab import provenance
from perflab.errors import TargetError
from perflab.loadtest import profiled_target, reasons, recorded_target, resources
from perflab.loadtest.child import Child
from perflab.loadtest.pages import read_page
from perflab.loadtest.settling import settled
from perflab.loadtest.target import QUERY_LOG, Target
from perflab.notes import Note
from perflab.recorders.lines import SALT
from perflab.units import parse_duration

_ANSWER_S = 3.0


class Service:
    """A target under load. ``pid`` is the root of its processes, None for one that was already running without a known pid."""

    def __init__(self, target: Target, child: Child | None) -> None:
        self.target, self._child = target, child
        self.pid = child.pid if child else target.pid
        self.still_starting: Note | None = None
        self._begun = resources.begun(target.pid) if target.pid else None
        self._listener = self._who_listens()

    @property
    def own(self) -> bool:
        """Whether perflab started it, under a guard whose own resources do not count."""
        return self._child is not None

    def died(self) -> Note | None:
        """A note on how the target exited without being stopped; None while it runs, or cannot be observed."""
        if self.target.pid and resources.begun(self.target.pid) != self._begun:
            return reasons.TARGET_ENDED(pid=self.target.pid, arm=self.target.arm)
        code = self._child.exit_code() if self._child else None
        return None if code is None else reasons.TARGET_EXITED(arm=self.target.arm, exit_code=code)

    def restarted(self) -> Note | None:
        """A note if another process listens on the port than at the start; None if not, or where that cannot be observed.

        With a known root only its exit counts (`died`): servers replace their workers at any time.
        """
        if self.pid is not None:
            return None
        before, now = self._listener, self._who_listens()
        self._listener = now
        if before is None or now is None or before == now:
            return None
        return reasons.TARGET_RESTARTED(arm=self.target.arm, before=before[0], now=now[0])

    def _who_listens(self) -> tuple[int, float] | None:
        host, port = self.target.address
        return resources.listening(port) if port and host in ("127.0.0.1", "localhost", "::1") else None

    def stop(self) -> None:
        if self._child:
            self._child.stop()


@contextmanager
def serving(target: Target, folder: Path, given: Sequence[str] = ()) -> Iterator[Service]:
    """Start the target (or find it running), wait until it is ready, and stop it at the end; hide secrets in its output.

    Raises `TargetError`, with the target's last output, if its port is taken, it exits, or it does not become ready.
    """
    with _deployed(target):
        if not target.managed:
            _must_answer(target)
            if target.pid and resources.begun(target.pid) is None:
                raise TargetError(f"the target {target.arm!r} has no process {target.pid}")
            yield Service(target, None)
            return
        with _started(target, folder, given) as service:
            yield service


class Services:
    """The services of several runs: one with ``restart=False`` is started at its first run and stopped at the end."""

    def __init__(self) -> None:
        self._living = ExitStack()
        self._kept: dict[str, Service] = {}

    def close(self) -> None:
        """Stop those that still run."""
        self._living.close()

    @contextmanager
    def of(self, target: Target, folder: Path, given: Sequence[str] = ()) -> Iterator[Service]:
        """The service for the run in this folder, whose plan holds these secrets."""
        if target.restart:
            with serving(target, folder, given) as service:
                yield service
            return
        if target.arm not in self._kept:
            place = Path(self._living.enter_context(TemporaryDirectory(prefix="perflab-target-")))
            (place / "logs").mkdir()
            self._kept[target.arm] = self._living.enter_context(serving(target, place, given))
        service = self._kept[target.arm]
        if died := service.died():
            raise TargetError(str(died))
        yield service


@contextmanager
def _deployed(target: Target) -> Iterator[None]:
    """Call the user's deploy function, and at the end the function that it returned."""
    if target.deploy is None:
        yield
        return
    try:
        undo = target.deploy()
    except Exception as problem:
        raise TargetError(f"deploy of {target.arm!r} raised {type(problem).__name__}: {problem}") from problem
    try:
        yield
    finally:
        if callable(undo):
            undo()


@contextmanager
def _started(target: Target, folder: Path, given: Sequence[str]) -> Iterator[Service]:
    _must_be_free(target)
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **target.env}
    if target.record_queries or target.record_requests:
        # One for all of the target's processes, so that the hashes of its workers agree.
        variables.setdefault(SALT, secrets.token_urlsafe(16))
    variables.pop(QUERY_LOG, None)
    if target.record_queries:
        variables[QUERY_LOG] = str((folder / "queries.jsonl").resolve())
    variables.pop(recorded_target.VARIABLE, None)
    if target.record_requests:
        variables[recorded_target.VARIABLE] = str((folder / recorded_target.LOG).resolve())
    variables.pop(profiled_target.VARIABLE, None)
    variables.update(profiled_target.variables(target.profile, folder, variables.get("NODE_OPTIONS", "")))
    child = Child(
        target.command,
        log=folder / "logs" / "target.log",
        grace_s=parse_duration(target.stop_timeout) / 1e3,
        env=variables,
        cwd=None if target.cwd is None else Path(target.cwd),
        secrets=[*target.secrets(), *given],
    )
    try:
        _wait_until_ready(target, child)
        service = Service(target, child)
        service.still_starting = settled(child.pid, parse_duration(target.settle) / 1e3)
        yield service
    finally:
        child.stop()


def _must_be_free(target: Target) -> None:
    host, port = target.address
    if port and _connects(host, port):
        raise TargetError(
            f"cannot start {target.arm!r}: {host}:{port} is taken by {resources.listener(port)}; "
            "stop that, or give the target another port"
        )


def _must_answer(target: Target) -> None:
    host, port = target.address
    if port and not _connects(host, port, timeout=5.0):
        raise TargetError(
            f"the target {target.arm!r} is not running: nothing accepts connections at {host}:{port}; "
            "start it first, or give Target a command"
        )
    if target.ready and (problem := _not_ready(target)):
        raise TargetError(f"the target {target.arm!r} is not ready: {problem}")


def _wait_until_ready(target: Target, child: Child) -> None:
    limit_s = parse_duration(target.ready_timeout) / 1e3
    deadline = time.monotonic() + limit_s
    problem = "it was not checked"
    while time.monotonic() < deadline:
        if (code := child.exit_code()) is not None:
            raise TargetError(
                f"the target {target.arm!r} exited during start-up with code {code}",
                exit_code=code,
                output=_printed(target, child),
            )
        problem = _not_ready(target)
        if not problem:
            return
        time.sleep(0.05)
    raise TargetError(
        f"the target {target.arm!r} did not become ready within {limit_s:g} s: {problem}",
        output=_printed(target, child),
    )


def _printed(target: Target, child: Child) -> str:
    """The end of the target's output, without the secrets passed to it."""
    return provenance.hidden(child.tail(), target.secrets())


def _not_ready(target: Target) -> str:
    """Why the target cannot take load yet; empty when it can."""
    if not target.ready:
        host, port = target.address
        return "" if not port or _connects(host, port) else f"nothing accepts connections at {host}:{port}"
    url = urljoin(target.host.rstrip("/") + "/", target.ready)
    shown = provenance.without_credentials(url)
    try:
        status, _ = read_page(url, within_s=_ANSWER_S)
        return "" if status < 400 else f"{shown} answered {status}"
    except urllib.error.HTTPError as problem:
        return "" if problem.code < 400 else f"{shown} answered {problem.code}"
    except (OSError, ValueError) as problem:
        return f"{shown} did not answer: {getattr(problem, 'reason', problem)}"


def _connects(host: str, port: int, timeout: float = 1.0) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False
