"""OpenTelemetry's spans as OTLP JSON lines: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ https://opentelemetry.io/docs/specs/semconv/database/database-spans/

Spans with ``db.query.text`` (or the older ``db.statement``) are statements; the trace is their unit of work, and the
nearest span above them with a route names the route.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.formats import Tables, _printed, _queries

_ID = re.compile(r"[0-9a-fA-F]{16,32}")
_PARAMETER = re.compile(r"db\.(?:query|operation)\.parameter\.(.{1,100})")
_DIALECTS = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}
_DEEPEST = 200
"""Spans between a statement and its request at most."""


def sniff(head: bytes) -> bool:
    start = head.lstrip()[:4096]
    return start.startswith(b"{") and (b'"resourceSpans"' in start or b'"resource_spans"' in start)


def read(path: Path, **_: Any) -> Tables:
    """Statements of exported spans, with trace, route, service, and rows where they were recorded."""
    tally = Tally("span")
    rows: list[dict[str, Any]] = []
    parents: dict[str, tuple[str, str | None]] = {}
    for number, line in enumerate(sources.lines(path), start=1):
        if line.strip():
            _read_line(line, number, rows, parents, tally)
    for row in rows:
        row["route"] = _route(row.pop("parent"), parents)
    return _queries.tables(
        path, rows, tally, meta={"tool": "opentelemetry"}, expected="spans with db.query.text (or db.statement)"
    )


def _read_line(
    line: str, number: int, rows: list[dict[str, Any]], parents: dict[str, tuple[str, str | None]], tally: Tally
) -> None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        tally.total += 1
        tally.skip(tally.total, why=f"line {number} is not JSON")
        return
    for service, span in _spans(found):
        attributes = _attributes(span.get("attributes"))
        own, parent = _hex(span.get("spanId")), _hex(span.get("parentSpanId"))
        if own:
            parents[own] = (parent or "", _own_route(span, attributes))
        sql = attributes.get("db.query.text", attributes.get("db.statement"))
        tally.total += 1
        if not isinstance(sql, str) or not sql:
            tally.known += 1
            continue
        row = _row(span, attributes, sql, service, tally)
        if row is None:
            tally.skip(tally.total, why="no times")
        else:
            tally.rows += 1
            rows.append(row | {"parent": parent or ""})


def _spans(found: Any) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for resource in _dicts(found, "resourceSpans", "resource_spans"):
        inner = resource.get("resource")
        service = _attributes(inner.get("attributes")).get("service.name") if isinstance(inner, dict) else None
        for scope in _dicts(resource, "scopeSpans", "instrumentationLibrarySpans", "scope_spans"):
            for span in _dicts(scope, "spans"):
                yield (service if isinstance(service, str) else None), span


def _dicts(found: Any, *names: str) -> list[dict[str, Any]]:
    held = next((found[n] for n in names if n in found), None) if isinstance(found, dict) else None
    return [item for item in held if isinstance(item, dict)] if isinstance(held, list) else []


def _attributes(listed: Any) -> dict[str, Any]:
    """``[{"key": ..., "value": {"stringValue": ...}}]`` as a mapping of plain values."""
    found: dict[str, Any] = {}
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and isinstance(item.get("key"), str) and isinstance(item.get("value"), dict):
            kind, value = next(iter(item["value"].items()), ("", None))
            found[item["key"]] = _whole(value) if kind == "intValue" else value
    return found


def _whole(value: Any) -> int | None:
    """64-bit numbers are texts in OTLP's JSON."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value, re.ASCII) else None


def _hex(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and _ID.fullmatch(value) else None


def _row(
    span: dict[str, Any], attributes: dict[str, Any], sql: str, service: str | None, tally: Tally
) -> dict[str, Any] | None:
    start, end = _whole(span.get("startTimeUnixNano")), _whole(span.get("endTimeUnixNano"))
    if start is None or end is None or start < 0 or end < start:
        return None
    rows = attributes.get("db.response.returned_rows", attributes.get("db.row_count"))
    file = attributes.get("code.file.path", attributes.get("code.filepath"))
    line = attributes.get("code.line.number", attributes.get("code.lineno"))
    trace = _hex(span.get("traceId"))
    return {
        "start": start // 1000, "sql": _queries.cut(sql, tally), "duration_ms": (end - start) / 1e6, "trace": trace,
        "parameters": _parameters(attributes), "rows": rows if isinstance(rows, int) and 0 <= rows < 2**62 else None,
        "database": _text(attributes.get("db.namespace", attributes.get("db.name"))), "application": service,
        "source": f"{file}:{line}" if isinstance(file, str) and line is not None else None,
        "dialect": _DIALECTS.get(str(attributes.get("db.system.name", attributes.get("db.system"))), "generic"),
    }  # fmt: skip


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _parameters(attributes: dict[str, Any]) -> _printed.Values | None:
    printed = attributes.get("db.statement.parameters")
    if isinstance(printed, str):
        return _printed.values(printed)
    found: dict[str, str | None] = {key[1]: str(v) for k, v in attributes.items() if (key := _PARAMETER.fullmatch(k))}
    if not found:
        return None
    if all(re.fullmatch(r"\d{1,5}", k, re.ASCII) for k in found):
        return [found[k] for k in sorted(found, key=int)]
    return found


def _own_route(span: dict[str, Any], attributes: dict[str, Any]) -> str | None:
    """``GET /books/{id}`` of a server's span, or what a consumer's span is called."""
    route = attributes.get("http.route")
    method = attributes.get("http.request.method", attributes.get("http.method"))
    if isinstance(route, str):
        return f"{method} {route}" if isinstance(method, str) else route
    served = span.get("kind") in (2, 5, "SPAN_KIND_SERVER", "SPAN_KIND_CONSUMER")
    return _text(span.get("name")) if served else None


def _route(span: str, parents: dict[str, tuple[str, str | None]]) -> str | None:
    for _ in range(_DEEPEST):
        above = parents.get(span)
        if above is None:
            return None
        span, route = above
        if route is not None:
            return route
    return None
