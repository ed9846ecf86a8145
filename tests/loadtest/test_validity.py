"""Each reason against a run, from what the generator's processes leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perflab.loadtest import validity
from perflab.loadtest.capture import DTYPE, Process, Written, processes, write_checks, write_requests
from perflab.loadtest.histogram import Histogram
from perflab.loadtest.reasons import TARGET_EXITED, TARGET_RESTARTED
from perflab.loadtest.reasons import about as about_code
from perflab.loadtest.records import CHECK, RECORD
from perflab.notes import Note

FOOTER = {"count": 100, "clock_jump_s": 0.0, "exit_code": 0, "user_errors": 0}


def process(name: str = "local-1", *, count: int = 100, torn: int = 0, footer: bool = True, **notes: Any) -> Process:
    base: dict[str, list[dict[str, Any]]] = {
        "start": [{"time": 0.0}],
        "stop": [{"time": 10.0, "users": 4}],
        "users": [{"time": t / 2, "users": 4} for t in range(20)],
        "footer": [FOOTER],
        **notes,
    }
    if not footer:
        del base["footer"]
    return Process(name, Path("nowhere.bin"), count, torn, base)


def written(latencies: Any = (20.0,) * 100, lags: Any = (), failed: int = 0) -> Written:
    latency, lag = Histogram(), Histogram()
    latency.add(np.asarray(latencies, dtype="float64"))
    lag.add(np.asarray(lags, dtype="float64"))
    return Written(latency.count, failed, latency, lag)


def reasons(*found: Process, rows: Written | None = None, count: int | None = 100, **options: Any) -> list[Note]:
    return list(validity.judge(found, rows or written(), locust_count=count, **options).reasons)


def test_a_clean_run_has_no_reasons() -> None:
    judged = validity.judge([process()], written(), locust_count=100)
    assert judged == validity.Judgement((), ())


@pytest.mark.parametrize(
    ("found", "code", "about", "facts"),
    [
        (reasons(process(footer=False)), "process-lost", "generator", {"process": "local-1"}),
        (reasons(process("worker-1"), process("worker-2", footer=False)), "worker-lost", "generator", {"process": "worker-2"}),
        (reasons(process("remote-w", footer=False)), "remote-worker-lost", "generator", {"worker": "w"}),
        (reasons(process("worker-1"), expected_workers=2), "workers-missing", "generator", {"wanted": 2, "found": 1}),
        (reasons(process(), count=101), "counts-differ", "recorder", {"captured": 100, "counted": 101}),
        (reasons(process(), count=None), "no-locust-count", "recorder", {}),
        (reasons(process(torn=7)), "torn-record", "recorder", {"process": "local-1", "left": 7}),
        (reasons(process(cpu=[{"time": 5.0, "percent": 97.0}])), "generator-busy", "generator", {"cpu_fraction": 0.97}),
        (reasons(process(stopped=[{"took_s": 11.0, "censored": True}])), "requests-cut-off", "target", {"waited_ms": 11_000.0}),
        (reasons(Process("local-1", Path("x"), 100, 0, {**process().notes, "footer": [{**FOOTER, "clock_jump_s": -3.0}]})),
         "clock-set", "machine", {"jump_ms": 3_000.0}),
        (reasons(process(), rows=written(failed=51)), "most-requests-failed", "target",
         {"failed_fraction": 0.51, "limit_fraction": 0.5}),
        (reasons(process(), ended=TARGET_EXITED(arm="a", exit_code=3)), "target-exited", "target", {"arm": "a", "exit_code": 3}),
        (reasons(process(), restarted=TARGET_RESTARTED(arm="a", before=1, now=2).to_json()), "target-restarted", "target",
         {"arm": "a", "before": 1, "now": 2, "text": "the target 'a' restarted during the run (process 1, then 2)"}),
        (reasons(process(arrivals=[{"due": 100, "begun": 90}]), expected_arrivals=100.0), "schedule-not-kept", "generator",
         {"started": 90, "expected": 100}),
        (reasons(process(arrivals=[{"due": 100, "begun": 100}]), rows=written(lags=(9.0,) * 100), expected_arrivals=100.0),
         "arrivals-late", "generator", {"lag_ms": 9.0, "latency_ms": 20.0}),
    ],
)  # fmt: skip
def test_each_reason(found: list[Note], code: str, about: str, facts: dict[str, Any]) -> None:
    [reason] = found
    assert (reason.code, reason.about, reason.facts) == (code, about, facts)
    assert about_code(code) == about


def test_poisson_arrivals_may_differ_by_chance() -> None:
    few = process(arrivals=[{"due": 90, "begun": 90}])
    assert not reasons(few, expected_arrivals=100.0, poisson=True)
    assert reasons(process(arrivals=[{"due": 50, "begun": 50}]), expected_arrivals=100.0, poisson=True)


def test_lag_that_is_small_in_itself_is_a_warning() -> None:
    on_time = process(arrivals=[{"due": 100, "begun": 100}])
    judged = validity.judge([on_time], written([5.0] * 100, [3.0] * 100), locust_count=100, expected_arrivals=100.0)
    assert not judged.reasons
    assert (judged.warnings[0].code, judged.warnings[0].facts["lag_ms"]) == ("lag-in-latency", 3.0)


def test_the_warnings() -> None:
    errors = [{"text": "KeyError: 'a'"}] * 3
    noisy = Process(
        "local-1", Path("x"), 100, 0,
        {**process().notes, "user_error": errors, "footer": [{**FOOTER, "user_errors": 5_000}],
         "endpoint": [{"index": i, "name": str(i)} for i in range(501)]},
    )  # fmt: skip
    judged = validity.judge([noisy], written([20.0] * 98), locust_count=100)
    assert [(w.code, w.facts) for w in judged.warnings] == [
        ("user-exceptions", {"errors": 5_000, "first": "KeyError: 'a'"}),
        ("events-without-time", {"events": 2}),
        ("many-endpoints", {"endpoints": 501}),
    ]


def test_conversion_is_exact_and_keeps_what_it_can(tmp_path: Path) -> None:
    """Two processes, one of them torn and without a footer; what is not a request is left out."""
    import pandas as pd

    for number, torn in ((1, b""), (2, b"abc")):
        rows = np.zeros(1_000, DTYPE)
        rows["start"], rows["latency"], rows["due"] = 1.79e9 + np.arange(1_000), np.arange(1_000) + 0.25, np.nan
        rows["latency"][:3] = np.nan
        rows["error"][10], rows["status"] = 1, 200
        (tmp_path / f"worker-{number}.bin").write_bytes(rows.tobytes() + torn)
        checks = b"".join(CHECK.pack(1.79e9 + i, 0, i % 2, i % 2) for i in range(10))
        (tmp_path / f"worker-{number}.checks").write_bytes(checks + torn)
        side = '{"kind": "endpoint", "index": 0, "name": "GET /"}\n{"kind": "error", "index": 1, "text": "lost"}\n'
        side += '{"kind": "check", "index": 0, "name": "is fine"}\n{"kind": "foo'
        (tmp_path / f"worker-{number}.jsonl").write_text(side)
    found = processes(tmp_path)
    assert [(p.count, p.torn_bytes, p.footer) for p in found] == [(1_000, 0, None), (1_000, 3, None)]
    assert RECORD.size == DTYPE.itemsize
    done = write_requests(found, tmp_path / "requests.parquet")
    frame = pd.read_parquet(tmp_path / "requests.parquet")
    assert (done.rows, done.failed, len(frame)) == (1_994, 2, 1_994)
    assert frame.latency_ms.iloc[:997].to_list() == [i + 0.25 for i in range(3, 1_000)]
    assert frame.error.dropna().to_list() == ["lost", "lost"]
    assert write_checks(found, tmp_path / "checks.parquet") == 20
    checks = pd.read_parquet(tmp_path / "checks.parquet")
    assert checks.ok.sum() == 10
    assert checks.endpoint.notna().equals(checks.ok)


def closed(**endpoints: list[float]) -> list[Note]:
    """The warnings of ten seconds of four users."""
    by_endpoint = {}
    for name, latencies in endpoints.items():
        by_endpoint[name] = Histogram()
        by_endpoint[name].add(np.array(latencies))
    every = written([latency for latencies in endpoints.values() for latency in latencies])
    rows = Written(every.rows, 0, every.latency, every.lag, by_endpoint)
    return list(validity.judge([process(count=rows.rows)], rows, locust_count=rows.rows).warnings)


def test_a_stall_is_told_from_an_endpoint_that_is_always_slow() -> None:
    usual = [5.0] * 1_000
    [exposed] = closed(a=[*usual, *[2_000.0] * 4])
    assert (exposed.code, exposed.facts["stall_ms"]) == ("coordinated-omission", 2_000.0)
    assert not closed(a=usual, report=[2_000.0] * 4)
    assert not closed(a=usual)
    # As much waiting in many short moments: nobody was kept from asking for long.
    assert not closed(a=[*usual, *[40.0] * 200])
