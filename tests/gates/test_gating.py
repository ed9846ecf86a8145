"""A gate: what it decides of comparisons, when it repeats, and that a slower machine is never slower code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import perflab as lab
from perflab.data.store import Draft
from perflab.gates import StoredBaseline, cases_of, gate_notes, gating, machine_speed, stored
from perflab.gates.cases import FAILS, INCONCLUSIVE, PASSES, WARNS, counted
from perflab.gates.machine_speed import Speed
from perflab.notes import codes
from perflab.objectives.objective import collected

Make = Callable[..., lab.Measurements]
PLAN = lab.LoadPlan("locustfile.py", stages=[lab.Stage("1s", users=1)])
OLD, NEW = (lab.Target(arm, host="http://127.0.0.1:1") for arm in ("old", "new"))
SPEED = Speed(0.5, 0.98, 2, "a CPU", "3.11")


def experiment(make: Make, slower: float, *, seed: int = 1, pairs: int = 8, **more: Any) -> Any:
    both = make(arms={"old": 1.0, "new": slower}, pairs=pairs, seed=seed, resources=False, load=False, **more)
    return both.where(arm="old"), both.where(arm="new")


@pytest.fixture(scope="module")
def same(make_measurements: Make) -> Any:
    return experiment(make_measurements, 1.0, count=1500)


@pytest.fixture(scope="module")
def slower(make_measurements: Make) -> Any:
    return experiment(make_measurements, 1.3, count=1500, seed=2)


@pytest.fixture
def runs_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Experiments in place of `run_pairs`; the arguments of each call."""

    def given(*experiments: Any) -> list[Any]:
        left, calls = list(experiments), list[Any]()

        def run_pairs(*arguments: Any, **options: Any) -> Any:
            calls.append((arguments, options))
            return left.pop(0)

        monkeypatch.setattr(gating, "run_pairs", run_pairs)
        return calls

    return given


def test_a_regression_fails_and_no_change_passes(runs_of: Any, same: Any, slower: Any) -> None:
    calls = runs_of(slower, same)
    failed = lab.gates.gate(PLAN, OLD, NEW, pairs=8, seed=3)
    assert (failed.verdict, failed.reasons[0].code) == (FAILS, gate_notes.REGRESSED.code)
    assert failed.change is not None and failed.change.metrics == ("p95", "error_fraction")
    passed = lab.gates.gate(PLAN, OLD, NEW, pairs=8, seed=3, tolerance=0.2)
    assert passed.verdict == PASSES and passed.reasons[0].code in (gate_notes.DECIDED.code, gate_notes.NOT_WORSE.code)
    assert len(calls) == 2 and calls[0][1]["pairs"] == 8


def test_confirm_repeats_a_regression_only_and_never_hides_a_contradiction(
    runs_of: Any, same: Any, slower: Any, make_measurements: Make
) -> None:
    again = experiment(make_measurements, 1.3, count=1500, seed=5)
    calls = runs_of(slower, again)
    sure = lab.gates.gate(PLAN, OLD, NEW, confirm=True, seed=3)
    assert (sure.verdict, len(sure.changes), len(calls)) == (FAILS, 2, 2)
    assert gate_notes.CONFIRMED.code in codes(sure.reasons)
    assert calls[0][1]["seed"] != calls[1][1]["seed"]
    runs_of(slower, same)
    odd = lab.gates.gate(PLAN, OLD, NEW, confirm=True)
    assert (odd.verdict, codes(odd.reasons)) == (INCONCLUSIVE, (gate_notes.NOT_CONFIRMED.code,))
    assert FAILS not in {case.outcome for case in cases_of(odd)}
    calls = runs_of(same)
    assert lab.gates.gate(PLAN, OLD, NEW, confirm=True, tolerance=0.2).verdict == PASSES
    assert len(calls) == 1


def test_without_a_primary_each_endpoint_counts_and_with_one_only_that(make_measurements: Make, runs_of: Any) -> None:
    old, new = experiment(make_measurements, 1.0, count=1500, seed=4)
    products = new.requests["endpoint"] == "GET /products"
    requests = new.requests.assign(
        latency_ms=new.requests["latency_ms"].where(~products, new.requests["latency_ms"] * 2)
    )
    new = replace(new, tables={**new.tables, "requests": requests})
    runs_of((old, new), (old, new))
    whole = lab.gates.gate(PLAN, OLD, NEW, tolerance=0.2)
    assert whole.verdict == FAILS and "GET /products" in whole.sentence
    declared = lab.gates.gate(PLAN, OLD, NEW, tolerance=0.2, primary="GET /orders")
    assert declared.verdict == PASSES and gate_notes.NOT_GATED.code in codes(declared.reasons)
    outcomes = {case.name: case.outcome for case in cases_of(declared)}
    assert (outcomes["p95 of GET /products"], outcomes["gate"]) == (WARNS, PASSES)
    assert counted(cases_of(declared))[FAILS] == 0


def test_more_failures_fail_the_gate_though_p95_does_not_move(make_measurements: Make, runs_of: Any) -> None:
    old, new = experiment(make_measurements, 1.0, count=1500, seed=6)
    failing = new.requests.assign(ok=(pd.RangeIndex(len(new.requests)) % 12 != 0))
    runs_of((old, replace(new, tables={**new.tables, "requests": failing})))
    found = lab.gates.gate(PLAN, OLD, NEW, tolerance=0.2)
    assert found.verdict == FAILS and "error rate" in found.sentence


def test_objectives_of_the_candidate_are_part_of_the_gate(runs_of: Any, same: Any) -> None:
    for goal, verdict in (("p95 < 1h", PASSES), ("p95 < 1ms", FAILS), ("max latency < 1h", INCONCLUSIVE)):
        runs_of(same)
        found = lab.gates.gate(PLAN, OLD, NEW, tolerance=0.2, goals=[goal])
        assert found.verdict == verdict, goal
        assert found.checked is not None
        leads = found.reasons[0].code == gate_notes.OBJECTIVES.code
        assert leads == (verdict != PASSES)


def test_an_objective_of_an_endpoint_without_requests_is_not_waived(runs_of: Any, same: Any) -> None:
    for goal, outcome in (("p95 of GET /nothing < 1 h", INCONCLUSIVE), ("max latency < 1h", PASSES)):
        runs_of(same)
        found = lab.gates.gate(PLAN, OLD, NEW, tolerance=0.2, goals=[goal])
        assert {case.under("pass") for case in cases_of(found) if case.decides and case.group != "new against old"} == {
            outcome
        }


UNREAD = collected([], [("SLO.md:3", "should be fast", "no limit")], "SLO.md")


def test_a_document_of_unread_lines_alone_is_inconclusive_and_one_of_nothing_is_refused_before_any_run(
    runs_of: Any, same: Any
) -> None:
    for goals in (UNREAD, [UNREAD]):
        runs_of(same)
        found = lab.gates.gate(PLAN, OLD, NEW, tolerance=0.2, goals=goals)
        assert found.verdict == INCONCLUSIVE and found.checked is not None and found.checked.unread == 1
        assert INCONCLUSIVE in {case.under("pass") for case in cases_of(found)}
    calls = runs_of(same)
    with pytest.raises(ValueError, match=r"SLO.md states none"):
        lab.gates.gate(PLAN, OLD, NEW, goals=collected([], [], "SLO.md"))
    assert not calls


def test_the_tolerance_can_be_the_noise_that_was_measured(runs_of: Any, same: Any) -> None:
    noise = lab.calibrate(same[0], relabellings=20, seed=1)
    runs_of(same)
    found = lab.gates.gate(PLAN, OLD, NEW, tolerance=noise)
    assert found.change is not None and found.change.tolerance == pytest.approx(max(0.01, noise.sd))
    assert gate_notes.NOISE.code in codes(found.warnings)


def test_too_few_runs_are_inconclusive_whatever_the_policy_makes_of_it(make_measurements: Make, runs_of: Any) -> None:
    runs_of(experiment(make_measurements, 1.0, pairs=2, count=900))
    found = lab.gates.gate(PLAN, OLD, NEW)
    cases = cases_of(found)
    assert (found.verdict, cases[0].outcome) == (INCONCLUSIVE, INCONCLUSIVE)
    assert [cases[0].under(policy) for policy in ("", "pass", "fail")] == [INCONCLUSIVE, PASSES, FAILS]
    assert all(case.under("fail") == INCONCLUSIVE for case in cases[1:] if case.outcome == INCONCLUSIVE)


# A stored baseline


@dataclass(frozen=True)
class Kept:
    place: Path
    baseline: StoredBaseline
    later: lab.Measurements


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, make_measurements: Make) -> Kept:
    """A store with six runs of "main" and its baseline, made on a machine of SPEED."""
    place = tmp_path_factory.mktemp("gate")
    both = make_measurements(arms={"main": 1.0, "other": 1.0}, pairs=6, count=1500, seed=9)
    for run in both.runs.itertuples():
        one = both.where(run=run.run)
        draft = Draft(place / "runs", run.arm)
        for table in ("requests", "resources"):
            draft.write(table, one.tables[table])
        environment = {"cpu_count": 2, "cpu_model": "a CPU", "git_sha": "0123456789abcdef"}
        record = {
            "arm": run.arm,
            "start": run.start.isoformat(),
            "duration_ms": 30_000.0,
            "valid": True,
            "environment": environment,
        }
        draft.keep(record)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "measure_speed", lambda: SPEED)
        lab.gates.set_baseline(lab.load(place / "runs", arm="main"), folder=place / "baseline")
    other = lab.load(place / "runs", arm="other")
    # By start: the names of runs made in one second are in random order.
    one = other.where(run=other.runs.sort_values("start")["run"].iloc[0])
    return Kept(place, StoredBaseline.read(place / "baseline"), one)


def judge(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, now: list[Speed], *, factor: float = 1.0, baseline: Any = None,
    goals: Any = (),
) -> lab.gates.Gate:  # fmt: skip
    """One run of "other", slower by a factor, held against the baseline on a machine of these speeds."""
    speeds = list(now)
    monkeypatch.setattr(machine_speed, "_PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(machine_speed, "measure_speed", lambda *_: speeds.pop(0) if len(speeds) > 1 else speeds[0])
    monkeypatch.setattr(machine_speed, "SECONDS", 0.0)

    def run(*_: Any, **__: Any) -> lab.Measurements:
        one = kept.later
        slow = one.requests.assign(latency_ms=one.requests["latency_ms"] * factor)
        return replace(one, tables={**one.tables, "requests": slow})

    monkeypatch.setattr(gating, "run", run)
    return lab.gates.gate(PLAN, baseline or kept.baseline, NEW, goals=goals)


def test_a_baseline_is_kept_with_its_spread_age_and_machine(kept: Kept) -> None:
    found = kept.baseline
    assert (len(found.runs.runs), found.speed, found.commit) == (6, SPEED, "0123456789abcdef")
    assert found.age_ms < 60_000
    spread = found.spread("p95")
    assert spread["endpoint"].iloc[-1] == "Aggregated" and (spread["runs"] == 6).all()
    assert (spread["detectable_fraction"] > spread["run_sd_fraction"]).all()
    assert gate_notes.AGE.code in codes(found.notes)
    assert not list((kept.place / "baseline").rglob("logs"))


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, {PASSES, INCONCLUSIVE}), (2.0, {FAILS}), (0.5, {PASSES})],
    ids=["same", "slower", "faster"],
)
def test_one_run_is_held_against_the_baseline(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, factor: float, verdict: set[str]
) -> None:
    found = judge(kept, monkeypatch, [SPEED], factor=factor)
    assert found.verdict in verdict
    assert gate_notes.AGE.code in codes(found.warnings)


BURNED = replace(SPEED, available_fraction=0.5)
MACHINES = {
    "half the cores' time": (BURNED, gate_notes.SLOWER),
    "a slower processor": (replace(SPEED, loop_ms=0.6), gate_notes.SLOWER),
    "a faster one": (replace(SPEED, loop_ms=0.25), gate_notes.SLOWER),
    "both a little": (replace(SPEED, loop_ms=0.54, available_fraction=0.91), gate_notes.SLOWER),
    "more cores": (replace(SPEED, cores=4), gate_notes.OTHER_CORES),
    "another Python": (replace(SPEED, python="3.12"), gate_notes.OTHER_PYTHON),
}


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_another_machine_is_refused_and_nothing_is_claimed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, name: str, factor: float
) -> None:
    now, kind = MACHINES[name]
    for speeds in ([now], [SPEED, now]):  # from the start, or only after the run
        found = judge(kept, monkeypatch, speeds, factor=factor)
        assert (found.verdict, found.reasons[0].code, found.changes) == (INCONCLUSIVE, kind.code, ())
        said = json.dumps([*map(str, found.notes), found.sentence])
        assert "regressed" not in said and "improved" not in said


def test_a_requirement_that_was_not_understood_never_passes_on_another_machine(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = judge(kept, monkeypatch, [BURNED], goals=[UNREAD])
    assert {case.under("pass") for case in cases_of(found)} == {INCONCLUSIVE}


def test_a_machine_that_hiccups_once_is_measured_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(kept, monkeypatch, [BURNED, SPEED], factor=2.0).verdict == FAILS


def test_a_burner_that_only_ran_during_the_load_is_seen_too(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gating, "busy_fraction", lambda runs: 0.45 if len(runs.runs) == 1 else 0.02)
    found = judge(kept, monkeypatch, [SPEED], factor=2.0)
    assert (found.verdict, found.reasons[0].code) == (INCONCLUSIVE, gate_notes.BUSIER.code)


def test_endpoints_that_the_baseline_lacks_are_named_and_too_many_are_refused(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = kept.baseline
    for known, verdict in ((["GET /orders", "GET /products"], None), (["POST /cart"], gate_notes.FEW_COVERED.code)):
        requests = read.runs.requests[read.runs.requests["endpoint"].isin(known)]
        cut = replace(read, runs=replace(read.runs, tables={**read.runs.tables, "requests": requests}))
        found = judge(kept, monkeypatch, [SPEED], baseline=cut)
        if verdict is None:
            assert gate_notes.NOT_COVERED.code in codes(found.warnings)
        else:
            assert (found.verdict, found.reasons[0].code) == (INCONCLUSIVE, verdict)


def test_what_is_no_baseline_is_refused(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "measure_speed", lambda: SPEED)
    with pytest.raises(lab.StoreError, match="no baseline"):
        StoredBaseline.read(tmp_path)
    (tmp_path / "baseline.json").write_text('{"schema_version": 1, "speed": {}}')
    with pytest.raises(lab.StoreError, match="damaged"):
        StoredBaseline.read(tmp_path)
    runs = lab.load(kept.place / "runs", arm="main")
    with pytest.raises(ValueError, match="5 runs or more"):
        lab.gates.set_baseline(runs.where(run=list(runs.runs["run"][:4])), folder=tmp_path / "b")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(lab.StoreError, match="something else"):
        lab.gates.set_baseline(runs, folder=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    again = lab.gates.set_baseline(runs, folder=tmp_path / "again")
    assert lab.gates.set_baseline(lab.load(again.folder), folder=again.folder).folder == again.folder
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "baseline.json", "mine"]
    with pytest.raises(ValueError, match="another machine"):
        monkeypatch.setattr(stored, "measure_speed", lambda: replace(SPEED, cpu_model="a newer CPU"))
        lab.gates.set_baseline(runs, folder=tmp_path / "again")


def test_the_speed_of_this_machine_is_measured() -> None:
    found = lab.gates.measure_speed(0.05)
    assert found.loop_ms > 0 and 0 < found.available_fraction <= 1 and found.cores >= 1
    assert Speed.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.differs(found) is None


@pytest.mark.parametrize(
    ("loops", "now", "refused"),
    [
        ([1.0, 1.0, 1.0], 1.05, False),
        ([1.0, 1.0, 1.0], 1.15, True),
        ([0.9, 1.0, 1.12], 1.15, False),
        ([0.6, 1.0, 1.7], 1.30, True),
        ([0.6, 1.0, 1.7], 0.5, True),
        ([], 1.15, True),
    ],
)
def test_a_machine_may_differ_as_much_as_the_baselines_did(loops: list[float], now: float, refused: bool) -> None:
    speeds = [replace(SPEED, loop_ms=SPEED.loop_ms * loop) for loop in loops]
    found = replace(SPEED, loop_ms=SPEED.loop_ms * now).differs(SPEED, machine_speed.limit_of(speeds))
    assert (found is not None) is refused


@pytest.mark.parametrize(("busy", "before", "code"), [(0.4, 0.02, "machine-busier"), (0.02, 0.4, "machine-quieter")])
def test_what_others_took_is_said_the_right_way_round(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, busy: float, before: float, code: str
) -> None:
    monkeypatch.setattr(gating, "busy_fraction", lambda runs: busy if len(runs.runs) == 1 else before)
    assert judge(kept, monkeypatch, [SPEED], factor=2.0).reasons[0].code == code
