"""Parts of a run are exact at their bounds, and the fast way to the slowest requests is the plain one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import perflab as lab

START = pd.Timestamp("2026-01-01", tz="UTC")


def measured(latency_ms: list[float], unit: str = "us") -> lab.Measurements:
    """A request every 100 ms."""
    start = pd.Series(START + pd.to_timedelta(np.arange(len(latency_ms)) * 100, unit="ms")).dt.as_unit(unit)
    requests = pd.DataFrame({"run": "r1", "endpoint": "GET /", "start": start, "latency_ms": latency_ms, "ok": True})
    runs = pd.DataFrame({"run": ["r1"], "arm": ["a"], "start": [START], "duration_ms": [1e3], "valid": [True]})
    return lab.Measurements.of(runs=runs, requests=requests)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize(
    ("begin", "end", "kept"),
    [(0, None, 10), (0.1, 0.3, 3), ("100ms", "299ms", 2), (0.7, 0.7, 1), (0.1001, 0.2999, 1), (5, 6, 0)],
)
def test_a_window_holds_both_of_its_bounds(unit: str, begin: str | float, end: str | float | None, kept: int) -> None:
    assert len(lab.data.time_window(measured([1.0] * 10, unit), begin, end).requests) == kept


@pytest.mark.parametrize("latency", [[5.0] * 10, [1.0, 9, 9, 3, 9, 2, 9], [4.0, 8, 1], [7.0]])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_the_slowest_are_those_of_a_full_sort(latency: list[float], count: int) -> None:
    found = lab.data.slowest_requests(measured(latency), count=count)
    order = np.argsort(-np.asarray(latency), kind="stable")[:count]
    assert found["latency_ms"].to_list() == [latency[i] for i in order]
    assert found["at_s"].to_list() == pytest.approx([i / 10 for i in order])
