"""What an objective is about: the load that it names, the pages beside it, the budget that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import perflab as lab
from perflab.loadtest import reasons
from perflab.notes import codes
from perflab.objectives import cautions
from perflab.objectives.words import load_in

Make = Callable[..., lab.Measurements]


@pytest.fixture(scope="module")
def runs(make_measurements: Make) -> lab.Measurements:
    """Five runs of 20 users, 20 requests a second, p95 well below half a second."""
    return make_measurements(arms={"now": 1.0, "then": 1.0}, pairs=5, count=600, resources=False, seed=3).where(
        arm="now"
    )


@pytest.mark.parametrize(
    ("objective", "verdict", "code"),
    [
        ("p95 < 10 s at 20 users", "holds", "interval-meets-limit"),
        ("p95 < 10 s at 10 users", "holds", "interval-meets-limit"),
        ("p95 < 10 s at 200 users", "inconclusive", "less-load"),
        ("p95 < 1 ms at 200 users", "fails", "interval-breaks-limit"),
        ("p95 < 1 ms at 20 users", "fails", "interval-breaks-limit"),
        ("p95 < 1 ms at 5 users", "inconclusive", "more-load"),
        ("p95 < 10 s under 500 rps", "inconclusive", "less-load"),
        ("p95 < 10 s at 20 req/s", "holds", "interval-meets-limit"),
        ("error rate < 90 % with 1,000 concurrent users", "inconclusive", "less-load"),
        ("throughput > 500/s with 200 users", "inconclusive", "less-load"),
        ("throughput > 1/s with 200 users", "holds", "interval-meets-limit"),
        ("throughput > 10/s with 2 users", "inconclusive", "more-load"),
    ],
)
def test_an_objective_is_decided_under_its_own_load(
    runs: lab.Measurements, objective: str, verdict: str, code: str
) -> None:
    checked = lab.check(runs, [objective])
    assert (checked.verdict, checked.reasons[0].code) == (verdict, code)


def test_a_load_that_is_not_known_is_said(runs: lab.Measurements) -> None:
    alone = replace(runs, tables={name: table for name, table in runs.tables.items() if name != "load"})
    checked = lab.check(alone, ["p95 < 10 s at 200 users"])
    assert checked.verdict == "holds" and cautions.CONDITION.code in codes(checked.warnings)
    assert cautions.CONDITION.code not in codes(lab.check(runs, ["p95 < 10 s at 20 users"]).warnings)


@pytest.mark.parametrize(
    ("text", "load"),
    [
        ("p95 < 200ms @ 50 VUs", "50 users"),
        ("p95 < 200ms under a load of 100 requests/s", "100/s"),
        ("p95 < 200ms for 1,500 clients", "1500 users"),
        ("p95 < 200ms at 99.5 rps", "99.5/s"),
        ("p95 < 200ms under normal load", ""),
        ("p95 < 200ms", ""),
        ("error rate < 1% at 1.2.3 users", ""),
    ],
)
def test_the_load_of_a_requirement_is_read_and_written(tmp_path: Path, text: str, load: str) -> None:
    assert load_in(text) == load
    for suffix in (".md", ".toml"):
        if load or "1.2.3" not in text:
            goal = lab.read_objectives(lab.objectives.write_objectives([text], tmp_path / f"goals{suffix}"))[0]
            assert goal.load == load, suffix


def with_pages(runs: lab.Measurements, failing: int) -> lab.Measurements:
    names = runs.runs["run"].tolist()
    rows = [
        {"run": run, "time": runs.runs["start"].iloc[i] + pd.Timedelta(seconds=s), "name": name, "labels": labels, "value": value}
        for i, run in enumerate(names)
        for s in range(4)
        for name, labels, value in (
            ("probe_success", {"page": "/health"}, float(s >= failing)), ("requests_total", {}, float(s)),
        )
    ]  # fmt: skip
    return lab.Measurements.of(**{**runs.tables, "metrics": pd.DataFrame(rows)})


def test_check_says_whether_the_pages_of_a_document_answered(runs: lab.Measurements, tmp_path: Path) -> None:
    path = tmp_path / "INTERFACE.md"
    path.write_text("# Requirements\n\n- p95 < 10 s\n- Metrics endpoint: /metrics\n- Health check: /health\n")
    goals = lab.read_objectives(path)

    def said(measured: lab.Measurements) -> dict[str, str]:
        notes = lab.check(measured, goals).warnings
        return {n.facts["what"]: n.code for n in notes if n.code.startswith("page-")}

    assert said(runs) == {"metrics": "page-not-asked", "health": "page-not-asked"}
    assert said(with_pages(runs, 0)) == {"metrics": "page-answered", "health": "page-answered"}
    assert said(with_pages(runs, 2)) == {"metrics": "page-answered", "health": "page-failed"}


def test_a_busy_machine_is_reported(runs: lab.Measurements) -> None:
    busy = replace(runs, warnings=(reasons.FOREIGN_LOAD(other_fraction=0.6), reasons.STOLEN(stolen_fraction=0.2)))
    assert {reasons.FOREIGN_LOAD.code, reasons.STOLEN.code} <= set(codes(lab.check(busy, "p95 < 10 s").warnings))


def test_a_budget_is_used_and_burns_where_it_does() -> None:
    at = pd.date_range("2026-11-24T12:00:00Z", periods=36_000, freq="100ms")
    late = (at >= "2026-11-24T12:30:00Z") & (at < "2026-11-24T12:35:00Z")
    ok = ~(late & (pd.RangeIndex(len(at)) % 50 == 0))
    requests = pd.DataFrame(
        {"run": "soak", "endpoint": "GET /", "start": at, "latency_ms": 10.0 + 90.0 * late, "ok": ok}
    )
    found = lab.objectives.error_budget(
        requests, ["error rate < 0.5%", "p95 < 50ms", "mean < 1s"], window="5m", warmup=0
    )
    errors, slow = found.table.to_dict("records")
    assert (errors["requests"], errors["bad"], errors["allowed"]) == (36_000, 60, 180.0)
    assert errors["used_fraction"] == pytest.approx(1 / 3) and errors["worst_burn"] == pytest.approx(0.02 / 0.005)
    assert errors["worst_burn_low"] > 2 and errors["worst_at"] == pd.Timestamp("2026-11-24T12:30:00Z")
    assert errors["exhausted_at"] is pd.NaT
    assert slow["bad"] == 3000 and slow["used_fraction"] == pytest.approx(3000 / 1800)
    assert slow["exhausted_at"] == pd.Timestamp("2026-11-24T12:30:00Z")
    assert len(found.windows) == 24 and cautions.NO_BUDGET.code in codes(found.warnings)
    assert "p95 of all requests < 50 ms: 167 % of the error budget is used" in found.sentence
    for window in ("0s", "1ms"):
        with pytest.raises(ValueError, match="window"):
            lab.objectives.error_budget(requests, "p95 < 50ms", window=window)
