"""Locust as subprocesses. perflab never imports it: its import patches the whole process for gevent, and a
notebook's kernel would never finish another cell (ipython/ipykernel#934)."""

from __future__ import annotations

import math
import os
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

import perflab
from perflab import provenance
from perflab.errors import LoadTestError
from perflab.loadtest.checking_locustfile import last_traceback, report_in
from perflab.loadtest.child import Child
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.records import SETTINGS

STATISTICS = "locust.json"
"""Locust appends the suffix."""
_WAIT_FOR_WORKERS_S = 30


@dataclass(frozen=True)
class Generator:
    """A running Locust: one process, or a master and its workers. The first child ends the run."""

    children: tuple[Child, ...]
    gate: Path

    def begin(self) -> None:
        """Start the load, if it has not started yet."""
        self.gate.touch()

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the root processes, which are guards."""
        return tuple(child.pid for child in self.children)

    def exit_code(self) -> int | None:
        return self.children[0].exit_code()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` seconds; return whether the run has ended."""
        return self.children[0].wait(timeout_s)

    def stop(self) -> None:
        """Stop all processes: first the master, which ends its workers, then any that are left."""
        self.children[0].stop()
        deadline = time.monotonic() + 3.0
        for child in self.children[1:]:
            child.wait(max(0.0, deadline - time.monotonic()))
            child.stop()

    def tail(self, size: int = 8192) -> str:
        """The end of the log."""
        return self.children[0].tail(size)


def start(plan: LoadPlan, host: str, folder: Path, *, log: Path) -> Generator:
    """Start Locust on the plan; its records and statistics go to the (new) folder, its output to the log.

    Its imports take most of a second; then it waits for `Generator.begin`.
    """
    folder = folder.resolve()
    folder.mkdir()
    gate = folder / "begin"
    settings = {**_settings(plan, host, folder), "gate": str(gate)}
    if plan.workers == 1 and not plan.remote_workers:
        return Generator((_child(plan, settings, [*_arguments(plan, host, folder)], log),), gate)
    bind, port = _open_to_others(plan) if plan.remote_workers else ("127.0.0.1", str(_free_port()))
    patience_s = math.ceil(plan.worker_timeout_s) if plan.remote_workers else _WAIT_FOR_WORKERS_S
    master = ["--master", "--master-bind-host", bind, "--master-bind-port", port]
    master += ["--expect-workers", str(plan.all_workers), "--expect-workers-max-wait", str(patience_s)]
    worker = ["--worker", "--master-host", "127.0.0.1", "--master-port", port]
    children = [_child(plan, settings, _arguments(plan, host, folder, master), log)]
    try:
        for _ in range(plan.workers):
            children.append(_child(plan, settings, _arguments(plan, host, folder, worker), log))
    except BaseException:
        for child in children:
            child.stop()
        raise
    return Generator(tuple(children), gate)


def _settings(plan: LoadPlan, host: str, folder: Path) -> dict[str, Any]:
    """The settings of the recorder inside Locust."""
    poisson = plan.is_open and plan.arrivals == "poisson"
    return {
        "folder": str(folder),
        "host": host,
        "stages": plan.record()["stages"],
        "arrivals": plan.arrivals if plan.is_open else None,
        "workers": plan.all_workers,
        "remote_workers": plan.remote_workers,
        "token": plan.secret if plan.remote_workers else None,
        "user_classes": list(plan.user_classes),
        # All workers draw the same Poisson process and take turns in it.
        "seed": secrets.randbelow(2**31) if poisson and plan.seed is None else plan.seed,
        "weights": dict(plan.weights),
        "headers": dict(plan.headers),
        "request_ids": plan.request_ids,
        "trace": plan.trace,
        "response_headers": plan.response_headers,
        "secrets": plan.secrets(host),
        "urls": [url.settings() for url in plan.urls],
        "wait_s": plan.wait_s,
        "timeout_s": plan.timeout_s,
        "stop_timeout_s": _whole_stop_timeout_s(plan),
    }


def _child(plan: LoadPlan, settings: dict[str, Any], arguments: Sequence[str], log: Path) -> Child:
    # SIGTERM lets requests in flight end within stop_timeout; then Locust writes its statistics.
    return _launched(settings, arguments, log, grace_s=_whole_stop_timeout_s(plan) + 2.0)


def _launched(settings: dict[str, Any], arguments: Sequence[str], log: Path, *, grace_s: float) -> Child:
    file = Path(settings["folder"]) / f"settings-{secrets.token_hex(4)}.json"
    file.touch(mode=0o600)
    file.write_bytes(orjson.dumps(settings))
    search = [str(Path(perflab.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return Child(
        [sys.executable, "-m", "perflab.loadtest.launcher", *arguments],
        log=log,
        grace_s=grace_s,
        env={
            **os.environ,
            SETTINGS: str(file),
            "PYTHONPATH": os.pathsep.join(search),
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8:backslashreplace",
        },
        secrets=[*settings.get("secrets", ()), *filter(None, [settings.get("token")])],
    )


def _arguments(plan: LoadPlan, host: str, folder: Path, role: Sequence[str] = ()) -> list[str]:
    arguments = ["--headless", "--locustfile", str(plan.found_locustfile()), "--host", host, *role]
    arguments += ["--stop-timeout", str(_whole_stop_timeout_s(plan)), "--exit-code-on-error", "0"]
    if plan.tags:
        arguments += ["--tags", *plan.tags]
    if plan.exclude_tags:
        arguments += ["--exclude-tags", *plan.exclude_tags]
    for name, value in plan.arguments.items():
        option = f"--{name.lstrip('-').replace('_', '-')}"
        if value is True or value is None:
            arguments.append(option)
        elif value is not False:
            arguments += [option, *map(str, value if isinstance(value, (list, tuple)) else [value])]
    if "--worker" not in role:
        # --json-file without --json: the two together write an empty list (Locust 2.47).
        arguments += ["--json-file", str((folder / STATISTICS).with_suffix(""))]
    # Before the class names put an option that takes one value: right after --tags they would be tags.
    return [*arguments, "--only-summary", "--loglevel", "INFO", *plan.user_classes]


def _whole_stop_timeout_s(plan: LoadPlan) -> int:
    """The stop timeout in whole seconds, as Locust takes it."""
    return math.ceil(plan.stop_timeout_s)


def join(locustfile: Path, master: str, port: int, folder: Path, *, token: str, log: Path) -> Child:
    """Start a worker on this machine for a master on another; it gets the plan from there and keeps a copy of its records."""
    folder = folder.resolve()
    settings = {"folder": str(folder), "remote": True, "token": token}
    command = ["--headless", "--locustfile", str(locustfile), "--worker", "--master-host", master]
    command += ["--master-port", str(port), "--only-summary", "--loglevel", "INFO"]
    return _launched(settings, command, log, grace_s=15.0)


def forget_settings(folder: Path) -> None:
    """Remove settings that processes never read."""
    for file in folder.glob("settings-*.json"):
        file.unlink(missing_ok=True)


def _open_to_others(plan: LoadPlan) -> tuple[str, str]:
    """The (address, port) at which the master waits for workers on other machines."""
    host, _, port = plan.master.rpartition(":")
    for number in (int(port), int(port) + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, number))
            except OSError as problem:
                raise LoadTestError(f"the master can't listen at {host}:{number}: {problem.strerror}") from None
    return host, port


def _free_port() -> int:
    """A port whose successor is also free: Locust's master uses both."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise LoadTestError("no free port for Locust's master on 127.0.0.1")


def statistics(folder: Path) -> list[dict[str, Any]]:
    """Locust's own final statistics, an entry per endpoint; empty if it did not write them."""
    try:
        found = orjson.loads((folder / STATISTICS).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return []
    return [_named(entry) for entry in found] if isinstance(found, list) else []


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    """Names as `Journal` writes them."""
    return {**entry, "name": provenance.hidden(str(entry.get("name", "")))}


def counted(entries: list[dict[str, Any]]) -> int:
    """The number of requests that Locust counted."""
    return sum(int(entry.get("num_requests", 0)) for entry in entries)


def locustfile_at_fault(child: Generator | Child, folder: Path) -> LoadTestError | None:
    """The error for a locustfile that could not be loaded: file, line, what was expected, then the cause."""
    if found := report_in(folder):
        return LoadTestError(found[0], exit_code=child.exit_code(), output=found[1])
    return None


def failure(generator: Generator, why: str) -> LoadTestError:
    """The error for a Locust that did no work, with its exit code and the cause: a traceback, else the end of its log."""
    log = generator.tail()
    cause = last_traceback(log) if "Traceback (most recent" in log else log
    return LoadTestError(why, exit_code=generator.exit_code(), output=cause)
