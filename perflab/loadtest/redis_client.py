"""The part of Redis' protocol that measuring a cache needs: a client of one server, without a dependency.

Standard library only, like what runs inside applications: the shop of the demo uses it, too. Methods are named and behave as
those of the package ``redis``. Threads take connections from a pool; a broken one is replaced at the next command.

https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2)
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 5.0
_PORT = 6379
Value = str | bytes | int | float
Connection = tuple[socket.socket, Any]


class RedisError(ConnectionError):
    """The server refused a command, or its answer was not Redis'."""


class RedisClient:
    """A Redis server: ``RedisClient("redis://127.0.0.1:6379/0")``."""

    def __init__(self, url: str = "redis://127.0.0.1:6379", *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        parts = urlsplit(url if "://" in url else f"redis://{url}")
        if parts.scheme not in ("redis", "unix"):
            raise ValueError(f'url must be like "redis://127.0.0.1:6379/0"; got scheme {parts.scheme!r}')
        self._unix = unquote(parts.path) if parts.scheme == "unix" else ""
        try:
            self._host, self._port = parts.hostname or "127.0.0.1", parts.port or _PORT
        except ValueError:
            # Without its cause: that names a part of the password.
            raise ValueError("url has no valid port; percent-encode / # ? @ in its password") from None
        database = parts.path.strip("/") if not self._unix else ""
        self._setup: list[tuple[Value, ...]] = []
        if parts.password:
            user = (unquote(parts.username),) if parts.username else ()
            self._setup.append(("AUTH", *user, unquote(parts.password)))
        if database and not database.isdecimal():
            raise ValueError('url must end in the number of a database, like "redis://127.0.0.1:6379/0"')
        if database and database != "0":
            self._setup.append(("SELECT", database))
        self._timeout_s = timeout_s
        self._free: list[Connection] = []

    def execute(self, *command: Value) -> Any:
        """Send one command and return its answer; bytes for texts, None for nil."""
        answer = self.pipeline([command])[0]
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def pipeline(self, commands: Iterable[Sequence[Value]]) -> list[Any]:
        """Send many commands at once; an error is the answer of its own command only."""
        given = list(commands)
        try:
            return self._exchange(given)
        except (OSError, EOFError) as problem:
            if isinstance(problem, RedisError):
                raise
            raise RedisError(
                f"{self._unix or f'{self._host}:{self._port}'}: {problem or 'connection closed'}"
            ) from problem

    def get(self, key: Value) -> bytes | None:
        found: bytes | None = self.execute("GET", key)
        return found

    def set(self, key: Value, value: Value, *, ex: int | None = None, px: int | None = None, nx: bool = False) -> bool:
        """Set a key, for ``ex`` seconds or ``px`` milliseconds; ``nx``: only if there is none."""
        more: list[Value] = [] if ex is None else ["EX", ex]
        more += [] if px is None else ["PX", px]
        return self.execute("SET", key, value, *more, *(["NX"] if nx else [])) is not None

    def delete(self, *keys: Value) -> int:
        return int(self.execute("DEL", *keys)) if keys else 0

    def eval(self, script: str, numkeys: int, *keys_and_args: Value) -> Any:
        return self.execute("EVAL", script, numkeys, *keys_and_args)

    def info(self, section: str = "") -> dict[str, str]:
        """INFO as a mapping of names to texts."""
        return parse_info(self.execute("INFO", *([section] if section else [])).decode("utf-8", "replace"))

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._free:
            _closed(self._free.pop())

    def _exchange(self, commands: Sequence[Sequence[Value]]) -> list[Any]:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connected()
        try:
            answers = self._sent(connection, commands)
        except BaseException:
            _closed(connection)
            raise
        self._free.append(connection)
        return answers

    def _connected(self) -> Connection:
        if self._unix:
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(self._timeout_s)
            made.connect(self._unix)
        else:
            made = socket.create_connection((self._host, self._port), self._timeout_s)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = made, made.makefile("rb")
        try:
            for answer in self._sent(connection, self._setup):
                if isinstance(answer, RedisError):
                    raise answer
        except BaseException:
            _closed(connection)
            raise
        return connection

    def _sent(self, connection: Connection, commands: Sequence[Sequence[Value]]) -> list[Any]:
        if not commands:
            return []
        connection[0].sendall(b"".join(map(_encoded, commands)))
        return [_answer(connection[1]) for _ in commands]


def _closed(connection: Connection) -> None:
    connection[1].close()
    connection[0].close()


def parse_info(text: str) -> dict[str, str]:
    """The lines of INFO, without its headings.

    >>> parse_info("# Stats\\r\\nkeyspace_hits:17\\r\\n")
    {'keyspace_hits': '17'}
    """
    lines = (line.strip().partition(":") for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def _encoded(command: Sequence[Value]) -> bytes:
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _answer(file: Any) -> Any:
    line = file.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("connection closed")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest
    if kind == b"-":
        return RedisError(rest.decode("utf-8", "replace"))
    if kind == b":":
        return int(rest)
    if kind == b"$":
        size = int(rest)
        return None if size < 0 else file.read(size + 2)[:-2]
    if kind == b"*":
        size = int(rest)
        return None if size < 0 else [_answer(file) for _ in range(size)]
    raise RedisError(f"unexpected answer {line[:40]!r}: not a Redis server?")
