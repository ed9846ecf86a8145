"""More than two arms: each against the baseline, the order among them, and no false alarms from having many."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_runs import arm, measured, steady

import perflab as lab
from perflab.loadtest.rounds import balanced_orders
from perflab.stats.several_arms import compare_arms


def rounds(levels: dict[str, float], runs: int = 8, sd: float = 0.02) -> lab.Measurements:
    """Every arm once in each round, the first place going round."""
    frames = []
    for place, (name, level) in enumerate(levels.items()):
        for i, value in enumerate(steady(level, runs, sd, seed=place)):
            first = 400.0 * i + 80.0 * ((place + i) % len(levels))
            made = arm([value], name=f"{name}{i}-", seed=100 * place + i, first=first).assign(pair=i)
            frames.append(measured(made, arm=name, pair=i))
    return sum(frames[1:], frames[0])


def test_three_fixes_are_ranked_against_the_baseline_and_each_other() -> None:
    found = compare_arms(rounds({"before": 100, "cache": 80, "index": 60, "both": 45}))
    assert found.baseline == "before" and found.ranking == ("both", "index", "cache", "before")
    assert len(found.table) == 6 and set(found.table["verdict"]) == {"improved"}
    assert "both < index < cache < before" in found.sentence
    assert (found.table["p_adjusted"] >= found.table["p_value"]).all()
    assert found.table.set_index(["arm", "against"]).loc[("index", "cache"), "change"] == pytest.approx(-0.25, abs=0.04)


def test_arms_without_a_difference_have_no_order() -> None:
    found = compare_arms(rounds({"a": 100, "b": 100, "c": 100}, sd=0.05), baseline="b")
    assert found.baseline == "b" and "<" not in found.sentence.split("(")[0]
    assert not set(found.table["verdict"]) & {"improved", "regressed"}
    assert isinstance(found.table, pd.DataFrame) and found.sentence in repr(found)


def test_stored_runs_are_compared_with_the_baseline_of_their_experiment() -> None:
    made = rounds({"index": 60, "before": 100, "cache": 80}, runs=4)
    kept = lab.Measurements.of(
        runs=made.runs.assign(environment=[{"baseline": "before"}] * len(made.runs)), requests=made.requests
    )
    assert compare_arms(kept).baseline == "before"
    assert compare_arms(kept, baseline="cache").baseline == "cache"
    assert compare_arms([kept.where(arm=name) for name in ("cache", "index", "before")]).baseline == "cache"
    # The experiment's own baseline is not among these, or two experiments differ: the first arm.
    assert compare_arms(kept.where(arm=["index", "cache"])).baseline == "index"
    two = [{"baseline": name} for name in ("before", "cache")] * (len(made.runs) // 2)
    assert (
        compare_arms(lab.Measurements.of(runs=made.runs.assign(environment=two), requests=made.requests)).baseline
        == "index"
    )


def test_one_arm_is_no_comparison() -> None:
    alone = rounds({"a": 100})
    with pytest.raises(ValueError, match="two or more arms"):
        compare_arms(alone)
    with pytest.raises(ValueError, match="baseline must be one of 'a', 'b'"):
        compare_arms(rounds({"a": 100, "b": 90}, runs=3), baseline="x")


def carried(after: str, by: float, sd: float = 0.02, seed: int = 5) -> lab.Measurements:
    """Twelve rounds of three arms in a balanced order; a run after one of an arm is slower."""
    random, frames, before = np.random.default_rng(seed), [], ""
    for number, order in enumerate(balanced_orders(3, 12, seed)):
        for place, which in enumerate(order):
            name = "abc"[which]
            level = 100 * (1 + by if before == after else 1.0) * np.exp(sd * random.standard_normal())
            made = arm([level], name=f"{name}{number}-", seed=number, first=300.0 * number + 80 * place)
            frames.append(measured(made.assign(pair=number), arm=name, pair=number))
            before = name
    return sum(frames[1:], frames[0])


@pytest.mark.parametrize(("after", "by"), [("b", 0.15), ("c", -0.1), ("a", 0.0)])
def test_carry_over_from_one_arm_to_the_next_is_found_with_its_size(after: str, by: float) -> None:
    notes = [note for note in compare_arms(carried(after, by)).warnings if note.code == "carry-over"]
    if not by:
        assert not notes
        return
    (note,) = notes
    assert note.facts["arm"] == after
    assert float(note.facts["carried"].removesuffix(" %").replace("+", "")) / 100 == pytest.approx(by, abs=0.04)
