"""What a page transfers in vain or waits for: redirects, copies, images, blocking files, connections, calls in a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from urllib.parse import urlsplit

import pandas as pd

from perflab.traces.calls_in_a_row import find_sequential
from perflab.traces.independence import CANT_TELL, CLAIMS
from perflab.units import format_bytes
from perflab.web import resource_kinds as kinds
from perflab.web.exchange_rows import ESTIMATED, FIRST, MEASURED, Exchange, Found
from perflab.web.stripped import PRESENT

_REDIRECTS = (301, 302, 303, 307, 308)
_LARGE_BYTES = 500_000
_LEAST_IMAGE_BYTES = 4096
_LEAST_SHARE = 0.1
_LARGER_SHARE = 1.3
"""Pixels beyond those shown, of an image that is worth a smaller copy."""
_EACH_MS = 1.0
ROW = "calls-in-a-row"


def findings(at: Exchange) -> Iterator[Found]:
    """What one exchange costs beyond its headers."""
    if at.cached:
        return
    if at.status in _REDIRECTS:
        yield Found("redirect", at, FIRST, at.bytes, at.ms, f"{at.status} before the page gets anything", _redirect(at))
    if not at.succeeded:
        return
    if at.flag("render_blocking"):
        yield Found("render-blocking", at, FIRST, 0.0, at.ms, "nothing is painted until it is loaded", _unblocked(at))
    if at.kind == kinds.IMAGE:
        yield from _image(at)
    if at.kind in (kinds.CALL, kinds.DOCUMENT) and at.bytes >= _LARGE_BYTES:
        reason = f"{format_bytes(at.bytes)} of {at.mime or 'data'} in one answer"
        fix = "paginate (?limit=), or send only the fields that are shown"
        yield Found("large-response", at, FIRST, at.bytes, at.receive_ms, reason, fix, ESTIMATED)


def _redirect(at: Exchange) -> str:
    target, here = at.headers.get("location", ""), urlsplit(at.url)
    there = urlsplit(target)
    if here.scheme == "http" and there.scheme == "https" and here.netloc == there.netloc:
        return "link to https:// and send Strict-Transport-Security: max-age=31536000"
    return f"link to {target}" if target and PRESENT not in target else "link to the final address"


def _unblocked(at: Exchange) -> str:
    name = at.url.rpartition("/")[2]
    if at.kind == kinds.SCRIPT:
        return f'<script src="{name}" defer></script>'
    late = f'<link rel="stylesheet" href="{name}" media="print" onload="this.media=\'all\'">'
    return f"{late}, with the rules of the first screen inline"


def _image(at: Exchange) -> Iterator[Found]:
    if at.flag("visible") is False and at.flag("lazy") is False:
        reason = "below the first screen, yet loaded with it"
        yield Found("image-not-lazy", at, FIRST, at.bytes, at.receive_ms, reason, '<img loading="lazy" ...>')
    if at.bytes < _LEAST_IMAGE_BYTES:
        return
    best = min(
        ((size, name) for name in ("webp", "avif") if (size := at.number(f"{name}_bytes")) is not None),
        default=(0.0, ""),
    )
    if best[1] and _is_worth(at, at.bytes - best[0]):
        saved = at.bytes - best[0]
        reason = f"{at.mime} of {format_bytes(at.bytes)}; as {best[1].upper()} it has {format_bytes(best[0])}"
        fix = f'<picture><source type="image/{best[1]}" srcset="{_renamed(at.url, best[1])}"><img src=...></picture>'
        yield Found("image-format", at, FIRST, saved, at.share_ms(saved), reason, fix)
    width, height, shown_width, shown_height = (
        at.number(name) for name in ("natural_width", "natural_height", "width", "height")
    )
    if width and height and shown_width and shown_height:
        share = shown_width * shown_height / (width * height)
        fitted = at.number("fitted_bytes")
        saved = at.bytes - (fitted if fitted is not None else at.bytes * share)
        if share * _LARGER_SHARE < 1 and _is_worth(at, saved):
            reason = f"{width:.0f} × {height:.0f} pixels, shown as {shown_width:.0f} × {shown_height:.0f}"
            fix = (
                f'<img srcset="... {shown_width:.0f}w" sizes=... width="{shown_width:.0f}" height="{shown_height:.0f}">'
            )
            evidence = MEASURED if fitted is not None else ESTIMATED
            yield Found("image-too-large", at, FIRST, saved, at.share_ms(saved), reason, fix, evidence)


def _is_worth(at: Exchange, saved: float) -> bool:
    return saved >= _LEAST_IMAGE_BYTES and saved >= _LEAST_SHARE * at.bytes


def _renamed(url: str, ending: str) -> str:
    return urlsplit(url).path.rpartition("/")[2].rpartition(".")[0] + f".{ending}"


def across(exchanges: Sequence[Exchange]) -> Iterator[Found]:
    """What only several exchanges of a visit show."""
    visited = [one for one in exchanges if "endpoint" not in one.facts]  # those of a load run are of many users
    for _, part in groupby(visited, key=lambda one: one.visit):
        visit = list(part)
        yield from _copies(visit)
        yield from _connections(visit)
    yield from _in_a_row(visited)


def _copies(visit: Iterable[Exchange]) -> Iterator[Found]:
    """The same address loaded again in one visit, with an answer of the same size."""
    seen: set[tuple[str, float]] = set()
    for at in visit:
        if at.method != "GET" or at.cached or not at.succeeded or PRESENT in at.url or not at.bytes:
            continue
        if at.kind not in (*kinds.STATIC, kinds.CALL):
            continue
        key = (at.url, at.body_bytes if at.body_bytes is not None else at.bytes)
        if key in seen:
            fix = "load it once and share the answer" if at.kind == kinds.CALL else "Cache-Control: max-age=<seconds>"
            reason = "loaded before in this visit, with the same size"
            yield Found("loaded-again", at, FIRST, at.bytes, at.ms, reason, fix)
        seen.add(key)


def _connections(visit: Iterable[Exchange]) -> Iterator[Found]:
    """Connections that the server closes: for each the next one that is opened instead."""
    closed: Counter[str] = Counter()
    for at in visit:
        took = sum(at.timings_ms.get(phase, 0.0) for phase in ("connect", "ssl"))
        if closed[at.origin] and took >= _EACH_MS:
            closed[at.origin] -= 1
            fix = "keep connections open (Connection: keep-alive), or HTTP/2"
            yield Found("connection-closed", at, FIRST, 0.0, took, "the server had closed the connection before", fix)
        if at.headers.get("connection", "").lower() == "close":
            closed[at.origin] += 1


def _in_a_row(exchanges: Sequence[Exchange]) -> Iterator[Found]:
    """Calls of scripts that run one after another, by the evidence for traces: each visit of a page is a trace."""
    calls = [one for one in exchanges if one.kind == kinds.CALL and one.ms > 0]
    if len(calls) < 2:
        return
    found = find_sequential(pd.DataFrame(_spans(exchanges, calls)))
    for row in found[found["evidence"].isin((*CLAIMS, CANT_TELL))].to_dict("records"):
        reason = f"{row['calls']} run one after another: {row['reason']}"
        fix = "await Promise.all([fetch(...), fetch(...)])"
        saved_ms, evidence = float(row["saved_mean_ms"]), str(row["evidence"])
        first = {one.visit: one for one in reversed(calls) if f"{one.method} {one.host}" in str(row["calls"])}
        for at in first.values():
            yield Found(ROW, at, FIRST, 0.0, saved_ms, reason, fix, evidence)


def _spans(exchanges: Sequence[Exchange], calls: Sequence[Exchange]) -> Iterator[Mapping[str, object]]:
    first: dict[str, Exchange] = {}
    last: dict[str, pd.Timestamp] = {}
    for one in exchanges:
        first.setdefault(one.visit, one)
        ends = one.start + pd.Timedelta(one.ms, unit="ms")
        last[one.visit] = max(last.get(one.visit, ends), ends)
    for visit, one in first.items():
        took = (last[visit] - one.start).total_seconds() * 1e3
        yield {"trace": visit, "span": visit, "parent": None, "kind": "server", "name": f"page {urlsplit(one.url).path}",
               "start": one.start, "duration_ms": took, "attributes": {}}  # fmt: skip
    for place, one in enumerate(calls):
        known = {"http.request.method": one.method, **({} if PRESENT in one.url else {"url.full": one.url})}
        yield {"trace": one.visit, "span": f"{one.visit}-{place}", "parent": one.visit, "kind": "client",
               "name": f"{one.method} {one.url}", "start": one.start, "duration_ms": one.ms, "attributes": known}  # fmt: skip
