"""Transactions of Sentry as events, one or several: https://develop.sentry.dev/sdk/data-model/event-payloads/transaction/

A transaction is a unit of work; its spans whose ``op`` begins with ``db`` hold statements as their description.
"""

from __future__ import annotations

import datetime as dt
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
        and (b'"spans"' in start or b'"entries"' in start)
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
        event = _exported(event) if isinstance(event, dict) else {}
        if not isinstance(event.get("spans"), list):
            continue
        contexts = event.get("contexts")
        context = contexts.get("trace") if isinstance(contexts, dict) else None
        context = context if isinstance(context, dict) else {}
        given = [span for span in event["spans"] if isinstance(span, dict)]
        ids = {span.get("span_id") for span in given}
        above = next((p for span in given if (p := span.get("parent_span_id")) not in ids), None)
        root = str(context.get("span_id") or above or event.get("event_id") or "")
        trace = context.get("trace_id")
        if "startTimestamp" in event:
            tally.mark(_MARKER.decode(), 1, 0)  # an export spells the event's own time in another way
        if "start_timestamp" in event:
            yield _span(
                {**event, **context, "span_id": root, "description": event.get("transaction")}, trace, None, served=True
            )
        elif given:
            starts = [t for span in given if (t := _seconds(span.get("start_timestamp"))) is not None]
            ends = [t for span in given if (t := _seconds(span.get("timestamp"))) is not None]
            tally.mark(_MARKER.decode(), 1, 0)  # the transaction's own times were left out of the event
            times = {"start_timestamp": min(starts, default=None), "timestamp": max(ends, default=None)}
            yield _span({**times, "span_id": root, "description": event.get("transaction")}, trace, None, served=True)
        yield from (_span(span, trace, root) for span in given)


def _exported(event: dict[str, Any]) -> dict[str, Any]:
    """An event as it was sent; Sentry's web interface and API export its spans among its entries."""
    entries = event.get("entries")
    found = (
        [e["data"] for e in entries if isinstance(e, dict) and e.get("type") == "spans"]
        if isinstance(entries, list)
        else []
    )
    if not found or "spans" in event:
        return event
    times = {"start_timestamp": event.get("startTimestamp"), "timestamp": event.get("endTimestamp")}
    known = {name: time for name, time in times.items() if time is not None}
    return {"transaction": event.get("title"), **event, **(known if len(known) == 2 else {}), "spans": found[0]}


def _seconds(time: Any) -> float | None:
    """Seconds since 1970 of a number or of a text as in RFC 3339."""
    if isinstance(time, str):
        try:
            at = dt.datetime.fromisoformat(time)
        except ValueError:
            return None
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()
    return float(time) if isinstance(time, (int, float)) else None


def _span(span: dict[str, Any], trace: Any, root: str | None, *, served: bool = False) -> Span | None:
    start, end, own = _seconds(span.get("start_timestamp")), _seconds(span.get("timestamp")), span.get("span_id")
    if start is None or end is None or not 0 <= start <= end < 1e11 or not isinstance(own, str) or not own:
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
        start=int(start * 1e6),
        duration_ms=round((end - start) * 1e3, 3),
        attributes=attributes,
    )
