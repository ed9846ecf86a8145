"""OpenTelemetry's spans: OTLP's JSON, in lines or one document, as collectors, Tempo, Jaeger and the file exporter write it; and
what the console exporter of Python's SDK prints.

https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ https://opentelemetry.io/docs/specs/semconv/database/database-spans/
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _spans
from perflab.formats._spans import Span

_SNIFF = re.compile(
    rb'"(?:resourceSpans|resource_spans)"\s*:|"batches"\s*:\s*\[\s*\{\s*"resource"|"context"\s*:\s*\{\s*"trace_id"\s*:\s*"0x'
)
_MARKERS = (b'"startTimeUnixNano"', b'"start_time_unix_nano"', b'"start_time":')
_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_DEEPEST = 3
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def sniff(head: bytes) -> bool:
    start = head.lstrip()[:4096]
    return start[:1] in (b"{", b"[") and _SNIFF.search(start) is not None


def read(path: Path, **_: Any) -> Tables:
    """All spans; those with SQL also as statements, with the request, the route, the service, and rows where recorded."""
    tally = Tally("span")
    spans = (span for found in _spans.documents(path, tally, *_MARKERS) for span in _of_document(found, 0))
    return _spans.tables(path, spans, tally, _MARKERS[0], tool="opentelemetry")


def _of_document(found: Any, depth: int) -> Iterator[Span | None]:
    """The spans of a request, of a list of requests, or of the answer of Tempo or Jaeger; or one that was printed."""
    if isinstance(found, list) and depth < _DEEPEST:
        for one in found:
            yield from _of_document(one, depth + 1)
    if not isinstance(found, dict):
        return
    for name in ("trace", "result"):
        if depth < _DEEPEST and isinstance(found.get(name), dict):
            yield from _of_document(found[name], depth + 1)
    if isinstance(found.get("context"), dict):
        yield _printed(found, found["context"])
    for resource in _dicts(found, "resourceSpans", "resource_spans", "batches"):
        inner = resource.get("resource")
        service = attributes(inner.get("attributes")).get("service.name") if isinstance(inner, dict) else None
        for scope in _dicts(resource, "scopeSpans", "instrumentationLibrarySpans", "scope_spans"):
            named = scope.get("scope", scope.get("instrumentationLibrary"))
            name = str(named.get("name", "")) if isinstance(named, dict) else ""
            for span in _dicts(scope, "spans"):
                yield _span(span, service if isinstance(service, str) else None, name)


def _dicts(found: Any, *names: str) -> list[dict[str, Any]]:
    held = next((found[n] for n in names if n in found), None) if isinstance(found, dict) else None
    return [item for item in held if isinstance(item, dict)] if isinstance(held, list) else []


def attributes(listed: Any) -> dict[str, Any]:
    """``[{"key": ..., "value": {"stringValue": ...}}]`` as a mapping of plain values."""
    found: dict[str, Any] = {}
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and isinstance(item.get("key"), str) and isinstance(item.get("value"), dict):
            kind, value = next(iter(item["value"].items()), ("", None))
            found[item["key"]] = _spans.whole(value) if kind in ("intValue", "int_value") else value
    return found


def _span(span: dict[str, Any], service: str | None, scope: str) -> Span | None:
    start = _spans.whole(span.get("startTimeUnixNano", span.get("start_time_unix_nano")))
    end = _spans.whole(span.get("endTimeUnixNano", span.get("end_time_unix_nano")))
    own = _spans.identifier(span.get("spanId", span.get("span_id")))
    if start is None or start < 0 or start > 2**62 or own is None:
        return None
    # Protobuf's zero never ended; a clock that stepped back gives an end before the start, or wraps around.
    took = (end - start) / 1e6 if end is not None and start <= end <= 2**62 else float("nan")
    kind = span.get("kind")
    written = _KINDS.get(kind, "") if type(kind) is int else str(kind or "").removeprefix("SPAN_KIND_")
    return Span(
        trace=_spans.identifier(span.get("traceId", span.get("trace_id"))),
        span=own,
        parent=_spans.identifier(span.get("parentSpanId", span.get("parent_span_id"))),
        service=service,
        name=str(span.get("name", "")),
        kind=_kind(written),
        start=start // 1000,
        duration_ms=took,
        attributes=attributes(span.get("attributes")) | _state(span),
        scope=scope,
    )


def _state(span: dict[str, Any]) -> dict[str, Any]:
    """That it failed, as exporters to other formats write it."""
    status = span.get("status")
    failed = isinstance(status, dict) and status.get("code", status.get("status_code")) in (
        2,
        "STATUS_CODE_ERROR",
        "ERROR",
    )
    return {"otel.status_code": "ERROR"} if failed else {}


def _kind(written: str) -> str:
    return "" if written.lower() == "unspecified" else written.lower()


def _printed(span: dict[str, Any], context: dict[str, Any]) -> Span | None:
    """A span as Python's SDK prints it (`ReadableSpan.to_json`)."""
    start, own = _instant(span.get("start_time")), _hex(context.get("span_id"))
    end = _instant(span.get("end_time"))
    if start is None or own is None:
        return None
    resource, given = span.get("resource"), span.get("attributes")
    named = resource.get("attributes", resource) if isinstance(resource, dict) else None
    service = named.get("service.name") if isinstance(named, dict) else None
    return Span(
        trace=_hex(context.get("trace_id")),
        span=own,
        parent=_hex(span.get("parent_id")),
        service=service if isinstance(service, str) else None,
        name=str(span.get("name", "")),
        kind=_kind(str(span.get("kind") or "").removeprefix("SpanKind.")),
        start=start,
        duration_ms=(end - start) / 1e3 if end is not None and end >= start else float("nan"),
        attributes=(given if isinstance(given, dict) else {}) | _state(span),
    )


def _hex(value: Any) -> str | None:
    return _spans.identifier(value.removeprefix("0x")) if isinstance(value, str) else None


def _instant(text: Any) -> int | None:
    """Microseconds since 1970 of a time as ``2026-01-31T12:00:00.000000Z``."""
    try:
        at = dt.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    us = (at - _EPOCH) // dt.timedelta(microseconds=1) if at.tzinfo else -1
    return us if us >= 0 else None
