"""Access logs as text: the Common and Combined Log Format with what nginx, Apache, Traefik, gunicorn and others append to
them, Envoy's and Istio's default, and AWS' load balancers.

https://httpd.apache.org/docs/current/mod/mod_log_config.html, https://nginx.org/en/docs/http/ngx_http_log_module.html,
https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage,
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError, one_of
from perflab.formats import Tables, _access, _blocks, join
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.notes import Note, Remedy

if TYPE_CHECKING:
    import pyarrow as pa

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LINE = r'"(?P<request>(?:[^"\\]|\\.)*)"'
_TIME = r"(?:\d{1,2}/\w{3}/\d{4}[: ]|\d{4}-\d\d-\d\d[T ]|\d{10})"
_NUMBER = r"-?\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Duration:
    """Where a line holds the duration, and in which unit. ``ended``: such logs write the time of the response."""

    pattern: str
    unit: str
    ended: bool = False
    assumed: bool = False


@dataclass(frozen=True)
class Dialect:
    """One layout of a line, as a regular expression that both Python and RE2 understand."""

    name: str
    pattern: str
    durations: tuple[Duration, ...] = ()
    setting: str = ""


_TEXTS = rf"^(?: {_QUOTED}){{0,4}}"
_NAMED = (
    r'(?:^|[ ,;|\["])(?:rt|request_time|req_time|reqtime|response_time|resp_time|elapsed|duration|took|time|T|D)[=:]"?'
)
_EXTRAS = (
    *(Duration(rf"{_NAMED}(?P<duration>\d+(?:\.\d+)?) ?{unit}\b", unit) for unit in ("ms", "us", "µs", "s")),
    Duration(rf"{_NAMED}(?P<duration>\d+\.\d+)", "s", ended=True),
    Duration(r'(?:^|[ ,;|])(?:D|duration_us|time_us|us)[=:]"?(?P<duration>\d+)', "us"),
    Duration(r'(?:^|[ ,;|])(?:duration_ms|time_ms|rt|request_time|ms)[=:]"?(?P<duration>\d+)', "ms"),
    *(Duration(rf' "?(?P<duration>\d+(?:\.\d+)?) ?{unit}"?$', unit) for unit in ("ms", "us", "µs", "s")),
    Duration(rf'{_TEXTS}?(?: \d+)? "?(?P<duration>\d+\.\d{{3,}})"?(?: |$)', "s", ended=True),
    Duration(rf"{_TEXTS} \d+/(?P<duration>\d+)$", "us"),
    Duration(rf'{_TEXTS} "?(?P<duration>\d+)"?$', "us", assumed=True),
    Duration(r" (?P<duration>\d+)$", "us", assumed=True),
)
_DIALECTS = (
    Dialect(
        "Envoy",
        r"^\[(?P<time>\d{4}-[^\]\n]+)\] " + _LINE + r" (?P<status>\d+) \S+"
        rf"(?: [\w.-]+ \S+ (?:{_QUOTED}|-))? (?:\d+|-) (?P<size>\d+|-) (?P<duration>\d+|-) \S+ "
        rf"(?P<who>{_QUOTED} {_QUOTED}|- -)(?P<rest>[^\n]*)",
    ),
    Dialect(
        "a web server",
        r"^(?P<who>[^\n\"]*?) ?\[(?P<time>" + _TIME + r"[^\]\n]{0,30})\] " + _LINE
        + r" (?P<status>\d{3}|-) (?P<size>\d+|-)(?P<rest>[^\n]*)",
        _EXTRAS,
    ),
    Dialect(
        "an AWS load balancer",
        r"^(?:(?:https?|h2|grpcs?|wss?) )?(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) \S+ (?P<who>[\d.a-fA-F:]+):\d+ \S+ "
        rf"(?P<part1>{_NUMBER}) (?P<part2>{_NUMBER}) (?P<part3>{_NUMBER}) (?P<status>\d{{3}}|-) \S+ "
        rf"(?:-?\d+) (?P<size>-?\d+) {_LINE} (?P<rest>[^\n]*)",
    ),
)  # fmt: skip
_CACHE = (
    rf'^(?: {_QUOTED}){{0,4}}(?: [^" ]+)*? "?(?P<cache>HIT|MISS|EXPIRED|BYPASS|STALE|UPDATING|REVALIDATED)"?(?: |$)'
)
_LOOKED_AT = 400


def sniff(head: bytes) -> bool:
    lines = _head_lines(head)[:20]
    return bool(lines) and _dialect(lines) is not None


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, *, routes: Sequence[str] = (), **options: Any) -> Iterator[Tables]:
    tally, notes = Tally(), list[Note]()
    dialect, _ = layout(path, options.get("unit"))
    parts = entries(path, tally, notes, **options)
    yield from _access.requests(path, parts, tally, routes=routes, dialect=dialect.name, notes=notes)


def layout(path: Path, unit: Any = None) -> tuple[Dialect, Duration | None]:
    """The dialect of a file, and where it holds durations."""
    if unit is not None and unit not in _access.UNITS_MS:
        raise one_of("unit", unit, tuple(_access.UNITS_MS))
    lines = _head_lines(sources.head(path))
    dialect = _dialect(lines)
    if dialect is None:
        first = (lines or [""])[0]
        raise FormatError(f"{path}:1: expected an access log, found {first[:120]!r}")
    matched = [m for line in lines[:_LOOKED_AT] if (m := re.match(dialect.pattern, line))]
    for place in dialect.durations:
        found = [m["duration"] for rest in matched if (m := re.search(place.pattern, rest["rest"]))]
        if len(found) < 0.6 * len(matched):
            continue
        if place.assumed and not unit and sum(text == "0" for text in found) * 2 > len(found):
            continue  # %T: whole seconds, of which most are 0
        return dialect, Duration(place.pattern, unit or place.unit, place.ended, place.assumed and not unit)
    return dialect, None


def entries(
    path: Path, tally: Tally, notes: list[Note], *, unit: Any = None, timezone: Any = None, **_: Any
) -> Iterator[_access.Entries]:
    """The entries of an access log, with or without durations; ``notes`` gets what must be known about them."""
    dialect, place = layout(path, unit)
    zone = common.zone(timezone)
    zoned = True
    if place and place.assumed:
        notes.append(
            _access.UNIT_ASSUMED(Remedy("read", {"unit": "ms"}), unit="µs (%D)", where="the last number of each line")
        )

    def parse(block: _blocks.Block, own: Tally) -> tuple[_access.Entries | None, bool]:
        return _entries(block, own, dialect, place, zone)

    for _block, (found, known) in _blocks.ahead(path, tally, parse, quotes=False, size=_blocks.PIECE_BYTES):
        zoned = zoned and known
        if found is not None:
            yield found
    if not zoned:
        notes.append(caveats.no_zone())


def _head_lines(head: bytes) -> list[str]:
    whole = head.rsplit(b"\n", 1)[0] if head.count(b"\n") > 1 else head
    return [line for line in whole.decode("utf-8", "replace").splitlines() if line.strip()]


def _dialect(lines: list[str]) -> Dialect | None:
    """The dialect that most of the lines are in."""
    looked = lines[:20]
    for dialect in _DIALECTS:
        matched = [m for line in looked if (m := re.match(dialect.pattern, line))]
        plausible = [m for m in matched if m["status"] != "-" and _time_known(m["time"])]
        if 2 * len(matched) > len(looked) and plausible:
            return dialect
    return None


def _time_known(text: str) -> bool:
    return bool(re.match(r"\d{1,2}/\w{3}/\d{4}[: ]|\d{4}-\d\d-\d\d[T ]\d\d:|\d{10}", text))


def _entries(
    block: _blocks.Block, tally: Tally, dialect: Dialect, place: Duration | None, zone: Any
) -> tuple[_access.Entries | None, bool]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not block.data:
        return None, True
    ends = np.flatnonzero(np.frombuffer(block.data, dtype=np.uint8) == ord("\n"))
    offsets = np.zeros(len(ends) + 1, dtype="int64")
    offsets[1:] = ends + 1
    lines = pa.Array.from_buffers(pa.large_string(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(block.data)])
    found = pc.extract_regex(lines, dialect.pattern)
    matched = found.is_valid().to_numpy(zero_copy_only=False)
    if not matched.all():
        blank = np.diff(offsets) == 1
        comment = pc.starts_with(lines, "#").to_numpy(zero_copy_only=False)
        tally.known += int(np.count_nonzero(~matched & (blank | comment)))
        bad = np.flatnonzero(~matched & ~blank & ~comment)
        if len(bad):
            tally.skip(int(bad[0]) + block.line, len(bad), "not a line of this access log")
        found = found.filter(pa.array(matched))
    numbers = np.flatnonzero(matched) + block.line
    request = pc.extract_regex(
        found.field("request"), r"^(?P<method>[A-Z]{3,16}) (?P<target>\S.*?)(?: HTTP/\d(?:\.\d)?)?$"
    )
    asked = request.is_valid().to_numpy(zero_copy_only=False)
    if not asked.all():
        lost = int(np.count_nonzero(~asked))
        tally.known += lost
        tally.note(_access.NOT_HTTP, lost, int(numbers[np.flatnonzero(~asked)[0]]))
        found, request, numbers = found.filter(pa.array(asked)), request.filter(pa.array(asked)), numbers[asked]
    if not len(found):
        return None, True
    at_us, zoned = _access.moments(found.field("time"), zone)
    duration_ms, ended = _durations(dialect, found, place)
    if dialect.name.startswith("an AWS"):
        created = pc.extract_regex(found.field("rest"), r' (?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z) "').field("at")
        start, _ = (
            _access.moments(created, None) if created.null_count < len(created) else (np.full(len(at_us), np.nan), 0)
        )
        # Classic load balancers do not write when the request came: the response's time less its parts.
        at_us = np.where(np.isnan(start), at_us - np.nan_to_num(duration_ms) * 1e3, start)
    return _access.Entries(
        at_us,
        pc.cast(request.field("method"), pa.string()),
        request.field("target"),
        _numbers(found.field("status")).astype("int64"),
        _numbers(found.field("size"), missing=np.nan),
        duration_ms,
        pd.util.hash_array(_who(dialect, found).to_numpy(zero_copy_only=False)),
        numbers,
        ended=ended,
        done=block.done,
        cache=pc.extract_regex(found.field("rest"), _CACHE).field("cache") if dialect.durations else None,
    ), zoned


def _who(dialect: Dialect, found: pa.StructArray) -> pa.Array:
    """Address, user and browser: the same ones are one client."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "agent" in dialect.pattern or dialect.durations == ():
        return found.field("who").fill_null("")
    agent = pc.extract_regex(found.field("rest"), rf"^ {_QUOTED} (?P<agent>{_QUOTED})").field("agent").fill_null("")
    return pc.binary_join_element_wise(found.field("who"), agent, pa.scalar(" ", found.field("who").type))


def _durations(dialect: Dialect, found: pa.StructArray, place: Duration | None) -> tuple[Any, bool]:
    """Milliseconds, NaN where they are missing, and whether the line's time is that of the response."""
    import pyarrow.compute as pc

    names = [field.name for field in found.type]
    if "part1" in names:
        parts = [_numbers(found.field(f"part{n}"), missing=np.nan) for n in (1, 2, 3)]
        whole = np.sum(parts, axis=0) * 1e3
        return np.where(np.min(parts, axis=0) < 0, np.nan, whole), False
    if "duration" in names:
        return _numbers(found.field("duration"), missing=np.nan), False
    if place is None:
        return np.full(len(found), np.nan), False
    held = pc.extract_regex(found.field("rest"), place.pattern).field("duration")
    return _numbers(held, missing=np.nan) * _access.UNITS_MS[place.unit], place.ended


def _numbers(texts: pa.Array, missing: float = 0.0) -> Any:
    """Texts as numbers; "-" and nothing are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    usable = pc.if_else(pc.match_substring_regex(texts, r"^-?\d+(\.\d+)?$"), texts, pa.scalar(None, texts.type))
    return pc.cast(usable, pa.float64()).fill_null(missing).to_numpy(zero_copy_only=False)
