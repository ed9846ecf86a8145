"""What the readers of query logs share: rows become a table, texts are bounded, comments give the trace and the route."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats import _log_notes as notes
from perflab.notes import Note, Remedy
from perflab.queries import comments as in_comments

MAX_TEXT = 1_000_000
"""Characters of a statement that are kept."""

MYSQL_BANNER = re.compile(
    r"(?:T(?:cp p|CP P)ort: |Time\s+Id\s+Command\s+Argument\s*$|.{0,300}, Version: .{0,200} started with:\s*$)"
)
"""What MySQL and MariaDB write into their logs whenever they open them."""

_EPOCH, _EARLIEST, _MANY = 1970, 2000, 200
ZONE = Remedy("read", {"timezone": "Europe/Berlin"})
_LATEST = 253_402_300_799_000_000  # the year 9999 in microseconds


@dataclass(frozen=True)
class Marker:
    """What a log of this kind holds once per row, counted in its lines apart from their reading."""

    name: str
    pattern: re.Pattern[str]


def numbered(
    path: Path, tally: Tally, marker: Marker | None = None, *, without: re.Pattern[str] | None = None
) -> Iterator[tuple[int, str]]:
    """The lines of a log with their numbers, without what matches ``without``; counts them, and what matches the marker."""
    found = 0
    for number, line in enumerate(sources.lines(path), start=1):
        tally.total = number
        if without:
            line = without.sub("", line)
        if marker:
            found += len(marker.pattern.findall(line))
        yield number, line
    if marker:
        tally.mark(marker.name, found, 0)


def cut(text: str, tally: Tally) -> str:
    """The text, bounded."""
    if len(text) <= MAX_TEXT:
        return text
    tally.note(notes.CUT_TEXTS)
    return text[:MAX_TEXT]


def tables(
    path: Path,
    rows: list[dict[str, Any]],
    tally: Tally,
    *,
    meta: Mapping[str, Any],
    expected: str,
    warnings: Iterable[Note] = (),
) -> Tables:
    """Rows (``start`` in microseconds since 1970) as a queries table, without the columns that no row fills."""
    if not rows:
        raise FormatError(f"{path}:{max(tally.first, 1)}: expected {expected}, found none")
    frame = pd.DataFrame.from_records(rows)
    frame["duration_ms"] = frame["duration_ms"].round(6)
    start = frame["start"].clip(0, _LATEST)
    known = (
        start.mask(start == 0).bfill().ffill().fillna(0).astype("int64")
    )  # what has no time has that of what follows
    frame["start"] = pd.to_datetime(known, unit="us", utc=True)
    empty = [c for c in frame.columns if c not in ("start", "sql", "duration_ms") and frame[c].isna().all()]
    frame = frame.drop(columns=empty).sort_values("start", kind="stable", ignore_index=True)
    if "rows_examined" in frame:
        frame["rows_examined"] = frame["rows_examined"].astype("Int64")
    warnings = (*tally.notes(path.name), *warnings, *doubts(frame, path.name))
    return Tables({"queries": commented(frame)}, warnings=warnings, meta=meta, accounting=tally.account())


_SERVER_COMMENT = r"^\s*#\s*(?:Time: |User@Host: |Query_time: |Thread_id: |explain: |administrator )"


def doubts(frame: pd.DataFrame, source: str) -> list[Note]:
    """What no reader may leave unsaid: starts that can't be, one unit that holds half of a log, comments for statements."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = []
    start = frame["start"]
    dated = (
        start.dt.year > _EPOCH if (start.dt.year == _EPOCH).all() else start.notna()
    )  # a log without times says so itself
    wrong = start[dated & ((start.dt.year < _EARLIEST) | (start > pd.Timestamp.now("UTC") + pd.Timedelta("1D")))]
    if len(wrong):
        found.append(notes.IMPLAUSIBLE_STARTS(source=source, count=len(wrong), first=str(wrong.iloc[0])))
    unit = frame["unit"] if "unit" in frame else frame.get("trace")
    if unit is not None and len(frame) >= _MANY:
        held = unit.value_counts()
        if len(held) > 1 and held.iloc[0] * 2 >= len(frame):
            found.append(
                notes.ONE_UNIT(source=source, unit=str(held.index[0]), held=int(held.iloc[0]), count=len(frame))
            )
    texts = pa.array(frame["sql"], type=pa.large_string())
    if comments := pc.sum(pc.match_substring_regex(texts, _SERVER_COMMENT)).as_py():
        found.append(notes.SERVER_COMMENTS(source=source, count=comments))
    return found


_COMMENT = r"(?:^\s*/\*(?P<first>[^*]+)\*/|/\*(?P<last>[^*]+)\*/\s*;?\s*$)"
_TRACE = r"traceparent=.?00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-"
_ROUTE = r"(?:^|,)\s*route='(?P<route>[^']{1,500})'"
_ACTION = r"controller(?:=|:)'?(?P<controller>[\w:./%\-]{1,200})'?(?:.*,)?\s*action(?:=|:)'?(?P<action>[\w%\-]{1,200})"
_ACTION_FIRST = (
    r"action(?:=|:)'?(?P<action>[\w%\-]{1,200})'?,(?:.*,)?\s*controller(?:=|:)'?(?P<controller>[\w:./%\-]{1,200})"
)


def commented(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with trace and route from the comments that sqlcommenter, marginalia and Rails write into the SQL.

    https://google.github.io/sqlcommenter/spec/
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    sql = frame["sql"]
    marked = sql.str.contains("*/", regex=False).fillna(False).to_numpy(dtype=bool)
    if not marked.any():
        return frame
    found = pc.extract_regex(pa.array(sql[marked], type=pa.large_string()), _COMMENT)
    comments = pc.fill_null(
        pc.if_else(
            pc.equal(pc.struct_field(found, "last"), ""),
            pc.struct_field(found, "first"),
            pc.struct_field(found, "last"),
        ),
        "",
    )
    found = pc.extract_regex(comments, _TRACE)
    traces, spans = (pc.struct_field(found, name).to_pandas() for name in ("trace", "span"))
    routes = _routes(comments.dictionary_encode())
    if traces.notna().any():
        requests = in_comments.requests(
            traces, spans, routes.reset_index(drop=True), sql[marked].reset_index(drop=True)
        )
        frame = _filled(frame, "unit", marked, requests.where(requests != traces, None))
    if "unit" in frame:  # a request is known already; a trace may hold several
        traces = traces.where(frame["unit"][marked].isna().to_numpy(), None)
    return _filled(_filled(frame, "trace", marked, traces), "route", marked, routes)


def _routes(comments: Any) -> Any:
    """The route of each comment; many statements share few comments once their traces are left out of sight."""
    names = [_route(text) for text in comments.dictionary.to_pylist()]
    return pd.Series(names, dtype=object).take(comments.indices.to_numpy(zero_copy_only=False))


def _route(comment: str) -> str | None:
    if found := re.search(_ROUTE, comment):
        return unquote(found["route"])
    found = re.search(_ACTION, comment) or re.search(_ACTION_FIRST, comment)
    return unquote(f"{found['controller']}#{found['action']}") if found else None


def _filled(frame: pd.DataFrame, name: str, where: Any, values: Any) -> pd.DataFrame:
    """The frame with these values in the named column, where it has none of its own."""
    column = pd.Series(None, index=frame.index, dtype=object)
    column[where] = pd.Series(values).to_numpy(dtype=object)
    if name in frame:
        column = frame[name].astype(object).where(frame[name].notna(), column)
    if column.isna().all():
        return frame
    return frame.assign(**{name: pd.array(column.where(column.notna(), None), dtype="str")})


_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s?(Z|UTC|[+-]\d\d:?\d\d)?(?![\d:])", re.ASCII
)

_SPELT = re.compile(
    r"(?P<day>\d\d)[/-](?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[/-](?P<year>\d{4})[ :](?P<clock>\d\d:\d\d:\d\d)"
    r"(?: (?P<zone>[+-]\d{4}))?",
    re.ASCII,
)
"""As Apache, nginx and Django's server write it."""


class Clock:
    """Times in a log's text as microseconds since 1970; without a zone in text or ``timezone`` they count as UTC."""

    def __init__(self, timezone: str | None) -> None:
        try:
            self._zone = ZoneInfo(timezone) if timezone else dt.UTC
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"timezone must be the name of a time zone such as 'Europe/Berlin'; got {timezone!r}"
            ) from None
        self._given = timezone is not None
        self.guessed = False

    def in_text(self, text: str) -> int | None:
        """The first time in the text, if there is one."""
        found = _STAMP.search(text)
        if found is None:
            other = _SPELT.search(text)
            if other is None:
                return None
            number = 1 + "JanFebMarAprMayJunJulAugSepOctNovDec".index(other["month"]) // 3
            return self.instant(f"{other['year']}-{number:02d}-{other['day']} {other['clock']}.000000", other["zone"])
        fraction = ((found[3] or "") + "000000")[:6]
        return self.instant(f"{found[1]} {found[2]}.{fraction}", found[4])

    def instant(self, local: str, zone: str | None = None) -> int | None:
        """``2026-11-25 00:58:14.000000`` as microseconds since 1970; None when there is no such time."""
        try:
            at = dt.datetime.fromisoformat(local)
            if zone in ("Z", "UTC"):
                at = at.replace(tzinfo=dt.UTC)
            elif zone:
                at = dt.datetime.fromisoformat(local + (zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"))
            else:
                self.guessed = self.guessed or not self._given
                at = at.replace(tzinfo=self._zone)
            micros = (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
        except (ValueError, OverflowError):
            return None
        return micros if 0 <= micros <= _LATEST else None

    def notes(self) -> tuple[Note, ...]:
        return (notes.NO_ZONE(ZONE),) if self.guessed else ()
