"""What a user can name before the runs: a mix, covariates, a fixed reference; and a quantile between two modes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import arm, both, measured, steady, why

import perflab as lab
from perflab.metrics import Metric

LEVEL = steady(100, 8, 0.01, 5)


def two(slow_ms: float, share: float, name: str, turn: float) -> pd.DataFrame:
    """Eight runs of 600 requests, of which this share takes so long."""
    frame = arm(LEVEL, name=name, count=600, seed=int(slow_ms + turn), first=turn, turn=40.0 - 2 * turn)
    slow = np.random.default_rng(int(1e4 * share + turn)).random(len(frame)) < share
    latency = np.where(slow, slow_ms, 10.0) * frame["latency_ms"] / 100
    return frame.assign(endpoint=np.where(slow, "GET /report", "GET /a"), latency_ms=latency)


def test_the_total_is_on_the_mix_that_was_given() -> None:
    before, after = two(100, 0.2, "b", 0.0), two(300, 0.2, "c", 40.0)
    mostly_fast = lab.compare(before, after, mix={"GET /a": 98, "GET /report": 2})
    assert mostly_fast.find().typical[0] < 20 and "given-mix" in [n.code for n in mostly_fast.find().remarks]
    half = lab.compare(before, after, mix={"GET /a": 1, "GET /report": 1})
    assert half.verdict == "regressed" and half.row["change"] == pytest.approx(2.0, abs=0.2)
    # Only weights in proportion count.
    assert lab.compare(before, after, mix={"GET /a": 7, "GET /report": 7}).row["change"] == half.row["change"]
    for bad in ({"GET /x": 1.0}, {"GET /a": 0.0}, {}, {"GET /a": float("nan")}, "GET /a"):
        with pytest.raises(ValueError, match="mix must"):
            lab.compare(before, after, mix=bad)  # type: ignore[arg-type]


def loaded(frame: pd.DataFrame, load: np.ndarray) -> lab.Measurements:
    return measured(frame, offered_per_s=load.tolist())


def test_covariates_narrow_the_interval_and_say_when_they_are_part_of_the_change() -> None:
    random = np.random.default_rng(2)
    load = random.normal(0, 0.2, (2, 10))
    levels = [100 * np.exp(load[0]), 93 * np.exp(load[1] + 0.01 * random.standard_normal(10))]
    sides = [loaded(f, 50 + x) for f, x in zip(both(*(v.tolist() for v in levels)), load, strict=True)]
    plain, given = lab.compare(*sides), lab.compare(*sides, covariates="offered_per_s")
    width = [change.row["change_high"] - change.row["change_low"] for change in (plain, given)]
    assert given.verdict == "improved" and width[1] < width[0] / 3
    assert given.row["change"] == pytest.approx(-0.07, abs=0.02) and "given offered_per_s" in given.method
    assert np.isnan(given.find().randomisation_p) and "covariate-moved" not in [n.code for n in given.warnings]
    moved = [loaded(side.requests, 50 + x + 9 * i) for i, (side, x) in enumerate(zip(sides, load, strict=True))]
    assert "covariate-moved" in [n.code for n in lab.compare(*moved, covariates="offered_per_s").warnings]
    for name in ("none_such", "arm"):
        with pytest.raises(ValueError, match="covariates must be numbers in runs"):
            lab.compare(*sides, covariates=name)
    with pytest.raises(ValueError, match="more runs"):
        few = [side.where(run=list(side.runs["run"])[:4]) for side in sides]
        lab.compare(*few, covariates="offered_per_s")


def test_resources_are_covariates_by_process_and_column() -> None:
    random = np.random.default_rng(4)
    steal = random.uniform(0, 0.2, (2, 10))
    frames = both(*((100 * np.exp(row)).tolist() for row in steal))
    sides = []
    for frame, row in zip(frames, steal, strict=True):
        runs = frame.groupby("run", sort=False)["start"].min()
        usage = pd.DataFrame(
            {"run": runs.index, "time": runs.array, "process": "machine", "cpu_cores": 1.0, "rss_bytes": 1.0}
        )
        sides.append(lab.Measurements.of(requests=frame, resources=usage.assign(steal_cores=row)))
    assert lab.compare(*sides, covariates="machine.steal_cores").verdict == "equivalent"
    assert lab.compare(*sides).verdict == "inconclusive"


def test_small_steps_add_up_against_a_fixed_reference() -> None:
    levels = [steady(100 * 1.03**release, 8, 0.005, release) for release in (0, 9, 10)]
    before, after = both(*levels[1:])
    first = arm(levels[0], name="r", seed=9, first=20.0)
    plain, held = lab.compare(before, after), lab.compare(before, after, reference=first)
    assert plain.verdict == held.verdict == "equivalent" and plain.not_worse and not held.not_worse
    (note,) = [n for n in held.find().remarks if n.code == "against-reference"]
    assert "regressed, +34" in str(note) and str(note) in held.sentence
    assert lab.compare(before, after, reference=before).not_worse


@pytest.mark.parametrize(("shares", "verdict"), [((0.04, 0.06), "regressed"), ((0.05, 0.05), "inconclusive")])
def test_a_quantile_between_two_modes_offers_the_share_that_can_be_decided(
    shares: tuple[float, float], verdict: str
) -> None:
    sides = [two(100, share, name, turn) for share, name, turn in zip(shares, "bc", (0.0, 40.0), strict=True)]
    sides = [side.assign(endpoint="GET /a") for side in sides]
    change = lab.compare(*sides)
    (note,) = [n for n in (*change.find().reasons, *change.find().remarks) if n.code == "two-modes"]
    assert 8 < note.facts["fast_ms"] < 20 and 60 < note.facts["slow_ms"] < 200
    assert note.facts["baseline_fraction"] == pytest.approx(shares[0], abs=0.012)
    share = lab.compare(*sides, metric=note.remedy.arguments["metric"])
    assert share.find().metric.scale == "difference" and share.verdict in (verdict, "equivalent")
    assert "two-modes" not in {n.code for n in lab.compare(*both(LEVEL, LEVEL[::-1])).find().remarks}


def test_the_share_of_slow_requests_is_a_metric() -> None:
    metric = Metric.of("over_100ms")
    assert (metric.unit, metric.better, metric.reduce(np.array([50.0, 150.0, 250.0, 100.0]))) == ("fraction", -1, 0.5)
    before, after = both([100.0] * 6, [100.0] * 6)
    change = lab.compare(before, after, metric=["p95", "over_100ms"])
    assert change.find(metric="over_100ms").typical[0] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="over_<limit>ms"):
        lab.compare(before, after, metric="over_ms")


def test_many_series_of_a_history_change_together_as_one() -> None:
    step = np.where(np.arange(30) < 20, 1.0, 1.5)
    quick, slow = ((np.array(steady(v, 30, 0.04, v)) * step).tolist() for v in (10, 50))
    frame = arm({"GET /a": quick, "GET /b": slow, "GET /c": steady(30, 30, 0.04, 3)}, paired=False, count=240)
    found = lab.stats.find_changes(frame, warmup=0)
    assert len(found) == 1 and found["run"].item() in ("run19", "run20", "run21")
    assert found["series"].item() >= 4 and "GET /c" not in found["others"].item()
    one = lab.stats.find_changes(frame, metrics="p95", endpoints="GET /c", warmup=0)
    assert one.empty and "No lasting change" in one.attrs["sentence"]
    with pytest.raises(ValueError, match="endpoints must be one of"):
        lab.stats.find_changes(frame, endpoints=["GET /x"])


def test_a_trimmed_test_stands_in_the_explanation() -> None:
    before, after = both(steady(100, 8, 0.03, 3), steady(85, 8, 0.03, 4))
    broken = after.assign(latency_ms=after["latency_ms"].where(after["run"] != "c3", after["latency_ms"] * 3))
    change = lab.compare(before, broken)
    assert why(change) == "broken-run" and change.find().trimmed_p < 0.01
    assert "trimmed" in change.explain().table["numbers"].str.cat()


def test_a_throughput_that_was_not_offered_is_no_fault_of_the_target() -> None:
    held = measured(arm(LEVEL, seconds=30.0, count=300), offered_per_s=10.5)
    assert lab.check(held, "throughput > 20/s").verdict == "inconclusive"
    assert lab.check(held, "throughput > 20/s").reasons[0].code == "less-offered"
    assert lab.check(held, "throughput > 5/s").verdict == "holds"
    plenty = replace(held, tables={**held.tables, "runs": held.runs.assign(offered_per_s=50.0)})
    assert lab.check(plenty, "throughput > 20/s").verdict == "fails"


def test_the_floor_of_requests_is_where_the_committed_table_holds() -> None:
    table = pd.read_csv(Path(__file__).parents[2] / "datasets" / "calibration" / "few_requests.csv")
    floor = Metric.of("p95").rows_floor
    held = table[table["requests"] >= floor]
    assert floor == held["requests"].min() == 60
    assert held["false_alarms"].max() <= 0.06 and held["coverage"].min() >= 0.94
    hundred = held[(held["requests"] == 100) & (held["pairs"] == 6)].set_index("generator")
    assert hundred.loc["lognormal .3", "power_40"] >= 0.98


def test_the_committed_conditions_hold() -> None:
    """Limits are the goals plus what chance does to so many replicates (three standard errors)."""
    table = pd.read_csv(Path(__file__).parents[2] / "datasets" / "calibration" / "conditions.csv")

    def over(column: str, limit: float, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows[column] > limit + 3 * np.sqrt(limit * (1 - limit) / rows["replicates"])]

    kind = table["condition"].str.partition(":")[0]
    clean, histories = table[kind == "clean"], table[kind == "history"]
    assert set(kind) >= {"clean", "mix", "failures", "order", "carry-over", "load", "cliff", "anytime", "history"}
    assert over("false_unsaid", 0.065, table[kind != "history"]).empty
    assert over("doubted", 0.06, clean).empty and over("capped", 0.015, clean).empty
    assert over("power_lost", 0.03, clean).empty
    large = clean[clean["condition"].str.contains("-20 %|25 %")]
    assert (large["right_or_doubted"] >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / large["replicates"])).all()
    steps = histories[histories["condition"].str.contains("in the last 5")]
    assert len(steps) >= 6 and (steps["right"] >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / steps["replicates"])).all()
    assert over("false", 0.05, histories[histories["condition"].str.contains("drift|autocorrelation .4")]).empty
