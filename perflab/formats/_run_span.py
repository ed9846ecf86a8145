"""When a run began and how long it took, from parts of its tables."""

from __future__ import annotations

import pandas as pd

_UNKNOWN_BEFORE = pd.Timestamp("1971-01-01", tz="UTC")
_LONGEST_MS = 1e12
"""A clock that was wrong at first."""


class RunSpan:
    """From the start of the first to the end of the last request or statement, of those with known times if there are any."""

    def __init__(self) -> None:
        self._spans: dict[bool, tuple[pd.Timestamp, pd.Timestamp]] = {}

    def see(self, table: str, frame: pd.DataFrame) -> None:
        took = {"requests": "latency_ms", "queries": "duration_ms"}.get(table)
        if took is None:
            return
        timed = (frame["start"] >= _UNKNOWN_BEFORE).to_numpy()
        for known in (True, False):
            rows = frame[(timed if known else ~timed) & frame["start"].notna().to_numpy()]
            if len(rows):
                begin, end = rows["start"].min(), (rows["start"] + pd.to_timedelta(rows[took], unit="ms")).max()
                first, last = self._spans.get(known, (begin, end))
                self._spans[known] = min(first, begin), max(last, end)

    @property
    def start(self) -> str | None:
        """None where the tool writes no absolute times."""
        return self._spans[True][0].isoformat() if True in self._spans else None

    @property
    def duration_ms(self) -> float:
        first, last = self._spans.get(True) or self._spans.get(False) or (None, None)
        if first is None or last is None:
            return 0.0
        length = float((last - first).total_seconds() * 1e3)
        return length if length < _LONGEST_MS else 0.0
