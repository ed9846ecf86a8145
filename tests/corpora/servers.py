"""Throwaway database servers on free ports of 127.0.0.1: PostgreSQL and MariaDB, with every query log they can write."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POSTGRESQL_PLACES = ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin")
LINE_PREFIX = "%m [%p] %q%u@%d "


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, its folder, and its logs by kind once it is stopped."""

    port: int
    folder: Path
    version: str

    def logs(self, ending: str) -> list[Path]:
        return sorted(self.folder.glob(f"log/*.{ending}"))


def postgresql_bin() -> Path | None:
    found = [Path(p) for p in POSTGRESQL_PLACES if (Path(p) / "postgres").exists()]
    on_path = shutil.which("postgres")
    return found[0] if found else Path(on_path).parent if on_path else None


def mariadb_bin() -> str | None:
    return shutil.which("mariadbd") or next((p for p in ("/usr/sbin/mariadbd",) if Path(p).exists()), None)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _as(user: str) -> list[str]:
    """PostgreSQL and MariaDB refuse to run as root."""
    return ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []


@contextlib.contextmanager
def postgresql(binaries: Path | None = None, **settings: str) -> Iterator[Server]:
    """A PostgreSQL server that logs every statement as stderr, csvlog and jsonlog; databases ``postgres`` and ``shop``."""
    place = binaries or postgresql_bin()
    assert place, "install PostgreSQL 15 or later (apt: postgresql)"
    folder = Path(tempfile.mkdtemp(prefix="perflab-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data, port = folder / "data", free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    subprocess.run(
        [*_as("postgres"), place / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"],
        check=True,
        cwd="/",
        **quiet,
    )
    options = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "logging_collector": "on",
        "log_directory": str(folder / "log"),
        "log_filename": "pg.log",
        "log_file_mode": "0644",
        "log_destination": "stderr,csvlog,jsonlog",
        "log_min_duration_statement": "0",
        "log_line_prefix": LINE_PREFIX,
        "log_timezone": "UTC",
        "max_connections": "50",
        **settings,
    }
    command = [
        *_as("postgres"),
        place / "postgres",
        "-D",
        data,
        *(a for k, v in options.items() for a in ("-c", f"{k}={v}")),
    ]
    process = subprocess.Popen(command, cwd="/", **quiet)
    try:
        _wait(port, process)
        for sql in ("CREATE DATABASE shop",):
            _psql(place, port, sql)
        version = subprocess.run(
            [place / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        yield Server(port, folder, version)
    finally:
        if process.poll() is None:
            data_pid = (
                int((data / "postmaster.pid").read_text().split()[0]) if (data / "postmaster.pid").exists() else None
            )
            if data_pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(data_pid, 2)  # fast shutdown
            process.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def _psql(place: Path, port: int, sql: str) -> None:
    for _ in range(50):
        done = subprocess.run(
            [shutil.which("psql") or place / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-qc", sql],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(done.stderr)


@contextlib.contextmanager
def mariadb(**settings: str) -> Iterator[Server]:
    """A MariaDB server that writes the slow log (all statements) and the general log; database ``shop``, user root."""
    program = mariadb_bin()
    assert program, "install MariaDB (apt: mariadb-server)"
    folder = Path(tempfile.mkdtemp(prefix="perflab-my-"))
    (folder / "log").mkdir()
    if os.geteuid() == 0:
        for path in (folder, folder / "log"):
            shutil.chown(path, "mysql", "mysql")
    data, port = folder / "data", free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    subprocess.run(
        [*_as("mysql"), shutil.which("mariadb-install-db") or "mysql_install_db", "--no-defaults", f"--datadir={data}",
         "--auth-root-authentication-method=normal", "--skip-test-db"], check=True, cwd="/", **quiet,
    )  # fmt: skip
    options = {
        "port": str(port),
        "bind-address": "127.0.0.1",
        "socket": str(folder / "s"),
        "datadir": str(data),
        "slow-query-log": "1",
        "long-query-time": "0",
        "slow-query-log-file": str(folder / "log" / "my.slow"),
        "general-log": "1",
        "general-log-file": str(folder / "log" / "my.general"),
        "log-slow-verbosity": "query_plan",
        "innodb-flush-log-at-trx-commit": "0",
        **settings,
    }
    process = subprocess.Popen(
        [*_as("mysql"), program, "--no-defaults", *(f"--{k}={v}" for k, v in options.items())], cwd="/", **quiet
    )
    try:
        _wait(port, process)
        client = shutil.which("mariadb") or "mysql"
        subprocess.run(
            [client, "--no-defaults", "-h127.0.0.1", f"-P{port}", "-uroot", "-eCREATE DATABASE shop"], check=True
        )
        version = subprocess.run(
            [program, "--no-defaults", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
        yield Server(port, folder, version)
    finally:
        if process.poll() is None:
            pid = next(iter(sorted(folder.glob("data/*.pid"))), None)
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid.read_text()) if pid else process.pid, 15)
            process.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError("the server did not answer within 30 s")
