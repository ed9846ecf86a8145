"""What response headers cost: responses that are loaded again, downloaded whole or sent uncompressed."""

from __future__ import annotations

from collections.abc import Iterator

from perflab.units import format_bytes, format_ms
from perflab.web import resource_kinds as kinds
from perflab.web.exchange_rows import ESTIMATED, FIRST, MEASURED, REPEAT, RISK, Exchange, Found
from perflab.web.freshness import FRESH, HEURISTIC, NONE, varies_on_everything

HOUR_S, DAY_S, YEAR_S = 3600, 86_400, 31_536_000
VERSIONED = f"Cache-Control: public, max-age={YEAR_S}, immutable"
UNVERSIONED = (
    f"Cache-Control: public, max-age={HOUR_S} with an ETag; with a hash in its name max-age={YEAR_S}, immutable"
)
_LONG_S = 30 * DAY_S
_LEAST_BYTES = 1000
_PACKET_BYTES = 1400
"""What fits into one packet; compression of less saves nothing."""
_GZIP_SHARE = 0.3
"""The size of a text after gzip, where it could not be measured: style sheets and scripts reach 0.2 to 0.35."""
_LEAST_SAVED = 0.1
_NOT_SPLIT = frozenset({"accept-encoding", "accept", "origin", "", "*"})


def findings(at: Exchange) -> Iterator[Found]:
    """What the headers of an exchange with an answer cost."""
    if at.method not in ("GET", "HEAD") or at.status is None:
        return
    yield from _compression(at)
    if at.cached or not at.succeeded or at.is_beacon:
        return
    yield from (_static(at) if at.is_static else _dynamic(at))
    yield from _sharing(at)
    yield from _contradictions(at)


def _static(at: Exchange) -> Iterator[Found]:
    """A file that is the same for all users: style sheets, scripts, images, fonts."""
    fresh, fix = at.browser, VERSIONED if at.is_versioned else UNVERSIONED
    again = (REPEAT, at.bytes, at.ms)
    if not fresh.stored:
        yield Found("not-stored", at, *again, "no-store: no cache keeps it, so each visit loads it again", fix)
    elif varies_on_everything(at.headers):
        yield Found("vary-on-everything", at, *again, "Vary: * allows no reuse of it", "Vary: Accept-Encoding")
    elif fresh.source == NONE and "no-cache" not in at.directives:
        what = f"validated on each visit ({fresh.validator})" if fresh.validator else "loaded again on each visit"
        yield Found("no-lifetime", at, *_validated(at), f"no Cache-Control or Expires: it is {what}", fix)
    elif fresh.source == HEURISTIC:
        reason = f"no Cache-Control or Expires: the browser guesses {_duration(fresh.lifetime_s)} from Last-Modified"
        yield Found("heuristic-lifetime", at, *_validated(at), reason, fix)
    elif at.is_versioned and fresh.after(0) != FRESH:
        reason = "its address names the version, yet each visit asks whether it is unchanged"
        yield Found("always-validated", at, *_validated(at), reason, fix)
    elif fresh.lifetime_s < (_LONG_S if at.is_versioned else HOUR_S) and fresh.age_s < fresh.lifetime_s:
        reason = f"fresh for {_duration(fresh.lifetime_s)} only"
        yield Found("short-lifetime", at, *_validated(at), reason, fix)
    if "set-cookie" in at.headers:
        reason = "Set-Cookie on a file that is the same for everyone: most CDNs do not cache it then"
        yield Found("cookie-on-static", at, RISK, 0.0, 0.0, reason, "send no Set-Cookie with static files")


def _validated(at: Exchange) -> tuple[str, float, float]:
    """What a conditional request costs: the wait for 304; all of it where there is nothing to compare."""
    return (REPEAT, 0.0, max(0.0, at.ms - at.receive_ms)) if at.browser.validator else (REPEAT, at.bytes, at.ms)


def _dynamic(at: Exchange) -> Iterator[Found]:
    """A document or an answer of an API: no cache can know when it changes, but the server can say that it did not."""
    fresh = at.browser
    again = fresh.stored and not fresh.validator and fresh.after(0) != FRESH
    if again and at.bytes >= _LEAST_BYTES and at.kind in (kinds.DOCUMENT, kinds.CALL):
        who = "private, " if at.is_personal else ""
        fix = f'Cache-Control: {who}no-cache with ETag: "<hash of the body>", and 304 for a matching If-None-Match'
        reason = "no ETag or Last-Modified: an unchanged answer is sent again whole"
        yield Found("no-validator", at, REPEAT, at.bytes, at.receive_ms, reason, fix)


def _sharing(at: Exchange) -> Iterator[Found]:
    said, fresh = at.directives, at.browser
    public = "public" in said or "s-maxage" in said
    if public and not at.is_static and at.shared.stored and "set-cookie" in at.headers:
        reason = "a shared cache may keep it and hand this user's cookie to others"
        yield Found("cookie-in-shared-cache", at, RISK, 0.0, 0.0, reason, "Cache-Control: private, or no Set-Cookie")
    if "immutable" in said and fresh.stored and not at.is_versioned:
        reason = (
            f"immutable under an address without a version: a fix reaches users after {_duration(fresh.lifetime_s)}"
        )
        yield Found(
            "immutable-without-version", at, RISK, 0.0, 0.0, reason, "put a hash of the content in the file's name"
        )
    if said.get("private") == "" and at.is_static and fresh.stored and fresh.lifetime_s:
        reason = "private: no CDN keeps a file that is the same for everyone"
        yield Found(
            "private-static", at, RISK, 0.0, 0.0, reason, VERSIONED if at.is_versioned else "Cache-Control: public"
        )
    if fresh.stored and fresh.lifetime_s and fresh.age_s >= fresh.lifetime_s:
        reason = f"arrives {_duration(fresh.age_s)} old with a lifetime of {_duration(fresh.lifetime_s)}: no browser may reuse it"
        fix = "a lifetime of its own for the CDN: s-maxage for the CDN, max-age for browsers above it"
        yield Found("stale-on-arrival", at, *_validated(at), reason, fix)
    names = {name.strip().lower() for name in at.headers.get("vary", "").split(",")}
    if at.is_static and (split := sorted(names - _NOT_SPLIT)):
        reason = f"Vary: {', '.join(split)} keeps a copy for each value in shared caches"
        yield Found("vary-splits-cache", at, RISK, 0.0, 0.0, reason, "Vary: Accept-Encoding")
    if (
        at.headers.get("content-encoding")
        and at.shared.stored
        and not {"accept-encoding", "*"} & names
        and at.is_static
    ):
        reason = "compressed without Vary: a shared cache may send it to a client that can't decompress it"
        yield Found("vary-missing", at, RISK, 0.0, 0.0, reason, "Vary: Accept-Encoding")


def _contradictions(at: Exchange) -> Iterator[Found]:
    said = at.directives
    for name in ("max-age", "s-maxage"):
        if name in said and not said[name].strip().isdigit():
            reason = f"{name}={said[name][:40]} is no number of seconds: caches take it as stale"
            yield Found("unreadable-lifetime", at, *_validated(at), reason, "max-age=<seconds>")
    if (
        "no-store" in said
        and {"max-age", "s-maxage", "immutable", "public"} & said.keys()
        and "must-understand" not in said
    ):
        reason = "no-store beside directives that allow storing: no-store wins"
        yield Found("conflicting-directives", at, RISK, 0.0, 0.0, reason, "no-store alone, or no-cache to allow 304")


def _compression(at: Exchange) -> Iterator[Found]:
    body = at.body_bytes if at.body_bytes is not None else at.transfer_bytes
    if not at.succeeded or at.cached or body is None or body < _PACKET_BYTES or not kinds.is_text(at.mime):
        return
    coded = at.headers.get("content-encoding", "").lower()
    if coded not in ("", "identity") or not at.headers or _asked_for_plain(at):
        return
    if at.transfer_bytes is not None and at.transfer_bytes < 0.8 * body:
        return  # it was compressed, whatever became of the header
    gzip_bytes = at.number("gzip_bytes")
    saved = body - (gzip_bytes if gzip_bytes is not None else body * _GZIP_SHARE)
    if saved < body * _LEAST_SAVED:
        return
    evidence = MEASURED if gzip_bytes is not None else ESTIMATED
    reason = f"{format_bytes(body)} of {at.mime} sent without compression"
    fix = "Content-Encoding: br (or gzip) with Vary: Accept-Encoding"
    yield Found("not-compressed", at, FIRST, saved, at.share_ms(saved), reason, fix, evidence)


def _asked_for_plain(at: Exchange) -> bool:
    """Whether the client did not say that it can decompress."""
    known = at.request_headers
    if not known:
        return False
    accepted = known.get("accept-encoding")
    return accepted is not None and not {"gzip", "br", "zstd", "deflate", "*"} & {
        one.partition(";")[0].strip().lower() for one in accepted.split(",")
    }


def _duration(seconds: float) -> str:
    return f"{seconds / DAY_S:.3g} days" if seconds >= 2 * DAY_S else format_ms(seconds * 1e3)
