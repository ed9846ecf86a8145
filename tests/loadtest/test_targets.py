"""Targets beyond a command: functions that deploy, services that live on, logs, metrics, processes that were up before."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from driving import SERVERS, free_port, plan, target, wait_for

import perflab as lab
from perflab.loadtest import reasons
from perflab.loadtest.capacity import Capacity, _search, _step
from perflab.loadtest.logfiles import LogFiles
from perflab.loadtest.scrape import parse
from perflab.loadtest.serving import _connects
from perflab.notes import Note, codes
from perflab.stats.scalability import fit_scalability

NARROW = SERVERS / "narrow.py"


def narrow(arm: str, seconds: float, *options: str, **more: object) -> lab.Target:
    port = free_port()
    command = [sys.executable, str(NARROW), str(port), str(seconds), *options]
    return lab.Target(arm, host=f"http://127.0.0.1:{port}", command=command, ready="/ready", **more)


def test_metrics_and_logs_come_home_with_the_run(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("/from before\n")
    served = target("tiny", "--log", str(log), logs=[log])
    one = lab.run(plan(2), served, store=tmp_path / "runs", progress=False)
    collected = next((tmp_path / "runs").glob("*/logs/01-app.log")).read_text()
    assert "/from before" not in collected
    assert len(collected.splitlines()) == len(one.requests)

    one = lab.run(plan(3), narrow("narrow", 0.001, metrics="/metrics"), store=tmp_path / "runs", progress=False)
    served_total = one.metrics[one.metrics["name"] == "served_total"]
    assert len(served_total) >= 2
    assert served_total["value"].is_monotonic_increasing
    assert 0 < served_total["value"].max() <= len(one.requests)
    assert served_total["labels"].iloc[0] == {"path": 'a "quoted" one', "zone": "x"}
    assert "metrics-values-skipped" in codes(one.warnings)
    assert one.resources.file_descriptors.between(4, 200).mean() > 0.5
    assert one.runs.valid.all()


def test_a_metrics_page_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    one = lab.run(plan(1.5), target("tiny", metrics="http://127.0.0.1:9/metrics"), store=tmp_path, progress=False)
    assert set(one.metrics["name"]) == {"probe_success"} and (one.metrics["value"] == 1).all()
    assert "metrics-pages-failed" in codes(one.warnings)
    assert one.runs.valid.all()


def test_what_is_not_prometheus_is_counted() -> None:
    assert parse("") == ([], 0)
    assert parse('a{b="1"} 2\nnot a metric at all\nc 3')[0] == [("a", {"b": "1"}, 2.0), ("c", {}, 3.0)]
    samples, bad = parse("<html>" * 1000)
    assert not samples
    assert bad == 1


def test_a_function_deploys_each_arm_and_takes_it_down(tmp_path: Path) -> None:
    port, told = free_port(), []

    def deploy() -> object:
        told.append("up")
        process = subprocess.Popen([sys.executable, str(NARROW), str(port), "0.001"])
        wait_for(lambda: _connects("127.0.0.1", port))

        def down() -> None:
            process.terminate()
            process.wait(5)
            told.append("down")

        return down

    deployed = lab.Target("deployed", host=f"http://127.0.0.1:{port}", deploy=deploy)
    one = lab.run(plan(1), deployed, store=tmp_path, progress=False)
    assert told == ["up", "down"]
    assert len(one.requests) > 5
    assert not _connects("127.0.0.1", port)

    def broken() -> None:
        raise RuntimeError("no such cluster")

    with pytest.raises(lab.TargetError, match="deploy of 'x' raised RuntimeError: no such cluster"):
        lab.run(plan(1), lab.Target("x", host="http://127.0.0.1:1", deploy=broken), store=tmp_path, progress=False)


def test_a_service_may_live_through_all_pairs(tmp_path: Path) -> None:
    both = [narrow(arm, 0.001, restart=False, metrics="/metrics") for arm in ("a", "b")]
    before, after = lab.run_pairs(plan(1), *both, pairs=2, seed=1, store=tmp_path, progress=False)
    for side in (before, after):
        counts = side.metrics[side.metrics["name"] == "served_total"].groupby("run")["value"].agg(["min", "max"])
        ordered = counts.loc[side.runs.sort_values("start")["run"]]
        # The second run of an arm goes on counting where the first one ended.
        assert ordered["min"].iloc[1] >= ordered["max"].iloc[0] > 0
        assert side.runs.valid.all()
    for one in both:
        assert not _connects(*one.address)


def test_a_process_that_was_up_is_watched_by_its_number(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(NARROW), str(port), "0.001"])
    try:
        wait_for(lambda: _connects("127.0.0.1", port))
        up = lab.Target("up", host=f"http://127.0.0.1:{port}", pid=process.pid)
        one = lab.run(plan(2), up, store=tmp_path, progress=False)
        assert (one.resources.query("process == 'target'").rss_bytes > 5e6).any()
        assert one.runs.valid.all()
    finally:
        process.kill()
        process.wait()
    with pytest.raises(lab.TargetError):
        lab.run(plan(1), up, store=tmp_path, progress=False)


def test_contradictions_are_refused() -> None:
    host = "http://127.0.0.1:1"
    with pytest.raises(ValueError, match="record_queries needs restart=True"):
        lab.Target("a", host=host, command=["x"], record_queries=True, restart=False)
    with pytest.raises(ValueError, match="pid is for a target that is already running"):
        lab.Target("a", host=host, command=["x"], pid=1)
    with pytest.raises(ValueError, match="deploy must be a function"):
        lab.Target("a", host=host, deploy="kubectl")  # type: ignore[arg-type]


def test_a_rotated_log_is_taken_whole_and_a_missing_one_is_told(tmp_path: Path) -> None:
    log, gone = tmp_path / "a.log", tmp_path / "gone.log"
    log.write_text("old and long line\n")
    files = LogFiles([log, gone])
    log.write_text("new\n")
    place = tmp_path / "kept"
    place.mkdir()
    [missing] = files.collect(place)
    assert (missing.code, missing.facts["file"]) == ("log-unreadable", "gone.log")
    assert (place / "01-a.log").read_text() == "new\n"


def test_capacity_brackets_the_truth(tmp_path: Path) -> None:
    """One counter that is held for 20 ms serves 50 requests a second at most, on any machine."""
    one = plan(2, user_classes=["Shopper"])
    found = lab.find_capacity(
        one, narrow("narrow", 0.02), "p95 < 300ms", start=10, factor=10, resolution="95%", step="2s", store=tmp_path,
        progress=False,
    )  # fmt: skip
    assert found.table["rate"].to_list()[0] == 10
    assert (found.table["throughput_per_s"] < 55).all()
    assert not (found.table["holds"].isin([True]) & (found.table["rate"] > 55)).any()
    assert found.low <= 10 or found.table["verdict"].iloc[-1] == "invalid"
    assert found.model is None
    assert "needs at least 5 steps" in found.model_problem
    assert lab.plots.plot_capacity(found).get_xlabel() == "Offered rate, arrivals/s"
    with pytest.raises(ValueError, match="factor > 1"):
        lab.find_capacity(one, narrow("n", 0.02), "p95 < 1s", factor=1)


@pytest.mark.parametrize(
    ("reason", "holds"),
    [
        (None, True),
        (reasons.TARGET_EXITED(arm="scheduler", exit_code=1), False),
        (reasons.TARGET_RESTARTED(arm="generator", before=1, now=2), False),
        (reasons.MOST_FAILED(failed_fraction=0.6, limit_fraction=0.5), False),
        (reasons.WORKERS_MISSING(wanted=2, found=1), None),
        (reasons.COUNTS_DIFFER(captured=3_000, counted=3_100), None),
        (reasons.WORKER_LOST(process="worker-1"), None),
        (reasons.ARRIVALS_LATE(lag_ms=9.0, latency_ms=20.0), None),
        (reasons.CLOCK_SET(jump_ms=3_000.0), None),
    ],
)
def test_only_what_is_about_the_target_is_its_limit(reason: Note | None, holds: bool | None) -> None:
    """A target called 'scheduler' that exits is the target's limit; a lost worker says nothing about the target."""
    start = pd.Timestamp("2026-11-24T10:00", tz="UTC")
    requests = pd.DataFrame(
        {"run": "r", "endpoint": "GET /", "start": start + pd.to_timedelta(np.arange(500) / 50, unit="s"),
         "latency_ms": 10.0, "ok": True}
    )  # fmt: skip
    run = {"run": "r", "arm": "a", "start": start, "duration_ms": 10_000.0, "valid": reason is None}
    known = [] if reason is None else [reason]
    runs = pd.DataFrame([run | {"reasons": [str(n) for n in known], "reason_codes": [n.code for n in known]}])
    step = _step(lab.Measurements.of(runs=runs, requests=requests), 50.0, 10.0, (lab.Objective("p95", "<", "1s"),))
    assert step["holds"] is holds


def steps(rates: np.ndarray, concurrency: float | np.ndarray = 1.0, **columns: Any) -> pd.DataFrame:
    names = (
        *("rate", "throughput_per_s", "p50_ms", "p95_ms", "error_fraction", "concurrency"),
        *("holds", "verdict", "reason"),
    )
    return pd.DataFrame(dict.fromkeys(names, 0.0) | {"rate": rates, "concurrency": concurrency, **columns})


@pytest.mark.parametrize(
    ("verdicts", "rates"),
    [
        (["holds", "holds", "fails"], ""),
        (["inconclusive", "holds", "fails"], ""),  # not an end of the bracket
        (["holds", "inconclusive", "fails"], "20/s"),
        (["holds", "inconclusive", "inconclusive"], "20/s and 40/s"),
        (["holds", "holds", "invalid"], ""),
    ],
)
def test_a_capacity_by_measured_values_says_where_its_intervals_are_open(verdicts: list[str], rates: str) -> None:
    table = steps(np.array([10.0, 20.0, 40.0]), holds=[True, True, False], verdict=verdicts, reason="")
    found = Capacity(20.0, 40.0, table, (lab.Objective("p95", "<", "60ms"),), None, "too few steps", "it was close")
    open_at = [note.facts["rates"] for note in found.notes if isinstance(note, Note)]
    assert open_at == ([rates] if rates else [])
    drawn = found.show()
    assert drawn.table is not None
    assert drawn.table["met_as_measured"].to_list() == [True, True, False]
    assert drawn.table["by 95 % interval"].to_list() == verdicts


def test_a_capacity_tells_no_peak_that_its_steps_never_came_near() -> None:
    rates = np.array([30.0, 60, 120, 240, 480])

    def found(answered: np.ndarray, concurrency: np.ndarray, low: float, high: float, why: str) -> Capacity:
        law, problem = fit_scalability(concurrency, answered)
        return Capacity(low, high, steps(rates, concurrency), (lab.Objective("p95", "<", "60ms"),), law, problem, why)

    idle = found(
        rates, rates * np.array([19.8, 19.7, 21.2, 20.9, 19.9]) / 1e3, 480, math.inf, "nothing higher was tried"
    )
    assert idle.model is not None
    assert idle.model.peak_per_s > 5_000
    assert "highest throughput beyond the range of these steps" in idle.notes[0]
    assert repr(idle).count("nothing higher was tried") == 1
    n = np.array([1.0, 4, 16, 48, 120])
    busy = found(100 * n / (1 + 0.05 * (n - 1) + 0.001 * n * (n - 1)), n, 240, 480, "")
    assert re.search(r"highest throughput \d+/s", busy.notes[0])
    none = found(rates, n, 0, math.inf, "the generator could not offer 30/s: use more workers")
    assert none.sentence == (
        "p95 of all requests < 60 ms is inconclusive: the generator could not offer 30/s: use more workers"
    )


@pytest.mark.parametrize("knee", [3.0, 37.0, 640.0, 5000.0])
def test_the_search_closes_in_on_the_knee(knee: float) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= knee

    low, high, stopped = _search(holds, 10.0, 2.0, 2000.0, 0.05)
    if knee > 2000:
        assert (low, high) == (2000.0, float("inf"))
        assert "limit" in stopped
    else:
        assert low <= knee < high <= low * 1.06
    assert len(asked) < 16
