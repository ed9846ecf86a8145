"""Each reason against a run, from what the generator's processes leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perflab.loadtest import validity
from perflab.loadtest.capture import DTYPE, Process, Written, processes, write_checks, write_requests
from perflab.loadtest.histogram import Spread
from perflab.loadtest.records import CHECK, RECORD

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
    latency, lag = Spread(), Spread()
    latency.add(np.asarray(latencies, dtype="float64"))
    lag.add(np.asarray(lags, dtype="float64"))
    return Written(latency.count, failed, latency, lag)


def reasons(*found: Process, rows: Written | None = None, count: int | None = 100, **options: Any) -> list[str]:
    return list(validity.judge(found, rows or written(), locust_count=count, **options).reasons)


def test_a_clean_run_has_no_reasons() -> None:
    judged = validity.judge([process()], written(), locust_count=100)
    assert judged == validity.Judgement((), ())


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (reasons(process(footer=False)), "process local-1 was lost"),
        (reasons(process("worker-1"), process("worker-2", footer=False)), "worker-2 was lost in mid-run"),
        (reasons(process("worker-1"), expected_workers=2), "2 workers were asked for, 1 took part"),
        (reasons(process(), count=101), "100 requests were captured but Locust counted 101"),
        (reasons(process(), count=None), "Locust wrote no final statistics"),
        (reasons(process(torn=7)), "the last record is torn (7 bytes)"),
        (reasons(process(cpu=[{"time": 5.0, "percent": 97.0}])), "the generator used 97 % of a core"),
        (reasons(process(stopped=[{"took_s": 11.0, "censored": True}])), "still in flight 11 s after the end"),
        (reasons(Process("local-1", Path("x"), 100, 0, {**process().notes, "footer": [{**FOOTER, "clock_jump_s": -3.0}]})),
         "the clock was set by 3 s"),
        (reasons(process(), rows=written(failed=51)), "51 % of the requests failed (the limit is 50 %)"),
        (reasons(process(), ended="the target ended"), "the target ended"),
        (reasons(process(), restarted="the target was restarted"), "the target was restarted"),
        (reasons(process(arrivals=[{"due": 100, "begun": 90}]), expected_arrivals=100.0), "90 of 100 arrivals began"),
        (reasons(process(arrivals=[{"due": 100, "begun": 100}]), rows=written(lags=(9.0,) * 100), expected_arrivals=100.0),
         "arrivals began 9 ms late (p95), beside a latency of 20 ms"),
    ],
)  # fmt: skip
def test_each_reason_is_said(found: list[str], said: str) -> None:
    assert len(found) == 1, found
    assert said in found[0]


def test_poisson_arrivals_may_differ_by_chance() -> None:
    few = process(arrivals=[{"due": 90, "begun": 90}])
    assert not reasons(few, expected_arrivals=100.0, poisson=True)
    assert reasons(process(arrivals=[{"due": 50, "begun": 50}]), expected_arrivals=100.0, poisson=True)


def test_lag_that_is_small_in_itself_is_a_warning() -> None:
    on_time = process(arrivals=[{"due": 100, "begun": 100}])
    judged = validity.judge([on_time], written([5.0] * 100, [3.0] * 100), locust_count=100, expected_arrivals=100.0)
    assert not judged.reasons
    assert "arrivals began 3 ms late" in judged.warnings[0]


def test_the_warnings() -> None:
    errors = [{"text": "KeyError: 'a'"}] * 3
    noisy = Process(
        "local-1", Path("x"), 100, 0,
        {**process().notes, "user_error": errors, "footer": [{**FOOTER, "user_errors": 5_000}],
         "endpoint": [{"index": i, "name": str(i)} for i in range(501)]},
    )  # fmt: skip
    judged = validity.judge([noisy], written([20.0] * 98), locust_count=100)
    assert [w.split(":")[0] for w in judged.warnings] == [
        "5,000 exceptions in the locustfile's tasks, the first",
        "left out 2 events without a response time",
        "501 different endpoints",
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


def closed(**endpoints: list[float]) -> list[str]:
    """The warnings of ten seconds of four users."""
    by_endpoint = {}
    for name, latencies in endpoints.items():
        by_endpoint[name] = Spread()
        by_endpoint[name].add(np.array(latencies))
    every = written([latency for latencies in endpoints.values() for latency in latencies])
    rows = Written(every.rows, 0, every.latency, every.lag, by_endpoint)
    return list(validity.judge([process(count=rows.rows)], rows, locust_count=rows.rows).warnings)


def test_a_stall_is_told_from_an_endpoint_that_is_always_slow() -> None:
    usual = [5.0] * 1_000
    assert any("exposed to coordinated omission" in w and "up to 2 s" in w for w in closed(a=[*usual, *[2_000.0] * 4]))
    assert not closed(a=usual, report=[2_000.0] * 4)
    assert not closed(a=usual)
    # As much waiting in many short moments: nobody was kept from asking for long.
    assert not closed(a=[*usual, *[40.0] * 200])
