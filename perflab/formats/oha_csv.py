"""oha's CSV (``oha --output-format csv``): https://github.com/hatoo/oha/blob/master/src/printer.rs; seconds, no URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.formats import _offsets as offsets

_HEADER = ("request-start", "DNS", "DNS+dialup", "Response-delay", "request-duration", "bytes", "status")
_NOTES = (caveats.UNANSWERED_LEFT_OUT(tool="oha"),)


def sniff(head: bytes) -> bool:
    return head.startswith(",".join(_HEADER).encode())


def read(path: Path, **options: Any) -> Tables:
    return offsets.read(path, _COLUMNS, **options)


def stream(path: Path, **options: Any) -> Iterator[Tables]:
    return offsets.stream(path, _COLUMNS, **options)


_COLUMNS = offsets.Columns("oha", _HEADER, "request-start", "request-duration", "status", size="bytes", notes=_NOTES)
