"""A process that runs one command and never outlives its parent; run by its path, standard library only.

    python guard.py GRACE_SECONDS COMMAND [ARGUMENT ...]

Its standard input is a lifeline: when the parent closes it, or dies in whatever way, the command's whole
process group gets SIGTERM, GRACE_SECONDS to end, and then SIGKILL. So nothing is left behind by a killed
kernel, and stopping a child and losing its parent are one and the same path. What the command started in a session of its
own is adopted by this process when its parent ends (Linux), and killed at the end.
"""

import contextlib
import ctypes
import os
import pathlib
import select
import signal
import subprocess
import sys


def main() -> int:
    grace, command = float(sys.argv[1]), sys.argv[2:]
    _adopt_orphans()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as problem:
        sys.stderr.write(f"cannot start {command[0]!r}: {problem.strerror}\n")
        return 127
    while child.poll() is None:
        ready, _, _ = select.select([0, wake_read], [], [], 5.0)
        signals = os.read(wake_read, 64) if wake_read in ready else b""
        if 0 in ready or signal.SIGTERM in signals:
            _end(child, grace)
    _signal_group(child.pid, signal.SIGKILL)
    _kill_orphans()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _adopt_orphans() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _kill_orphans() -> None:
    """Kill what was adopted, until there is nothing: each round orphans the next generation."""
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
