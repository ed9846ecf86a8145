"""Calls in a row: dependent ones are never said to overlap, independent ones are found with what they would save."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest
from call_situations import DEPENDENT, INVISIBLE, Call, Situation, get, redis, sql, step, traces

import perflab as lab
from perflab.notes import codes
from perflab.traces.independence import CANT_TELL, CLAIMS, DEPENDS, LIKELY, OVERLAP, WRITES
from perflab.traces.trees import sampled


def test_there_are_at_least_50_situations() -> None:
    assert len(DEPENDENT) >= 50


@pytest.mark.parametrize("name", DEPENDENT)
def test_calls_that_need_an_answer_are_never_said_to_overlap(name: str) -> None:
    found = lab.find_sequential(traces(DEPENDENT[name]))
    assert OVERLAP not in set(found["evidence"])
    if name not in INVISIBLE:
        assert not found["evidence"].isin(CLAIMS).any(), found.to_dict("records")
        assert (found["suggestion"] == "").all()
    if name not in ("chains side by side",):
        assert len(found)


def offer(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    product = rng.randrange(1_000)
    return f"/products/{product}/offer", [
        sql("SELECT * FROM products WHERE id = ?", product, took=2.0),
        get(f"services/price/{product}", 20.0), get(f"services/stock/{product}", 30.0), get(f"services/delivery/{product}", 10.0),
    ]  # fmt: skip


def at_once(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    address, calls = offer(rng, number)
    for call in calls[2:]:
        call.together = True
    return address, calls


def shuffled(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    address, calls = offer(rng, number)
    return address, [calls[0], *rng.sample(calls[1:], 3)]


def in_steps(rng: random.Random, number: int) -> tuple[str, list[Call]]:
    address, calls = offer(rng, number)
    return address, [step(f"load {n}", call) for n, call in enumerate(calls[1:])]


def with_constants(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    product = rng.randrange(1_000)
    return f"/p/{product}", [get(f"shop/prices/{product}?currency=EUR"), get("shop/banners?place=top&lang=de", 30.0)]


def of_one_session(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    """The user's id is in no address: the first call has it from elsewhere, the others have it from there, too."""
    user = rng.randrange(1_000)
    return "/me", [get(f"crm/users/{user}"), get(f"shop/orders?user={user}", 30.0), get(f"shop/hints/{user}", 10.0)]


@pytest.mark.parametrize(
    ("situation", "evidence", "saved"),
    [(offer, LIKELY, 30.0), (in_steps, LIKELY, 20.2 + 10.1), (with_constants, LIKELY, 20.0),
     (of_one_session, LIKELY, 30.0), (shuffled, OVERLAP, 30.0)],
)  # fmt: skip
def test_calls_that_could_overlap_are_found(situation: Situation, evidence: str, saved: float) -> None:
    spans = traces(situation)
    found = lab.find_sequential(spans)
    top = found.iloc[0]
    assert (top["evidence"], top["traces"], top["traces_fraction"]) == (evidence, 30, 1.0)
    assert top["saved_mean_ms"] == pytest.approx(saved, abs=0.5) and top["saved_p50_ms"] == pytest.approx(
        saved, abs=0.5
    )
    assert "at once" in top["condition"] or "others run" in top["condition"]
    predicted = lab.what_if(spans, parallel=top["operations"]).set_index("statistic")
    assert -predicted.loc["mean", "change_ms"] == pytest.approx(top["saved_mean_ms"], abs=1e-6)
    assert "assumes-capacity" in codes(found.warnings)


def test_what_runs_at_once_already_is_not_listed_and_is_evidence_for_the_other_arm() -> None:
    fixed = lab.find_sequential(traces(at_once))
    assert not fixed["evidence"].isin(CLAIMS).any()
    slow = traces(offer, seed=2).assign(run="slow")
    both = lab.find_sequential(pd.concat([slow, traces(at_once)], ignore_index=True))
    claimed = both[both["evidence"] == OVERLAP]
    assert len(claimed) == 1 and claimed["traces"].iloc[0] == 30 and "stock" in claimed["calls"].iloc[0]


def written(rng: random.Random, _: int) -> tuple[str, list[Call]]:
    product = rng.randrange(1_000)
    return f"/p/{product}", [
        get(f"a/prices/{product}"), get(f"a/views/{product}", method="POST"), sql(f"UPDATE p SET n = 1 WHERE id = {product}"),
        redis(f"SET p:{product} 1"), get(f"a/stock/{product}", method="DELETE"),
    ]  # fmt: skip


def test_writes_are_never_suggested() -> None:
    found = lab.find_sequential(traces(written))
    assert (
        set(found["evidence"]) == {WRITES} and (found["suggestion"] == "").all() and (found["saved_mean_ms"] == 0).all()
    )


@pytest.mark.parametrize(("requests", "evidence"), [(3, CANT_TELL), (30, LIKELY)])
def test_few_traces_decide_nothing(requests: int, evidence: str) -> None:
    found = lab.find_sequential(traces(with_constants, requests))
    assert found["evidence"].tolist() == [evidence]
    assert ("few-traces" in codes(found.warnings)) == (requests == 3)


def test_a_dependency_splits_a_group() -> None:
    def page(rng: random.Random, _: int) -> tuple[str, list[Call]]:
        a, b = rng.sample(range(100, 999), 2)
        return f"/orders/{a}", [get(f"o/orders/{a}"), get(f"c/customers/{b}"), get(f"c/notes/{b}"), get(f"o/lines/{a}")]

    found = lab.find_sequential(traces(page))
    assert found[["evidence", "calls"]].to_numpy().tolist() == [
        [LIKELY, "GET c/customers/{}; GET c/notes/{}; GET o/lines/{}"], [DEPENDS, "GET o/orders/{}; GET c/customers/{}"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loop", "word"), [(True, "asyncio.TaskGroup"), (False, "ThreadPoolExecutor"), (None, "asyncio.gather")]
)
def test_the_fix_is_code_for_the_application_at_hand(loop: bool | None, word: str) -> None:
    spans = traces(with_constants)
    more: dict[str, Any] = {} if loop is None else {"perflab.strand": 0, "perflab.loop": loop}
    spans["attributes"] = [{**a, **more} for a in spans["attributes"]]
    found = lab.find_sequential(spans)
    code = found["suggestion"].iloc[0]
    assert word in code and "prices" in code
    predicted = lab.what_if(spans, parallel=found["operations"].iloc[0])
    assert [("one-event-loop" in codes(of.warnings)) for of in (found, predicted)] == [loop is True] * 2
    indented = "\n    ".join(code.splitlines())
    compile(f"async def handler():\n    {indented}", "fix", "exec")


def test_a_tables_row_order_changes_nothing() -> None:
    spans = traces(shuffled)
    one, other = (lab.find_sequential(s) for s in (spans, spans.sample(frac=1.0, random_state=3)))
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(other), check_like=True)


def test_bad_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="columns"):
        lab.find_sequential(pd.DataFrame({"span": ["a"]}))
    with pytest.raises(ValueError, match="root"):
        lab.find_sequential(traces(offer).query("kind == 'client'"))


def test_many_traces_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perflab.traces.calls_in_a_row._MOST_TRACES", 10)
    spans = traces(offer)
    found = lab.find_sequential(spans)
    assert (
        found["traces"].iloc[0] == 10
        and found["traces_fraction"].iloc[0] == 1
        and "sampled-traces" in codes(found.warnings)
    )
    kept = spans[sampled(spans, 10)]["trace"].drop_duplicates().astype("int64").tolist()
    assert kept == list(range(0, 30, 3)) and sampled(spans, 30) is None
