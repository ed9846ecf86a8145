"""The system under test: `Target`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from perflab import provenance
from perflab.loadtest import profiled_target, recorded_target
from perflab.loadtest.server_statements import without_password
from perflab.units import parse_duration

_HTTP = ("http://", "https://")
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
