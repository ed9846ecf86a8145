"""Access logs of web servers (Common and Combined Log Format, with what is often appended, and JSON) as requests with addresses.

https://httpd.apache.org/docs/2.4/logs.html#accesslog and https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pandas as pd

from perflab.caching import cache_headers
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.recorders.addresses import template
from perflab.results import Findings, count, findings

_LINE = re.compile(
    r'(?:\S+:\d+ )?(?P<user>\S+) \S+ (?:\S+|"[^"]*"|[^\[]{1,60}?) \[(?P<time>[^\]]{20,32})\] '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<size>\d+|-)(?P<rest>.*)'
)
_REQUEST = re.compile(r"(?P<method>[A-Z]{3,10}) (?P<url>\S+)(?: HTTP/\d(?:\.\d)?)?")
_NAMED_S = re.compile(r"\b(?:rt|request_time|duration|time)[=:]\"?(\d+\.\d+)")
_SECONDS = re.compile(r'(?:^|[\s"])(\d{1,4}\.\d{3})(?=$|[\s"])')
_MICROSECONDS = re.compile(r'(?:^|\s)"?(\d{1,10})"?\s*$')
_CACHE = re.compile(r"\b(?:HIT|MISS|EXPIRED|BYPASS|STALE|UPDATING|REVALIDATED)\b")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PLAIN = re.compile(r"[\d.]+|[A-Z]{3,11}")
_TIME = "%d/%b/%Y:%H:%M:%S %z"
_JSON: Mapping[str, tuple[str, ...]] = {
    "time": ("time_iso8601", "@timestamp", "time_local", "time", "timestamp", "ts", "msec"),
    "request": ("request",),
    "method": ("request_method", "method", "verb"),
    "url": ("request_uri", "uri", "url", "path"),
    "status": ("status", "response", "status_code"),
    "size": ("body_bytes_sent", "bytes_sent", "bytes", "size"),
    "seconds": ("request_time", "duration", "latency"),
    "user": ("remote_addr", "client_ip", "remote_ip", "clientip"),
    "cache": ("upstream_cache_status", "cache_status", "cache"),
}


def access_log(lines: Iterable[str]) -> Findings:
    """The requests of a web server's access log, with their addresses, for `miss_ratio_curve` and `what_if_cache`.

    Parameters
    ----------
    lines : iterable of str
        An open file, or any lines: Common or Combined Log Format of Apache or nginx, whatever follows it, or JSON objects. The
        time that a request took is taken from nginx's ``$request_time`` (0.123), Apache's ``%D`` (at the end, in
        microseconds), or ``rt=0.123``; the outcome of the server's own cache from ``$upstream_cache_status``.

    Returns
    -------
    DataFrame
        endpoint, url, start, ok, status, size_bytes, user (the client's address), latency_ms (missing where the log has none),
        and cached, where the log has it. ``.warnings`` counts lines that were skipped.

    Raises
    ------
    FormatError
        No line is one of an access log.

    Examples
    --------
    >>> log = ['10.0.0.7 - - [29/Nov/2025:10:00:00 +0000] "GET /a?page=2 HTTP/1.1" 200 512 "-" "curl/8.5" 0.125 HIT']
    >>> lab.caching.access_log(log)[["endpoint", "url", "latency_ms", "cached"]].values.tolist()
    [['GET /a', '/a?page=2', 125.0, True]]
    """
    tally = Tally()
    rows = []
    for number, line in enumerate(lines, 1):
        tally.total += 1
        text = line.strip()
        row = _of_json(text) if text.startswith("{") else _of_text(text)
        if row is not None:
            tally.rows += 1
            rows.append(row)
        elif text and not text.startswith("#"):
            tally.skip(number, why="no request")
        else:
            tally.known += 1
    if not rows:
        raise FormatError(f"expected lines of an access log, found none in {count(tally.total, 'line')}")
    frame = pd.DataFrame(
        rows, columns=["start", "method", "url", "status", "size_bytes", "user", "latency_ms", "cached"]
    )
    frame["start"] = pd.to_datetime(frame["start"], utc=True, unit="s")
    frame["endpoint"] = frame["method"] + " " + frame["url"].map(_endpoint)
    frame["ok"] = frame["status"] < 400
    if frame["cached"].notna().any():
        frame["cached"] = frame["cached"].astype("boolean")
    else:
        frame = frame.drop(columns="cached")
    frame = frame.sort_values("start", kind="stable")
    known = frame["latency_ms"].notna().mean()
    sentence = (
        f"{count(len(frame), 'request')} to {count(frame['url'].nunique(), 'address')} of "
        f"{count(frame['endpoint'].nunique(), 'endpoint')}{'' if known else '; the log has no durations'}"
    )
    return findings(frame, sentence, tally.account().notes("access log"))


def _of_text(line: str) -> tuple[Any, ...] | None:
    found = _LINE.match(line)
    request = _REQUEST.fullmatch(found["request"]) if found else None
    if found is None or request is None:
        return None
    try:
        start = datetime.strptime(found["time"], _TIME).timestamp()
    except ValueError:
        return None
    # Times and outcomes may be quoted, too; a user agent or a referrer may hold any number.
    rest = _QUOTED.sub(lambda quoted: f" {quoted[1]} " if _PLAIN.fullmatch(quoted[1]) else " ", found["rest"])
    cache = _CACHE.search(rest)
    size = float(found["size"]) if found["size"] != "-" else np.nan
    cached = None if cache is None else cache_headers.of_value("X-Cache", cache[0]) == cache_headers.HIT
    return (
        start, request["method"], request["url"], int(found["status"]), size, found["user"],
        _took_ms(found["rest"], rest), cached,
    )  # fmt: skip


def _took_ms(whole: str, rest: str) -> float:
    if found := _NAMED_S.search(whole) or _SECONDS.search(rest):
        return float(found[1]) * 1e3
    found = _MICROSECONDS.search(rest)
    return float(found[1]) / 1e3 if found else np.nan


def _of_json(line: str) -> tuple[Any, ...] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    value = {
        name: next((record[k] for k in keys if record.get(k) not in (None, "", "-")), None)
        for name, keys in _JSON.items()
    }
    request = _REQUEST.fullmatch(str(value["request"])) if value["request"] else None
    method, url = (request["method"], request["url"]) if request else (value["method"], value["url"])
    start, status = _instant(value["time"]), _number(value["status"])
    if not isinstance(method, str) or not isinstance(url, str) or np.isnan(start) or np.isnan(status):
        return None
    outcome = cache_headers.of_value("X-Cache", str(value["cache"])) if value["cache"] else cache_headers.UNKNOWN
    cached = None if outcome == cache_headers.UNKNOWN else outcome == cache_headers.HIT
    return (
        start,
        method,
        url,
        int(status),
        _number(value["size"]),
        value["user"],
        _number(value["seconds"]) * 1e3,
        cached,
    )


def _instant(value: object) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    for read in (datetime.fromisoformat, lambda text: datetime.strptime(text, _TIME), lambda text: float(text)):
        try:
            found = read(str(value))
        except ValueError:
            continue
        return found if isinstance(found, float) else found.timestamp()
    return float("nan")


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _endpoint(url: str) -> str:
    return template(url.partition("?")[0].partition("#")[0]) or "/"
