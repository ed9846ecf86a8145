"""Access logs as JSON lines: nginx and Apache with a format of their own, Caddy, Envoy and Istio, Traefik, ECS, Google Cloud.

https://caddyserver.com/docs/caddyfile/directives/log, https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format,
https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage,
https://doc.traefik.io/traefik/observability/access-logs/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError, one_of
from perflab.formats import Tables, _access, _blocks, join
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.notes import Note, Remedy

_TIMES = (
    *(
        "StartUTC",
        "start_time",
        "requestStartTime",
        "msec",
        "time_iso8601",
        "@timestamp",
        "timestamp",
        "ts",
        "time_local",
    ),
    *("time", "datetime", "date", "StartLocal"),
)
_AT_START = frozenset({"StartUTC", "StartLocal", "start_time", "requestStartTime"})
_METHODS = (
    *(
        "request_method",
        "RequestMethod",
        "request.method",
        "http.request.method",
        "httpRequest.requestMethod",
        "method",
    ),
    *("http_method", "verb", "requestMethod", "req.method"),
)
_TARGETS = (
    *(
        "request_uri",
        "RequestPath",
        "request.uri",
        "url.original",
        "url.path",
        "httpRequest.requestUrl",
        "uri",
        "path",
        "url",
    ),
    *("request_path", "requestPath", "request_url", "req.url", "request"),
)
_LINES = ("request", "request_line", "requestLine", "http_request")
_QUERIES = ("query", "args", "query_string", "querystring", "url.query")
_STATUSES = (
    *("status", "response_code", "DownstreamStatus", "status_code", "statusCode", "http_status"),
    *("http.response.status_code", "httpRequest.status", "response.status", "resp_status", "res.statusCode"),
)
_SIZES = (
    *(
        "body_bytes_sent",
        "bytes_sent",
        "DownstreamContentSize",
        "http.response.body.bytes",
        "httpRequest.responseSize",
        "size",
    ),
    *("bytes", "response_size", "responseLength", "bytes_out"),
)
_DURATIONS: Mapping[str, str] = {
    "request_time": "s", "requestTime": "s", "Duration": "ns", "event.duration": "ns", "httpRequest.latency": "s",
    "duration_us": "us", "duration_ms": "ms", "duration_s": "s", "duration_ns": "ns", "request_time_ms": "ms",
    "response_time_ms": "ms", "responseTime": "ms", "latency_ms": "ms", "elapsed_ms": "ms", "time_us": "us", "D": "us",
    "duration": "", "response_time": "", "responseLatency": "ms", "latency": "", "elapsed": "", "took": "",
}  # fmt: skip
_CLIENTS = (
    *("remote_addr", "request.client_ip", "request.remote_ip", "ClientHost", "remoteIP", "client.ip", "remote_ip"),
    *("x_forwarded_for", "client_ip", "downstream_remote_address", "httpRequest.remoteIp", "source.ip"),
)
_AGENTS = ("http_user_agent", "user_agent", "userAgent", "request_User-Agent", "request.headers.User-Agent", "agent")
_CACHES = ("upstream_cache_status", "cache_status", "cacheStatus", "cache")
_ENVOY = frozenset({"response_flags", "upstream_service_time", "upstream_cluster", "x_forwarded_for"})
_SPELLED = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)\s*(ns|us|µs|μs|ms|s))?")
"""A duration with its unit: "12.5 ms", or Go's "1m2.5s"."""
_LOOKED_AT = 200
_MISSING = (None, "", "-")


@dataclass(frozen=True)
class Layout:
    """Which key holds what; "" where none does. ``unit`` is that of a duration that is a number."""

    time: str
    method: str
    target: str
    line: str
    query: str
    status: str
    size: str
    duration: str
    unit: str
    client: str
    agent: str
    cache: str
    tool: str
    assumed: bool

    @property
    def ended(self) -> bool:
        """Whether the time is that of the response, as in nginx and Caddy; Apache and Envoy write that of the request."""
        return self.time not in _AT_START and self.unit == "s"


def sniff(head: bytes) -> bool:
    first = head.lstrip().split(b"\n", 1)[0]
    return first.startswith(b"{") and _layout([_parsed(first)]) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, *, routes: Sequence[str] = (), **options: Any) -> Iterator[Tables]:
    tally, notes = Tally(), list[Note]()
    found = layout(path, options.get("unit"))
    parts = entries(path, tally, notes, **options)
    yield from _access.requests(path, parts, tally, routes=routes, dialect=found.tool, notes=notes)


def layout(path: Path, unit: Any = None) -> Layout:
    """The layout of a file."""
    if unit is not None and unit not in _access.UNITS_MS:
        raise one_of("unit", unit, tuple(_access.UNITS_MS))
    lines = sources.head(path).split(b"\n")[:_LOOKED_AT]
    found = _layout([_parsed(line) for line in lines], unit)
    if found is None:
        raise FormatError(f"{path}:1: expected an access log as JSON lines, found {lines[0][:120]!r}")
    return found


def entries(
    path: Path, tally: Tally, notes: list[Note], *, unit: Any = None, timezone: Any = None, **_: Any
) -> Iterator[_access.Entries]:
    """The entries of an access log, with or without durations; ``notes`` gets what must be known about them."""
    found, zone, zoned = layout(path, unit), common.zone(timezone), True
    if found.assumed:
        other = "ms" if found.unit == "s" else "s"
        notes.append(_access.UNIT_ASSUMED(Remedy("read", {"unit": other}), unit=found.unit, where=found.duration))
    for block in _blocks.blocks(path, tally, quotes=False, size=_blocks.PIECE_BYTES):
        rows = _rows(block, found, tally)
        if not rows:
            continue
        part, known = _entries(rows, found, zone, block.done)
        zoned = zoned and known
        yield part
    if not zoned:
        notes.append(caveats.no_zone())


def _parsed(line: bytes) -> Any:
    """The object of a line, with Apache's ``\\xhh`` for characters that JSON does not know; None where it is none."""
    for text in (line, line.replace(b"\\x", b"\\u00")):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
    return None


def _held(record: Any, key: str) -> Any:
    """The value of a key, or of one within others ("request.method")."""
    if key in record:
        return record[key]
    for part in key.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record[0] if isinstance(record, list) and record else record


def _getter(key: str) -> Callable[[Any], Any]:
    if not key:
        return lambda _: None
    return (lambda record: record.get(key)) if "." not in key else (lambda record: _held(record, key))


def _layout(records: list[Any], unit: str | None = None) -> Layout | None:
    objects = [r for r in records if isinstance(r, dict)]

    def first(keys: Sequence[str] | Mapping[str, str], kinds: Any = (str, int, float)) -> str:
        usable = (k for k in keys if any(isinstance(v := _held(r, k), kinds) and v not in _MISSING for r in objects))
        return next(usable, "")

    line = next((k for k in _LINES if any(isinstance(v := r.get(k), str) and _access.split(v) for r in objects)), "")
    method, target = first(_METHODS, str), first(_TARGETS, str)
    time, status, duration = first(_TIMES), first(_STATUSES), first(_DURATIONS)
    example: Any = next((_held(r, time) for r in objects if _held(r, time) not in _MISSING), None) if time else None
    code = next((_held(r, status) for r in objects if _held(r, status) not in _MISSING), None) if status else None
    if not (example and str(code).isdigit() and len(str(code)) in (1, 3) and (line or (method and target))):
        return None
    if not line and not any(str(_held(r, target) or "").startswith(("/", "http")) for r in objects):
        return None
    envoy = any(_ENVOY & r.keys() for r in objects) and status == "response_code"
    known = unit or _DURATIONS.get(duration, "") or ("ms" if envoy else "")
    texts = [_held(r, duration) for r in objects if _held(r, duration) not in _MISSING] if duration else []
    spelled = any(isinstance(t, str) and t and _SPELLED.fullmatch(t) for t in texts)
    caddy = any(str(r.get("logger", "")).startswith("http.log.access") for r in objects)
    # Echo writes nanoseconds, and the same in words.
    echo = any("latency_human" in r for r in objects) and duration == "latency"
    known = known or ("s" if caddy else "ns" if echo else "")
    assumed = bool(texts) and not known and not spelled
    if assumed:
        # Rails and Express write milliseconds, others seconds; few services take a second or more for most requests.
        middle = float(np.nanmedian(_numbers(texts)))
        known = "ms" if middle >= 1 or all(str(t).isdigit() for t in texts) else "s"
    known = known or "s"
    tool = "Envoy" if envoy else "Caddy" if caddy else "Traefik" if duration == "Duration" else "a web server (JSON)"
    sizes, query = first(_SIZES), first(_QUERIES)
    return Layout(
        time,
        method,
        target,
        line,
        query,
        status,
        sizes,
        duration,
        known,
        first(_CLIENTS),
        first(_AGENTS),
        first(_CACHES, str),
        tool,
        assumed,
    )


def _rows(block: _blocks.Block, found: Layout, tally: Tally) -> list[tuple[Any, ...]]:
    time, status, size, duration = map(_getter, (found.time, found.status, found.size, found.duration))
    line, method, target, query = map(_getter, (found.line, found.method, found.target, found.query))
    client, agent, cache = map(_getter, (found.client, found.agent, found.cache))
    rows: list[tuple[Any, ...]] = []
    for number, text in enumerate(block.data.split(b"\n")[:-1], block.line):
        if not text or text.isspace():
            tally.known += 1
            continue
        record = _parsed(text)
        if not isinstance(record, dict):
            tally.skip(number, why="not one JSON object")
            continue
        code = status(record)
        if code in _MISSING and time(record) not in _MISSING:
            tally.known += 1  # another of the program's messages
            continue
        verb, address = method(record), target(record)
        if found.line and isinstance(whole := line(record), str):
            verb, address = _access.split(whole) or (None, None)
        if not isinstance(verb, str) or not isinstance(address, str) or not address:
            tally.known += 1
            tally.note(_access.NOT_HTTP, 1, number)
            continue
        if isinstance(asked := query(record), str) and asked not in _MISSING and "?" not in address:
            address = f"{address}?{asked.removeprefix('?')}"
        who = f"{client(record)} {agent(record)}"
        outcome = kept if isinstance(kept := cache(record), str) else None
        rows.append((time(record), verb.upper(), address, code, size(record), duration(record), who, number, outcome))
    return rows


def _entries(rows: list[tuple[Any, ...]], found: Layout, zone: Any, done: int) -> tuple[_access.Entries, bool]:
    import pyarrow as pa

    time, method, target, status, size, duration, who, lines, cache = zip(*rows, strict=True)
    if isinstance(time[0], str):
        at_us, zoned = _access.moments(pa.array([str(t).strip("[]") for t in time], pa.string()), zone)
    else:
        numbers = _numbers(time)
        at_us, zoned = _access.since_1970(numbers), True
    return _access.Entries(
        at_us,
        pa.array(method, pa.string()),
        pa.array(target, pa.large_string()),
        np.nan_to_num(_numbers(status)).astype("int64"),
        _numbers(size),
        np.fromiter((_milliseconds(d, found.unit) for d in duration), "float64", len(duration)),
        pd.util.hash_array(np.array(who, dtype=object)),
        np.array(lines, dtype="int64"),
        ended=found.ended,
        done=done,
        cache=pa.array(cache, pa.string()) if found.cache else None,
    ), zoned


def _numbers(values: Sequence[Any]) -> Any:
    def number(value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            return np.nan

    return np.fromiter(map(number, values), "float64", len(values))


def _milliseconds(value: Any, unit: str) -> float:
    if isinstance(value, str) and value and (spelled := _SPELLED.fullmatch(value)):
        hours, minutes, rest, own = spelled.groups()
        whole = int(hours or 0) * 3.6e6 + int(minutes or 0) * 6e4
        return whole + (float(rest) * _access.UNITS_MS[own.replace("μ", "µ")] if rest else 0.0)
    try:
        return float(value) * _access.UNITS_MS[unit]
    except (TypeError, ValueError):
        return np.nan
