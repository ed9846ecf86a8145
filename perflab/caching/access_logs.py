"""Access logs of web servers as requests with addresses, for the curves and forecasts of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab import formats
from perflab.caching import cache_headers
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import _caveats as caveats
from perflab.formats import access_json
from perflab.formats import access_log as access_text
from perflab.formats._access import Entries
from perflab.notes import Note
from perflab.recorders.addresses import template
from perflab.results import Findings, count, findings

_READERS: dict[str, Any] = {"access_log": access_text, "access_json": access_json}


def access_log(path: str | Path, *, unit: str | None = None, timezone: str | None = None) -> Findings:
    """The requests of a web server's access log, with their addresses, for `miss_ratio_curve` and `what_if_cache`.

    Parameters
    ----------
    path : str or Path
        A log in any layout that `perflab.read` takes, with or without durations.
    unit : str, optional
        "s", "ms", "us" or "ns", where the log does not show the unit of its durations.
    timezone : str, optional
        Of times without one, such as "Europe/Berlin".

    Returns
    -------
    DataFrame
        endpoint, url, start, ok, status, size_bytes, user (a hash of the client), latency_ms (missing where the log has none),
        and cached, where the log has nginx's ``$upstream_cache_status`` or the like. ``.warnings`` counts lines that were
        skipped.

    Raises
    ------
    FormatError
        The file is no access log.

    Examples
    --------
    >>> text = '10.0.0.7 - - [29/Nov/2025:10:00:00 +0000] "GET /a?page=2 HTTP/1.1" 200 512 "-" "curl/8.5" 0.125 HIT'
    >>> import tempfile, perflab as lab
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Path(folder) / "access.log"
    ...     _ = place.write_text(text + "\\n")
    ...     found = lab.caching.access_log(place)
    >>> found[["endpoint", "url", "latency_ms", "cached"]].values.tolist()
    [['GET /a', '/a?page=2', 125.0, True]]
    """
    path = Path(path)
    name = formats.of_file(path)
    if name not in _READERS:
        raise FormatError(f"{path}: expected an access log, found {name}")
    tally, notes = Tally(), list[Note]()
    parts = []
    for part in _READERS[name].entries(path, tally, notes, unit=unit, timezone=timezone):
        tally.rows += len(part.status)
        parts.append(_frame(part))
    if not parts:
        raise FormatError(f"{path}: the access log holds no requests")
    frame = pd.concat(parts, ignore_index=True)
    unknown = frame["start"].isna()
    if unknown.any():
        tally.rows -= int(unknown.sum())
        tally.skip(int(frame["line"][unknown].min()), int(unknown.sum()), "no time")
    frame = frame[~unknown].drop(columns="line")
    if (frame["second"] % 1 == 0).all():
        # Within a second the order of the lines is all that is known; at one instant all would miss.
        same = frame.groupby("second")["second"]
        frame["start"] += pd.to_timedelta(same.cumcount() / same.transform("size"), unit="s").dt.floor("us")
        notes.append(caveats.whole_seconds("the server"))
    frame = frame.drop(columns="second")
    if frame["size_bytes"].notna().any():
        # A log writes "-" for an empty body; that of a 304 is in the client's cache.
        frame["size_bytes"] = frame["size_bytes"].mask(frame["size_bytes"].isna() & (frame["status"] != 304), 0.0)
    if frame["cached"].isna().all():
        frame = frame.drop(columns="cached")
    frame = frame.sort_values("start", kind="stable", ignore_index=True)
    sentence = (
        f"{count(len(frame), 'request')} to {count(frame['url'].nunique(), 'address')} of "
        f"{count(frame['endpoint'].nunique(), 'endpoint')}"
        f"{'' if frame['latency_ms'].notna().any() else '; the log has no durations'}"
    )
    return findings(frame, sentence, [*tally.account().notes(path.name), *tally.notes(path.name), *notes])


def _frame(part: Entries) -> pd.DataFrame:
    target = part.target.dictionary_encode()
    paths = [template(url.partition("?")[0].partition("#")[0]) or "/" for url in target.dictionary.to_pylist()]
    method = part.method.to_numpy(zero_copy_only=False)
    cached = pd.Series(pd.NA, index=range(len(method)), dtype="boolean")
    if part.cache is not None:
        said = part.cache.dictionary_encode()
        outcomes = [cache_headers.of_value("X-Cache", text) for text in said.dictionary.to_pylist()]
        outcome = np.array([*outcomes, cache_headers.UNKNOWN])[said.indices.fill_null(len(outcomes)).to_numpy()]
        cached = pd.Series(outcome == cache_headers.HIT, dtype="boolean").mask(outcome == cache_headers.UNKNOWN)
    start = pd.Series(part.start_us).round().astype("Int64")
    return pd.DataFrame(
        {
            "endpoint": method + " " + np.array(paths, dtype=object)[target.indices.to_numpy()],
            "url": part.target.to_numpy(zero_copy_only=False),
            "start": pd.to_datetime(start, unit="us", utc=True),
            "ok": part.ok,
            "status": part.status,
            "size_bytes": part.size_bytes,
            "user": part.who,
            "latency_ms": part.duration_ms,
            "cached": cached,
            "line": part.lines,
            "second": part.at_us / 1e6,
        }
    )
