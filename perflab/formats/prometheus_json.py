"""Answers of Prometheus' HTTP API (``query``, ``query_range``): https://prometheus.io/docs/prometheus/latest/querying/api/

Values are texts, and may be NaN or infinite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats._prometheus import EXPRESSION, NOT_FINITE

_BEGINS = re.compile(rb'\s*\{\s*"status"\s*:\s*"(success|error)"')
_SORTED = re.compile(
    rb'\s*\{\s*"data"\s*:\s*\{\s*"result(?:Type"\s*:\s*"(?:matrix|vector|scalar)"|"\s*:\s*\[\s*\{\s*"metric"\s*:)'
)
"""The same with sorted keys."""


def sniff(head: bytes) -> bool:
    begins = bool(_BEGINS.match(head)) and (b'"resultType"' in head[:512] or b'"errorType"' in head[:512])
    return begins or bool(_SORTED.match(head))


def read(path: Path, **_: Any) -> Tables:
    with sources.open_bytes(path) as stream:
        try:
            held = orjson.loads(sources.as_utf8(stream.read()))
        except orjson.JSONDecodeError as problem:
            raise FormatError(f"{path}: expected JSON of Prometheus' API, cut off or damaged: {problem}") from problem
    if not isinstance(held, dict) or "status" not in held:
        raise FormatError(f"{path}: expected JSON of Prometheus' API, found {str(held)[:60]!r}")
    if held["status"] != "success":
        raise FormatError(f"{path}: Prometheus answered with an error: {held.get('errorType')}: {held.get('error')}")
    data = held.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    if not isinstance(data, dict) or kind not in ("matrix", "vector", "scalar"):
        raise FormatError(f"{path}: expected a result of the type matrix, vector or scalar, found {kind!r}")
    tally = Tally("value")
    rows = list(_rows((data or {}).get("result"), kind, tally))
    if not rows:
        raise FormatError(
            f"{path}: expected values, found none; the query matched no series, or the time range holds no samples"
        )
    frame = pd.DataFrame(rows, columns=["time", "name", "labels", "value"])
    frame["time"] = pd.to_datetime((frame["time"] * 1e6).round().astype("int64"), unit="us", utc=True)
    notes = [*tally.notes(path.name)]
    if (frame["name"] == "").any():
        frame["name"] = frame["name"].replace("", EXPRESSION)
    warnings = held.get("warnings") or []
    return Tables({"metrics": frame}, warnings=[*notes, *map(str, warnings)], accounting=tally.account())


def _rows(result: Any, kind: str, tally: Tally) -> Iterator[tuple[float, str, dict[str, str], float]]:
    series = [{"metric": {}, "value": result}] if kind == "scalar" else result
    number = 0
    for one in series if isinstance(series, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("metric"), dict):
            number += 1
            tally.total += 1
            tally.skip(number, why="not a series")
            continue
        labels = {str(k): str(v) for k, v in one["metric"].items()}
        name = labels.pop("__name__", "")
        values = one.get("values") or [one.get("value")]
        for pair in values if isinstance(values, list) else [values]:
            number += 1
            tally.total += 1
            try:
                at, value = float(pair[0]), float(pair[1])
            except (TypeError, ValueError, IndexError, KeyError):
                tally.skip(number, why="not a time and a number")
                continue
            if not (math.isfinite(value) and np.isfinite(at)):
                tally.known += 1
                tally.note(NOT_FINITE, 1, number)
                continue
            tally.rows += 1
            yield at, name, labels, value
