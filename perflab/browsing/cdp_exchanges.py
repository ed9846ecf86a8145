"""The exchanges of one visit, from Chromium's events (https://chromedevtools.github.io/devtools-protocol/tot/Network/)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pandas as pd

from perflab.web.stripped import kept_headers, shown_url

EVENTS = (
    "requestWillBeSent", "requestWillBeSentExtraInfo", "responseReceivedExtraInfo", "responseReceived", "dataReceived",
    "loadingFinished", "loadingFailed", "requestServedFromCache",
)  # fmt: skip
_LASTING = frozenset({"EventSource", "WebSocket", "Ping", "CSPViolationReport"})
"""Kinds of requests that do not keep a page from being quiet."""
_PHASES = (("dns", "dnsStart", "dnsEnd"), ("ssl", "sslStart", "sslEnd"), ("send", "sendStart", "sendEnd"))


class Exchanges:
    """Collects the exchanges of a visit. ``pending`` is how many responses are outstanding, ``quiet_s`` how long nothing came."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Any]] = {}
        self._done: list[dict[str, Any]] = []
        self._sent: dict[str, int] = {}
        self._last = time.monotonic()
        self._page: str | None = None
        self.failed: list[str] = []

    def watch(self, session: Any) -> None:
        """Follow the events of a CDP session."""
        for name in EVENTS:
            session.on(f"Network.{name}", getattr(self, f"_{name}"))

    @property
    def pending(self) -> int:
        # The end of a document in a frame of another site is an event of that frame's own process.
        return sum(
            each["type"] not in _LASTING and not (each["framed"] and "response" in each) for each in self._open.values()
        )

    @property
    def quiet_s(self) -> float:
        return time.monotonic() - self._last

    def rows(self) -> list[dict[str, Any]]:
        """The exchanges in order of start; those without an end have no sizes."""
        return sorted((_row(each) for each in [*self._done, *self._open.values()]), key=lambda row: row["start"])

    # The events, by their names

    def _requestWillBeSent(self, event: Mapping[str, Any]) -> None:
        self._last, key = time.monotonic(), event["requestId"]
        if event["request"]["url"].startswith(("data:", "blob:")):
            return
        before = self._open.pop(key, None)
        if before is not None and "redirectResponse" in event:
            before |= {"response": event["redirectResponse"], "end": event["timestamp"]}
            before["transfer"] = event["redirectResponse"].get("encodedDataLength")
            self._done.append(before)
        request = event["request"]
        self._page = self._page or event.get("frameId")
        self._open[key] = {
            "framed": event.get("type") == "Document" and event.get("frameId") != self._page,
            "at": event["wallTime"], "begun": event["timestamp"], "method": request["method"], "url": request["url"],
            "type": event.get("type", "Other"), "initiator": event.get("initiator", {}), "body": 0,
            "sent": self._sent.pop(key, None) or _size(request),
        }  # fmt: skip

    def _requestWillBeSentExtraInfo(self, event: Mapping[str, Any]) -> None:
        size = sum(len(name) + len(str(value)) + 4 for name, value in event.get("headers", {}).items())
        if event["requestId"] in self._open:
            self._open[event["requestId"]]["sent"] = size
        else:
            self._sent[event["requestId"]] = size

    def _requestServedFromCache(self, event: Mapping[str, Any]) -> None:
        self._note(event, cached=True)

    def _responseReceivedExtraInfo(self, event: Mapping[str, Any]) -> None:
        # Only here are the headers complete: pages may not see cookies.
        if any(name.lower() == "set-cookie" for name in event.get("headers", {})):
            self._note(event, cookies=True)

    def _responseReceived(self, event: Mapping[str, Any]) -> None:
        self._note(event, response=event["response"])
        if event["response"].get("status", 0) >= 400 and event["requestId"] in self._open:
            self.failed.append(f"{shown_url(event['response']['url'])} ({event['response']['status']})")

    def _dataReceived(self, event: Mapping[str, Any]) -> None:
        if held := self._note(event):
            held["body"] += event["dataLength"]

    def _loadingFinished(self, event: Mapping[str, Any]) -> None:
        if self._note(event, end=event["timestamp"], transfer=event.get("encodedDataLength")):
            self._done.append(self._open.pop(event["requestId"]))

    def _loadingFailed(self, event: Mapping[str, Any]) -> None:
        held = self._note(event, end=event["timestamp"])
        if held and held["type"] not in _LASTING and not event.get("canceled"):
            self.failed.append(f"{shown_url(held['url'])} ({event.get('errorText', 'failed')})")
        if held:
            self._done.append(self._open.pop(event["requestId"]))

    def _note(self, event: Mapping[str, Any], **facts: Any) -> dict[str, Any] | None:
        self._last = time.monotonic()
        held = self._open.get(event["requestId"])
        if held is not None:
            held |= facts
        return held


def _size(request: Mapping[str, Any]) -> int:
    return sum(len(n) + len(str(v)) + 4 for n, v in request.get("headers", {}).items()) + len(
        request.get("postData", "")
    )


def _row(held: Mapping[str, Any]) -> dict[str, Any]:
    response: Mapping[str, Any] = held.get("response") or {}
    ended = "end" in held
    return {
        "start": pd.Timestamp(held["at"], unit="s", tz="UTC"),
        "method": held["method"],
        "url": held["url"],
        "status": response.get("status") or None,
        "mime": response.get("mimeType") or None,
        "request_bytes": held["sent"],
        "transfer_bytes": round(held["transfer"]) if held.get("transfer") is not None else None,
        "body_bytes": held["body"] if ended and response else None,
        "headers": kept_headers(response.get("headers", {}).items())
        | ({"set-cookie": "…"} if held.get("cookies") else {}),
        "timings_ms": _timings(held, response),
        "initiator": _initiator(held["initiator"]),
        "cached": bool(held.get("cached") or response.get("fromDiskCache")),
        "kind": held["type"].lower(),
    }


def _timings(held: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, float]:
    """The phases of HAR that took place, in order; they add up to the whole (``connect`` is without ``ssl``)."""
    timing, begun = response.get("timing"), float(held["begun"])
    end = float(held.get("end", begun))
    if not timing:
        return {"wait": max(0.0, (end - begun) * 1e3)}
    found = {name: timing[to] - timing[of] for name, of, to in _PHASES if timing.get(of, -1) >= 0}
    if timing.get("connectStart", -1) >= 0:
        found["connect"] = max(0.0, timing["connectEnd"] - timing["connectStart"] - found.get("ssl", 0.0))
    headers = float(timing["receiveHeadersEnd"])
    found["wait"] = max(0.0, headers - timing["sendEnd"])
    found["receive"] = max(0.0, (end - timing["requestTime"]) * 1e3 - headers)
    found["blocked"] = max(0.0, (end - begun) * 1e3 - sum(found.values()))
    order = ("blocked", "dns", "connect", "ssl", "send", "wait", "receive")
    return {name: round(found[name], 3) for name in order if found.get(name)}


def _initiator(initiator: Mapping[str, Any]) -> str | None:
    """What asked for it: the parser, or a script with its line."""
    frames = initiator.get("stack", {}).get("callFrames") or [{}]
    url, line = initiator.get("url") or frames[0].get("url"), initiator.get("lineNumber", frames[0].get("lineNumber"))
    where = f" {shown_url(url)}{f':{int(line) + 1}' if line is not None else ''}" if url else ""
    return f"{initiator.get('type', 'other')}{where}"
