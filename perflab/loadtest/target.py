"""The system under test: `Target`, and `Service`, a running target."""

from __future__ import annotations

import os
import secrets
import socket
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

from perflab import provenance
from perflab.errors import TargetError
from perflab.loadtest import profiled_target, reasons, recorded_target, resources
from perflab.loadtest.child import Child
from perflab.loadtest.pages import read_page
from perflab.loadtest.server_statements import without_password
from perflab.loadtest.settling import settled
from perflab.notes import Note
from perflab.recorders.lines import SALT
from perflab.units import parse_duration

_HTTP = ("http://", "https://")
_ANSWER_S = 3.0
QUERY_LOG = "PERFLAB_QUERY_LOG"
"""The environment variable that names the file for perflab's query recorders."""


@dataclass(frozen=True)
class Target:
    """A deployment to put under load: one that is already running, or a command that perflab starts and stops.

    Parameters
    ----------
    arm : str
        The name of this side of a comparison ("n+1", "eager").
    host : str
        Its base URL, ``http://127.0.0.1:8001``.
    command : Sequence[str]
        The program and its arguments; restarted for each run. Without it the target must be running.
    deploy : Callable[[], object] | None
        A function that deploys this arm (or switches a flag, or restores a database), called before each run. If it
        returns a callable, that is called at the end of the run. Works with or without a command.
    restart : bool
        Whether to repeat command and deploy for each run; otherwise once for all runs of `run_pairs`. A process that
        keeps running carries its caches and its state from run to run, so use False only for targets that start slowly.
    env : Mapping[str, str]
        Environment variables for the command, in addition to those of this process.
    cwd : str | Path | None
        The working directory of the command.
    ready : str | None
        Path (or URL) that responds with a status below 400 once the target can take load; without it, a TCP connection
        to the host is enough.
    ready_timeout : str | float
        How long the target may take to become ready.
    settle : str | float
        How long to wait after readiness until the processes of a started target are idle and no new ones appear. The load
        starts then, or after this time with a warning. 0 does not wait.
    stop_timeout : str | float
        How long the target may take to exit after SIGTERM, before SIGKILL.
    record_queries : bool
        Store the queries of the run, written by perflab's recorders in the application, as its ``queries`` table. Such
        runs are evidence, not measurements: recording costs time. With ``env={"PERFLAB_QUERY_SOURCE": "1"}`` each query has
        the line of the application (or template) that sent it.
    record_requests : bool
        Store the components of each request, written by perflab's request recorder (`perflab.recorders.breakdown`), as the
        tables ``components`` and ``spans``, for `account`. Evidence, too.
    database : str | None
        The connection string of the target's PostgreSQL (URL or libpq's ``key=value``), MySQL or MariaDB (``mysql://...``),
        stored without its password. The server's own counts (``pg_stat_statements``, or ``performance_schema`` digests: calls,
        time, rows, locks or blocks) become the run's ``summary`` by statement, and the waits of its sessions go into
        ``metrics``.
    metrics : str | None
        Path (or URL) of a Prometheus page such as ``"/metrics"``, read every second into the ``metrics`` table, together
        with whether ``ready`` answered.
    logs : Sequence[str | Path]
        Log files of the target; what they gain during a run is stored with it.
    pid : int | None
        The process of a target that is already running, to sample its resources and those of its children.
    profile : str | None
        "py-spy", "pyinstrument", "cprofile" or "node": profile the run, see `run`.
    record_env : Sequence[str]
        Names of variables in ``env`` whose values are stored with each run; for the others, only the names.

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
    settle: str | float = "10s"
    record_queries: bool = False
    record_requests: bool = False
    database: str | None = field(default=None, repr=False)
    deploy: Callable[[], object] | None = None
    restart: bool = True
    metrics: str | None = None
    logs: Sequence[str | Path] = ()
    pid: int | None = None
    profile: str | None = None
    record_env: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.arm, str) or not self.arm.strip():
            raise ValueError(f"Target: arm must be a name; got {self.arm!r}")
        if not _address(self.host):
            raise ValueError(
                'Target: host must be a base URL like "http://127.0.0.1:8001", or what the locustfile\'s client takes, like '
                f'"localhost:50051"; got {_shown(self.host)}'
            )
        for name in ("ready", "metrics"):
            page = getattr(self, name)
            if page and not page.startswith(_HTTP) and not self.host.startswith(_HTTP):
                raise ValueError(f"Target: {name} must be a whole URL where host is none; got {_shown(page)}")
        if isinstance(self.command, str):
            raise ValueError('Target: command must be a list like ["python", "app.py"], not one string')
        object.__setattr__(self, "command", tuple(map(str, self.command)))
        object.__setattr__(self, "env", MappingProxyType({str(k): str(v) for k, v in self.env.items()}))
        for name, variable in (("record_queries", QUERY_LOG), ("record_requests", recorded_target.VARIABLE)):
            if variable in self.env:
                raise ValueError(f"Target: env can't set {variable}; give {name}=True: each run has its own log")
            if getattr(self, name) and not self.command:
                raise ValueError(
                    f"Target: {name} needs a command, so that perflab can pass the recorder the file to write to"
                )
            if getattr(self, name) and not self.restart:
                raise ValueError(f"Target: {name} needs restart=True, because each run has its own log")
        if self.deploy is not None and not callable(self.deploy):
            raise ValueError(f"Target: deploy must be a function without arguments; got {self.deploy!r}")
        if self.pid is not None and self.command:
            raise ValueError(
                "Target: pid is for a target that is already running; perflab knows the one that it starts"
            )
        logs = (self.logs,) if isinstance(self.logs, (str, Path)) else self.logs
        object.__setattr__(self, "logs", tuple(Path(path).expanduser().resolve() for path in logs))
        profiled_target.check(
            self.profile, starts=self.managed and self.restart, known=self.managed or self.pid is not None
        )
        if parse_duration(self.settle, parameter="Target: settle") < 0:
            raise ValueError(f"Target: settle must be zero or longer; got {self.settle!r}")
        for name in ("ready_timeout", "stop_timeout"):
            if parse_duration(getattr(self, name), parameter=f"Target: {name}") <= 0:
                raise ValueError(f"Target: {name} must be longer than zero; got {getattr(self, name)!r}")

    @property
    def managed(self) -> bool:
        """Whether perflab starts and stops it."""
        return bool(self.command)

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) of the base URL; port 0 if it has none."""
        return _address(self.host) or ("", 0)

    @property
    def log_files(self) -> tuple[Path, ...]:
        """The absolute paths of the log files."""
        return tuple(map(Path, self.logs))

    def secrets(self) -> list[str]:
        """The values that its output and its logs may not hold."""
        variables = {name: value for name, value in self.env.items() if name not in self.record_env}
        texts = [self.host, self.ready or "", self.metrics or "", self.database or "", *self.command[1:]]
        given = [" ".join(pair) for pair in zip(self.command[1:], self.command[2:], strict=False)]
        whole = {
            f"password {number}": each for number, each in enumerate(provenance.given_as_secrets(self.command[1:]))
        }
        return provenance.secret_values(variables, whole, texts=[*texts, *given])

    def __repr__(self) -> str:
        record = self.record()
        shown = (f"{name}={record[name]!r}" for name in ("host", "command", "env") if record[name])
        return f"Target({self.arm!r}, {', '.join(shown)})"

    def record(self) -> dict[str, Any]:
        """The target as stored with each run: without credentials, with the names of variables, and the values in record_env."""
        return {
            "arm": self.arm,
            "host": provenance.without_credentials(self.host),
            "command": [Path(part).name for part in self.command[:1]] + provenance.without_secrets(self.command[1:]),
            "env": provenance.names_of(self.env, self.record_env),
            "record_queries": self.record_queries,
            **({"record_requests": True} if self.record_requests else {}),
            **({"database": without_password(self.database)} if self.database else {}),
            **({"deploy": getattr(self.deploy, "__qualname__", "a function")} if self.deploy else {}),
            **({} if self.restart else {"restart": False}),
        }


def _shown(given: object) -> str:
    return repr(provenance.without_credentials(given) if isinstance(given, str) else given)


def _address(host: object) -> tuple[str, int] | None:
    """(host, port) of ``http://127.0.0.1:8001``, ``localhost:50051`` or ``mongodb://db``; None for anything else."""
    if not isinstance(host, str) or not host.strip():
        return None
    try:
        parts = urlsplit(host if "://" in host else f"//{host}")
        known = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.hostname, known) if parts.hostname and (parts.scheme or known) else None


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
