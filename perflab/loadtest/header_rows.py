"""The table of exchanges of a load run: an answer of each kind with its headers, and the endpoint's median latency."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from perflab.data import store
from perflab.loadtest.capture import Process
from perflab.loadtest.records import ANSWER


def write_exchanges(draft: store.Draft, found: Iterable[Process]) -> None:
    """Store what the processes noted, if they did."""
    notes = [note for process in found for note in process.notes.get(ANSWER, [])]
    if not notes:
        return
    frame = pd.DataFrame(notes)
    key = frame["endpoint"] + frame["status"].astype("str") + frame["headers"].map(_constant)
    frame = frame[~key.duplicated()].reset_index(drop=True)
    frame["start"] = pd.to_datetime(frame["start"] * 1e9, unit="ns", utc=True)
    frame["mime"] = [
        headers.get("content-type", "").partition(";")[0].strip().lower() or None for headers in frame["headers"]
    ]
    medians = _medians(draft.folder / "requests.parquet")
    # All of it as the wait: how long the body took is not known.
    frame["timings_ms"] = [{"wait": medians[name]} if name in medians else {} for name in frame["endpoint"]]
    draft.write("exchanges", frame.assign(request_bytes=None))


def _constant(headers: dict[str, str]) -> str:
    """The headers that do not differ from one answer to the next of its kind."""
    return str(
        sorted(
            (n, v) for n, v in headers.items() if n not in ("date", "age", "etag", "last-modified", "content-length")
        )
    )


def _medians(requests: Path) -> dict[str, float]:
    table = pq.read_table(requests, columns=["endpoint", "latency_ms"]).to_pandas()
    return {
        str(name): float(value)
        for name, value in table.groupby("endpoint", observed=True)["latency_ms"].median().items()
    }
