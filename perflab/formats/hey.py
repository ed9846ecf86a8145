"""hey's CSV (``hey -o csv``): https://github.com/rakyll/hey/blob/master/requester/print.go; seconds, no URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.formats import _offsets as offsets

_HEADER = (
    *("response-time", "DNS+dialup", "DNS", "Request-write"),
    *("Response-delay", "Response-read", "status-code", "offset"),
)
_NOTES = (caveats.coarse("hey"), caveats.UNANSWERED_LEFT_OUT(tool="hey"))


def sniff(head: bytes) -> bool:
    return head.startswith(",".join(_HEADER).encode())


def read(path: Path, **options: Any) -> Tables:
    return offsets.read(path, _COLUMNS, **options)


def stream(path: Path, **options: Any) -> Iterator[Tables]:
    return offsets.stream(path, _COLUMNS, **options)


_COLUMNS = offsets.Columns(
    "hey", _HEADER, "offset", "response-time", "status-code", only=" that were answered", notes=_NOTES
)
