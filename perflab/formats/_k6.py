"""What k6's CSV and JSON outputs share: from points of metrics to requests, checks and the users over time.

https://grafana.com/docs/k6/latest/using-k6/metrics/reference/. A point's time is the END of its request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perflab.formats import Tables
from perflab.formats import _requests as common
from perflab.formats._blocks import Tally

if TYPE_CHECKING:
    import pyarrow as pa

TAGS = ("method", "name", "status", "error", "error_code", "expected_response", "check")
_DURATIONS = ("http_req_duration", "grpc_req_duration")
_CONNECTS = ("http_req_connecting", "http_req_tls_handshaking")
METRICS = (*_DURATIONS, *_CONNECTS, "checks", "vus", "dropped_iterations")


@dataclass
class Points:
    """Points of the metrics that matter, block by block, and what is counted over all of them."""

    tally: Tally = field(default_factory=Tally)
    rows: int = 0
    dropped: float = 0.0
    connects: int = 0
    connect_ms: float = 0.0

    def tables(self, points: pa.Table, end_us: Any, lines: Any, done: int) -> Tables:
        """Tables of one block; ``points`` has metric, value and `TAGS`."""
        kinds = points["metric"].to_pandas().to_numpy(dtype=object)
        value = points["value"].to_numpy()
        self._count(kinds, value)
        found = Tables(done=done)
        for table, chosen, build in (
            ("requests", np.isin(kinds, _DURATIONS), _requests),
            ("checks", kinds == "checks", _checks),
            ("load", kinds == "vus", _load),
        ):
            if not chosen.any():
                continue
            frame = build(points.filter(chosen), end_us[chosen], value[chosen])
            if table == "requests":
                frame = common.usable(frame, self.tally, lines[chosen])
                self.rows += len(frame)
            else:
                bad = frame.isna().any(axis=1).to_numpy()
                self.tally.skip(int(lines[chosen][bad].min()) if bad.any() else 0, int(bad.sum()))
                frame = frame[~bad].reset_index(drop=True)
            found[table] = frame
        return found

    def _count(self, kinds: Any, value: Any) -> None:
        self.dropped += float(np.nansum(value[kinds == "dropped_iterations"]))
        connecting = np.isin(kinds, _CONNECTS)
        self.connects += int((value[kinds == _CONNECTS[0]] > 0).sum())
        self.connect_ms += float(np.nansum(value[connecting]))

    def finish(self, path: Path, expected: str, notes: list[str]) -> Iterator[Tables]:
        notes = [*notes, self._connecting()]
        if self.dropped > 0:
            notes.append(
                f"k6 dropped {self.dropped:,.0f} iterations because no virtual user was free: the load was not what the "
                "scenario says; raise maxVUs and run again"
            )
        return common.finish(path, self.tally, self.rows, expected, generator="k6", warnings=notes)

    def _connecting(self) -> str:
        text = "k6's latency (http_req_duration) leaves out name lookup, connecting and TLS"
        if self.connects:
            mean = self.connect_ms / self.connects
            text += f": {self.connects:,} of {self.rows:,} requests opened a connection, {mean:.3g} ms each on average"
        return text


def _requests(points: pa.Table, end_us: Any, value: Any) -> pd.DataFrame:
    tag = {name: points[name].fill_null("") for name in TAGS}
    expected, code, error = (tag[n].to_pandas() for n in ("expected_response", "error_code", "error"))
    status = common.statuses(pd.to_numeric(tag["status"].to_pandas(), errors="coerce"))
    untold = (error == "") & (code == "") & ~(status >= 400).fillna(False).astype(bool)
    ok = (expected == "true") | ((expected == "") & untold)
    said = common.texts(tag["error"])
    return pd.DataFrame(
        {
            "endpoint": common.endpoints(tag["method"], tag["name"]),
            "start": common.instants(end_us - value * 1e3),
            "latency_ms": value,
            "ok": ok.astype(bool),
            "status": status,
            "error": common.failures(said, ok, status),
        }
    )


def _checks(points: pa.Table, end_us: Any, value: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"start": common.instants(end_us), "name": common.texts(points["check"].fill_null("")), "ok": value >= 1}
    )


def _load(points: pa.Table, end_us: Any, value: Any) -> pd.DataFrame:
    whole = np.where((value >= 0) & (value == np.floor(value)), value, np.nan)
    return pd.DataFrame({"time": common.instants(end_us), "users": whole})
