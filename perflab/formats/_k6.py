"""What k6's CSV and JSON outputs share: from points of metrics to requests, checks and the users over time.

https://grafana.com/docs/k6/latest/using-k6/metrics/reference/. A point's time is the END of its request. Whether an HTTP request
failed is in its tag ``expected_response``; where the script's systemTags leave that out, in the point of ``http_req_failed`` that
follows; else in its status. Of gRPC there is the status only: 0 is success.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.accounting import Tally
from perflab.data.tables import AGGREGATED
from perflab.formats import Tables
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._coded import Coded, joined
from perflab.notes import Note

TAGS = ("method", "name", "status", "error", "error_code", "expected_response", "check")
_HTTP, _GRPC = DURATIONS = ("http_req_duration", "grpc_req_duration")
_FAILED = "http_req_failed"
_CONNECTS = ("http_req_connecting", "http_req_tls_handshaking")
_GROUPS = ("requests", DURATIONS), ("checks", ("checks",)), ("load", ("vus",))
_UNNAMED = "(unnamed)"
_MOST = 1e12
"""Of anything that is counted or added up: more is damage."""


def of_all(metric: str, *, http: bool) -> str:
    """The endpoint of all requests of a metric: gRPC calls stand apart where there are HTTP requests too."""
    return f"{AGGREGATED} (gRPC)" if metric == _GRPC and http else AGGREGATED


def promised(thresholds: dict[str, bool], dropped: float, *, http: bool = True) -> dict[str, Any]:
    """What a summary holds besides latencies, as its warnings and meta."""
    failed = [name for name, held in thresholds.items() if not held]
    notes = (
        [caveats.THRESHOLDS_FAILED(failed=len(failed), total=len(thresholds), names="; ".join(failed))]
        if failed
        else []
    )
    notes += [caveats.DROPPED(iterations=dropped)] if dropped else []
    notes += [caveats.CONNECTING(opened="")] if http else []
    return {"warnings": notes, "thresholds": thresholds}


@dataclass
class Points:
    """Points of the metrics that matter, block by block, and what is counted over all of them."""

    tally: Tally = field(default_factory=Tally)
    kept: common.Kept = field(default_factory=common.Kept)
    counted: float = 0.0
    timed: int = 0
    dropped: float = 0.0
    connects: int = 0
    connect_ms: float = 0.0
    unknown: int = 0
    _held: tuple[pd.DataFrame, Any] | None = None

    def tables(
        self, metric: Coded, value: Any, tags: Mapping[str, Coded], end_us: Any, lines: Any, done: int
    ) -> Tables:
        """Tables of one block of points: their metrics, values, tags, times in microseconds, and lines."""
        self._count(metric, value)
        found = Tables(done=done)
        self.tally.known += len(value)
        for table, names in _GROUPS:
            chosen = metric.test(lambda name, names=names: name in names)  # type: ignore[misc]
            if not chosen.any() and not (table == "requests" and self._held is not None):
                continue
            self.tally.known -= int(np.count_nonzero(chosen))
            held = {tag: column.where(chosen) for tag, column in tags.items()}
            if table == "requests":
                found[table] = self._requests(metric, value, held, end_us[chosen], lines[chosen], chosen)
            else:
                build = _checks if table == "checks" else _load
                found[table] = build(held, end_us[chosen], value[chosen], lines[chosen], self.tally)
        return found

    def _count(self, metric: Coded, value: Any) -> None:
        def of(*names: str) -> Any:
            found = value[metric.test(lambda name: name in names)]
            return found[np.abs(found) < _MOST]

        self.dropped += float(of("dropped_iterations").sum())
        self.counted += float(of("http_reqs").sum())
        self.timed += len(of(_HTTP))
        self.connects += int((of(_CONNECTS[0]) > 0).sum())
        self.connect_ms += float(of(*_CONNECTS).sum())

    def _requests(
        self, metric: Coded, value: Any, tags: Mapping[str, Coded], end_us: Any, lines: Any, chosen: Any
    ) -> pd.DataFrame:
        failed, first, waits = _following(metric, value, chosen, tags)
        frame = _frame(metric.where(chosen), tags, end_us, value[chosen], failed)
        if self._held is not None and (first is not None or len(frame)):
            (before, line), self._held = self._held, None
            if first is not None:
                _judge(before, first)
            frame = pd.concat([before, frame], ignore_index=True)
            lines = np.concatenate([[line], lines])
        if waits:
            # The point that says whether it failed begins the next block.
            self._held, frame = (frame.iloc[-1:].reset_index(drop=True), lines[-1]), frame.iloc[:-1]
            lines = lines[:-1]
        return self._known(frame, lines)

    def _known(self, frame: pd.DataFrame, lines: Any) -> pd.DataFrame:
        self.unknown += int(frame["unknown"].sum())
        return self.kept.add(common.kept(frame.drop(columns="unknown"), self.tally, lines))

    def finish(self, path: Path, expected: str, notes: list[Note], **known: Any) -> Iterator[Tables]:
        if self._held is not None:
            frame, line = self._held
            yield Tables({"requests": self._known(frame, np.array([line]))})
        notes = [*notes, *self._connecting()]
        if self.dropped > 0:
            notes.append(caveats.DROPPED(iterations=self.dropped))
        if self.counted and self.counted != self.timed:
            notes.append(caveats.COUNTS_DIFFER(source=path.name, counted=self.counted, timed=self.timed))
        if self.unknown:
            notes.append(caveats.FAILURES_UNKNOWN(unknown=self.unknown, total=self.kept.rows))
            known["failures"] = "unknown"
        return (
            yield from common.finish(path, self.tally, self.kept, expected, generator="k6", warnings=notes, **known)
        )

    def _connecting(self) -> Iterator[Note]:
        if not self.timed:
            return
        opened = ""
        if self.connects > self.timed / 20:
            mean = self.connect_ms / self.connects
            opened = (
                f": {self.connects:,} of {self.timed:,} requests opened a connection, {mean:.3g} ms each on average"
            )
        yield caveats.CONNECTING(opened=opened)


def _following(metric: Coded, value: Any, chosen: Any, tags: Mapping[str, Coded]) -> tuple[Any, float | None, bool]:
    """For each request the value of http_req_failed that follows it (NaN where none does), the value that stands before the
    block's first request, and whether the last request still waits for its own.
    """
    count = int(np.count_nonzero(chosen))
    failed = np.full(count, np.nan)
    said = tags.get("expected_response")
    if count and said is not None and said.test(bool).all():
        return failed, None, False
    marks = chosen | metric.test(lambda name: name == _FAILED)
    is_request, values = chosen[marks], value[marks]
    places = np.flatnonzero(is_request)
    first = None if not len(values) or is_request[0] else float(values[0])
    after = places + 1
    inside = after < len(values)
    followed = inside.copy()
    followed[inside] = ~is_request[after[inside]]
    failed[followed] = values[after[followed]]
    return failed, first, bool(count and not followed[-1] and after[-1] == len(values))


def _judge(frame: pd.DataFrame, failed: float) -> None:
    """Set in place what the point after a block says of the block's last request."""
    ok = failed == 0
    frame["ok"], frame["unknown"] = ok, False
    if ok:
        frame["error"] = None
    elif frame["error"].isna().all():
        status = frame["status"].iloc[0]
        frame["error"] = "failed" if pd.isna(status) else f"HTTP {status}"


def _frame(metric: Coded, tags: Mapping[str, Coded], end_us: Any, value: Any, failed: Any) -> pd.DataFrame:
    nothing = Coded(np.zeros(len(value), dtype="int64"), [""])
    tag = {name: tags.get(name, nothing) for name in TAGS}
    grpc = metric.test(lambda name: name == _GRPC)
    code = tag["status"].numbers()
    status = common.statuses(np.where(grpc, np.nan, code))
    words = joined(tag["error"], tag["error_code"], lambda error, code: error or code)
    expected = tag["expected_response"]
    # Status 0: no answer came. In this order: k6's own word, the point that follows, the status.
    bad = words.test(bool) | np.where(grpc, code > 0, (code == 0) | (code >= 400))
    unknown = np.isnan(code) & ~bad
    said = expected.test(bool)
    ok = np.where(said, expected.test(lambda text: text == "true"), np.where(np.isnan(failed), ~bad, failed == 0))
    kind = Coded(grpc.astype("int64"), ["HTTP", "gRPC"])
    words = joined(kind, tag["status"], lambda kind, code: f"{kind} {code}" if code > "0" else "failed")
    words = joined(tag["error"], words, lambda error, otherwise: error or otherwise)
    words = joined(words, Coded(ok.astype("int64"), ["failed", "ok"]), lambda words, how: "" if how == "ok" else words)
    columns = {
        "endpoint": joined(tag["method"], tag["name"], common.endpoint).mapped(common.one_line).texts(),
        "start": common.instants(end_us - value * 1e3),
        "latency_ms": value,
        "ok": ok,
        "status": status,
        "error": words.texts(lambda text: text or None),
        "unknown": unknown & ~said & np.isnan(failed),
    }
    return pd.DataFrame(columns, copy=False)


def _checks(tags: Mapping[str, Coded], end_us: Any, value: Any, lines: Any, tally: Tally) -> pd.DataFrame:
    name = tags["check"].texts(lambda text: common.one_line(text) or _UNNAMED) if "check" in tags else _UNNAMED
    return _whole(pd.DataFrame({"start": common.instants(end_us), "name": name, "ok": value >= 1}), lines, tally)


def _load(tags: Mapping[str, Coded], end_us: Any, value: Any, lines: Any, tally: Tally) -> pd.DataFrame:
    users = np.where((value >= 0) & (value == np.floor(value)), value, np.nan)
    return _whole(pd.DataFrame({"time": common.instants(end_us), "users": users}), lines, tally)


def _whole(frame: pd.DataFrame, lines: Any, tally: Tally) -> pd.DataFrame:
    bad = frame.isna().any(axis=1).to_numpy()
    tally.rows += int((~bad).sum())
    tally.skip(int(lines[bad].min()) if bad.any() else 0, int(bad.sum()), "no time or value that can be")
    return frame[~bad].reset_index(drop=True)
