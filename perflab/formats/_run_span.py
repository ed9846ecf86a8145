"""When a run began and how long it took, from parts of its tables."""

from __future__ import annotations

import pandas as pd


class RunSpan:
    """From the start of the first to the end of the last request or statement."""

    def __init__(self) -> None:
        self._first: pd.Timestamp | None = None
        self._last: pd.Timestamp | None = None

    def see(self, table: str, frame: pd.DataFrame) -> None:
        took = {"requests": "latency_ms", "queries": "duration_ms"}.get(table)
        if took is None or frame.empty:
            return
        ends = frame["start"] + pd.to_timedelta(frame[took], unit="ms")
        begin, end = frame["start"].min(), ends.max()
        self._first = begin if self._first is None else min(self._first, begin)
        self._last = end if self._last is None else max(self._last, end)

    @property
    def start(self) -> str | None:
        """None where the tool writes no absolute times."""
        return None if self._first is None or self._first.year < 1971 else self._first.isoformat()

    @property
    def duration_ms(self) -> float:
        if self._first is None or self._last is None:
            return 0.0
        return float((self._last - self._first).total_seconds() * 1e3)
