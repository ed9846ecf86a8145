"""Transactions of Sentry as events, one or several: https://develop.sentry.dev/sdk/data-model/event-payloads/transaction/

A transaction is a unit of work; its spans whose ``op`` begins with ``db`` hold statements as their description.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab.data.accounting import Tally
from perflab.formats import Tables, _spans
from perflab.formats._spans import Span

_MARKER = b'"start_timestamp"'


def sniff(head: bytes) -> bool:
    start = head.lstrip()
    return (
        start[:1] in (b"{", b"[")
        and _MARKER in start
        and b'"spans"' in start
        and (b'"description"' in start or b'"op"' in start)
        and b'"trace_id"' in start
    )


def read(path: Path, **_: Any) -> Tables:
    """All spans; those of SQL also as statements, by transaction."""
    tally = Tally("span")
    spans = (span for found in _spans.documents(path, tally, _MARKER) for span in _of_document(found, tally))
    return _spans.tables(path, spans, tally, _MARKER, tool="sentry")


def _of_document(found: Any, tally: Tally) -> Iterator[Span | None]:
    for event in found if isinstance(found, list) else [found]:
        if not isinstance(event, dict) or not isinstance(event.get("spans"), list):
            continue
        contexts = event.get("contexts")
        context = contexts.get("trace") if isinstance(contexts, dict) else None
        context = context if isinstance(context, dict) else {}
        given = [span for span in event["spans"] if isinstance(span, dict)]
        ids = {span.get("span_id") for span in given}
        above = next((p for span in given if (p := span.get("parent_span_id")) not in ids), None)
        root = str(context.get("span_id") or above or event.get("event_id") or "")
        trace = context.get("trace_id")
        if "start_timestamp" in event:
            yield _span(
                {**event, **context, "span_id": root, "description": event.get("transaction")}, trace, None, served=True
            )
        elif given:
            starts = [t for span in given if isinstance(t := span.get("start_timestamp"), (int, float))]
            ends = [t for span in given if isinstance(t := span.get("timestamp"), (int, float))]
            tally.mark(_MARKER.decode(), 1, 0)  # the transaction's own times were left out of the event
            times = {"start_timestamp": min(starts, default=None), "timestamp": max(ends, default=None)}
            yield _span({**times, "span_id": root, "description": event.get("transaction")}, trace, None, served=True)
        yield from (_span(span, trace, root) for span in given)


def _span(span: dict[str, Any], trace: Any, root: str | None, *, served: bool = False) -> Span | None:
    start, end, own = span.get("start_timestamp"), span.get("timestamp"), span.get("span_id")
    numbers = isinstance(start, (int, float)) and isinstance(end, (int, float))
    if not numbers or not 0 <= start < 1e11 or not start <= end < 1e11 or not isinstance(own, str) or not own:  # type: ignore[operator]
        return None
    op, text = str(span.get("op") or ""), span.get("description")
    data = span.get("data")
    attributes: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
    if op.startswith("db") and not served:
        attributes.setdefault("db.system", op.partition("db.")[2] or "sql")
        if isinstance(text, str):
            attributes["db.query.text"] = text
    parent = span.get("parent_span_id") if not served else None
    return Span(
        trace=str(span.get("trace_id") or trace or "") or None,
        span=own,
        parent=parent if isinstance(parent, str) and parent else root if not served else None,
        service=None,
        name=str(text or op),
        kind="server" if served else "",
        start=int(float(start) * 1e6),  # type: ignore[arg-type]
        duration_ms=round((float(end) - float(start)) * 1e3, 3),  # type: ignore[arg-type]
        attributes=attributes,
    )
