"""Change points: the statistic against its definition and a peer, what stable histories show, and what shifts do."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.notes import codes
from perflab.stats import divisive

START = pd.Timestamp("2026-01-01T00:00:00Z")
PEER = json.loads((Path(__file__).parent / "recorded" / "edivisive.json").read_text())


def found_in(logs: np.ndarray) -> list[int]:
    return list(divisive.steps_in(logs, 0.03, relative=True).places)


def frame(values: np.ndarray) -> pd.DataFrame:
    start = START + pd.to_timedelta(np.arange(len(values)), unit="D")
    return pd.DataFrame({"run": [f"n{i}" for i in range(len(values))], "start": start, "value": values})


def defined(values: np.ndarray, split: int, end: int) -> float:
    """Matteson and James (2014), equations 5 to 7, word by word."""
    x, y = values[:split], values[split:end]
    m, n = len(x), len(y)
    between = sum(abs(a - b) for a in x for b in y)
    unlike = 2 * between / (m * n)
    unlike -= sum(abs(a - b) for a, b in combinations(x, 2)) / math.comb(m, 2)
    unlike -= sum(abs(a - b) for a, b in combinations(y, 2)) / math.comb(n, 2)
    return m * n / (m + n) * unlike


def test_the_statistic_is_the_one_that_was_published() -> None:
    values = np.random.default_rng(1).normal(size=23)
    quick = divisive.energy(values)
    for split in range(3, 21):
        assert quick[split] == pytest.approx(defined(values, split, 23), rel=1e-9, abs=1e-12)
    assert np.isneginf(quick[[0, 1, 2, 21, 22]]).all()
    choices = [(defined(values, s, e), s, e) for s in range(3, 21) for e in range(s + 3, 24)]
    assert divisive._best_split(values) == max(choices)[1:]


@pytest.mark.parametrize("number", range(len(PEER)))
def test_a_peer_finds_the_same_places(number: int) -> None:
    """MongoDB's E-divisive; where it finds nothing, perflab may: it looks for changes that were undone, as published."""
    recorded = PEER[number]
    ours = found_in(np.log(recorded["values"]))
    if recorded["change_points"]:
        assert ours == recorded["change_points"]
    else:
        assert ours in ([], [40, 55])  # the second: 15 runs that were 25 % slower, then as before


def test_stable_histories_hardly_ever_show_a_change() -> None:
    """100 runs, sd 5 %: 0.5 % of histories by the design; 600 of them here, so up to 9."""
    random = np.random.default_rng(2)
    assert sum(bool(found_in(row)) for row in random.normal(0, 0.05, (600, 100))) <= 9


def test_runs_that_resemble_their_neighbours_are_no_change() -> None:
    """An autocorrelation of 0.4 between runs flags 18 % of stable histories where errors are not widened for it; here 5 %."""
    random = np.random.default_rng(12)
    logs = 0.05 * random.normal(size=(300, 100))
    logs[:, 1:] *= math.sqrt(1 - 0.4**2)
    for place in range(1, 100):
        logs[:, place] += 0.4 * logs[:, place - 1]
    assert logs.std() == pytest.approx(0.05, rel=0.03)
    assert sum(bool(found_in(row)) for row in logs) <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)
    assert np.median([divisive._widened(row) for row in logs]) > 1.2
    logs[:, 50:] += math.log(1.2)
    assert np.mean([any(abs(p - 50) <= 5 for p in found_in(row)) for row in logs]) > 0.9


def test_changes_do_not_make_runs_resemble_their_neighbours() -> None:
    random = np.random.default_rng(13)
    logs = random.normal(0, 0.05, (300, 100))
    logs[:, 40:] += math.log(1.3)
    logs[:, 70:] -= math.log(1.2)
    assert np.median([divisive._widened(row) for row in logs]) < 1.05


def test_shifts_are_found_where_they_are() -> None:
    """10 % at an sd of 5 %: 94 % or more, within five runs of the place; one undone after 20 runs, at both ends."""
    random = np.random.default_rng(3)
    found = single = undone = 0
    for row in random.normal(0, 0.05, (250, 100)):
        place = int(random.integers(15, 86))
        shifted, bump = row.copy(), row.copy()
        shifted[place:] += math.log(1.1)
        bump[40:60] += math.log(1.1)
        places = found_in(shifted)
        found += any(abs(p - place) <= 5 for p in places)
        single += len(places) == 1
        undone += all(any(abs(p - edge) <= 5 for p in found_in(bump)) for edge in (40, 60))
    assert found / 250 >= 0.94
    assert single / 250 >= 0.94
    assert undone / 250 >= 0.90


def test_small_changes_are_not_reported_however_sure() -> None:
    random = np.random.default_rng(4)
    logs = random.normal(0, 0.002, 200)
    logs[100:] += math.log(1.02)
    assert found_in(logs) == []
    assert lab.change_points(frame(100 * np.exp(logs)), minimum="1%").table["run"].to_list() == ["n100"]


def test_the_result_says_what_changed_and_how_to_confirm_it() -> None:
    random = np.random.default_rng(5)
    values = 100 * np.exp(random.normal(0, 0.04, 70))
    values[30:50] *= 1.3
    result = lab.change_points(frame(values), metric="p95")
    table = result.table
    assert list(table.columns)[:6] == ["run", "start", "before", "after", "change", "p_value"]
    assert table["run"].to_list() == ["n30", "n50"]
    assert table["change"].to_list() == pytest.approx([0.3, -0.23], abs=0.04)
    assert table["before"][1] == table["after"][0] == pytest.approx(math.exp(np.log(values[30:50]).mean()))
    confirm = [dict(note.facts) for note in result.notes if note.code == "confirm"]
    assert (confirm[0]["before"], confirm[0]["after"]) == ("n29", "n30")
    assert "run_pairs(plan, before, after, pairs=6)" in result._repr_html_()
    assert "changed twice in 70 runs: up" in result.sentence
    assert result.values["segment"].to_list() == [0] * 30 + [1] * 20 + [2] * 20


def test_invariances() -> None:
    random = np.random.default_rng(6)
    values = 100 * np.exp(random.normal(0, 0.05, 80) + np.where(np.arange(80) < 33, 0, 0.2))
    one = lab.change_points(frame(values)).table
    shuffled = lab.change_points(frame(values).sample(frac=1, random_state=1)).table
    pd.testing.assert_frame_equal(one, shuffled)
    tenfold = lab.change_points(frame(10 * values)).table
    assert tenfold["run"].to_list() == one["run"].to_list()
    np.testing.assert_allclose(tenfold[["change", "p_value"]], one[["change", "p_value"]], rtol=1e-6)
    backwards = lab.change_points(frame(values[::-1])).table
    assert backwards["change"].to_list() == pytest.approx([1 / (1 + c) - 1 for c in one["change"]])


def test_a_store_is_a_history(make_requests: object) -> None:
    parts = [make_requests(f"r{i:02d}", count=400, start=START + pd.Timedelta(days=i), seed=i,  # type: ignore[operator]
                           slower=1.0 if i < 15 else 1.6) for i in range(30)]  # fmt: skip
    measured = lab.Measurements.of(requests=pd.concat(parts, ignore_index=True))
    result = lab.change_points(measured, endpoint="GET /orders", metric="p50")
    assert result.table["run"].to_list() == ["r15"]
    assert "p50 of GET /orders changed once" in result.sentence
    with pytest.raises(ValueError, match="endpoint must be one of"):
        lab.change_points(measured, endpoint="GET /nothing")
    with pytest.raises(lab.ComparisonError, match="several arms"):
        lab.change_points(lab.load("datasets/shop_runs"))


def test_a_long_history_is_searched_in_reasonable_memory() -> None:
    logs = np.random.default_rng(7).normal(0, 0.05, 3000)
    logs[1800:] += 0.15
    assert [abs(p - 1800) <= 5 for p in found_in(logs)] == [True]


def test_doubts_are_said() -> None:
    assert "short-history" in codes(lab.change_points(frame(np.array([1.0, 2.0, 3.0]))).warnings)
    assert lab.change_points(frame(np.array([]))).table.empty
    path = np.cumsum(np.random.default_rng(8).normal(0, 0.01, 60))
    assert {"widened", "autocorrelated"} <= set(codes(lab.change_points(frame(np.exp(path))).warnings))
    zeros = lab.change_points(frame(np.r_[np.zeros(20), np.full(20, 0.5)]), metric="error_fraction")
    assert zeros.table["change"].to_list() == [math.inf]


def test_bad_histories_say_what_is_wrong() -> None:
    good = frame(np.linspace(1, 2, 20))
    for bad, words in (
        (good.drop(columns="value"), "value missing"),
        (good.assign(start=good["start"].dt.tz_localize(None)), "time zone"),
        (good.assign(value=good["value"].where(good.index != 3)), "row 3"),
        (good.assign(run="a"), "more than once"),
    ):
        with pytest.raises(ValueError, match=words):
            lab.change_points(bad)
    with pytest.raises(ValueError, match="minimum"):
        lab.change_points(good, minimum=2)


@pytest.mark.parametrize("size", [0.2, 0.4, 1.0])
@pytest.mark.parametrize(("runs", "last"), [(12, 5), (16, 5), (20, 6)])
def test_a_large_step_at_the_end_of_a_short_history_is_found(runs: int, last: int, size: float) -> None:
    """A step must not hide itself by looking like autocorrelation: what is larger is found as often, or more."""
    random = np.random.default_rng(round(100 * size) + runs)
    found = 0
    for _ in range(20):
        level = np.where(np.arange(runs) < runs - last, 1.0, 1.0 + size)
        scaled = np.log(level) + 0.05 * random.standard_normal(runs)
        places = divisive.steps_in(scaled, 0.03, relative=True).places
        found += len(places) == 1 and abs(places[0] - (runs - last)) <= 1
    # 95 to 99 of 100 in datasets/calibration/conditions.csv, for 40 % and more.
    assert found >= (18 if size >= 0.4 else 4)


def test_a_drift_is_no_step() -> None:
    random = np.random.default_rng(4)
    steps = [
        lab.change_points(frame(100 * np.exp(0.05 * random.standard_normal(100) + np.log(1.2) * np.arange(100) / 99)))
        for _ in range(8)
    ]
    drifting = [found for found in steps if found.drift == found.drift]
    assert len(drifting) >= 7 and all(found.table.empty for found in drifting)
    assert all(0.001 < found.drift < 0.003 and "a drift, not a step" in found.sentence for found in drifting)
    up = np.where(np.arange(100) < 60, 1.0, 1.2) * np.exp(0.05 * random.standard_normal(100))
    assert len(lab.change_points(frame(100 * up)).table) == 1
