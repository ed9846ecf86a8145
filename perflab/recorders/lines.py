"""A statement as one line of JSON, with parameters truncated or hashed.

Reading parameters must never run application code: only values of known types are read, all others are written as
``<TypeName>``.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import os
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Any

MAX_TEXT = 500
MAX_PARAMETERS = 1000

SALT = "PERFLAB_HASH_SALT"
"""The environment variable with the salt of hashes, a secret of the processes that share it: equal values then have equal
hashes in all of them. Without it each process has its own."""
KEY = (
    blake2b(os.fsencode(os.environ[SALT]), digest_size=16).digest() if os.environ.get(SALT) else secrets.token_bytes(16)
)
_BY_STR = (decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID)

_quoted: Callable[[str], str] = lru_cache(maxsize=2048)(json.dumps)
"""A string as JSON, cached: an application has few distinct statements, and encoding them is most of the cost."""


def line(
    start: float,
    duration_ms: float,
    sql: str,
    parameters: Iterable[Any] | Mapping[str, Any] | None,
    *,
    redact: bool,
    unit: str | None = None,
    route: str | None = None,
    rows: int | None = None,
    **more: str | int | None,
) -> str:
    """The line for one statement: ``start`` in seconds since 1970, the rest as in the recorder's format.

    With ``redact`` each parameter becomes 12 hex digits of a hash with a secret key, of this process or by `SALT`: equal
    values stay equal, different ones different, and none can be recovered. NULL stays null.
    """
    parts = [f'{{"start": {start:.6f}, "duration_ms": {max(duration_ms, 0.0):.4f}, "sql": {_quoted(sql)}']
    if parameters is not None:
        values = parameters.values() if isinstance(parameters, Mapping) else parameters
        write = _hashed if redact else _shown
        parts.append(f'"parameters": [{", ".join([write(v) for v in islice(values, MAX_PARAMETERS)])}]')
    if unit is not None:
        parts.append(f'"unit": {json.dumps(unit)}')
    if route is not None:
        parts.append(f'"route": {_quoted(route)}')
    if rows is not None:
        parts.append(f'"rows": {rows}')
    parts += [f'"{name}": {json.dumps(value)}' for name, value in more.items() if value is not None]
    return ", ".join(parts) + "}"


def _hashed(value: Any) -> str:
    if value is None:
        return "null"
    if type(value) in (list, tuple) and len(value) == 1 and not isinstance(value[0], (list, tuple)):
        return f"[{_hashed(value[0])}]"  # a list with a single value is a finding
    return f'"{blake2b(_bytes(value), key=KEY, digest_size=6).hexdigest()}"'


def _bytes(value: Any) -> bytes:
    """Bytes that differ where values differ: all of a small value, the length and both ends of a large one."""
    if isinstance(value, str):
        return b"s" + _ends(str.encode(value, "utf-8", "surrogatepass") if len(value) < 65_536 else _long(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b"b" + _ends(bytes(value))
    if isinstance(value, int) and value.bit_length() >= 64:
        return b"i" + _ends(int.__format__(value, "x").encode())
    if isinstance(value, (list, tuple)):
        return b"l" + b",".join(_bytes(v) for v in value[:MAX_PARAMETERS] if not isinstance(v, (list, tuple)))
    return b"o" + _shown(value).encode("utf-8", "surrogatepass")


def _long(text: str) -> bytes:
    return f"{len(text)}:{text[:30_000]}{text[-30_000:]}".encode("utf-8", "surrogatepass")


def _ends(data: bytes) -> bytes:
    return data if len(data) < 65_536 else b"%d:" % len(data) + data[:30_000] + data[-30_000:]


def _shown(value: Any) -> str:
    if value is None or value is True or value is False:
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value) if value.bit_length() < 64 else '"<large int>"'
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else f'"{float.__repr__(value)}"'
    if isinstance(value, str):
        return json.dumps(value[:MAX_TEXT])
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f'"<{len(value)} bytes>"'
    if type(value) in (datetime.datetime, *_BY_STR):
        return json.dumps(str(value))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_shown(v) for v in value[:100] if not isinstance(v, (list, tuple)))}]"
    return json.dumps(f"<{type(value).__name__}>")
