"""Columns of a queries table from the texts of a PostgreSQL log: starts, bound values, words."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from perflab.formats import _log_notes as notes
from perflab.formats import _queries
from perflab.formats._computing import computing
from perflab.notes import Note

_PARAMETERS = r"""
SELECT list_transform(
    regexp_extract_all(detail, '\$\d+ = (NULL|''(?:[^'']|'''')*''?)', 1),
    lambda v: CASE WHEN v = 'NULL' OR ends_with(v, '...''') THEN NULL
        ELSE replace(substr(v, 2, length(v) - 1 - ends_with(v[2:], '''')::INT), '''''', '''') END
) AS parameters FROM details
"""


def not_before(start: Any, codes: Any) -> Any:
    """A session runs one statement after the other: no start before the one before it (log times are cut to ms)."""
    if not len(start):
        return start
    low = start.min()
    span = int(start.max() - low) + 1
    rank = np.unique(codes, return_inverse=True)[1].astype("int64")
    if span * (int(rank.max()) + 1) < 2**62:
        return np.maximum.accumulate(start - low + rank * span) - rank * span + low
    return pd.Series(start).groupby(rank).cummax().to_numpy()


_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?")
_ZONES = {"UTC": "UTC", "GMT": "UTC", "Z": "UTC", "": "UTC"}


def instants(logged: Any, timezone: str | None) -> tuple[Any, list[Note]]:
    """Microseconds since 1970 of texts like ``2026-11-24 02:33:16.550 CET``, and a note where the zone is a guess."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = logged.cast(pa.large_string())
    micros, zones = _in_milliseconds(texts) or _in_any_layout(texts)
    zones = pc.fill_null(pc.utf8_trim_whitespace(zones), "").dictionary_encode()
    doubts = []
    codes = zones.indices.to_numpy(zero_copy_only=False)
    for code, name in enumerate(zones.dictionary.to_pylist()):
        zone = _zone(name if timezone is None else timezone)
        if timezone is None and (offset := _OFFSET.fullmatch(name)):
            # As the zone database abbreviates zones without a name, such as America/Sao_Paulo: east of UTC is positive.
            east = 60 * int(offset["hours"]) + int(offset["minutes"] or 0)
            micros[codes == code] -= (east if offset["sign"] == "+" else -east) * 60_000_000
        elif zone is None:
            doubts.append(notes.UNKNOWN_ZONE(_queries.ZONE, zone=repr(name)))
        elif zone != "UTC":
            mine = codes == code
            local = pd.to_datetime(micros[mine], unit="us").tz_localize(
                ZoneInfo(zone), ambiguous=np.zeros(mine.sum(), bool), nonexistent="shift_forward"
            )
            micros[mine] = local.tz_convert("UTC").as_unit("us").asi8
    return micros, doubts


def _in_milliseconds(texts: Any) -> tuple[Any, Any] | None:
    """Local microseconds and zones of texts that all have milliseconds, as nearly all logs do; None of others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.all(pc.equal(pc.utf8_slice_codeunits(texts, 19, 20), ".")).as_py() is not True:
        return None
    try:
        stamps = pc.utf8_slice_codeunits(texts, 0, 23).cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    micros = stamps.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).copy()
    return micros, pc.utf8_slice_codeunits(texts, 23)


def _in_any_layout(texts: Any) -> tuple[Any, Any]:
    """The same of texts with or without milliseconds; those that are no time become 1970."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seconds = pc.strptime(
        pc.utf8_slice_codeunits(texts, 0, 19), format="%Y-%m-%d %H:%M:%S", unit="us", error_is_null=True
    )
    micros = seconds.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).copy()
    fraction = pc.utf8_slice_codeunits(texts, 20, 23)
    digits = pc.if_else(pc.match_substring_regex(texts, r"^.{19}\.\d{3}"), fraction, "000").fill_null("000")
    micros += digits.cast(pa.int64()).to_numpy(zero_copy_only=False) * 1000
    return micros, pc.replace_substring_regex(texts, r"^[\d :.-]{19,23}", "")


def _zone(name: str) -> str | None:
    known = _ZONES.get(name, name)
    try:
        ZoneInfo(known)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return known


def text(column: Any) -> Any:
    import pyarrow as pa

    return pd.array(column.cast(pa.large_string()), dtype="str")


def parameters(detail: Any) -> Any:
    """``parameters: $1 = '494', $2 = NULL`` as lists of texts, missing where there are none."""
    import pyarrow as pa

    details = pa.table({"detail": detail.cast(pa.large_string())})
    with computing(details.nbytes, ordered=True) as connection:
        connection.register("details", details)
        found = connection.sql(_PARAMETERS).to_arrow_table()["parameters"].combine_chunks()
    return pd.array(found, dtype=pd.ArrowDtype(pa.list_(pa.string())))
