"""HAR 1.2, what browsers, Playwright and proxies record of a visit: http://www.softwareishard.com/blog/har-12-spec/

Bodies, cookies, authorization and the values of queries are left out; see `perflab.web.stripped`.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally, count_marker
from perflab.errors import FormatError
from perflab.formats import Tables, _har
from perflab.formats._documents import mapping, number, whole
from perflab.formats._har import Entry
from perflab.notes import DATA, Kind
from perflab.web import image_bytes
from perflab.web import resource_kinds as kinds
from perflab.web.stripped import REQUEST_HEADERS, kept_headers, shown_url

NO_ZONE = Kind(
    "no-time-zone",
    DATA,
    "{source:raw}: {count} of its times have no time zone; they are taken as UTC",
)
NO_SIZES = Kind(
    "no-transfer-sizes",
    DATA,
    "{source:raw}: {count} responses have no size on the network, the first is {first:raw}; what they waste is not counted",
)
_START = re.compile(rb'\s*+(?:\xef\xbb\xbf\s*+)?\{\s*"log"\s*:\s*\{')
_MARKER = '"startedDateTime"'
_BLOCK = 1 << 20
_LARGEST_BODY = 64 << 20
_LEAST_BODY = 200


def sniff(head: bytes) -> bool:
    return _START.match(head) is not None and re.search(rb'"(?:entries|creator|pages|browser)"\s*:', head) is not None


def read(path: Path, *, images: bool = False, **_: Any) -> Tables:
    """Each request as an exchange; with ``images=True`` the images in the file are encoded again, to see what that saves."""
    log = _har.log_of(path)
    tally = Tally("request", total=len(log["entries"]))
    timed = [one for name in ("entries", "pages") for one in _listed(log.get(name)) if "startedDateTime" in one]
    with sources.open_bytes(path) as stream:
        tally.mark(_MARKER, count_marker(iter(lambda: stream.read(_BLOCK), b""), _MARKER.encode()), len(timed))
    rows = list(_rows(log, tally, measured=images))
    if not rows:
        raise FormatError(f"{path}: expected requests over HTTP in the HAR file, found none{_why(tally)}")
    frame = _by_visit(pd.DataFrame(rows).sort_values("start", kind="stable", ignore_index=True))
    creator, browser = mapping(log, "creator"), mapping(log, "browser")
    meta = {"tool": _program(creator) or "HAR", **({"browser": name} if (name := _program(browser)) else {})}
    return Tables({"exchanges": frame}, warnings=tally.notes(path.name), meta=meta, accounting=tally.account())


def _by_visit(frame: pd.DataFrame) -> pd.DataFrame:
    """With a ``visit`` where the log has several pages ("preserve log", the iterations of sitespeed.io): they are loaded anew."""
    pages = frame.pop("pageref")
    numbers = {page: number for number, page in enumerate(pages.dropna().unique(), start=1)}
    return frame.assign(visit=pages.ffill().bfill().map(numbers).astype("int64")) if len(numbers) > 1 else frame


def _listed(held: Any) -> list[dict[str, Any]]:
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _rows(log: Mapping[str, Any], tally: Tally, *, measured: bool) -> Iterator[dict[str, Any]]:
    for place, entry in enumerate(_har.entries_of(log), start=1):
        if entry == _har.NOT_HTTP:
            tally.known += 1
        elif isinstance(entry, str):
            tally.skip(place, why=entry)
        else:
            tally.rows += 1
            row = _row(entry, measured=measured)
            tally.note(NO_ZONE, int(not entry.zoned), f"entry {place}")
            if row["transfer_bytes"] is None and row["status"] is not None:
                tally.note(NO_SIZES, 1, row["url"])
            yield row


def _row(entry: Entry, *, measured: bool) -> dict[str, Any]:
    response, request = entry.response, entry.request
    headers = kept_headers(_headers(response))
    asked = kept_headers(_headers(request), REQUEST_HEADERS)
    content = mapping(response, "content")
    mime = _mime(content, headers)
    status = response.get("status")
    status = int(status) if isinstance(status, (int, float)) and 100 <= status <= 599 else None
    cached = _cached(entry, content, status)
    kind = kinds.kind_of(str(entry.held.get("_resourceType") or ""), asked.get("sec-fetch-dest", ""), mime)
    initiator = _initiator_of(entry.held)
    body = _body(content)
    body_bytes, saved = whole(content.get("size")), whole(content.get("compression"))
    if saved and body_bytes and body_bytes == whole(response.get("bodySize")):
        body_bytes += saved  # mitmproxy gives the size before decompression
    if not body_bytes and body:
        body_bytes = len(body)
    return {
        "start": entry.start,
        "pageref": ref if isinstance(ref := entry.held.get("pageref"), str) and ref else None,
        "method": entry.method,
        "url": shown_url(entry.url),
        "status": status,
        "mime": mime or None,
        "request_bytes": _both(request),
        "transfer_bytes": _transferred(response, content, headers, cached=cached),
        "body_bytes": body_bytes,
        "headers": headers,
        "timings_ms": entry.timings_ms,
        "initiator": _initiator(initiator) or None,
        "cached": cached,
        "duration_ms": entry.took_ms,
        "request_headers": asked,
        "kind": kind,
        "render_blocking": _blocking(kind, initiator, entry.held.get("_priority")),
        "gzip_bytes": _gzipped(body, mime, headers),
        **(
            image_bytes.sizes(body)
            if measured and kind == kinds.IMAGE and body
            else image_bytes.pixels(body)
            if body
            else {}
        ),
    }


def _headers(side: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    held = side.get("headers")
    listed = held if isinstance(held, list) else [{"name": n, "value": v} for n, v in mapping(held).items()]
    for one in listed:
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            # A line end inside a value: DevTools joins lines of one name so.
            yield one["name"], str(one.get("value") if one.get("value") is not None else "").replace("\n", ", ")


def _mime(content: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    for given in (content.get("mimeType"), headers.get("content-type")):
        text = str(given or "").partition(";")[0].strip().lower()
        if "/" in text and len(text) < 80:
            return text
    return ""


def _both(side: Mapping[str, Any]) -> int | None:
    """Headers and body as they were sent; null where the tool knows neither."""
    known = [size for name in ("headersSize", "bodySize") if (size := whole(side.get(name))) is not None]
    return sum(known) if known else None


def _transferred(
    response: Mapping[str, Any], content: Mapping[str, Any], headers: Mapping[str, str], *, cached: bool
) -> int | None:
    """The bytes on the network, by the best of what the tool says."""
    if cached:
        return 0
    exact = whole(response.get("_transferSize"))
    if exact:
        return exact
    before = whole(response.get("headersSize")) or 0
    body = whole(response.get("bodySize"))
    if body is not None:
        return before + body
    size, saved = whole(content.get("size")), whole(content.get("compression"))
    length = headers.get("content-length", "")
    if length.isdigit() and len(length) < 16:
        return before + int(length)
    if size is not None and (saved is not None or "content-encoding" not in headers):
        return before + max(0, size - (saved or 0))
    return exact


def _cached(entry: Entry, content: Mapping[str, Any], status: int | None) -> bool:
    held, response = entry.held, entry.response
    if "cache" in str(held.get("_fetchType") or "").lower():  # Safari
        return True
    if held.get("_fromCache") or held.get("fromCache") or response.get("fromCache") or response.get("_fromDiskCache"):
        return True
    size = number(content.get("size")) or 0
    return response.get("_transferSize") == 0 and size > 0 and status is not None and 200 <= status < 300


def _initiator_of(held: Mapping[str, Any]) -> dict[str, Any]:
    """What asked for it: DevTools gives an object, chrome-har an address and a type beside it."""
    given = held.get("_initiator")
    if isinstance(given, str):
        return {"url": given, "type": str(held.get("_initiator_type") or "")}
    return mapping(given)


def _initiator(initiator: Mapping[str, Any]) -> str:
    """The address of what asked for it, or its type ("parser", "script")."""
    stack = mapping(initiator, "stack").get("callFrames")
    frame = stack[0] if isinstance(stack, list) and stack else None
    url = initiator.get("url") or (frame.get("url") if isinstance(frame, dict) else "")
    return shown_url(url) if isinstance(url, str) and "://" in url else str(initiator.get("type") or "")[:40]


def _blocking(kind: str, initiator: Mapping[str, Any], priority: Any) -> bool | None:
    """Whether the page waits for it before the first paint; None where the tool does not record priorities.

    Chrome gives blocking style sheets the highest priority, blocking scripts a high one, deferred ones a low one.
    """
    if not isinstance(priority, str) or kind not in (kinds.STYLE, kinds.SCRIPT):
        return None
    return initiator.get("type") == "parser" and priority in (
        ("VeryHigh", "Highest") if kind == kinds.STYLE else ("VeryHigh", "Highest", "High")
    )


def _body(content: Mapping[str, Any]) -> bytes:
    text = content.get("text")
    if not isinstance(text, str) or not text or len(text) > _LARGEST_BODY:
        return b""
    if content.get("encoding") != "base64":
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _gzipped(body: bytes, mime: str, headers: Mapping[str, str]) -> int | None:
    """The size of a text that was sent as it is, after gzip."""
    if len(body) < _LEAST_BODY or "content-encoding" in headers or not kinds.is_text(mime):
        return None
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return len(packer.compress(body)) + len(packer.flush())


def _program(held: Mapping[str, Any]) -> str:
    return " ".join(str(held.get(name) or "")[:60] for name in ("name", "version")).strip()


def _why(tally: Tally) -> str:
    return f" ({tally.skipped} of {tally.total} were skipped: {tally.why})" if tally.skipped else ""
