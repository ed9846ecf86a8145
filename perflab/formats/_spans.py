"""Spans of any tracing tool as the tables ``spans`` and ``queries``.

A statement is a span with the text of SQL. Where the ORM and the driver are both instrumented, the span inside (or exactly
beside) another of the same text is the same call. The unit of work is the nearest SERVER or CONSUMER span above; a trace is
one only where there is none, since a trace may hold many requests.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import Any, cast

import orjson
import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _printed, _queries
from perflab.formats import _log_notes as notes

LARGEST_DOCUMENT = 256 << 20
_TEXTS = ("db.query.text", "db.statement", "sql.query", "jdbc.query[0]")
_NOT_SQL = re.compile(
    r"(?:.*[._])?(?:redis|valkey|mongo(?:db)?|mongoose|elasticsearch|opensearch|memcached?|dynamodb|couchdb|couchbase|neo4j|hbase"
    r"|geode|cosmosdb|influxdb|cache|firestore)\b.*",
    re.IGNORECASE,
)
_SQL = re.compile(
    r"(?:[\s(;]++|/\*.*?\*/|--[^\n]*+\n)*+(?:(?:select|insert|update|delete|with|merge|replace|upsert|begin|start|commit|rollback|end|abort"
    r"|savepoint|release|create|alter|drop|truncate|rename|call|exec|execute|do|declare|fetch|move|close|open|values|table|show"
    r"|explain|describe|analyze|optimize|vacuum|copy|load|lock|unlock|use|pragma|prepare|deallocate|discard|reset|grant|revoke"
    r"|listen|unlisten|notify|refresh|comment|reindex|cluster|checkpoint|kill)\b"
    r"|set\s+(?:\S+\s*(?::?=|to\s)|(?:session|local|global|names|transaction|role|constraints|time|nocount)\s))",
    re.IGNORECASE | re.DOTALL,
)
"""What a text begins with where no database is named: Redis has GET and SET, too, Elasticsearch JSON."""
_NAMED_LIKE_SQL = re.compile(
    r"(?:.*[._])?(?:sql|query|statement|stmt|command)(?:[._](?:text|string|sql|raw|statement))?", re.IGNORECASE
)
_SURE_SQL = re.compile(
    r"(?:[\s(;]++|/\*.*?\*/|--[^\n]*+\n)*+(?:select\s.{1,20000}?\sfrom\s|insert\s+(?:ignore\s+)?into\s|update\s+\S+\s+set\s"
    r"|delete\s+from\s)",
    re.IGNORECASE | re.DOTALL,
)
"""What is SQL for sure, where no convention names the attribute that holds it."""
_DIALECTS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}
_PARAMETER = re.compile(r"db\.(?:query|operation)\.parameter\.(.{1,100})")
_PLACEHOLDER = re.compile(r"\$\d+|%s|%\(\w+\)s|:\w+|@\w+|\?")
_FILTERED = frozenset({"?", "***", "[Filtered]", "[filtered]", "<redacted>", "[REDACTED]", "REDACTED"})
_HEX = re.compile(r"[0-9a-fA-F]{16,32}")
_NO_FIRST_HALF = "0" * 16
_ANY_HEX = re.compile(r"[0-9a-fA-F]{1,32}")
_DEEPEST = 200  # spans between a statement and its request


@dataclass
class Span:
    """One span, times in microseconds; ``duration_ms`` is NaN where its end is unknown."""

    trace: str | None
    span: str
    parent: str | None
    service: str | None
    name: str
    kind: str
    start: int
    duration_ms: float
    attributes: dict[str, Any] = field(default_factory=dict)
    scope: str = ""

    @property
    def serves(self) -> bool:
        """Whether it is the work of one request or message."""
        return self.kind in ("server", "consumer") or (not self.kind and "http.route" in self.attributes)

    @property
    def route(self) -> str | None:
        """``GET /books/{id}`` of a server's span, or what a consumer's span is called."""
        route = self.attributes.get("http.route")
        method = self.attributes.get("http.request.method", self.attributes.get("http.method"))
        if isinstance(route, str):
            return f"{method} {route}" if isinstance(method, str) else route
        return self.name if self.serves else None


ById = dict[tuple[str | None, str], Span]


def documents(path: Path, tally: Tally, *markers: bytes) -> Iterator[Any]:
    """The JSON documents of a file: one a line, one altogether, or several indented ones; counts the markers in their bytes."""
    name = markers[0].decode()
    with sources.open_bytes(path) as opened:
        stream: Any = opened if hasattr(opened, "peek") else io.BufferedReader(cast("io.RawIOBase", opened))
        first = sources.as_utf8(stream.readline(LARGEST_DOCUMENT))
        lines: Iterator[bytes] = iter([first])
        if _parsed(first) is None:
            whole = first + stream.read(LARGEST_DOCUMENT)
            if len(whole) >= LARGEST_DOCUMENT:
                raise FormatError(f"{path}: expected a JSON document of at most 256 MB; export spans as JSON lines")
            lines = iter([whole] if _parsed(whole) is not None else _separated(whole))
        for number, line in enumerate(_chained(lines, stream), start=1):
            count = sum(line.count(marker) for marker in markers)
            if (document := _parsed(line)) is not None:
                tally.mark(name, count, 0)
                yield document
            elif line.strip():
                tally.total += max(count, 1)
                tally.mark(name, count, count)
                tally.skip(tally.total - max(count, 1) + 1, max(count, 1), f"line {number} is not valid JSON")


_NEXT = re.compile(rb"^[}\]]\r?\n(?=[{\[])", re.MULTILINE)
"""Where an indented document ends and another begins."""


def _separated(whole: bytes) -> Iterator[bytes]:
    """Indented documents one after the other, as exporters print them; else the lines."""
    ends = [0, *(found.end() for found in _NEXT.finditer(whole)), len(whole)]
    if len(ends) == 2:
        yield from whole.splitlines()
    else:
        yield from (whole[begin:end] for begin, end in zip(ends, ends[1:], strict=False))


def _chained(lines: Iterable[bytes], stream: Any) -> Iterator[bytes]:
    yield from lines
    while line := stream.readline(LARGEST_DOCUMENT):
        yield line


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def tables(path: Path, spans: Iterable[Span | None], tally: Tally, marker: bytes, *, tool: str) -> Tables:
    """Both tables of all spans; None counts as one that could not be read."""
    found: list[Span] = []
    for span in spans:
        tally.total += 1
        tally.mark(marker.decode(), 0, 1)
        if span is None:
            tally.skip(tally.total, why="no id or times")
        else:
            found.append(span)
    if not found:
        raise FormatError(f"{path}:1: expected spans with ids and times, found none")
    _lengthen(found)
    by_id = _by_id(found)
    rows, other = _statements(found, by_id, tally)
    held = {"spans": _frame(found, by_id)}
    tally.rows = len(rows)
    tally.known += other
    if rows:
        read = _queries.tables(path, rows, tally, meta={"tool": tool}, expected="spans with db.query.text")
        return Tables(
            {"queries": read["queries"], **held}, warnings=read.warnings, meta=read.meta, accounting=read.accounting
        )
    return Tables(held, warnings=tally.notes(path.name), meta={"tool": tool}, accounting=tally.account())


def _lengthen(spans: list[Span]) -> None:
    """Give a trace one id: where services of 64 and 128 bits meet, some write the second half of it only."""
    longer: dict[str, str] = {}
    for trace in {span.trace for span in spans if span.trace is not None and len(span.trace) == 32}:
        if not trace.startswith(_NO_FIRST_HALF):
            longer[trace[16:]] = "" if trace[16:] in longer else trace
    for span in spans:
        half = (span.trace or "").removeprefix(_NO_FIRST_HALF)
        if len(half) == 16 and longer.get(half):
            span.trace = longer[half]


def _by_id(spans: list[Span]) -> ById:
    """Spans by trace and id; where client and server share one (Zipkin), the server's."""
    found: ById = {}
    for span in spans:
        key = (span.trace, span.span)
        if key not in found or span.serves:
            found[key] = span
    return found


def _above(span: Span, by_id: ById) -> Iterator[Span]:
    seen = {span.span}
    for _ in range(_DEEPEST):
        parent = by_id.get((span.trace, span.parent or ""))
        if parent is None or parent.span in seen:
            return
        seen.add(parent.span)
        yield parent
        span = parent


def _frame(spans: list[Span], by_id: ById) -> pd.DataFrame:
    status = [
        s
        if type(s := span.attributes.get("http.response.status_code", span.attributes.get("http.status_code"))) is int
        else None
        for span in spans
    ]
    return pd.DataFrame(
        {
            "trace": [span.trace for span in spans],
            "span": [span.span for span in spans],
            "parent": [span.parent for span in spans],
            "service": [span.service for span in spans],
            "name": [span.name for span in spans],
            "kind": [span.kind for span in spans],
            "start": pd.to_datetime([span.start for span in spans], unit="us", utc=True),
            "duration_ms": [span.duration_ms for span in spans],
            "status": pd.array(status, dtype="Int64"),
            "route": [next((s.route for s in (span, *_above(span, by_id)) if s.route), None) for span in spans],
            "attributes": [span.attributes for span in spans],
        }
    )


def _statements(spans: list[Span], by_id: ById, tally: Tally) -> tuple[list[dict[str, Any]], int]:
    """The rows of statements, and how many spans are none."""
    texts: dict[int, str] = {}
    keyvalue = summaries = 0
    for place, span in enumerate(spans):
        system = str(span.attributes.get("db.system.name", span.attributes.get("db.system", "")))
        text = _text(span)
        if _NOT_SQL.fullmatch(system) or (text is not None and not system and _SQL.match(text) is None):
            keyvalue += 1
        elif span.duration_ms != span.duration_ms:
            continue  # a statement that never ended has no time
        elif text is not None:
            texts[place] = text
        elif system and isinstance(summary := span.attributes.get("db.query.summary"), str) and summary.strip():
            texts[place] = summary
            summaries += 1
    same = _same_calls(spans, texts, by_id)
    tally.note(notes.NOT_SQL, keyvalue)
    tally.note(notes.SUMMARIES, summaries)
    tally.note(notes.TRACED_TWICE, len(same))
    tally.continued += len(same)
    rows = [_row(spans[place], text, by_id, tally) for place, text in texts.items() if place not in same]
    return rows, len(spans) - len(texts)


def _text(span: Span) -> str | None:
    """The statement of a span; one under a name of the application's own is kept as ``db.statement``, too."""
    text = next((t for name in _TEXTS if isinstance(t := span.attributes.get(name), str) and t.strip()), None)
    if text is None:
        own = (t for name, t in span.attributes.items() if isinstance(t, str) and _named_like_sql(name))
        if (text := next((t for t in (*own, span.name) if _SURE_SQL.match(t)), None)) is not None:
            span.attributes = {**span.attributes, "db.statement": text}
    return text


@lru_cache(maxsize=4096)
def _named_like_sql(name: str) -> bool:
    return _NAMED_LIKE_SQL.fullmatch(name[:100]) is not None


def _same_calls(spans: list[Span], texts: dict[int, str], by_id: ById) -> set[int]:
    """The places of spans that repeat another one: inside it, or a sibling within its time, with the same text."""
    folded = {
        place: " ".join(_PLACEHOLDER.sub("?", text).split()).rstrip("; ").lower() for place, text in texts.items()
    }
    of_span = {id(spans[place]): text for place, text in folded.items()}
    same = {
        place
        for place, text in folded.items()
        if any(of_span.get(id(above)) == text for above in _above(spans[place], by_id))
    }
    groups: dict[tuple[str, str, str], list[int]] = {}
    for place, text in folded.items():
        if place not in same:
            groups.setdefault((spans[place].trace or "", spans[place].parent or "", text), []).append(place)
    for places in groups.values():
        places.sort(key=lambda p: (spans[p].start, -spans[p].duration_ms))
        for first, second in zip(places, places[1:], strict=False):
            one, other = spans[first], spans[second]
            inside = other.start + other.duration_ms * 1e3 <= one.start + one.duration_ms * 1e3 + 1
            if first not in same and inside and _instrumented_by(one) != _instrumented_by(other):
                same.add(second)
    return same


def _instrumented_by(span: Span) -> tuple[str, str, bool]:
    return span.scope, span.name, "db.query.text" in span.attributes


def _row(span: Span, sql: str, by_id: ById, tally: Tally) -> dict[str, Any]:
    attributes = span.attributes
    rows = attributes.get("db.response.returned_rows", attributes.get("db.row_count"))
    file = attributes.get("code.file.path", attributes.get("code.filepath"))
    line = attributes.get("code.line.number", attributes.get("code.lineno"))
    above = list(_above(span, by_id))
    request = next((one for one in above if one.serves), None)
    database = attributes.get("db.namespace", attributes.get("db.name"))
    return {
        "start": span.start, "sql": _queries.cut(sql, tally), "duration_ms": span.duration_ms,
        "trace": span.trace if request is None else None, "unit": request.span if request else None,
        "parameters": _parameters(attributes), "rows": rows if type(rows) is int and 0 <= rows < 2**62 else None,
        "database": database if isinstance(database, str) else None, "application": span.service,
        "source": f"{file}:{line}" if isinstance(file, str) and line is not None else None,
        "dialect": _DIALECTS.get(str(attributes.get("db.system.name", attributes.get("db.system"))), "generic"),
        "route": next((one.route for one in above if one.route), None),
    }  # fmt: skip


def _parameters(attributes: dict[str, Any]) -> _printed.Values | None:
    """The bound values; those that a filter hid or that were cut are missing."""
    printed = attributes.get("db.statement.parameters")
    if isinstance(printed, str):
        return _known(_printed.values(printed))
    found: dict[str, str | None] = {key[1]: str(v) for k, v in attributes.items() if (key := _PARAMETER.fullmatch(k))}
    if not found:
        return None
    if all(re.fullmatch(r"\d{1,5}", k, re.ASCII) for k in found):
        return _known([found[k] for k in sorted(found, key=int)])
    return _known(found)


def _known(values: _printed.Values | None) -> _printed.Values | None:
    if isinstance(values, dict):
        return {name: _shown(v) for name, v in values.items()}
    return [_shown(v) for v in values] if values is not None else None


def _shown(value: str | None) -> str | None:
    """A value, None where a filter hid it or a limit cut it."""
    return None if value is None or value in _FILTERED or value.endswith("...") else value


def identifier(value: Any) -> str | None:
    """An id in hexadecimal; protojson writes them in base64.

    >>> identifier("Ka0CKH7svYY="), identifier("29AD02287EECBD86")
    ('29ad02287eecbd86', '29ad02287eecbd86')
    """
    if not isinstance(value, str) or not value.strip("0"):
        return None
    if _HEX.fullmatch(value):
        return value.lower()
    try:
        held = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return held.hex() if len(held) in (8, 16) else None


def whole(value: Any) -> int | None:
    """64-bit numbers are texts in OTLP's JSON."""
    written = isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value, re.ASCII)
    return int(value) if written or type(value) is int else None


def in_microseconds(
    trace: Any, own: Any, parent: Any, service: Any, start: Any, took: Any, **described: Any
) -> Span | None:
    """A span of Jaeger or Zipkin, whose times are whole microseconds; None where its id or its times are no such thing.

    Without a duration, or with an impossible one, its end is unknown.
    """
    if (
        not isinstance(own, str)
        or type(start) is not int
        or not 0 <= start < 2**52
        or type(took) not in (int, NoneType)
    ):
        return None
    return Span(
        trace=padded(trace),
        span=padded(own) or own,
        parent=padded(parent),
        service=service if isinstance(service, str) else None,
        start=start,
        duration_ms=took / 1e3 if took is not None and 0 <= took < 2**52 else float("nan"),
        **described,
    )


def padded(value: Any) -> str | None:
    """An id as long as it was made: some exporters drop the zeros in front, and only in some places; zeros alone are none.

    >>> padded("a1"), padded("00000000000000A1"), padded("0"), padded(None)
    ('00000000000000a1', '00000000000000a1', None, None)
    """
    if not isinstance(value, str) or not value.strip("0"):
        return None
    if _ANY_HEX.fullmatch(value) is None:
        return value
    return value.lower().zfill(16 if len(value) <= 16 else 32)
