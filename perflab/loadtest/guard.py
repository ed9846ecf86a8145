"""A process that runs one command and never outlives its parent; run by its path, standard library only.

    python guard.py GRACE_SECONDS LIMIT LEFT_OUT COMMAND [ARGUMENT ...]

The first line of its standard input is a JSON list of secrets: in the kept output each becomes "…", so that what a killed
parent leaves behind holds none. The rest of it is a lifeline: when the parent closes it, or exits in any way, the command's
whole process group gets SIGTERM, GRACE_SECONDS to end, and then SIGKILL. So a killed kernel leaves nothing behind, and
stopping a child and losing its parent take the same path. Processes that the command started in a session of their own are
adopted by this process when their parent ends (Linux), and killed at the end.

At most LIMIT bytes of output are kept in the file that is the guard's own standard output: when they are reached, the
older half is dropped, and the file LEFT_OUT holds the number of bytes dropped.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> int:
    grace, limit, left_out, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    output, written = os.pipe()
    _adopt_orphans()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as problem:
        sys.stderr.write(f"cannot start {command[0]!r}: {problem.strerror}\n")
        return 127
    os.close(written)
    copying = threading.Thread(target=_copy, args=(output, limit, left_out, _given()), daemon=True)
    copying.start()
    while child.poll() is None:
        ready, _, _ = select.select([0, wake_read], [], [], 5.0)
        signals = os.read(wake_read, 64) if wake_read in ready else b""
        if 0 in ready or signal.SIGTERM in signals:
            _end(child, grace)
    _signal_group(child.pid, signal.SIGKILL)
    _kill_orphans()
    copying.join(2.0)  # a process that left the group may hold the pipe open for ever
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _given() -> list[bytes]:
    """The secrets in the first line, longest first: one may be a part of another."""
    line = b""
    while not line.endswith(b"\n") and (part := os.read(0, 1)):
        line += part
    return sorted((text.encode() for text in json.loads(line or b"[]") if text), key=len, reverse=True)


def _parts(output: int, secrets: list[bytes]) -> "Iterator[bytes]":
    """The output without the secrets. A part that ends like a secret begins waits for the next."""
    held = b""
    while part := os.read(output, 1 << 16):
        part = held + part
        for secret in secrets:
            part = part.replace(secret, "…".encode())
        begun = max(
            (n for s in secrets for n in range(1, min(len(s), len(part) + 1)) if part.endswith(s[:n])), default=0
        )
        part, held = part[: len(part) - begun], part[len(part) - begun :]
        if part:
            yield part
    if held:
        yield held


def _copy(output: int, limit: int, left_out: str, secrets: list[bytes]) -> None:
    """Copy the command's output to standard output until all writers have ended. A full disk only costs the output."""
    size, lost = os.fstat(1).st_size, 0
    for part in _parts(output, secrets):
        with contextlib.suppress(OSError):
            if size + len(part) > limit:
                rest = os.pread(1, limit // 2, max(0, size - limit // 2))
                lost += size - len(rest)
                os.ftruncate(1, 0)
                size = os.write(1, rest)
                with open(left_out, "w") as file:  # noqa: PTH123 - what is imported here costs each child
                    file.write(str(lost))
            size += os.write(1, part)


def _adopt_orphans() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _kill_orphans() -> None:
    """Kill adopted processes until none is left: each round orphans the next generation."""
    for _ in range(100):
        children = _children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        if not children:
            return


def _children() -> list[int]:
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(file.read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(file.parent.name))
    return found


def _end(child: "subprocess.Popen[bytes]", grace: float) -> None:
    _signal_group(child.pid, signal.SIGTERM)
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
