"""A process that runs one command and never outlives its parent; run by its path, standard library only.

    python guard.py GRACE_SECONDS COMMAND [ARGUMENT ...]

Its standard input is a lifeline: when the parent closes it, or dies in whatever way, the command's whole
process group gets SIGTERM, GRACE_SECONDS to end, and then SIGKILL. So nothing is left behind by a killed
kernel, and stopping a child and losing its parent are one and the same path.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys


def main() -> int:
    grace, command = float(sys.argv[1]), sys.argv[2:]
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
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


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
