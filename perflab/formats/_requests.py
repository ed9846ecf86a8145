"""What readers of load tools share: endpoints, instants, and requests or summaries in the columns of the data model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from perflab.data.accounting import Accounting, Tally
from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.notes import Note

if TYPE_CHECKING:
    import pyarrow as pa

_EARLIEST_US, _LATEST_US = 31_536_000_000_000, 7_258_118_400_000_000
"""1971 and 2200: instants outside are damage, or another unit."""
_LONGEST_MS = 10 * 86_400_000.0
"""Ten days: a request that took longer is damage."""

_MOST = 1e18
"""Of any statistic: a larger one, and an endless one, is damage."""

SECONDS_MS = 1000.0
"""The tick of a clock of seconds."""


def endpoint(method: str | None, name: str | None) -> str:
    """ "GET /orders" of a method and the tool's name; of a URL only the path is kept."""
    text = name or ""
    if text.startswith(("http://", "https://")):
        try:
            text = urlsplit(text).path or "/"
        except ValueError:
            text = text.split("?", 1)[0]
    return f"{method} {text}" if method else text


def endpoints(method: pa.Array | None, name: pa.Array) -> pd.Series[Any]:
    """Endpoints of whole columns, each distinct pair written once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    between = pa.scalar("\x00", name.type)
    joined = name if method is None else pc.binary_join_element_wise(method.fill_null(""), name.fill_null(""), between)
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.combine_chunks()
    coded = pc.dictionary_encode(joined.fill_null(""))
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    texts = [
        endpoint(None, v) if method is None else endpoint(*v.split("\x00", 1)) for v in coded.dictionary.to_pylist()
    ]
    taken: pd.Series[Any] = pa.array(texts, pa.string()).take(coded.indices).to_pandas()
    return taken


def microseconds(values: Any, unit_us: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers of a unit as microseconds since 1970 (NaN where they are missing)."""
    return np.asarray(values, dtype="float64") * unit_us


def instants(us: Any) -> pd.Series[Any]:
    """Microseconds since 1970 as instants in UTC; missing where they are no plausible time."""
    return pd.Series(moments(us)).dt.tz_localize("UTC")


def moments(values: Any, unit_us: int = 1) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """As `instants`, for numpy: numbers of a unit as instants without the zone."""
    numbers = np.asarray(values)
    plausible = (numbers >= _EARLIEST_US // unit_us) & (numbers < _LATEST_US // unit_us)
    known = bool(plausible.all())
    numbers = (numbers if known else np.where(plausible, numbers, 0)) * unit_us
    whole = (numbers if numbers.dtype == "int64" else numbers.round().astype("int64")).view("datetime64[us]")
    if not known:
        whole[~plausible] = np.datetime64("NaT")
    return whole


def offsets(us: Any, started: Any) -> pd.Series[Any]:
    """Microseconds since the run's start as instants: from ``started``, or from 1970 where that is not known."""
    begin = 0 if started is None else instant(started).value // 1000
    numbers = np.asarray(us, dtype="float64")
    usable = (numbers > -_EARLIEST_US) & (numbers < _EARLIEST_US / 2)
    whole = np.where(usable, numbers, 0).round().astype("int64") + begin
    found = pd.Series(whole.view("datetime64[us]")).dt.tz_localize("UTC")
    return found if usable.all() else found.where(usable)


def instant(value: Any) -> pd.Timestamp:
    """The ``started`` option as an instant; it needs a time zone."""
    try:
        given = pd.Timestamp(value)
    except (ValueError, TypeError) as problem:
        raise ValueError(f"started must be an instant like 2026-01-31T12:00:00Z; got {value!r}") from problem
    if given is pd.NaT or given.tzinfo is None:
        raise ValueError(f"started must have a time zone (2026-01-31T12:00:00Z or +01:00); got {value!r}")
    return given.tz_convert("UTC").as_unit("ns")


def zone(name: str | tzinfo | None) -> tzinfo | None:
    """The ``timezone`` option."""
    if name is None or isinstance(name, tzinfo):
        return name
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise ValueError(f'timezone must be a name like "UTC" or "Europe/Berlin"; got {name!r}') from problem


def in_zone(naive: pd.Series[Any], timezone: tzinfo | None) -> pd.Series[Any]:
    """Naive local times as UTC; an hour that comes twice counts as the first, one that is skipped is missing."""
    first = np.ones(len(naive), dtype=bool)
    placed = naive.dt.tz_localize(timezone or ZoneInfo("UTC"), ambiguous=first, nonexistent="NaT")
    return placed.dt.tz_convert("UTC")


_LINE_ENDS = re.compile(r"[\r\n]+")


def one_line(text: str) -> str:
    """A name as one line: tools take names of several, tables and plots don't."""
    return _LINE_ENDS.sub(" ", text) if "\n" in text or "\r" in text else text


class Kept:
    """The rows of requests that were kept, and how many of them succeeded."""

    rows = succeeded = 0

    def add(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Count the rows of a requests table."""
        self.rows += len(frame)
        self.succeeded += int(frame["ok"].sum())
        return frame


def usable(columns: Mapping[str, Any], tally: Tally, lines: Any) -> pd.DataFrame:
    """Rows of a requests table, with names on one line; those without a latency, a start or a name are counted and left out."""
    frame = pd.DataFrame(dict(columns), copy=False)
    if frame["endpoint"].str.contains("\n", regex=False).any():
        frame["endpoint"] = frame["endpoint"].str.replace(_LINE_ENDS, " ", regex=True)
    return kept(frame, tally, lines)


def kept(frame: pd.DataFrame, tally: Tally, lines: Any) -> pd.DataFrame:
    """The rows that are `sound`, whose endpoint and start are known."""
    whole = (frame["start"].notna() & frame["endpoint"].notna()).to_numpy()
    good = sound(frame["latency_ms"].to_numpy(), whole, np.asarray(lines), tally)
    return frame if good.all() else frame[good].reset_index(drop=True)


def sound(latency_ms: Any, whole: Any, lines: Any, tally: Tally) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of the rows are ``whole`` and have a latency that can be; the others are counted."""
    good: np.ndarray[Any, np.dtype[np.bool_]] = (latency_ms >= 0) & (latency_ms <= _LONGEST_MS) & whole
    held = int(np.count_nonzero(good))
    tally.rows += held
    if held < len(good):
        tally.skip(int(lines[~good].min()), len(good) - held, "no latency, start or name that can be")
    return good


def frame(table: pa.Table) -> pd.DataFrame:
    """Columns of Arrow in the dtypes of the data model."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) and column.null_count:
            numbers, missing = column.fill_null(0).to_numpy(), column.is_null().to_numpy()
            columns[name] = pd.arrays.IntegerArray(numbers, missing)
        elif pa.types.is_timestamp(column.type):
            columns[name] = pd.Series(column.to_numpy()).dt.tz_localize("UTC")
        else:
            columns[name] = column.to_pandas()
    return pd.DataFrame(columns, copy=False)


def texts(values: pa.ChunkedArray) -> pd.Series[Any]:
    """A text column, missing where it is empty."""
    found: pd.Series[Any] = present(values).to_pandas()
    return found


def present(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """As `texts`, for Arrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.min(pc.binary_length(values)).as_py() != 0:
        return values
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)


def statuses(values: Any) -> pd.Series[Any]:
    """HTTP status codes; 0 and what is no status are missing."""
    numbers = status_numbers(values)
    return pd.Series(pd.arrays.IntegerArray(numbers, numbers == 0))


def status_numbers(values: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """As `statuses`, 0 where it is missing."""
    numbers = np.asarray(values, dtype="float64")
    known = (numbers >= 100) & (numbers <= 999) & (numbers == np.floor(numbers))
    return np.where(known, numbers, 0).astype("int64")


def whole(values: Any) -> pd.Series[Any]:
    """Sizes: whole numbers that are not negative, others missing."""
    numbers, known = whole_numbers(values)
    return pd.Series(numbers if known.all() else pd.arrays.IntegerArray(numbers, ~known))


def whole_numbers(values: Any) -> tuple[Any, Any]:
    """As `whole`: the numbers, 0 where they are missing, and which are known."""
    numbers = np.asarray(values)
    known = (numbers >= 0) & (numbers < 2**53)
    if numbers.dtype == "int64":
        return (numbers if known.all() else np.where(known, numbers, 0)), known
    known &= numbers == np.floor(numbers)
    return np.where(known, numbers, 0).astype("int64"), known


def finish(path: Path, tally: Tally, kept: Kept, expected: str, **known: Any) -> Iterator[Tables]:
    """The last part of a file: its warnings, meta and accounting; no usable row at all is an error."""
    skipped = f"skipped {tally.skipped:,} of {tally.total:,} lines"
    skipped += f" ({tally.why})" if tally.why else ""
    if not kept.rows:
        raise FormatError(
            f"{path}:{tally.first or 1}: expected {expected}; {skipped if tally.skipped else 'found none'}"
        )
    if not kept.succeeded and tally.skipped > kept.rows:
        raise FormatError(
            f"{path}:{tally.first}: expected {expected}; {skipped}, and all {kept.rows:,} requests that are left failed: they "
            "are no picture of the run"
        )
    notes = [*tally.notes(path.name), *known.pop("warnings", ())]
    yield Tables(warnings=notes, meta=known, accounting=tally.account())


def summary(rows: Iterable[tuple[str, str, float | int | None]]) -> pd.DataFrame:
    """A summary table of (endpoint, statistic, value); values that are missing or cannot be are left out."""
    kept = [(e, s, float(v), _unit(s)) for e, s, v in rows if v is not None and abs(v) < _MOST]
    return pd.DataFrame(kept, columns=["endpoint", "statistic", "value", "unit"])


def _unit(statistic: str) -> str:
    if statistic in ("count", "errors"):
        return "requests"
    return {"throughput_per_s": "1/s", "error_fraction": "fraction"}.get(statistic, "ms")


_GO_PARTS = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|µs|us|ns)")
_MS = {"h": 3.6e6, "m": 6e4, "s": 1e3, "ms": 1.0, "µs": 1e-3, "us": 1e-3, "ns": 1e-6}


def go_duration(text: str) -> float:
    """Milliseconds of a duration as Go prints it: ``1m2.5s``, ``340.02ms``, ``933.67µs``."""
    return sum(float(number) * _MS[unit] for number, unit in _GO_PARTS.findall(text))


def of_url(rows: Iterable[tuple[str, str, Any]], url: str, method: str = "GET") -> Iterator[tuple[str, str, Any]]:
    """The rows for all requests, and once more for the one endpoint that the URL names."""
    where = endpoint(method, url) if url.startswith(("http://", "https://")) else ""
    for name, statistic, value in rows:
        yield name, statistic, value
        if where:
            yield where, statistic, value


def failures(error: pd.Series[Any], ok: pd.Series[Any], status: pd.Series[Any]) -> pd.Series[Any]:
    """What went wrong in requests that failed: the tool's words, or else the status."""
    unnamed = ~ok.astype(bool) & error.isna()
    if not unnamed.any():
        return error
    words = ("HTTP " + status[unnamed].astype("str")).where(status[unnamed].notna(), "failed")
    return error.astype(object).where(~unnamed, words.reindex(error.index)).astype("str")


def iso_microseconds(times: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """ISO 8601 texts with a zone as microseconds since 1970; NaN where they are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        stamps = pc.cast(times, pa.timestamp("ns", "UTC"))
    except pa.ArrowInvalid:
        parsed = pd.to_datetime(times.to_pandas(), format="ISO8601", utc=True, errors="coerce")
        stamps = pa.array(parsed, pa.timestamp("ns", "UTC"), safe=False)
    ns = pc.cast(stamps, pa.int64())
    return np.asarray(ns.to_numpy(zero_copy_only=False) if not isinstance(ns, pa.ChunkedArray) else ns.to_numpy()) / 1e3


def summarized(
    path: Path,
    rows: Iterable[tuple[str, str, Any]],
    expected: str,
    *,
    tally: Tally | None = None,
    warnings: Iterable[Note] = (),
    instead: str = "have it write every request",
    **meta: Any,
) -> Tables:
    """Tables of a tool that reports percentiles only; without a ``tally`` the file is one document."""
    frame = summary(rows)
    times = frame["unit"] == "ms"
    counted = frame["statistic"] == "count"
    notes = [*(tally.notes(path.name) if tally else ()), *warnings]
    if (times.any() and not frame.loc[times, "value"].any()) or (not times.any() and frame.loc[counted, "value"].any()):
        notes.append(caveats.NOTHING_ANSWERED())
        frame = frame[~times].reset_index(drop=True)
    elif not times.any():
        raise FormatError(f"{path}: expected {expected}, found no latency in it")
    if frame.duplicated(["endpoint", "statistic"]).any():
        twice = frame[frame.duplicated(["endpoint", "statistic"])].iloc[0]
        raise FormatError(
            f"{path}: expected {expected}, found two values for {twice['statistic']} of {twice['endpoint']}"
        )
    by_endpoint = frame.pivot(index="endpoint", columns="statistic", values="value").reindex(
        columns=["count", "errors"]
    )
    if (by_endpoint["errors"] > by_endpoint["count"]).any():
        where, row = next(by_endpoint[by_endpoint["errors"] > by_endpoint["count"]].iterrows())
        raise FormatError(
            f"{path}: expected {expected}, found {row['errors']:,.0f} errors among {row['count']:,.0f} requests of {where}: "
            "these counts can't be right"
        )
    notes.append(caveats.PERCENTILES_ONLY(tool=meta["generator"], instead=instead))
    account = tally.account() if tally else Accounting("document", total=1, rows=1)
    return Tables({"summary": frame}, warnings=notes, meta=meta, accounting=account)
