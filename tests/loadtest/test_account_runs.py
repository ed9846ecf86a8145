"""Recorded runs: components of the shop that add up to what the client saw, and recorded pairs beside unrecorded ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab.demo.investigation import LOCUSTFILE, shop
from perflab.loadtest import recorded_target
from perflab.loadtest import run as running
from perflab.stats.estimates import requests_of


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    plan = lab.LoadPlan(LOCUSTFILE, stages=lab.Stage("1s", rate=25), seed=1, warmup=0)
    store = tmp_path_factory.mktemp("runs")
    return lab.run(plan, shop("n+1", record_requests=True, record_queries=True), store=store, progress=False)


def test_components_of_a_real_run_add_up_to_every_latency(one):
    sums = one.components.groupby("request")["duration_ms"].sum()
    latency = one.requests.set_index("request")["latency_ms"]
    assert len(sums) >= 0.95 * len(latency) > 10 and latency.index.is_unique
    np.testing.assert_allclose(sums, latency.loc[sums.index], atol=1e-6)
    kinds = set(one.components["component"])
    assert {"queue", "database", "cpu", "rest", "back", "generator"} <= kinds
    whole = lab.account(one, endpoint="GET /orders", metric="p50")
    assert (
        whole.table.set_index("component").loc["database", "baseline_ms"] > 0
        and whole.calls["calls_baseline"].max() > 5
    )


def test_requests_statements_and_spans_share_ids_and_endpoints(one):
    endpoints = one.requests.set_index("request")["endpoint"]
    queries = one.queries.dropna(subset="request")
    assert len(queries) > 0.9 * len(one.queries)
    assert (queries["endpoint"] == queries["request"].map(endpoints)).all()
    assert set(queries["route"]) <= set(endpoints)
    roots = one.spans[one.spans["parent"].isna()]
    assert (roots["route"] == roots["request"].map(endpoints)).all()
    slow = lab.data.slowest_requests(one, "GET /orders", count=3, queries=one.queries)
    assert (slow["statements"] > 5).all() and slow["slowest_statement"].str.contains("SELECT").all()


def test_recorded_runs_are_not_what_is_measured_unless_alone(one):
    plain = lab.Measurements.of(
        runs=one.runs.assign(run="plain", environment=[{}]), requests=one.requests.assign(run="plain")
    )
    assert list(requests_of(one + plain).runs["run"]) == ["plain"]
    assert list(requests_of(one).runs["run"]) == list(one.runs["run"])


def test_recorded_pairs_follow_the_others_under_numbers_of_their_own(monkeypatch, tmp_path):
    driven = []

    def drive(plan, target, store, slot, live, seed, services):
        driven.append((target.arm, target.record_requests, slot.pair, slot.order))
        return SimpleNamespace(interrupted=False, folder=tmp_path)

    monkeypatch.setattr(running, "drive", drive)
    monkeypatch.setattr(running, "loaded", lambda found: found)
    monkeypatch.setattr(running, "too_short", lambda *_: ())
    monkeypatch.setattr(running, "noted", lambda found, short: found)
    monkeypatch.setattr(running.milestones, "run_finished", lambda *_: None)
    plan = lab.LoadPlan(LOCUSTFILE, stages=lab.Stage("1s", users=1))
    old, new = (lab.Target(arm, host="http://127.0.0.1:1", command=["x"]) for arm in ("old", "new"))
    for account, recorded in ((False, 0), (True, 3), (2, 2)):
        driven.clear()
        monkeypatch.setattr(running.Looks, "noted", lambda looks, made, *both: (made, *both))
        made, *_ = lab.run_pairs(plan, old, new, pairs=3, account=account, seed=1, store=tmp_path, progress=False)
        table = pd.DataFrame(driven, columns=["arm", "recorded", "pair", "order"])
        assert made == 3 and (~table["recorded"]).sum() == 6 and table["recorded"].sum() == 2 * recorded
        assert (
            set(table.loc[table["recorded"], "pair"]) == {4, 5, 6} - ({6} if account == 2 else set())
            if recorded
            else True
        )
        assert (table.groupby("pair")["arm"].nunique() == 2).all() and (table.groupby("pair").size() == 2).all()
    with pytest.raises(ValueError, match="account must be"):
        lab.run_pairs(plan, old, new, pairs=3, account=-1, store=tmp_path, progress=False)
    with pytest.raises(ValueError, match="record_requests needs a command"):
        lab.run_pairs(plan, lab.Target("a", host="http://x"), new, account=True, store=tmp_path, progress=False)


def test_joining_by_hand():
    at = pd.Timestamp("2026-01-01T00:00:00Z")
    ms = pd.Timedelta(1, "ms")
    requests = pd.DataFrame({
        "request": ["a", "b", "twice", "twice", None, "unknown"], "start": at, "latency_ms": [30.0, 20.0, 1, 1, 5, 7],
        "due": [at - 4 * ms, pd.NaT, pd.NaT, pd.NaT, pd.NaT, pd.NaT],
    })  # fmt: skip
    components = pd.DataFrame({
        "request": ["a", "a", "a", "b", "b", "twice", "stranger"],
        "component": ["queue", "database", "rest", "database", "database", "cpu", "cpu"],
        "duration_ms": [999.0, 10.0, 3.0, 2.0, 3.0, 1.0, 1.0],
    })  # fmt: skip
    spans = pd.DataFrame({"request": ["a", "b", "b"], "parent": None, "start": [at + 5 * ms, at + 9 * ms, at - 2 * ms]})
    found = recorded_target.joined_to(requests, components, spans)
    wide = found.pivot_table(index="request", columns="component", values="duration_ms", aggfunc="sum")
    assert dict(wide.loc["a"]) == {"back": 8.0, "database": 10.0, "generator": 4.0, "queue": 5.0, "rest": 3.0}
    assert (wide.loc["b", "queue"], wide.loc["b"].sum()) == pytest.approx((-2.0, 20.0))  # two clocks: not clipped
    assert set(found["request"]) == {"a", "b"}
