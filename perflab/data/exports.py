"""Exports: all tables as Parquet and CSV, and requests as JMeter's JTL and k6's CSV for other tools.

In plain CSV, texts that a spreadsheet would take for a formula are prefixed with an apostrophe. JTL and k6's CSV are for
programs, which need names unchanged: open them in a spreadsheet only if you trust the names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

_FORMULA = r"^[\s\x00]*[=+\-@＝＋－＠]|^[\t\r]"
"""What a spreadsheet takes for a formula, including after spaces, and in East Asian full-width characters."""
_METHOD = r"^([A-Z]{3,10}) (.*)$"
_K6 = ("metric_name", "timestamp", "metric_value", "check", "error", "error_code", "expected_response", "group", "method",
       "name", "proto", "scenario", "service", "status", "subproto", "tls_version", "url", "extra_tags", "metadata")  # fmt: skip


class _HasRequests(Protocol):
    """`Measurements`, which are defined above this module."""

    @property
    def requests(self) -> pd.DataFrame: ...


def to_parquet(tables: Mapping[str, pd.DataFrame], folder: str | Path) -> list[Path]:
    """Write a Parquet file for each table to a folder; lists and mappings become JSON texts."""

    def write(frame: pd.DataFrame, path: Path) -> None:
        plain = frame.assign(**{c: _as_json(frame[c]) for c in frame.columns if frame[c].dtype == object})
        plain.to_parquet(path, compression="zstd")

    return _written(tables, folder, ".parquet", write)


def to_csv(tables: Mapping[str, pd.DataFrame], folder: str | Path) -> list[Path]:
    """Write a CSV file for each table to a folder: instants in ISO 8601, lists and mappings as JSON texts, no formulas."""

    def write(frame: pd.DataFrame, path: Path) -> None:
        plain = frame.assign(**{c: _for_csv(frame[c]) for c in frame.columns})
        # The line end of RFC 4180: with it, fields with a lone CR or LF are quoted too.
        plain.to_csv(path, index=False, lineterminator="\r\n")

    return _written(tables, folder, ".csv", write)


def _written(
    tables: Mapping[str, pd.DataFrame], folder: str | Path, ending: str, write: Callable[[pd.DataFrame, Path], None]
) -> list[Path]:
    """Write each table to a file of that ending in the folder, which is created if missing."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    paths = [place / f"{name}{ending}" for name in tables]
    for path, frame in zip(paths, tables.values(), strict=True):
        write(frame, path)
    return paths


def write_jtl(data: _HasRequests | pd.DataFrame, path: str | Path) -> Path:
    """Write the requests of one run as JMeter's JTL (CSV with a header), for JMeter's reports and other readers of JTL.

    Parameters
    ----------
    data : Measurements, or a requests table, of one run.
    path : the file; an existing one is replaced.

    JTL holds whole milliseconds: starts and latencies are rounded. Returns the path.

    Raises
    ------
    ValueError : there is no run, or more than one.

    >>> import tempfile, perflab as lab
    >>> one = lab.load("datasets/shop_runs").where(pair=1, arm="eager")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     back = lab.read(lab.data.write_jtl(one, f"{folder}/eager.jtl"))
    >>> len(back.requests) == len(one.requests)
    True
    """
    requests, ok = _one_run(data)
    status = _text(requests, "status")
    frame = pd.DataFrame(
        {
            "timeStamp": _microseconds(requests["start"]) // 1000,
            "elapsed": requests["latency_ms"].round().astype("int64"),
            "label": _one_line(requests["endpoint"]),
            "responseCode": status,
            "responseMessage": "",
            "threadName": _one_line(_text(requests, "user").where(lambda v: v != "", "perflab 1-1")),
            "dataType": "text",
            "success": np.where(ok, "true", "false"),
            "failureMessage": _lines(_text(requests, "error").where(~ok, "")),
            "bytes": _text(requests, "size_bytes").where(lambda v: v != "", "0"),
            "grpThreads": 1,
            "allThreads": 1,
            "Latency": 0,
            "Connect": 0,
        }
    )
    frame.to_csv(path, index=False, lineterminator="\n")
    return Path(path)


def write_k6_csv(data: _HasRequests | pd.DataFrame, path: str | Path) -> Path:
    """Write the requests of one run as k6's CSV output, with http_reqs, http_req_duration and http_req_failed for each.

    Parameters
    ----------
    data : Measurements, or a requests table, of one run.
    path : the file; an existing one is replaced.

    Times are those of the end of a request, as in k6, in microseconds (K6_CSV_TIME_FORMAT=unix_micro). perflab's
    latency includes connecting, k6's http_req_duration does not. Returns the path.

    Raises
    ------
    ValueError : there is no run, or more than one.

    >>> import tempfile, perflab as lab
    >>> one = lab.load("datasets/shop_runs").where(pair=1, arm="eager")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     back = lab.read(lab.data.write_k6_csv(one, f"{folder}/eager.csv"))
    >>> len(back.requests) == len(one.requests)
    True
    """
    requests, ok = _one_run(data)
    parts = _one_line(requests["endpoint"]).str.extract(_METHOD)
    named = parts[0].notna()
    name = parts[1].where(named, _one_line(requests["endpoint"]))
    shared = {
        "timestamp": _microseconds(requests["start"]) + (requests["latency_ms"] * 1e3).round().astype("int64"),
        "error": _lines(_text(requests, "error").where(~ok, "")),
        "expected_response": np.where(ok, "true", "false"),
        "method": parts[0].where(named, ""),
        "name": name,
        "scenario": "default",
        "status": _text(requests, "status").where(lambda v: v != "", "0"),
        "url": name,
    }
    base = pd.DataFrame({column: shared.get(column, "") for column in _K6}, index=requests.index)
    values = {"http_reqs": 1.0, "http_req_duration": requests["latency_ms"], "http_req_failed": (~ok).astype("float64")}
    points = [base.assign(metric_name=metric, metric_value=value) for metric, value in values.items()]
    # The points of a request are adjacent, as k6 writes them.
    pd.concat(points).sort_index(kind="stable").to_csv(path, index=False, lineterminator="\n")
    return Path(path)


def _one_run(data: _HasRequests | pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """The requests, and whether each succeeded."""
    requests = data if isinstance(data, pd.DataFrame) else data.requests
    runs = requests["run"].unique()
    if len(runs) != 1:
        raise ValueError(f"data must be the requests of one run (choose it with .where(run=...)); got {len(runs)} runs")
    requests = requests.reset_index(drop=True)
    return requests, requests["ok"].astype(bool)


def _microseconds(instants: pd.Series[Any]) -> pd.Series[Any]:
    return instants.astype("datetime64[us, UTC]").astype("int64")


def _text(requests: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in requests.columns:
        return pd.Series("", index=requests.index, dtype="str")
    return requests[name].astype("str").where(requests[name].notna(), "")


def _one_line(texts: pd.Series[Any]) -> pd.Series[Any]:
    return texts.str.replace(r"[\r\n]+", " ", regex=True).str.replace("\0", "�", regex=False)


def _lines(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Line ends as LF, which gets quoted; a lone CR does not, and would break the row."""
    return texts.str.replace(r"\r\n?", "\n", regex=True).str.replace("\0", "�", regex=False)


def _as_json(values: pd.Series[Any]) -> pd.Series[Any]:
    texts = [None if v is None or (isinstance(v, float) and v != v) else json.dumps(v, default=_plain) for v in values]
    return pd.Series(texts, index=values.index, dtype="str")


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _for_csv(values: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pd.Series(values.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), index=values.index)
    if values.dtype == object:
        return _as_json(values)
    if not isinstance(values.dtype, pd.StringDtype):
        return values
    values = values.str.replace("\0", "�", regex=False)
    return values.where(~values.str.contains(_FORMULA).fillna(False).astype(bool), "'" + values)
