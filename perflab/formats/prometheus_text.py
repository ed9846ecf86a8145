"""A /metrics page in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._prometheus import NOT_FINITE, parse

_COMMENT = re.compile(r"# (?:HELP|TYPE|UNIT) [a-zA-Z_:][\w:.]* ?|# EOF$")
_SAMPLE = re.compile(
    r"[a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*=\"(?:[^\"\\]|\\.)*\",? ?)*\})?\s+(?:[+-]?Inf|NaN|[-+]?\d[\d.eE+-]*)(?:\s+-?\d+)?"
)
_MOST_BYTES = 256 << 20


def sniff(head: bytes) -> bool:
    whole = head.rsplit(b"\n", 1)[0] if head.count(b"\n") > 1 else head
    lines = [line.strip() for line in whole.decode("utf-8", "replace").splitlines()[:40] if line.strip()]
    if not lines:
        return False
    if re.match(
        r"# TYPE \S+ (?:counter|gauge|histogram|summary|untyped|unknown|info|stateset)$", "\n".join(lines), re.MULTILINE
    ):
        return True
    commented = any(_COMMENT.match(line) for line in lines)
    fit = all(_COMMENT.match(line) or line.startswith("#") or _SAMPLE.fullmatch(line) for line in lines)
    return fit and (commented or all("{" in line for line in lines))


def read(path: Path, *, started: Any = None, **_: Any) -> Tables:
    """The ``metrics`` table of one page. Pages hold no time, so ``started`` gives that of the scrape."""
    with sources.open_bytes(path) as stream:
        data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise FormatError(f"{path}: expected a page of metrics, found more than {_MOST_BYTES:,} bytes")
    text = sources.as_utf8(data).decode("utf-8", "replace")
    tally, rows = Tally(), list[tuple[str, dict[str, str], float]]()
    for number, line in enumerate(text.split("\n")[: None if not text.endswith("\n") else -1], 1):
        tally.total += 1
        if not line.strip() or line.lstrip().startswith("#"):
            tally.known += 1
            continue
        found, bad = parse(line)
        rows += found
        tally.rows += len(found) == 1
        if bad and _SAMPLE.fullmatch(line.strip()):
            tally.known += 1
            tally.note(NOT_FINITE, 1, number)
        elif len(found) != 1:
            tally.skip(number, why="not a sample")
    if not rows:
        raise FormatError(f"{path}:1: expected samples in Prometheus' text format, found none")
    at = common.instant("1970-01-01T00:00:00Z" if started is None else started)
    frame = pd.DataFrame(rows, columns=["name", "labels", "value"]).assign(time=at)
    notes = [*tally.notes(path.name), *([caveats.no_start("a page of metrics")] if started is None else [])]
    return Tables({"metrics": frame}, warnings=notes, accounting=tally.account())
