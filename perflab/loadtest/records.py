"""The files that a load generator's process writes while load runs; standard library only.

``<process>.bin`` is an append-only sequence of fixed records, one a request, little-endian:

    start      float64   seconds since 1970 (UTC), by the client's clock
    latency    float64   milliseconds
    due        float64   scheduled start in seconds since 1970; NaN in a closed model
    size       int64     bytes of the response
    endpoint   uint32    index into the names
    error      uint32    index into the errors; 0 is success
    user       uint32    the simulated user
    status     uint16    HTTP status; 0 is none
    cache      uint8     what its headers say: 0 nothing, 1 hit, 2 miss (`cache_headers`)
    (1 byte of padding)
    request    uint64    the id that was sent with it (`request_ids`); 0 is none

``<process>.checks`` has one record for each named assertion (k6's checks), if the locustfile makes any:

    at         float64   seconds since 1970 (UTC)
    name       uint32    index into the checks
    endpoint   uint32    index into the names, plus one; 0 is none
    ok         uint8
    (3 bytes of padding)

``<process>.jsonl`` holds the names that the records refer to and the events around them, a JSON object a line:
``endpoint``, ``error`` and ``check`` names before their first use, ``answer`` with headers if the plan asks for them,
``users`` and ``loop`` twice a second, ``start`` and ``stop`` of the load, and as the last line ``footer`` with the count.
Without it the process was lost.
"""

from __future__ import annotations

import json
import os
import re
import struct
from functools import cache
from pathlib import Path
from typing import Any

RECORD = struct.Struct("<dddqIIIHBxQ")
FIELDS = (
    ("start", "<f8"),
    ("latency", "<f8"),
    ("due", "<f8"),
    ("size", "<i8"),
    ("endpoint", "<u4"),
    ("error", "<u4"),
    ("user", "<u4"),
    ("status", "<u2"),
    ("cache", "u1"),
    ("padding", "u1"),
    ("request", "<u8"),
)
CHECK = struct.Struct("<dIIBxxx")
CHECK_FIELDS = (("at", "<f8"), ("name", "<u4"), ("endpoint", "<u4"), ("ok", "u1"), ("padding", "u1", 3))
ANSWER = "answer"
"""The kind of note that holds the headers of a response, if the plan asks for them."""
FLUSH_S = 0.5
TICK_S = 0.01
"""The interval at which the lag of a generator's event loop is measured."""
MAX_NAMES = 10_000
MAX_TEXT = 500
MAX_USER_ERRORS = 1_000
"""The number of exceptions in the locustfile to note with their text; further ones are only counted."""
CANNOT_WRITE = 74
"""Exit code of a generator that could not write its records (EX_IOERR)."""
BAD_LOCUSTFILE = 78
"""Exit code of a generator whose locustfile is at fault (EX_CONFIG)."""
SETTINGS = "PERFLAB_GENERATOR"
"""The environment variable with the path of the settings (JSON) of one process of the generator."""
TOKEN = "PERFLAB_TOKEN"
"""The environment variable with the secret that a master and its remote workers share."""
_SHORTEST_TOKEN = 12


@cache
def settings() -> dict[str, Any]:
    """The settings of this process of the generator. The file holds the plan's headers, so it is removed after reading."""
    path = Path(os.environ[SETTINGS])
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return found


def secret_of(token: str | None, parameter: str) -> str:
    """The given token, or the environment's; ValueError if there is none, or it is too short."""
    secret = token if token is not None else os.environ.get(TOKEN, "")
    if not isinstance(secret, str) or len(secret) < _SHORTEST_TOKEN:
        raise ValueError(
            f"{parameter} must be a secret of {_SHORTEST_TOKEN} or more characters that master and workers share (or set "
            f'{TOKEN}); python -c "import secrets; print(secrets.token_urlsafe())" makes one'
        )
    return secret


def stem_of(client: str) -> str:
    """The file stem of a remote worker; what others send never names a path."""
    return "remote-" + re.sub(r"[^A-Za-z0-9_.]+", "_", client)[-80:].strip(".")
