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

from perflab.errors import FormatError
from perflab.formats import Tables
from perflab.formats._blocks import Tally

if TYPE_CHECKING:
    import pyarrow as pa

_EARLIEST_US, _LATEST_US = 31_536_000_000_000, 7_258_118_400_000_000
"""1971 and 2200: instants outside are damage, or another unit."""
_LONGEST_MS = 10 * 86_400_000.0
"""Ten days: a request that took longer is damage."""

NO_START = (
    "{tool} writes no absolute times: starts count from 1970-01-01 and the order of runs is unknown; "
    'give started="2026-01-31T12:00:00Z" to read()'
)


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

    joined = name if method is None else pc.binary_join_element_wise(method.fill_null(""), name.fill_null(""), "\x00")
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
    numbers = np.asarray(us, dtype="float64")
    plausible = (numbers >= _EARLIEST_US) & (numbers < _LATEST_US)
    whole = np.where(plausible, numbers, 0).round().astype("int64")
    found = pd.Series(whole.view("datetime64[us]")).dt.tz_localize("UTC")
    return found if plausible.all() else found.where(plausible)


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


_SPILLED = re.compile(r"\n(?:[a-z_]+,)?(?:\d{10,19}(?:\.\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T][\d:.]+)[,;\t|]")


def spilled(text: str) -> int:
    """How many further records a text holds: an opened quote that was never closed swallows what comes after it."""
    return len(_SPILLED.findall(text)) if "\n" in text else 0


def usable(
    columns: Mapping[str, Any], tally: Tally, lines: Any, *, one_line: Any = None, swallowed: Any = None
) -> pd.DataFrame:
    """Rows of a requests table; those without a latency, a start or a name of one line are counted and left out.

    So are rows of which a text holds further records: ``swallowed`` counts them where the error column does not tell.
    """
    frame = pd.DataFrame(dict(columns))
    if one_line is None:
        one_line = ~frame["endpoint"].str.contains("\n", regex=False).fillna(True).to_numpy(dtype=bool)
    if swallowed is None and "error" in frame and frame["error"].str.contains("\n", regex=False).any():
        swallowed = frame["error"].fillna("").map(spilled).to_numpy()
    if swallowed is not None and swallowed.any():
        tally.skip(int(np.asarray(lines)[swallowed > 0].min()), int(swallowed.sum()))
        one_line = one_line & (swallowed == 0)
    latency = frame["latency_ms"].to_numpy()
    good = (latency >= 0) & (latency <= _LONGEST_MS) & one_line & frame["start"].notna().to_numpy()
    if good.all():
        return frame
    numbers = np.asarray(lines)[~good]
    inside = frame.loc[~good, "endpoint"].str.count("\n").fillna(0).sum()
    tally.skip(int(numbers.min()), int(len(numbers) + inside))
    return frame[good].reset_index(drop=True)


def texts(values: pa.ChunkedArray) -> pd.Series[Any]:
    """A text column, missing where it is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: pd.Series[Any] = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values).to_pandas()
    return found


def statuses(values: Any) -> pd.Series[Any]:
    """HTTP status codes; 0 and what is no status are missing."""
    numbers = np.asarray(values, dtype="float64")
    known = (numbers >= 100) & (numbers <= 999) & (numbers == np.floor(numbers))
    return pd.Series(np.where(known, numbers, 0).astype("int64")).astype("Int64").where(pd.Series(known))


def whole(values: Any) -> pd.Series[Any]:
    """Sizes: whole numbers that are not negative, others missing."""
    numbers = np.asarray(values, dtype="float64")
    known = (numbers >= 0) & (numbers < 2**53) & (numbers == np.floor(numbers))
    if known.all():
        return pd.Series(numbers.astype("int64"))
    return pd.Series(np.where(known, numbers, 0).astype("int64")).astype("Int64").where(pd.Series(known))


def finish(path: Path, tally: Tally, rows: int, expected: str, **known: Any) -> Iterator[Tables]:
    """The last part of a file: its warnings and meta; no usable row at all is an error."""
    if not rows:
        where = f"skipped {tally.skipped:,} of {tally.total:,} lines" if tally.skipped else "found none"
        raise FormatError(f"{path}:{tally.first or 1}: expected {expected}; {where}")
    yield Tables(warnings=[*tally.warnings(path), *known.pop("warnings", ())], meta=known)


def summary(rows: Iterable[tuple[str, str, float | int | None]]) -> pd.DataFrame:
    """A summary table of (endpoint, statistic, value); values that are missing or not finite are left out."""
    kept = [(e, s, float(v), _unit(s)) for e, s, v in rows if v is not None and np.isfinite(v)]
    return pd.DataFrame(kept, columns=["endpoint", "statistic", "value", "unit"])


def _unit(statistic: str) -> str:
    if statistic in ("count", "errors"):
        return "requests"
    return {"throughput_per_s": "1/s", "error_fraction": "fraction"}.get(statistic, "ms")


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
    path: Path, rows: Iterable[tuple[str, str, Any]], expected: str, *, warnings: Iterable[str] = (), **meta: Any
) -> Tables:
    """Tables of a tool that reports percentiles only, with the warning that says what they are no good for."""
    frame = summary(rows)
    if frame.empty or not (frame["unit"] == "ms").any():
        raise FormatError(f"{path}: expected {expected}, found no latency in it")
    only = (
        f"{meta['generator']} wrote percentiles only: they can be shown, but neither averaged nor compared by a test; "
        f"{meta.pop('instead', 'have it write every request')}"
    )
    return Tables({"summary": frame}, warnings=[*warnings, only], meta=meta)
