"""An append-only file of JSON lines that never slows or breaks the application that writes it."""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import secrets
import threading
from pathlib import Path
from typing import Any

logger = logging.getLogger("perflab.recorders")

FLUSH_S = 0.5
_MAX_PENDING = 200_000
_MAX_TEXT = 100_000


class Journal:
    """Collects records in memory and writes them from a thread twice a second, and at exit.

    When the file can't be written (a full disk), recording stops, the application goes on, and one warning is
    logged. Should the disk be too slow, records beyond 200,000 in memory are dropped and counted.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.dropped = 0
        self._pending: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._file: Any = None
        try:
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as problem:
            self._give_up(problem)
            return
        threading.Thread(target=self._write_on, name="perflab-journal", daemon=True).start()
        atexit.register(self.close)

    def add(self, record: dict[str, Any]) -> None:
        """Take a record; returns at once."""
        if self._stopped.is_set():
            return
        if len(self._pending) < _MAX_PENDING:
            self._pending.append(record)
        else:
            self.dropped += 1

    def flush(self) -> None:
        """Write what was collected."""
        with self._lock:
            taken, self._pending = self._pending, []
            if not taken or self._file is None:
                return
            try:
                self._file.write("".join(map(_line, taken)))
                self._file.flush()
            except (OSError, ValueError) as problem:
                self._give_up(problem)

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        self._stopped.set()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write_on(self) -> None:
        while not self._stopped.wait(FLUSH_S):
            self.flush()

    def _give_up(self, problem: Exception) -> None:
        self._stopped.set()
        self._pending = []
        logger.warning("perflab stops recording queries: %s: %s", self.path, problem)


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, default=_plain, separators=(",", ":")) + "\n"


def _plain(value: Any) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, (bytes, bytearray, memoryview)) else str(value)[:_MAX_TEXT]


class Redaction:
    """Replaces values by keyed hashes: equal values stay equal within one file, and can't be guessed from it."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def hashed(self, value: Any) -> str:
        text = repr(value).encode("utf-8", errors="replace")
        return "#" + hashlib.blake2b(text, key=self._key, digest_size=6).hexdigest()
