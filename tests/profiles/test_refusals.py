"""Runs with a profiler are never mixed with runs without one, nor with those of another profiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab


@pytest.fixture
def profiled(make_requests: Callable[..., pd.DataFrame]) -> Callable[..., lab.Measurements]:
    def of(name: str, profiler: str | None, seconds: float = 30.0) -> lab.Measurements:
        requests = pd.concat([make_requests(f"{name}{i}", seed=i) for i in range(4)])
        one = lab.Measurements.of(requests=requests)
        plan = {"duration_s": seconds, "stages": [{"duration_s": seconds, "users": 5}]}
        environment = {"generator": "locust 2.47.0", **({} if profiler is None else {"profiled": profiler})}
        runs = one.runs.assign(plan=[plan] * 4, environment=[environment] * 4)
        return lab.Measurements.of(runs=runs, requests=one.requests)

    return of


def test_memory_is_no_time(tmp_path: Path) -> None:
    path = tmp_path / "heap.txt"
    path.write_text("main;page 10\n")
    found = lab.read(path, unit="bytes")
    with pytest.raises(ValueError, match="needs a profile of time; this one holds bytes"):
        lab.summarize_time(found)


def test_a_profiler_on_one_side_only_is_refused(profiled: Callable[..., lab.Measurements]) -> None:
    with pytest.raises(lab.ComparisonError, match="profiles were recorded in some of the runs only"):
        lab.compare(profiled("a", "py-spy"), profiled("b", None))
    with pytest.raises(lab.ComparisonError, match="profiles were recorded in some of the runs only"):
        lab.compare(profiled("a", "py-spy"), profiled("b", "cprofile"))
    assert lab.compare(profiled("a", "py-spy"), profiled("b", "py-spy"), order="ignore").verdict


def test_all_reasons_are_named(profiled: Callable[..., lab.Measurements]) -> None:
    with pytest.raises(
        lab.ComparisonError, match=r"different plans \(duration_s, stages, recorded queries or profiles\)"
    ):
        lab.compare(profiled("a", "py-spy"), profiled("b", None, seconds=60.0))
