"""``--json``: one document that keeps to its schema, for every command that prints a result."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from junitparser import JUnitXml

import perflab as lab
from perflab import cli
from perflab.cli import main
from perflab.cli.load import goals_of
from perflab.gates import Case, machine_speed, stored, to_junit

ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "docs" / "output.schema.json").read_text(encoding="utf-8"))
SHOP = ["--store", str(ROOT / "datasets" / "shop_runs")]
QUERIES = str(ROOT / "datasets" / "shop_queries.jsonl")


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """What a command prints with --json."""

    def call(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        found: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        Draft202012Validator(SCHEMA).validate(found)
        assert (found["exit_code"], found["command"]) == (code, arguments[0])
        return found

    return call


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_command_takes_it() -> None:
    subcommands = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    assert [name for name, parser in subcommands.items() if "--json" not in parser._option_string_actions] == []


ASKED: dict[str, tuple[list[str], str, set[str]]] = {
    "compare": (["n+1", "eager", *SHOP], "Change", {"endpoint", "metric", "change_low", "verdict"}),
    "check": ([*SHOP, "--arm", "eager", "--objective", "p95 < 2s"], "Checked", {"objective", "measured", "verdict"}),
    "read": ([QUERIES], "Measurements", {"run", "valid"}),
    "queries": ([QUERIES], "Findings", {"child", "evidence", "suggestion"}),
    "plan-runs": ([*SHOP, "--arm", "eager"], "RunPlan", {"pairs", "smallest_effect"}),
    "calibrate": ([*SHOP, "--arm", "eager", "--relabellings", "20", "--seed", "1"], "Calibration", {"procedure"}),
    "change-points": ([*SHOP, "--arm", "eager"], "", set()),
}


@pytest.mark.parametrize("command", ASKED)
def test_results_are_rows_with_their_numbers(command: str, document: Callable[..., dict[str, Any]]) -> None:
    arguments, kind, columns = ASKED[command]
    found = document(command, *arguments)
    first = found["results"][0]
    assert first["sentence"] and all(note["text"] for note in first["notes"])
    if kind:
        assert first["kind"] == kind and first["rows"] and columns <= set(first["rows"][0])
    if command == "compare":
        assert first["verdict"] == "improved" and isinstance(first["rows"][0]["change"], float)


def test_errors_are_documents_too(document: Callable[..., dict[str, Any]]) -> None:
    found = document("compare", "n+1", "nothing", *SHOP)
    assert (found["exit_code"], found["results"], found["error"]["kind"]) == (3, [], "ValueError")
    found = document("plan-runs", *SHOP)
    assert found["error"]["kind"] == "ComparisonError" and found["error"]["code"]


def test_files_are_listed(document: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    found = document("report", "n+1", "eager", *SHOP, "-o", tmp_path / "r.md")
    assert found["files"] == [str(tmp_path / "r.md")]
    found = document("ingest", QUERIES, "--store", tmp_path / "runs")
    assert [Path(path).parent for path in found["files"]] == [tmp_path / "runs"]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, make_measurements: Callable[..., lab.Measurements]) -> None:
    """Experiments in place of load."""
    both = make_measurements(arms={"old": 1.0, "new": 1.5}, pairs=8, count=1500, resources=False, load=False)
    sides = both.where(arm="old"), both.where(arm="new")
    monkeypatch.setattr("perflab.gates.gating.run_pairs", lambda *_, **__: sides)
    monkeypatch.setattr(lab, "run_pairs", lambda *_, **__: sides)


HOSTS = ["--baseline", "old=http://127.0.0.1:1", "--candidate", "new=http://127.0.0.1:2"]


@pytest.mark.usefixtures("measured")
def test_a_gate_has_its_comparisons_and_objectives(document: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    report = tmp_path / "gate.md"
    found = document("gate", "x.py", *HOSTS, "--confirm", "--objective", "p95 < 1h", "--report", report)
    (gate,) = found["results"]
    assert (found["exit_code"], gate["kind"], gate["verdict"]) == (1, "Gate", "fails")
    assert [one["verdict"] for one in gate["comparisons"]] == ["regressed", "regressed"]
    assert gate["objectives"]["verdict"] == "holds" and found["files"] == [str(report)]
    assert "The gate fails" in report.read_text()


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("command", ["gate", "pairs"])
def test_junit_summary_and_annotations(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    place = tmp_path / "new" / "gate.xml"
    asked = [command, "x.py", *HOSTS, "--junit", str(place), "--github"]
    assert main(asked) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("::stop-commands::")
    assert [line for line in printed if line.startswith("::error")]
    assert JUnitXml.fromfile(str(place)).failures >= 1
    assert summary.read_text().startswith("before\n### ❌")
    assert main([*asked, "--json"]) == 1
    both = capsys.readouterr()
    assert json.loads(both.out)["exit_code"] == 1 and "::error" in both.err


def test_the_policy_on_inconclusive_sets_code_and_junit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "check.xml"
    goals = tmp_path / "SLO.md"
    goals.write_text("# Objectives\n\n- p95 of all requests < 2 s\n- p95 should be good for 200 people\n")
    asked = ["check", *SHOP, "--arm", "eager", "--goals", str(goals), "--junit", str(place)]
    # A requirement that is not understood never passes.
    for policy, code, failures, skipped in ((None, 2, 0, 1), ("pass", 2, 0, 1), ("fail", 1, 1, 0)):
        assert main([*asked, *(["--inconclusive", policy] if policy else [])]) == code
        read = JUnitXml.fromfile(str(place))
        assert (read.tests, read.failures, read.skipped) == (2, failures, skipped)
    maximum = ["check", *SHOP, "--arm", "eager", "--objective", "max latency < 1h"]
    for policy, code in (("pass", 0), ("fail", 1)):
        assert main([*maximum, "--inconclusive", policy]) == code
    capsys.readouterr()


def test_budgets_of_a_soak(document: Callable[..., dict[str, Any]]) -> None:
    asked = ["check", *SHOP, "--arm", "eager", "--objective", "p95 < 2s", "--objective", "error rate < 1%"]
    checked, budget = document(*asked, "--budget", "10s")["results"]
    assert (checked["kind"], budget["kind"], len(budget["rows"])) == ("Checked", "ErrorBudget", 2)
    assert all(0 <= row["used_fraction"] <= 1 for row in budget["rows"])


def test_a_baseline_is_set_shown_and_gated_by(
    document: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = machine_speed.measure_speed(0.05)
    monkeypatch.setattr(stored, "measure_speed", lambda: speed)
    monkeypatch.setattr(machine_speed, "measure_speed", lambda *_: speed)
    runs = lab.load(ROOT / "datasets" / "shop_runs", arm="eager")
    monkeypatch.setattr(
        stored, "_afterwards", lambda *_: [stored.gate_notes.SPEED_AFTERWARDS(age_ms=9e7)]
    )  # they were recorded on another machine
    folder = ["--folder", tmp_path / "baseline"]
    found = document("baseline", "set", *SHOP, "--arm", "eager", *folder)
    assert found["results"][0]["kind"] == "StoredBaseline"
    shown = document("baseline", "show", *folder)["results"][0]
    assert {"run_sd_fraction", "detectable_fraction", "p95_ms"} <= set(shown["rows"][0])
    one = runs.where(run=runs.runs["run"].iloc[0])
    names = {str(one.runs["run"].iloc[0]): "new"}
    tables = {name: frame.assign(run=frame["run"].replace(names)) for name, frame in one.tables.items()}
    slow = tables["requests"].assign(latency_ms=tables["requests"]["latency_ms"] * 30 + 1)
    alone = tables["runs"].drop(columns=["pair", "experiment"])
    later = lab.Measurements.of(**{**tables, "requests": slow, "runs": alone})
    monkeypatch.setattr("perflab.gates.gating.run", lambda *_, **__: later)
    gated = document("gate", "x.py", "--against", tmp_path / "baseline", "--host", "http://127.0.0.1:1")
    assert gated["results"][0]["verdict"] == "fails", gated["results"][0]["sentence"]
    assert pd.notna(gated["results"][0]["comparisons"][0]["rows"][0]["change"])


def test_a_gate_needs_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    for asked, words in (
        ([], "got none"),
        (["--base", "a", "--against", "b"], "--base and --against"),
        (["--base", "main"], "--command"),
        (["--against", "b"], "--host"),
        (HOSTS[:2], "--candidate ARM=URL"),
        ([*HOSTS, "--report", "gate.pdf"], "--report"),
    ):
        assert main(["gate", "x.py", *asked]) == 3
        assert words in capsys.readouterr().err


def test_a_threshold_of_a_k6_script_that_was_not_taken_is_an_unread_requirement() -> None:
    thresholds = {"http_req_waiting": ["p(95)<100"], "http_req_duration": ["p(95)<200"]}
    plan = lab.LoadPlan.from_k6("x.py", {"vus": 1, "duration": "1s", "thresholds": thresholds})
    goal, unread = goals_of(argparse.Namespace(goals=None), plan)
    assert goal == plan.goals[0] and list(unread.not_understood["where"]) == ["http_req_waiting"]


def test_an_error_replaces_the_file_of_an_earlier_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "gate.xml"
    place.write_bytes(to_junit([Case("gate", "gate", "passes", "fine")]))
    asked = ["gate", "x.py", "--against", str(tmp_path / "no::error::x"), "--host", "http://127.0.0.1:1"]
    assert main([*asked, "--junit", str(place), "--github"]) == 3
    read = JUnitXml.fromfile(str(place))
    assert (read.tests, read.failures, read.errors, read.skipped) == (1, 0, 1, 0)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::error")]
    assert "no baseline" in line
