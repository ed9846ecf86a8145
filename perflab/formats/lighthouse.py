"""Lighthouse's JSON, versions 9 to 13, and PageSpeed Insights': https://github.com/GoogleChrome/lighthouse/blob/main/docs/understanding-results.md

Version 13 renamed most audits. Here each finding has one name, whatever the audits are called that gave it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _documents
from perflab.formats._documents import mapping, number
from perflab.metrics import Metric
from perflab.notes import Note
from perflab.provenance import hidden
from perflab.web import audit_notes
from perflab.web.stripped import shown_url

METRICS = {
    "first-contentful-paint": "fcp",
    "largest-contentful-paint": "lcp",
    "cumulative-layout-shift": "cls",
    "total-blocking-time": "tbt",
    "interaction-to-next-paint": "inp",
    "speed-index": "speed_index",
}
FINDINGS: Mapping[str, tuple[str, ...]] = {
    "image-delivery": (
        "image-delivery-insight", "modern-image-formats", "uses-webp-images", "uses-optimized-images", "uses-responsive-images",
        "efficient-animated-content",
    ),
    "image-not-lazy": ("offscreen-images",),
    "short-lifetime": ("cache-insight", "uses-long-cache-ttl"),
    "not-compressed": ("uses-text-compression",),
    "redirect": ("redirects",),
    "slow-document": ("server-response-time",),
    "render-blocking": ("render-blocking-insight", "render-blocking-resources"),
    "lcp-found-late": ("lcp-discovery-insight", "prioritize-lcp-image", "lcp-lazy-loaded", "preload-lcp-image"),
    "layout-shift": ("cls-culprits-insight", "layout-shifts", "layout-shift-elements"),
    "unused-javascript": ("unused-javascript",),
    "unused-css": ("unused-css-rules",),
    "not-minified": ("unminified-javascript", "unminified-css"),
    "duplicate-javascript": ("duplicated-javascript-insight", "duplicated-javascript"),
    "legacy-javascript": ("legacy-javascript-insight", "legacy-javascript"),
    "font-hides-text": ("font-display-insight", "font-display"),
    "large-dom": ("dom-size-insight", "dom-size"),
    "no-http2": ("modern-http-insight", "uses-http2"),
    "page-weight": ("total-byte-weight",),
    "long-scripting": ("bootup-time",),
    "long-main-thread": ("mainthread-work-breakdown",),
    "forced-reflow": ("forced-reflow-insight",),
    "long-chain": ("network-dependency-tree-insight",),
}  # fmt: skip
"""Our findings with the audits that give them, the newest first; one that is there hides those after it."""
_LATENCY = "document-latency-insight"
_CHECKS = {"noRedirects": "redirect", "serverResponseIsFast": "slow-document", "usesCompression": "not-compressed"}
_OF_DOCUMENT = ("redirect", "slow-document")
_TIMES = ("LCP", "FCP", "TBT", "INP")
_SLOW_BELOW = 1000
_THROTTLING = {
    "simulate": ("rttMs", "throughputKbps", "cpuSlowdownMultiplier"),
    "devtools": ("requestLatencyMs", "downloadThroughputKbps", "uploadThroughputKbps", "cpuSlowdownMultiplier"),
}
"""The settings that each method of throttling uses."""
_BROWSER = re.compile(r"((?:Headless)?Chrome(?:ium)?|Edg)/(\d+)")


def sniff(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and b'"lighthouseVersion"' in head


def read(path: Path, **_: Any) -> Tables:
    """The vitals of a page, and the advice; the settings, the version and the browser are the generator."""
    found = _documents.document(path, "a Lighthouse result")
    held = mapping(found, "lighthouseResult") or mapping(found)
    audits = mapping(held, "audits")
    if not audits:
        raise FormatError(f"{path}: expected a Lighthouse result with audits, found none")
    if error := mapping(held, "runtimeError").get("code"):
        said = hidden(str(mapping(held, "runtimeError").get("message", ""))[:300])
        raise FormatError(f"{path}: expected a Lighthouse result, found the error {error}: {said}")
    page = _page(held)
    tally = Tally("audit", total=len(audits))
    vitals = list(_vitals(held, audits, page))
    if not vitals:
        raise FormatError(f"{path}: expected a Lighthouse result with metrics (category performance), found none")
    advice = list(_advice(held, audits, page))
    tally.rows = sum(name in METRICS for name in audits)
    tally.known = tally.total - tally.rows
    generator = _generator(held)
    tables = {"vitals": pd.DataFrame(vitals)}
    if advice:
        tables["advice"] = pd.DataFrame(advice)
    meta = {"tool": "Lighthouse", "generator": generator}
    return Tables(tables, warnings=_notes(path.name, held, audits), meta=meta, accounting=tally.account())


def _address(held: Mapping[str, Any]) -> str:
    names = ("finalDisplayedUrl", "finalUrl", "mainDocumentUrl", "requestedUrl")
    return next((held[name] for name in names if isinstance(held.get(name), str)), "")


def _page(held: Mapping[str, Any]) -> str:
    shown = urlsplit(shown_url(_address(held)))
    return (shown.path or "/") + (f"?{shown.query}" if shown.query else "")


def _vitals(held: Mapping[str, Any], audits: Mapping[str, Any], page: str) -> Iterator[dict[str, Any]]:
    values = {name: _value(mapping(audits, audit)) for audit, name in METRICS.items()}
    values["ttfb"] = number(_metrics_item(audits).get("timeToFirstByte"))
    if values["ttfb"] is None:
        values["ttfb"] = _value(mapping(audits, "server-response-time"))
    values["lighthouse_score"] = number(mapping(held, "categories", "performance").get("score"))
    for name, value in values.items():
        if value is not None:
            metric = Metric.of(name)
            element = _lcp_element(audits) if name == "lcp" else None
            yield {"page": page, "visit": 1, "metric": name, "value": value, "unit": metric.unit,
                   "rating": metric.rating(value), "element": element}  # fmt: skip


def _value(audit: Mapping[str, Any]) -> float | None:
    return None if audit.get("scoreDisplayMode") in ("error", "notApplicable") else number(audit.get("numericValue"))


def _metrics_item(audits: Mapping[str, Any]) -> dict[str, Any]:
    items = mapping(audits, "metrics", "details").get("items")
    return mapping(items[0]) if isinstance(items, list) and items else {}


def _lcp_element(audits: Mapping[str, Any]) -> str | None:
    """The selector of the largest element."""
    for audit in ("lcp-breakdown-insight", "largest-contentful-paint-element", "lcp-discovery-insight"):
        for node in _nodes(mapping(audits, audit).get("details")):
            if selector := node.get("selector"):
                return hidden(str(selector)[:200])
    return None


def _nodes(held: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if depth > 6:
        return
    if isinstance(held, dict):
        if held.get("type") == "node":
            yield held
        for value in held.values():
            yield from _nodes(value, depth + 1)
    elif isinstance(held, list):
        for value in held[:50]:
            yield from _nodes(value, depth + 1)


def _advice(held: Mapping[str, Any], audits: Mapping[str, Any], page: str) -> Iterator[dict[str, Any]]:
    document, url = mapping(audits, _LATENCY), shown_url(_address(held))
    checked = {name: ok for name, ok in _latency(document) if name != "not-compressed" or not _decided(audits, name)}
    for finding, names in FINDINGS.items():
        if finding in checked:
            continue
        there = [name for name in names if name in audits]
        newest = [name for name in there if name.endswith("-insight")] or there
        rows = [row for name in newest for row in _items(mapping(audits, name), finding, name, page)]
        if finding in _OF_DOCUMENT and rows:
            yield {**rows[0], "url": url, "saved_ms": sum(row["saved_ms"] for row in rows)}
        else:
            yield from _largest(rows)
    for finding, passed in checked.items():
        if not passed:
            debug = mapping(document, "details", "debugData")
            saved_ms = {"redirect": "redirectDuration", "slow-document": "serverResponseTime"}.get(finding, "")
            size = number(debug.get("wastedBytes")) if finding == "not-compressed" else None
            yield _of(finding, page, url, size, number(debug.get(saved_ms)) or 0.0, _LATENCY, document)


def _latency(audit: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The checks of version 13 of the document itself."""
    items = mapping(audit, "details", "items")
    for key, finding in _CHECKS.items():
        if isinstance(passed := mapping(items, key).get("value"), bool):
            yield finding, passed


def _failed(audit: Mapping[str, Any]) -> bool:
    score = number(audit.get("score"))
    shown = audit.get("scoreDisplayMode") in ("binary", "numeric", "metricSavings", "opportunity")
    return score is not None and score < 1 and shown


def _items(audit: Mapping[str, Any], finding: str, name: str, page: str) -> Iterator[dict[str, Any]]:
    """A row for each address of a failed audit, with its part of the time by its bytes; without addresses one row."""
    if not _failed(audit):
        return
    items = [one for one in _listed(mapping(audit, "details").get("items")) if isinstance(one.get("url"), str)]
    sizes = [_wasted_of(one) for one in items]
    whole, saved_ms = sum(size or 0.0 for size in sizes), _savings(audit)
    for one, size in zip(items, sizes, strict=True):
        own = number(one.get("wastedMs"))
        share = (size or 0.0) / whole if whole else 1 / len(items)
        yield _of(finding, page, shown_url(one["url"]), size, saved_ms * share if own is None else own, name, audit)
    if not items:
        yield _of(finding, page, None, _wasted(audit, "overallSavingsBytes"), saved_ms, name, audit)


def _listed(held: Any) -> list[dict[str, Any]]:
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _wasted_of(item: Mapping[str, Any]) -> float | None:
    return number(item.get("wastedBytes"))


def _wasted(audit: Mapping[str, Any], name: str) -> float | None:
    details = mapping(audit, "details")
    return number(details.get(name)) or number(mapping(details, "debugData").get(name))


def _savings(audit: Mapping[str, Any]) -> float:
    """What the metric that gains most would gain, in ms."""
    saved = mapping(audit, "metricSavings")
    most = max((number(saved.get(name)) or 0.0 for name in _TIMES), default=0.0)
    return most or number(mapping(audit, "details").get("overallSavingsMs")) or 0.0


def _of(
    finding: str, page: str, url: str | None, size: float | None, saved_ms: float, name: str, audit: Mapping[str, Any]
) -> dict[str, Any]:
    reason = hidden(str(audit.get("displayValue") or audit.get("title") or "")[:200])
    found = {"page": page, "finding": finding, "url": url, "saved_bytes": size, "saved_ms": saved_ms}
    return {**found, "audit": name, "reason": reason}


def _largest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of several audits of one finding and address the one that saves most."""
    found: dict[str | None, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (-(row["saved_bytes"] or 0.0), -row["saved_ms"])):
        found.setdefault(row["url"], row)
    return list(found.values())


def _generator(held: Mapping[str, Any]) -> str:
    """Version, browser and settings in one word, by which `compare` refuses results of others."""
    settings = mapping(held, "configSettings")
    agent = _BROWSER.search(str(mapping(held, "environment").get("hostUserAgent") or held.get("userAgent") or ""))
    method = str(settings.get("throttlingMethod") or "")
    throttling, screen = mapping(settings, "throttling"), mapping(settings, "screenEmulation")
    names = _THROTTLING.get(method, ())
    parts = [
        f"lighthouse-{held.get('lighthouseVersion')}",
        f"{agent[1].lower()}-{agent[2]}" if agent else "",
        str(settings.get("formFactor") or settings.get("emulatedFormFactor") or ""),
        f"{screen.get('width')}x{screen.get('height')}" if number(screen.get("width")) else "",
        method or "unknown-throttling",
        *(f"{name}-{value:g}" for name in names if (value := number(throttling.get(name))) is not None),
        str(held.get("gatherMode") or ""),
    ]
    return "/".join(part.replace(" ", "-") for part in parts if part)


def _unchecked(audits: Mapping[str, Any]) -> list[str]:
    """The findings that no audit of this file decides: of another version, or failed."""
    document = dict(_latency(mapping(audits, _LATENCY)))
    return [finding for finding in FINDINGS if not _decided(audits, finding) and finding not in document]


def _decided(audits: Mapping[str, Any], finding: str) -> bool:
    """Whether an audit of a finding's own was made."""
    return any(
        name in audits and mapping(audits, name).get("scoreDisplayMode") != "error" for name in FINDINGS[finding]
    )


def _notes(source: str, held: Mapping[str, Any], audits: Mapping[str, Any]) -> list[Note]:
    warned = held.get("runWarnings")
    notes = [
        audit_notes.LIGHTHOUSE_SAID(text=hidden(str(text)[:300]))
        for text in (warned if isinstance(warned, list) else [])
    ]
    failed = {
        Metric.of(n).label: one
        for a, n in METRICS.items()
        if (one := mapping(audits, a)).get("scoreDisplayMode") == "error"
    }
    if failed:
        problem = hidden(str(next(iter(failed.values())).get("errorMessage") or "no reason given")[:200])
        notes.append(audit_notes.METRICS_FAILED(source=source, metrics=list(failed), problem=problem))
    if unchecked := _unchecked(audits):
        notes.append(audit_notes.NOT_CHECKED(source=source, findings=unchecked))
    if _LATENCY in audits and "uses-text-compression" not in audits:
        notes.append(audit_notes.DOCUMENT_ONLY(source=source))
    index = number(mapping(held, "environment").get("benchmarkIndex"))
    if index is not None and index < _SLOW_BELOW:
        notes.append(audit_notes.SLOW_MACHINE(source=source, index=round(index)))
    if mapping(held, "configSettings").get("throttlingMethod") == "simulate":
        notes.append(audit_notes.SIMULATED(source=source))
    return notes
