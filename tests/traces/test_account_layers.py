"""What is behind the components of an account: functions of profiled runs, and the database by its own count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_accounts import START, measured

import perflab as lab
from perflab.notes import codes


def profiled(arm: str, own: dict[str, float], requests: int) -> lab.Measurements:
    """A run with a profile of two endpoints; ``own`` are self times of a whole endpoint."""
    rows = [
        {"node": number, "parent": None, "run": f"{arm}-profiled", "thread": "t", "unit": "ms", "function": name,
         "file": "app.py", "line": 1, "depth": 0, "self": value * factor, "total": value * factor, "endpoint": endpoint}
        for endpoint, factor in (("GET /0", 1.0), ("GET /1", 10.0)) for number, (name, value) in enumerate(own.items())
    ]  # fmt: skip
    counts = {e: {"profiled": requests, "profiled_s": 1.0, "timed": 0, "timed_s": 0} for e in ("GET /0", "GET /1")}
    environment = {"profiled": "pyinstrument", "profiling": {"endpoints": counts}}
    runs = {"run": f"{arm}-profiled", "arm": arm, "valid": True, "start": START, "duration_ms": 9_000.0}
    runs = pd.DataFrame([{**runs, "environment": environment}])
    requests_table = measured(arm, 1, 40, np.random.default_rng(0)).requests.assign(run=f"{arm}-profiled")
    return lab.Measurements.of(runs=runs, requests=requests_table, profile=pd.DataFrame(rows))


def both(pairs: int = 4) -> tuple[lab.Measurements, lab.Measurements]:
    random = np.random.default_rng(3)
    return measured("a", pairs, 80, random, endpoints=2), measured(
        "b", pairs, 80, random, added=3, first=1, endpoints=2
    )


def test_functions_are_of_a_profiled_request_of_the_endpoint():
    before, after = both()
    old = before + profiled("a", {"render": 200.0, "load": 600.0}, requests=20)
    new = after + profiled("b", {"render": 200.0, "cache": 10.0}, requests=10)
    found = lab.account(old, new, endpoint="GET /0")
    rows = found.functions.set_index("function")
    assert rows.loc["load", ["baseline_ms", "candidate_ms", "change_ms"]].to_list() == [30, 0, -30]
    assert rows.loc["render", "change_ms"] == 10 and rows.loc["cache", "candidate_ms"] == 1
    assert list(found.functions["function"]) == ["load", "render", "cache"]
    # A profiled run is no measurement: neither of the components, nor of the total beside them.
    plain = lab.account(before, after, endpoint="GET /0")
    pd.testing.assert_frame_equal(found.table, plain.table)
    assert found.measured is None
    assert plain.functions.empty
    alone = lab.account(old, endpoint="GET /1").functions.set_index("function")["baseline_ms"]
    assert alone.to_dict() == {"load": 300, "render": 100}


def test_the_servers_own_count_splits_the_databases_time():
    before, after = both()

    def with_counts(side: lab.Measurements, total: float, plan: float | None) -> lab.Measurements:
        rows = [
            {"run": run, "endpoint": statement, "statistic": name, "value": value, "unit": "ms"}
            for run in side.runs["run"] for statement in ("SELECT 1", "SELECT 2")
            for name, value in (("count", 7.0), ("total", total / 2), ("plan", plan)) if value is not None
        ]  # fmt: skip
        return lab.Measurements.of(**dict(side.tables), summary=pd.DataFrame(rows))

    found = lab.account(with_counts(before, 80.0, 20.0), with_counts(after, 160.0, None))
    sides = found.database.set_index("arm")
    assert sides.loc["a", ["executing_ms", "planning_ms"]].to_list() == [1.0, 0.5]
    assert sides.loc["b", ["executing_ms", "planning_ms"]].to_list() == [2.0, 0.0]
    waited = before.components.query("component == 'database'")["duration_ms"].sum() / (4 * 80)
    assert sides.loc["a", "client_ms"] == pytest.approx(waited)
    assert (sides[["executing_ms", "planning_ms", "outside_ms"]].sum(axis=1) - sides["client_ms"]).abs().max() < 1e-9
    assert codes(found.warnings).count("database-sides") == 2
    assert lab.account(before, after).database.empty


@pytest.mark.parametrize(("half", "shown"), [(40.0, "+3 ms"), (2.0, "+3.1 ms"), (0.04, "+3.14 ms")])
def test_a_change_has_the_decimals_that_its_interval_supports(half, shown):
    from dataclasses import replace

    made = replace(lab.account(*both()), low_ms=3.14 - half, high_ms=3.14 + half)
    assert made.signed(3.14159) == shown
    assert made.signed(-0.001) == f"{0:.{len(shown.partition('.')[2]) - 3 if '.' in shown else 0}f} ms"


def test_picture_and_table_write_one_number_alike():
    made = lab.account(*both())
    shown = made.show().table.set_index("Component")
    title = lab.plot_account(made).get_title(loc="left")
    total = shown.loc["p95"]
    assert title.endswith(f"{total['a, ms']} → {total['b, ms']} ms, {total['Change, ms']} ms")
    cells = " ".join(shown.astype(str).to_numpy().ravel())
    assert "-0 " not in cells and "+0 " not in cells and "-0.0 " not in cells
