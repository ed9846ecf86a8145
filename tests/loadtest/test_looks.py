"""Registered looks: an experiment that ends when it is decided, and remembers that it could."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from driving import plan

import perflab as lab
from perflab.data.store import Draft
from perflab.loadtest import run
from perflab.loadtest.drive import Driven
from perflab.loadtest.keeping import record_of


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without load: 60 ms on the slow arm, 2 on the quick one, a second each."""
    random, seconds = np.random.default_rng(1), itertools.count()

    def drive(load: lab.LoadPlan, target: lab.Target, place: Path, at: Any, *_: object) -> Driven:
        draft, start = Draft(place, target.arm), datetime.now(UTC) + timedelta(seconds=next(seconds))
        rows = {"endpoint": "GET /", "start": pd.date_range(start, periods=300, freq="3ms"), "ok": True}
        latency = random.lognormal(np.log({"slow": 60, "quick": 2}[target.arm]), 0.1, 300)
        draft.write("requests", pd.DataFrame({**rows, "latency_ms": latency}))
        facts = {"start": start.isoformat(), "duration_ms": 1000.0, "valid": True, "reasons": [], "warnings": []}
        return Driven(draft.keep({**record_of(load, target, at, {}, None), **facts}), False)

    monkeypatch.setattr(run, "drive", drive)


def in_background(*sides: object, **how: Any) -> tuple[lab.Measurements, lab.Measurements]:
    return lab.start_pairs(*sides, **how).result(60)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("pairs_of_runs", [lab.run_pairs, in_background])
def test_a_look_ends_the_experiment_and_compare_knows_of_it(tmp_path: Path, pairs_of_runs: Any) -> None:
    """Decided at the first look, after three of five pairs."""
    slow, quick = (lab.Target(arm, host="http://127.0.0.1:1") for arm in ("slow", "quick"))
    before, after = pairs_of_runs(
        plan(1), slow, quick, pairs=5, looks=(3,), metric="p50", seed=3, store=tmp_path, progress=False
    )
    assert len(before.runs) == len(after.runs) == 3
    ended = before.warnings[-1]
    assert (ended.code, ended.facts["pairs"], ended.facts["planned"]) == ("ended-by-look", 3, 5)
    assert str(ended.facts["look"]).startswith("look 1 of 2")
    kept = lab.load(tmp_path)
    assert [e["looks"] for e in kept.runs["environment"]] == [[3, 5]] * 6
    change = lab.compare(kept.where(arm="slow"), kept.where(arm="quick"), metric="p50")
    assert change.verdict == "improved"
    assert any("look 1 of 2 registered ones, at 3 pairs" in str(note) for note in change.notes)


class Listening:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.labels: list[str | None] = []

    def update(self, done: float, *, label: str | None = None, **facts: object) -> None:
        self.labels.append(label)

    def event(self, kind: str, text: str, **facts: Any) -> None:
        self.events.append((kind, text, facts))

    def finish(self, outcome: str) -> None: ...

    def notify(self, text: str) -> None: ...


@pytest.mark.usefixtures("recorded")
def test_a_listener_learns_of_each_run_and_of_registered_looks_only(tmp_path: Path) -> None:
    slow, quick = (lab.Target(arm, host="http://127.0.0.1:1") for arm in ("slow", "quick"))
    asked = {"pairs": 5, "metric": "p50", "seed": 3, "store": tmp_path}
    heard = Listening()
    before, after = lab.run_pairs(plan(1), slow, quick, looks=(3,), progress=heard, **asked)
    assert [kind for kind, *_ in heard.events] == ["run"] * 6 + ["look"]
    runs = [facts for kind, _, facts in heard.events if kind == "run"]
    both = before + after
    told = {(facts["arm"], facts["value"]) for facts in runs}
    table = lab.compare(before, after, metric="p50", allow="invalid").values
    own = table[table["endpoint"] == "Aggregated"]
    assert told == set(zip(own["arm"], own["value"], strict=True)) and len(both.runs) == 6
    assert heard.events[0][1].startswith("round 1 of 5, ") and "p50 of all requests" in heard.events[0][1]
    look = heard.events[-1][2]
    row = lab.compare(before, after, metric="p50").row_of()
    assert (look["pairs"], look["verdict"]) == (3, "improved")
    assert (look["change"], look["low"], look["high"]) == (row["change"], row["change_low"], row["change_high"])
    assert heard.labels[0] == f"round 1 of 5, {runs[0]['arm']}"
    quiet = Listening()
    lab.run_pairs(plan(1), slow, quick, progress=quiet, **asked)
    assert [kind for kind, *_ in quiet.events] == ["run"] * 10


def test_bad_looks_are_refused_before_anything_runs() -> None:
    slow, quick = (lab.Target(arm, host="http://127.0.0.1:1") for arm in ("slow", "quick"))
    for looks, words in (((2, 5), "first at 3"), ((5, 12), "beyond the 10 pairs"), ((5, 5), "increase")):
        with pytest.raises(ValueError, match=words):
            lab.run_pairs(plan(), slow, quick, pairs=10, looks=looks)
        with pytest.raises(ValueError, match=words):
            lab.start_pairs(plan(), slow, quick, pairs=10, looks=looks)
