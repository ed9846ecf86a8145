"""Zipkin's spans, version 2: https://zipkin.io/zipkin-api/#/default/post_spans"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _spans
from perflab.formats._spans import Span

_SNIFF = re.compile(rb'\[\s*(?:\[\s*)?\{[^\[\]]*?"traceId"\s*:', re.DOTALL)
_MARKER = b'"traceId"'


def sniff(head: bytes) -> bool:
    start = head.lstrip()[:8192]
    return (
        _SNIFF.match(start) is not None
        and b'"id"' in start
        and (b'"timestamp"' in start or b'"localEndpoint"' in start)
        and b"esourceSpans" not in start
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
    start, took, own = span.get("timestamp"), span.get("duration", 0), span.get("id")
    if (
        type(start) is not int
        or type(took) is not int
        or not 0 <= start < 2**52
        or not 0 <= took < 2**52
        or not isinstance(own, str)
    ):
        return None
    here = span.get("localEndpoint")
    service = here.get("serviceName") if isinstance(here, dict) else None
    tags = span.get("tags")
    parent = span.get("parentId")
    return Span(
        trace=str(span.get("traceId") or "") or None,
        span=own,
        parent=parent if isinstance(parent, str) and parent else None,
        service=service if isinstance(service, str) else None,
        name=str(span.get("name") or ""),
        kind=str(span.get("kind") or "").lower(),
        start=int(start or 0),
        duration_ms=int(took or 0) / 1e3,
        attributes=dict(tags) if isinstance(tags, dict) else {},
    )
