"""JSON lines of perflab's request recorder (`perflab/recorders/breakdown.py`): one request a line.

    {"request": "5f3c...", "endpoint": "GET /orders", "start": 1763942400.123456, "sent": 1763942400.121, "ms": 12.5,
     "parts": {"database": 4.1, "cpu": 6.2}, "spans": [["database", "SELECT ...", 0.8, 1.3], ...]}

``start`` and ``sent`` are seconds since 1970 (UTC), all else milliseconds; a span has its kind, its name, its begin since the
request's, its length, and in newer files the number of its thread or task and hashes of the values that it was made with.
``values`` are hashes of those of the request's own address, ``loop`` says that an event loop serves it. ``ms`` is the time in
the application; what the parts leave of it is the rest. ``sent`` is there where the client or a proxy said when
(``X-Request-Start``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _queries
from perflab.formats import _log_notes as notes
from perflab.formats._queries import Marker

_REQUEST = Marker("parts", re.compile(r'"parts": ?\{'))
SERVICE = "application"
_CLOCK_S = 1e-4
"""Two clocks of one machine start a record's time and measure its length."""


def sniff(head: bytes) -> bool:
    line = head.lstrip().split(b"\n", 1)[0]
    return line.startswith(b'{"request"') and b'"parts"' in line and b'"ms"' in line


def read(path: Path, **_: Any) -> Tables:
    """Components of each request as the application saw it, and its spans."""
    tally = Tally()
    records = []
    for number, line in _queries.numbered(path, tally, _REQUEST):
        record = _record(line) if line.strip() else None
        if record is not None:
            tally.rows += 1
            records.append(record)
        elif line.strip():
            tally.skip(number)
        else:
            tally.known += 1
    if not records:
        raise FormatError(
            f"{path}:1: expected recorded requests (JSON lines with request, start, ms, parts), found none"
        )
    tally.mark(_REQUEST.name, 0, tally.rows + tally.skipped)
    inner = _inner(records)
    records = [record for place, record in enumerate(records) if place not in inner]
    tally.rows, tally.known = tally.rows - len(inner), tally.known + len(inner)
    tally.note(notes.INNER_REQUESTS, len(inner))
    return Tables(
        {"components": _components(records), "spans": _spans(records)},
        warnings=tally.notes(path.name),
        meta={"tool": "perflab request recorder"},
        accounting=tally.account(),
    )


def _inner(records: list[dict[str, Any]]) -> set[int]:
    """Records within the time of another of the same request: a service that inherited the recorder and got its id.

    (A redirection brings the same id twice, too, but one after the other.)
    """
    by_id: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        by_id.setdefault(record["request"], []).append(place)
    found = set[int]()
    for places in by_id.values():
        if len(places) < 2:
            continue
        places.sort(key=lambda p: (records[p]["start"], -records[p]["ms"]))
        until = 0.0
        for place in places:
            end = records[place]["start"] + records[place]["ms"] / 1e3
            if end <= until + _CLOCK_S:
                found.add(place)
            until = max(until, end)
    return found


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("request"), str):
        return None
    parts, spans = record.get("parts"), record.get("spans", [])
    numbers = [record.get("start"), record.get("ms"), *(parts.values() if isinstance(parts, dict) else [None])]
    if not all(_is_time(number) for number in numbers) or not isinstance(spans, list):
        return None
    if record.get("sent") is not None and not _is_time(record["sent"]):
        return None
    good = [span for span in spans if isinstance(span, list) and len(span) >= 4 and all(map(_is_time, span[2:4]))]
    return None if len(good) < len(spans) else record


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e3 < value < 1e11


def _components(records: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for record in records:
        known = {kind: float(ms) for kind, ms in record["parts"].items()}
        if record.get("sent"):
            known = {"queue": (record["start"] - record["sent"]) * 1e3, **known}
        known["rest"] = record["ms"] - sum(record["parts"].values())
        rows += [(record["request"], kind, ms) for kind, ms in known.items()]
    return pd.DataFrame.from_records(rows, columns=["request", "component", "duration_ms"])


def _spans(records: list[dict[str, Any]]) -> pd.DataFrame:
    """The request as a root span, and its calls below it."""
    rows: list[tuple[Any, ...]] = []
    for place, record in enumerate(records):
        # A redirection brings the same request twice.
        trace = f"{record['request']}-{place}"
        endpoint = record.get("endpoint") if isinstance(record.get("endpoint"), str) else None
        shared = (record["request"], endpoint)
        own = {"perflab.values": record["values"]} if isinstance(record.get("values"), list) else {}
        own |= {"perflab.loop": True} if record.get("loop") is True else {}
        rows.append((trace, trace, None, endpoint or "request", "server", record["start"], record["ms"], *shared, own))
        rows += [
            (
                trace,
                f"{trace}-{i}",
                trace,
                str(name),
                str(kind),
                record["start"] + begin / 1e3,
                took,
                *shared,
                _more(more),
            )
            for i, (kind, name, begin, took, *more) in enumerate(record.get("spans", ()))
        ]
    columns = ["trace", "span", "parent", "name", "kind", "start", "duration_ms", "request", "route", "attributes"]
    frame = pd.DataFrame.from_records(rows, columns=columns)
    frame["start"] = pd.to_datetime((frame["start"] * 1e6).round().astype("int64"), unit="us", utc=True)
    if not frame["attributes"].map(bool).any():
        frame = frame.drop(columns="attributes")
    return frame.assign(service=SERVICE, duration_ms=frame["duration_ms"].clip(lower=0.0))


def _more(more: list[Any]) -> dict[str, Any]:
    """The strand of a call, and the hashes of its values, where the recorder wrote them."""
    found: dict[str, Any] = {"perflab.strand": more[0]} if more and type(more[0]) is int else {}
    return found | ({"perflab.values": more[1]} if len(more) > 1 and isinstance(more[1], list) else {})
