"""Several arms in rounds: an order that favours none, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from driving import plan, target

import perflab as lab
from perflab.loadtest import rounds
from perflab.loadtest.rounds import balanced_orders
from perflab.loadtest.run import recorded_again
from perflab.stats.several_arms import compare_arms


@pytest.mark.parametrize("arms", range(2, 8))
def test_every_arm_has_each_place_and_follows_each_other_equally_often(arms: int) -> None:
    block = arms if arms % 2 == 0 else 2 * arms
    orders = balanced_orders(arms, block, seed=arms)
    assert all(sorted(order) == list(range(arms)) for order in orders)
    places = Counter((place, arm) for order in orders for place, arm in enumerate(order))
    follows = Counter(pair for order in orders for pair in zip(order, order[1:], strict=False))
    assert len(places) == arms**2 and len(set(places.values())) == 1
    assert len(follows) == arms * (arms - 1) and len(set(follows.values())) == 1
    # Repeatable, and another seed is another order.
    assert balanced_orders(arms, 5 * block, seed=1) == balanced_orders(arms, 5 * block, seed=1)
    assert balanced_orders(arms, 5 * block, seed=1) != balanced_orders(arms, 5 * block, seed=2)
    assert len(balanced_orders(arms, 3, seed=1)) == 3


def test_rounds_run_what_was_drawn_and_their_runs_can_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    driven: dict[str, Any] = {}
    runs = lab.load("datasets/shop_runs").where(pair=[1, 2, 3])

    def fake(plan: Any, arms: Any, orders: Any, seed: int, *more: Any) -> Any:
        driven.update(orders=[[t.arm for t in order] for order in orders], seed=seed, washout=more[-1])
        return "experiment", 0, {t.arm: [t.arm] for t in arms}, ()

    monkeypatch.setattr(rounds, "interleaved", fake)
    monkeypatch.setattr(rounds, "loaded", lambda arms: sum(runs.where(arm=arm) for arm in arms))
    arms = [target(arm) for arm in runs.runs["arm"].unique()]
    held = rounds.run_arms(plan(1), arms, rounds=5, washout="3s", seed=4, progress=False)
    names = [each.arm for each in arms]
    assert driven == {
        "orders": [[names[i] for i in order] for order in balanced_orders(len(arms), 5, 4)],
        "seed": 4,
        "washout": 3.0,
    }
    assert compare_arms(held, endpoint="GET /orders", order="ignore").baseline == names[0]


def test_the_first_rounds_are_run_again_with_the_recorder() -> None:
    pair = (target("a"), target("b"))
    again = recorded_again([pair, pair[::-1]], 1)
    assert [[(t.arm, t.record_requests) for t in targets] for targets in again] == [
        [("a", False), ("b", False), ("a", True), ("b", True)],
        [("b", False), ("a", False)],
    ]
    with pytest.raises(ValueError, match="account must be"):
        recorded_again([pair], -1)


def test_what_is_no_experiment_of_several_arms_is_refused() -> None:
    for arms in ([target("a")], [target("a"), target("a")]):
        with pytest.raises(ValueError, match="two or more targets with different arms"):
            rounds.run_arms(plan(1), arms)
    for bad in (0, True, 1.5):
        with pytest.raises(ValueError, match="rounds must be 1 or more"):
            rounds.run_arms(plan(1), [target("a"), target("b")], rounds=bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="washout"):
        lab.run_pairs(plan(1), target("a"), target("b"), washout="-2s")
    with pytest.raises(ValueError, match="washout"):
        lab.run_pairs(plan(1), target("a"), target("b"), washout=-2)
