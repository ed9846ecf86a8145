"""A log of JSON lines that never disturbs the application that writes it.

A daemon thread appends whole chunks, moments after the lines were made and at exit, so several processes may share a
file. (Writing only at exit would not do: a server stopped by SIGTERM often skips its exit hooks.) If the file cannot be
written (no such folder, disk full) recording stops, the logger ``perflab.recorders`` reports it once, and the
application goes on.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from pathlib import Path

FLUSH_SECONDS = 0.02
"""How long a line waits so that several are written together."""
MAX_WAITING = 100_000
"""The most lines in memory; a disk slower than that loses lines, and their number is logged."""

_logger = logging.getLogger("perflab.recorders")


class QueryLog:
    """An append-only file of lines; `write` from any thread.

    ``path`` is the file, ``recording`` is False once it is closed or broken, ``dropped`` counts the lines lost to a
    slow disk.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.recording = True
        self.dropped = 0
        self._waiting: list[bytes] = []
        self._begin()
        try:
            # O_APPEND and whole lines: what other processes append never lands inside one of our lines.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._file = os.open(self.path, flags, 0o600)
        except (OSError, ValueError) as problem:
            self._file = -1
            self._stop(problem)
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            me = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _after_fork(me))

    def write(self, line: str) -> None:
        """Add one line, without its newline."""
        if not self.recording:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        # Surrogates (undecodable bytes that Python accepted) must not stop the log: they become "?".
        self._waiting.append(line.encode("utf-8", "replace"))
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write all waiting lines now."""
        with self._lock:
            lines, self._waiting = self._waiting, []
            if lines and self._file >= 0:
                try:
                    _write_all(self._file, b"\n".join(lines) + b"\n")
                except OSError as problem:
                    self._stop(problem)

    def close(self) -> None:
        """Write all waiting lines and stop recording. Safe to call twice."""
        self.recording = False
        self._wake.set()
        self.flush()
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
        if self.dropped:
            _logger.warning("query log %s: %d statements were dropped, the disk was too slow", self.path, self.dropped)
            self.dropped = 0
        atexit.unregister(self.close)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._flush_now_and_then, name="perflab-query-log", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is shutting down: `close` at exit writes the rest
                    self._thread = None

    def _flush_now_and_then(self) -> None:
        while self.recording:
            self._wake.wait()
            time.sleep(FLUSH_SECONDS)
            self._wake.clear()  # first, so that a line added during the write wakes us again
            self.flush()

    def _stop(self, problem: Exception) -> None:
        self.recording = False
        self._wake.set()
        self._waiting = []
        _logger.warning("query log %s: recording stopped, the application goes on (%s)", self.path, problem)


def _after_fork(reference: weakref.ref[QueryLog]) -> None:
    """A forked worker has no flushing thread, and the waiting lines belong to its parent."""
    log = reference()
    if log is not None:
        log._begin()
        log._waiting = []
        log.dropped = 0


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(file, view) :]
        except OSError:
            # End the torn line, if the disk still allows it, so that the reader loses only that line.
            with contextlib.suppress(OSError):
                os.write(file, b"\n")
            raise
