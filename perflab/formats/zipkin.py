"""Zipkin's spans, version 2 (and 1): https://zipkin.io/zipkin-api/#/default/post_spans"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _spans
from perflab.formats._spans import Span

_SNIFF = re.compile(rb'(?:\[\s*)?(?:\[\s*)?\{[^\[\]]*?"traceId"\s*:', re.DOTALL)
_OF_LINES = re.compile(rb'"(?:localEndpoint|binaryAnnotations)"\s*:|"tags"\s*:\s*\{')
"""One of these is in a span; other lines of JSON may hold the id of a trace, too."""
_MARKER = b'"traceId"'


def sniff(head: bytes) -> bool:
    start = head.lstrip()[:8192]
    return (
        _SNIFF.match(start) is not None
        and b'"id"' in start
        and (b'"timestamp"' in start or b'"localEndpoint"' in start)
        and b"esourceSpans" not in start
        and (start[:1] == b"[" or _OF_LINES.search(start) is not None)
    )


def read(path: Path, **_: Any) -> Tables:
    """All spans; those with SQL also as statements."""
    tally = Tally("span")
    spans = (span for found in _spans.documents(path, tally, _MARKER) for span in _of_document(found))
    return _spans.tables(path, spans, tally, _MARKER, tool="zipkin")


def _of_document(found: Any) -> Iterator[Span | None]:
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, list):
            yield from (_span(span) if isinstance(span, dict) else None for span in one)
        else:
            yield _span(one) if isinstance(one, dict) else None


def _span(span: dict[str, Any]) -> Span | None:
    here, tags = span.get("localEndpoint"), span.get("tags")
    events, listed = _dicts(span.get("annotations")), _dicts(span.get("binaryAnnotations"))
    if listed or any("endpoint" in event for event in events):  # version 1
        ends = [one["endpoint"] for one in (*events, *listed) if isinstance(one.get("endpoint"), dict)]
        here = here or next(iter(ends), None)
        values = {event.get("value") for event in events}
        span = {"kind": "server" if "sr" in values else "client" if "cs" in values else "", **span}
        tags = {str(one.get("key")): one.get("value") for one in listed}
    return _spans.in_microseconds(
        span.get("traceId"),
        span.get("id"),
        span.get("parentId"),
        here.get("serviceName") if isinstance(here, dict) else None,
        span.get("timestamp"),
        span.get("duration"),
        name=str(span.get("name") or ""),
        kind=str(span.get("kind") or "").lower(),
        attributes=dict(tags) if isinstance(tags, dict) else {},
    )


def _dicts(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
