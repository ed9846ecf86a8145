"""What k6's CSV and JSON outputs share: from points of metrics to requests, checks and the users over time.

https://grafana.com/docs/k6/latest/using-k6/metrics/reference/. A point's time is the END of its request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.formats import Tables
from perflab.formats import _requests as common
from perflab.formats._blocks import Tally
from perflab.formats._coded import Coded, joined

TAGS = ("method", "name", "status", "error", "error_code", "expected_response", "check")
_DURATIONS = ("http_req_duration", "grpc_req_duration")
_CONNECTS = ("http_req_connecting", "http_req_tls_handshaking")

_CONNECTING = "k6's latency (http_req_duration) leaves out name lookup, connecting and TLS"
_DROPPED = (
    "k6 dropped {:,.0f} iterations because no virtual user was free: the load was not what the scenario says; "
    "raise maxVUs and run again"
)


def promised(thresholds: dict[str, bool], dropped: float) -> dict[str, Any]:
    """What a summary says beside latencies, as its warnings and meta."""
    failed = [name for name, held in thresholds.items() if not held]
    notes = [f"{len(failed)} of {len(thresholds)} thresholds failed: {'; '.join(failed)}"] if failed else []
    if dropped:
        notes.append(_DROPPED.format(dropped))
    return {"warnings": [*notes, _CONNECTING], "thresholds": thresholds}


@dataclass
class Points:
    """Points of the metrics that matter, block by block, and what is counted over all of them."""

    tally: Tally = field(default_factory=Tally)
    rows: int = 0
    counted: float = 0.0
    timed: int = 0
    dropped: float = 0.0
    connects: int = 0
    connect_ms: float = 0.0

    def tables(
        self, metric: Coded, value: Any, tags: Mapping[str, Coded], end_us: Any, lines: Any, done: int
    ) -> Tables:
        """Tables of one block of points: their metrics, values, tags, times in microseconds, and lines."""
        self._count(metric, value)
        found = Tables(done=done)
        for table, names, build in (
            ("requests", _DURATIONS, _requests),
            ("checks", ("checks",), _checks),
            ("load", ("vus",), _load),
        ):
            chosen = metric.test(lambda name, names=names: name in names)  # type: ignore[misc]
            if not chosen.any():
                continue
            held = {tag: column.where(chosen) for tag, column in tags.items()}
            found[table] = build(held, end_us[chosen], value[chosen], lines[chosen], self.tally)
            self.rows += len(found[table]) if table == "requests" else 0
        return found

    def _count(self, metric: Coded, value: Any) -> None:
        def of(*names: str) -> Any:
            return value[metric.test(lambda name: name in names)]

        self.dropped += float(np.nansum(of("dropped_iterations")))
        self.counted += float(np.nansum(of("http_reqs")))
        self.timed += len(of(_DURATIONS[0]))
        self.connects += int((of(_CONNECTS[0]) > 0).sum())
        self.connect_ms += float(np.nansum(of(*_CONNECTS)))

    def finish(self, path: Path, expected: str, notes: list[str], **known: Any) -> Iterator[Tables]:
        notes = [*notes, self._connecting(path)]
        if self.dropped > 0:
            notes.append(f"{path.name}: {_DROPPED.format(self.dropped)}")
        if self.counted and self.counted != self.timed:
            notes.append(
                f"{path.name}: {self.counted:,.0f} requests were counted (http_reqs) but {self.timed:,} timed: it is damaged"
            )
        return common.finish(path, self.tally, self.rows, expected, generator="k6", warnings=notes, **known)

    def _connecting(self, path: Path) -> str:
        text = _CONNECTING
        if self.connects > self.rows / 20:
            mean = self.connect_ms / self.connects
            opened = f"{self.connects:,} of {self.rows:,} requests opened a connection, {mean:.3g} ms each on average"
            text = f"{path.name}: {text}: {opened}"
        return text


def _requests(tags: Mapping[str, Coded], end_us: Any, value: Any, lines: Any, tally: Tally) -> pd.DataFrame:
    nothing = Coded(np.zeros(len(value), dtype="int64"), [""])
    tag = {name: tags.get(name, nothing) for name in TAGS}
    status = common.statuses(tag["status"].numbers())
    failed = joined(tag["error"], tag["error_code"], lambda error, code: error or code).test(bool)
    failed |= (status >= 400).fillna(False).to_numpy(dtype=bool)
    expected = tag["expected_response"]
    ok = expected.test(lambda text: text == "true") | (expected.test(lambda text: text == "") & ~failed)
    said = joined(
        tag["error"], tag["status"], lambda error, code: error or (f"HTTP {code}" if code > "0" else "failed")
    )
    said = joined(said, Coded(ok.astype("int64"), ["failed", "ok"]), lambda words, how: "" if how == "ok" else words)
    named = joined(tag["method"], tag["name"], common.endpoint).mapped(common.one_line)
    columns = {
        "endpoint": named.texts(),
        "start": common.instants(end_us - value * 1e3),
        "latency_ms": value,
        "ok": ok,
        "status": status,
        "error": said.texts(lambda text: text or None),
    }
    swallowed = common.swallowed(tag["name"], tag["error"])
    return common.kept(pd.DataFrame(columns, copy=False), tally, lines, swallowed=swallowed)


def _checks(tags: Mapping[str, Coded], end_us: Any, value: Any, lines: Any, tally: Tally) -> pd.DataFrame:
    name = tags["check"].texts(lambda text: common.one_line(text) or None) if "check" in tags else None
    return _whole(pd.DataFrame({"start": common.instants(end_us), "name": name, "ok": value >= 1}), lines, tally)


def _load(tags: Mapping[str, Coded], end_us: Any, value: Any, lines: Any, tally: Tally) -> pd.DataFrame:
    users = np.where((value >= 0) & (value == np.floor(value)), value, np.nan)
    return _whole(pd.DataFrame({"time": common.instants(end_us), "users": users}), lines, tally)


def _whole(frame: pd.DataFrame, lines: Any, tally: Tally) -> pd.DataFrame:
    bad = frame.isna().any(axis=1).to_numpy()
    tally.skip(int(lines[bad].min()) if bad.any() else 0, int(bad.sum()))
    return frame[~bad].reset_index(drop=True)
