"""Inside Locust: sleep in gevent to a moment, more exactly than its loop does on Linux, where timers are in whole milliseconds.

A timer of the kernel that the loop watches as a file wakes it within some 0.1 ms and needs no CPU while it waits:
https://man7.org/linux/man-pages/man2/timerfd_create.2.html
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import gevent

_MONOTONIC, _NONBLOCK_CLOEXEC, _ABSOLUTE = 1, 0o2004000, 1


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Moment), ("first", _Moment))


def sleeper() -> Callable[[float], None]:
    """A function that sleeps until a time of the monotonic clock, in seconds; it may return a little early."""
    fd = -1
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "timerfd_create"):
            fd = libc.timerfd_create(_MONOTONIC, _NONBLOCK_CLOEXEC)
    if fd < 0:
        return lambda at: gevent.sleep(max(0.0, at - time.monotonic()))
    hub = gevent.get_hub()
    watcher = hub.loop.io(fd, 1)

    def sleep_until(at: float) -> None:
        nanoseconds = max(1, int(at * 1e9))
        setting = _Setting(_Moment(0, 0), _Moment(*divmod(nanoseconds, 1_000_000_000)))
        libc.timerfd_settime(fd, _ABSOLUTE, ctypes.byref(setting), None)
        hub.wait(watcher)
        with suppress(BlockingIOError):  # woken without cause: the caller looks at the clock, and sleeps again
            os.read(fd, 8)

    return sleep_until
