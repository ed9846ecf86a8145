"""The response headers of a load run, within Locust: which caches and compression depend on, once for each answer of its kind.

Listens only if the plan asks for it; then a request costs a look-up. Imports neither pandas nor pyarrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perflab.loadtest.journal import Journal, endpoint_name
from perflab.loadtest.records import ANSWER
from perflab.web.stripped import REQUEST_HEADERS, kept_headers, shown_url

_KEYS = ("Cache-Control", "Vary", "Content-Encoding", "Content-Type", "Expires")
_PRESENT = ("Set-Cookie", "ETag", "Last-Modified", "Age", "Location")
_MOST, _MOST_EACH = 2_000, 8
"""Kinds of answers that are noted, in all and for each endpoint: an Expires may differ in each."""


def listener(journal: Journal) -> Callable[..., None]:
    """A listener of Locust's ``request`` event."""
    seen: set[tuple[Any, ...]] = set()
    counts: dict[tuple[str, str], int] = {}

    def on_request(
        request_type: str = "", name: str = "", response: Any = None, start_time: Any = None, response_length: Any = 0,
        url: Any = None, **_: Any,
    ) -> None:  # fmt: skip
        headers = getattr(response, "headers", None)
        if not headers:
            return
        try:
            get = headers.get
            # FastHttpUser gives a list of several values.
            said = [str(get(name)) for name in _KEYS]
            key = (request_type, name, response.status_code, *said, *[get(n) is not None for n in _PRESENT])
            if key in seen:
                return
            endpoint = (request_type, name)
            if len(seen) < _MOST and counts.get(endpoint, 0) < _MOST_EACH:
                counts[endpoint] = counts.get(endpoint, 0) + 1
                seen.add(key)
                journal.note(ANSWER, **_facts(endpoint, response, start_time, response_length, url, journal))
        except Exception:  # noqa: BLE001 - a custom client's own response
            return

    return on_request


def _facts(
    endpoint: tuple[str, str], response: Any, start: Any, length: Any, url: Any, journal: Journal
) -> Mapping[str, Any]:
    headers = kept_headers((str(name), str(value)) for name, value in response.headers.items())
    asked = getattr(getattr(response, "request", None), "headers", None) or {}
    sent = int(found) if (found := headers.get("content-length", "")).isdigit() else None
    size = int(length) if isinstance(length, (int, float)) else None
    # FastHttpUser gives the length on the network as that of the response.
    body = None if size == sent and "content-encoding" in headers else size
    return {
        "endpoint": journal.shown(endpoint_name(*endpoint)),
        "method": str(endpoint[0])[:20],
        "url": shown_url(str(url or getattr(response, "url", "") or endpoint[1])),
        "status": int(response.status_code),
        "start": float(start),
        "transfer_bytes": size if sent is None and "content-encoding" not in headers else sent,
        "body_bytes": body,
        "headers": headers,
        "request_headers": kept_headers(((str(n), str(v)) for n, v in asked.items()), REQUEST_HEADERS),
    }
