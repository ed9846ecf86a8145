"""ghz's JSON (``ghz --format json``): https://ghz.sh/docs/output#json; every call is in ``details``, with the time of its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _documents, join
from perflab.formats import _requests as common
from perflab.formats._documents import mapping


def sniff(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and all(
        key in head for key in (b'"statusCodeDistribution"', b'"latencyDistribution"', b'"fastest"')
    )


def read(path: Path, *, endpoint: str = "", **_: Any) -> Tables:
    """Calls of a gRPC method; ``endpoint`` names it where the file does not."""
    found = _documents.document(path, "a result of ghz")
    details = found.get("details") if isinstance(found, dict) else None
    if not isinstance(details, list) or not details:
        raise FormatError(
            f"{path}: expected the calls in a result of ghz (details), found none: run ghz with --format json, not summary"
        )
    calls = [detail if isinstance(detail, dict) else {} for detail in details]
    took = np.array([_documents.number(call.get("latency")) for call in calls], dtype="float64") / 1e6
    ended = pd.to_datetime(
        pd.Series([_text(call.get("timestamp")) for call in calls], dtype="str"),
        format="ISO8601",
        utc=True,
        errors="coerce",
    )
    status = pd.Series([_text(call.get("status")) for call in calls], dtype="str")
    error = pd.Series([_text(call.get("error")) for call in calls], dtype="str")
    ok = (status == "OK") & error.isna()
    name = endpoint or str(mapping(found, "options").get("call") or "") or "all requests"
    ended_us = ended.astype("datetime64[us, UTC]").astype("int64").to_numpy() if ended.notna().all() else _micros(ended)
    columns = {
        "endpoint": name,
        "start": common.instants(ended_us - took * 1e3),
        "latency_ms": took,
        "ok": ok.to_numpy(dtype=bool),
        "error": error.where(error.notna(), "gRPC " + status.fillna("status unknown")).where(~ok),
    }
    tally, kept = Tally("call", total=len(calls)), common.Kept()
    frame = kept.add(common.usable(columns, tally, np.arange(1, len(calls) + 1)))
    return join([Tables({"requests": frame}), *common.finish(path, tally, kept, "calls of ghz", generator="ghz")])


def _text(value: object) -> str | None:
    return common.one_line(value) if isinstance(value, str) and value else None


def _micros(times: pd.Series[Any]) -> Any:
    return times.map(lambda at: at.value / 1e3, na_action="ignore").to_numpy(dtype="float64", na_value=np.nan)
