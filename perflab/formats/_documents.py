"""Results that are one JSON document: read whole, bounded in size, and looked into without trusting their shape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson

from perflab.data import sources
from perflab.errors import FormatError

_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
MAX_BYTES = 256 * 1024 * 1024


def document(path: Path, expected: str) -> Any:
    """The JSON document of a file."""
    with sources.open_bytes(path) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise FormatError(f"{path}: expected {expected} of at most {MAX_BYTES:,} bytes, found more")
    text = sources.as_utf8(data)
    try:
        return _parsed(text)
    except orjson.JSONDecodeError as problem:
        line = getattr(problem, "lineno", 1)
        raise FormatError(f"{path}:{line}: expected {expected}, found broken JSON: {problem}") from problem


def _parsed(text: bytes) -> Any:
    """The document; half a surrogate pair, which JavaScript's strings may hold, becomes a replacement character."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if not _HALF.search(text):
            raise
        return orjson.loads(_HALF.sub(rb"\\ufffd", text))


def mapping(value: Any, *keys: str) -> dict[str, Any]:
    """The mapping at a path of keys; empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float | None:
    """A finite number that is not negative, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e300:
        return None
    return float(value)


def whole(value: Any) -> int | None:
    """A number that is not negative as a whole one, within what a table of whole numbers holds; or None."""
    found = number(value)
    return round(found) if found is not None and found < 2**53 else None


def counts(value: Any) -> float:
    """The sum of a mapping's numbers."""
    return sum(number(v) or 0.0 for v in mapping(value).values())
