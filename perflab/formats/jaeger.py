"""Jaeger's traces as its query service and its UI export them: https://www.jaegertracing.io/docs/latest/apis/#query-json-over-http"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _spans
from perflab.formats._spans import Span

_SNIFF = re.compile(rb'"traceID"\s*:')
_MARKER = b'"operationName"'


def sniff(head: bytes) -> bool:
    start = head.lstrip()[:8192]
    return start[:1] in (b"{", b"[") and _SNIFF.search(start) is not None and b'"spans"' in start


def read(path: Path, **_: Any) -> Tables:
    """All spans; those with SQL also as statements."""
    tally = Tally("span")
    spans = (span for found in _spans.documents(path, tally, _MARKER) for span in _of_document(found))
    return _spans.tables(path, spans, tally, _MARKER, tool="jaeger")


def _of_document(found: Any) -> Iterator[Span | None]:
    traces = found.get("data", [found]) if isinstance(found, dict) else found
    for trace in traces if isinstance(traces, list) else [traces]:
        if not isinstance(trace, dict) or not isinstance(trace.get("spans"), list):
            continue
        processes = trace.get("processes")
        for span in trace["spans"]:
            yield _span(span, processes if isinstance(processes, dict) else {}) if isinstance(span, dict) else None


def _span(span: dict[str, Any], processes: dict[str, Any]) -> Span | None:
    listed, references = span.get("tags"), span.get("references")
    tags = {
        tag["key"]: tag.get("value")
        for tag in (listed if isinstance(listed, list) else [])
        if isinstance(tag, dict) and isinstance(tag.get("key"), str)
    }
    above = [r for r in references if isinstance(r, dict)] if isinstance(references, list) else []
    above = [r for r in above if _of_trace(r.get("traceID"), span.get("traceID"))]
    # What follows from a span is below it, too, and a root of its own only without it.
    above.sort(key=lambda r: r.get("refType", "CHILD_OF") != "CHILD_OF")
    parent = above[0].get("spanID") if above else span.get("parentSpanID")
    process = processes.get(str(span.get("processID")))
    service = process.get("serviceName") if isinstance(process, dict) else None
    return _spans.in_microseconds(
        span.get("traceID"),
        span.get("spanID"),
        parent,
        service,
        span.get("startTime"),
        span.get("duration"),
        name=str(span.get("operationName", "")),
        kind=str(tags.pop("span.kind", "")),
        attributes=tags,
        scope=str(tags.get("otel.scope.name", tags.get("otel.library.name", ""))),
    )


def _of_trace(named: Any, own: Any) -> bool:
    """Whether a reference stays within the trace; some services write the second half of a trace's id only."""
    one, other = _spans.padded(named), _spans.padded(own)
    return one is None or other is None or one[-16:] == other[-16:]
