"""ab -e (ApacheBench): https://httpd.apache.org/docs/2.4/programs/ab.html; the time within which each per cent was served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks
from perflab.formats import _requests as common

_HEADER = "Percentage served,Time in ms"


def sniff(head: bytes) -> bool:
    return head.startswith(_HEADER.encode())


def read(path: Path, **_: Any) -> Tables:
    tally, rows = Tally(), list[tuple[str, str, Any]]()
    for number, line in enumerate(sources.lines(path), start=1):
        tally.total = number
        if number == 1 and line.rstrip() != _HEADER:
            raise FormatError(f"{path}:1: expected {_HEADER!r}, found {line[:120]!r}")
        if line.rstrip() in (_HEADER, ""):
            tally.known += 1
            continue
        try:
            share, value = (float(text) for text in _blocks.fields(line))
        except ValueError:
            share = value = -1.0
        if not 0 <= share <= 100 or not 0 <= value < 1e12:
            tally.skip(number, why="not a percentage and a time")
            continue
        tally.rows += 1
        rows.append((AGGREGATED, {0.0: "min", 100.0: "max"}.get(share, f"p{share:g}"), value))
    return common.summarized(
        path, rows, "percentiles of ab -e", tally=tally, generator="ab", instead="run ab with -g requests.tsv"
    )
