"""The rows of each run are the same however the table is ordered, and whether names are texts or categories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.data.run_blocks import blocks_of, since_start
from perflab.explorers.reduced import with_categories
from perflab.stats.coded_requests import coded

START = pd.Timestamp("2026-01-01", tz="UTC")
ORDERS = {
    "each run together": ["b", "b", "b", "a", "c", "c"],
    "interleaved": ["a", "b", "a", "c", "b", "a"],
    "one run": ["a", "a"],
    "one run returns": ["a", "b", "a"],
    "nothing": [],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("dtype", ["str", "category", pd.CategoricalDtype(["z", "c", "b", "a"])], ids=str)
def test_each_block_selects_the_rows_of_its_run(names: list[str], dtype: object) -> None:
    run = pd.Series(names, dtype="str").astype(dtype)
    blocks = blocks_of(run)
    rows = np.arange(len(names))
    found = {str(name): rows[own].tolist() for name, own in zip(blocks.names, blocks, strict=True)}
    assert found == {name: [i for i, other in enumerate(names) if other == name] for name in names}
    assert np.diff(blocks.ends).tolist() == [len(own) for own in found.values()]


@pytest.mark.parametrize("names", [n for n in ORDERS.values() if n], ids=[k for k, n in ORDERS.items() if n])
def test_rows_without_a_known_start_count_from_their_first(names: list[str]) -> None:
    at = START + pd.to_timedelta([5, 3, 9, 4, 6, 8][: len(names)], unit="s")
    frame = pd.DataFrame({"run": pd.array(names, dtype="str"), "start": at})
    runs = pd.DataFrame({"run": ["a", "b"], "start": [pd.NaT, START]}).astype({"start": "datetime64[us, UTC]"})
    first = frame.groupby("run")["start"].transform("min")
    expected = (frame["start"] - first.where(frame["run"] != "b", START)).dt.total_seconds() * 1e6
    assert since_start(frame, "start", runs).tolist() == expected.tolist()


@pytest.mark.parametrize("shuffled", [False, True])
def test_categories_are_those_of_pandas_and_change_no_number(
    make_measurements: Callable[..., lab.Measurements], shuffled: bool
) -> None:
    held = make_measurements(pairs=2, endpoints={"GET /b": 20.0, "GET /ä": 10.0, "GET /a": 5.0})
    if shuffled:
        held = lab.Measurements.of(runs=held.runs, requests=held.requests.sample(frac=1, random_state=1))
    light = with_categories(held)
    for column in ("run", "endpoint"):
        pd.testing.assert_series_equal(light.requests[column], held.requests[column].astype("category"))
    one, other = coded(held), coded(light)
    assert (one.runs, one.endpoints) == (other.runs, other.endpoints)
    for name in ("run", "endpoint", "age", "first", "sending"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
