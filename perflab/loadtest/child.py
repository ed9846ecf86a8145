"""A child process under guard: its output goes to a file, and it always ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from perflab.provenance import without_credentials

GUARD = Path(__file__).with_name("guard.py")
MAX_OUTPUT = 50_000_000
"""Bytes of output to keep, the last ones."""
LEFT_OUT = ".left_out"
"""The suffix of the file with the number of dropped bytes."""


class Child:
    """A command in its own process group, which ends with this process at the latest.

    Parameters
    ----------
    command : Sequence[str]
        The program and its arguments.
    log : Path
        The file for its standard output and error.
    grace_s : float
        Seconds between SIGTERM and SIGKILL.
    secrets : Sequence[str]
        Values that become "…" in the output.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        grace_s: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.log, self.grace_s = log, grace_s
        with log.open("a+b") as output:
            self._guard = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(GUARD),
                    str(grace_s),
                    str(MAX_OUTPUT),
                    f"{log.resolve()}{LEFT_OUT}",
                    *command,
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        assert self._guard.stdin is not None
        with suppress(OSError):  # the guard failed; its exit code says so
            self._guard.stdin.write(json.dumps([*secrets]).encode() + b"\n")
            self._guard.stdin.flush()

    @property
    def pid(self) -> int:
        """The guard's process id; the command and its children are its descendants."""
        return self._guard.pid

    def exit_code(self) -> int | None:
        """The command's exit code, None while it runs."""
        return self._guard.poll()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` seconds for the command; return whether it has ended."""
        try:
            self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> int:
        """End the whole process group, with SIGTERM first; return the exit code. Safe to call twice."""
        if self._guard.stdin is not None and not self._guard.stdin.closed:
            self._guard.stdin.close()
        try:
            return self._guard.wait(self.grace_s + 5)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            return self._guard.wait()

    def tail(self, size: int = 8192) -> str:
        """The end of its output, for messages, without credentials."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - size))
                return without_credentials(file.read().decode("utf-8", errors="replace"))
        except OSError:
            return ""
