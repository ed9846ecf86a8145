"""Each reason against a run, from what the generator's processes leave behind."""

from __future__ import annotations

import json
from dataclasses import replace
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


def process(name: str = "local-1", *, count: int = 100, torn: int = 0, footer: Any = True, **notes: Any) -> Process:
    base: dict[str, list[dict[str, Any]]] = {
        "start": [{"time": 0.0}],
        "stop": [{"time": 10.0, "users": 4}],
        "users": [{"time": t / 2, "users": 4} for t in range(20)],
        "footer": [FOOTER | (footer if isinstance(footer, dict) else {})],
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


def working(*cpu_s: float) -> list[dict[str, Any]]:
    """Notes twice a second, from a second after the start on, of a loop that is never late."""
    return [{"time": 2.0 + i / 2, "ticks": 50, "late_s": 0.0, "worst_s": 0.0, "cpu_s": s} for i, s in enumerate(cpu_s)]


@pytest.mark.parametrize(
    ("cpu_s", "fraction"),
    [
        ([0.48] * 5, 0.96),  # two seconds, which Locust's own look every ten seconds misses
        ([0.05, *[0.48] * 4], 0.96),  # the first has what was spent before
        ([0.48] * 3, None),  # too short to be judged
        ([0.44] * 60, None),
        ([0.2] * 20 + [0.48] * 21 + [0.2] * 20, 0.96),
        ([0.2] * 20 + [0.48] * 10 + [0.2] * 20, None),  # five seconds of sixty
    ],
)
def test_a_generator_that_computes_all_the_time(cpu_s: list[float], fraction: float | None) -> None:
    found = {note.code: note.facts for note in reasons(process(loop=working(*cpu_s)))}
    assert found == ({} if fraction is None else {"generator-busy": {"cpu_fraction": pytest.approx(fraction)}})


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
        (reasons(process(stopped=[{"took_s": 11.0}], footer={"cut": 2})), "requests-cut-off", "target",
         {"requests": 2, "waited_ms": 11_000.0}),
        (reasons(process(footer={"cut": 2, "timed_out": 2})), "requests-timed-out", "you", {"requests": 2}),
        (reasons(process(footer={"user_errors": 101}, user_error=[{"text": "KeyError: 'a'"}])), "users-raise", "you",
         {"errors": 101, "requests": 100, "first": "KeyError: 'a'"}),
        (reasons(process(exited=[{}], footer={"cut": 3}), count=None), "generator-exited", "you", {"in_flight": 3}),
        (reasons(process(exited=[{"error": "OSError: No space left"}], footer={"cut": 3}), count=None), "generator-failed",
         "generator", {"in_flight": 3, "first": "OSError: No space left"}),
        (reasons(process(), exit_code=2), "generator-exit-code", "generator", {"exit_code": 2}),
        (reasons(process(arrivals=[{"due": 100, "begun": 100, "failed": 40}], user_error=[{"text": "E: no"}]),
                 expected_arrivals=100.0), "arrivals-raise", "you", {"raised": 40, "expected": 100, "first": "E: no"}),
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


def hold(users: int = 8, seconds: float = 10.0, **more: Any) -> dict[str, Any]:
    return {"duration_s": seconds, "users": users, "rate": None, "ramp": False, "spawn_rate": None, **more}


def seen(by_second: Any, seconds: float = 10.0, **notes: Any) -> Process:
    """A process that noted so many users twice a second."""
    users = [{"time": t / 2, "users": by_second(t / 2)} for t in range(int(seconds * 2) + 1)]
    return process(users=users, stop=[{"time": seconds, "users": 0}], **notes)


def left(*seconds: float) -> list[dict[str, Any]]:
    return [{"time": second, "text": "RuntimeError: cannot log in"} for second in seconds]


RAMP = hold(ramp=True)


@pytest.mark.parametrize(
    ("found", "stages", "code"),
    [
        (seen(lambda s: 8), [hold()], ""),
        (seen(lambda s: 8 if s else 0), [hold()], ""),
        (seen(lambda s: 2, user_ended=left(*[0.5] * 6)), [hold()], "users-missing"),
        (
            seen(lambda s: 8 if s < 9.5 else 7, user_ended=left(9.5)),
            [hold()],
            "",
        ),  # one of eight, for the last half second
        (seen(lambda s: 2), [hold()], "users-missing"),  # never spawned
        (seen(lambda s: 1, fixed=[{"users": 1}]), [hold()], ""),  # the locustfile's own fixed_count
        (seen(lambda s: 2, fixed=[{"users": None}]), [hold()], "users-missing"),
        (seen(lambda s: max(0, round(8 * (s - 1) / 10))), [RAMP], ""),  # Locust asks once a second
        (seen(lambda s: max(0, round(4 * (s - 1) / 10))), [RAMP], "users-missing"),
        (seen(lambda s: min(8, int(s))), [hold(spawn_rate=1.0)], ""),
        (seen(lambda s: 8 if s < 5 else 2), [hold(8, 5), hold(2, 5)], ""),
        (seen(lambda s: 2, user_ended=left(*[0.1] * 6)), [hold(8, 5), hold(2, 5)], "users-missing"),
        (seen(lambda s: 8, 1.0), [hold(8, 1)], ""),
        (seen(lambda s: 0, 1.0, user_ended=left(*[0.1] * 8)), [hold(8, 1)], "users-missing"),
        (seen(lambda s: 8, 3.0), [hold()], "run-short"),
        (seen(lambda s: 8, 9.9), [hold()], ""),
        (seen(lambda s: 0, 0.95), [hold(0, 1)], ""),
        (process("master-1", stop=[{"time": 10.0, "users": 0}]), [hold()], "workers-missing"),
    ],
)
def test_the_planned_load_was_applied(found: Process, stages: list[dict[str, Any]], code: str) -> None:
    judged = reasons(found, stages=stages, rows=written([20.0] * 100), count=100 if code != "workers-missing" else None)
    assert code in {note.code for note in judged} if code else judged == []
    # What an objective or a person ended is neither short nor lacking users.
    ended = reasons(found, stages=stages, ended=TARGET_EXITED(arm="a", exit_code=1))
    assert ended[0].code == "target-exited"
    assert code in ("", "workers-missing") or code not in {note.code for note in ended}


def test_who_left_is_named() -> None:
    [reason] = reasons(seen(lambda s: 2, user_ended=left(*[0.0] * 6)), stages=[hold()])
    assert reason.facts == {"present": 2.0, "planned": 8, "ended": 6, "first": "RuntimeError: cannot log in"}


def loops(late_s: float, worst_s: float, ticks: int = 50) -> list[dict[str, Any]]:
    return [{"time": t / 2, "ticks": ticks, "late_s": late_s, "worst_s": worst_s} for t in range(20)]


def worked(**counts: int) -> list[dict[str, Any]]:
    """Ten seconds in which that was done, with holds of 8 ms."""
    quiet = loops(0.0, 0.0)
    return [*quiet, {**quiet[-1], **counts, "held_s": counts["holds"] * 0.008}]


@pytest.mark.parametrize(
    ("loop", "reason", "warning"),
    [
        (loops(0.01, 0.006), "", ""),
        ([*loops(0.0, 0.0), {"time": 5.0, "ticks": 50, "late_s": 2.0, "worst_s": 2.0}], "", "generator-stalled"),
        (loops(0.1, 0.012, 40), "", "generator-stalled"),
        (loops(0.35, 0.03, 15), "generator-blocked", ""),
        # Tasks that block, however little of the time that takes: each, one of three, in loops without end; and by chance.
        (worked(holds=10, tasks=10, requests=10), "", "generator-blocked-by-tasks"),
        (worked(holds=100, tasks=300, requests=300), "", "generator-blocked-by-tasks"),
        (worked(holds=100, tasks=0, requests=400), "", "generator-blocked-by-tasks"),
        (worked(holds=4, tasks=4, requests=4), "", ""),
        (worked(holds=60, tasks=600, requests=600), "", ""),
        (worked(holds=10, tasks=0, requests=4000), "", ""),
        ([{"time": 0.5, "ticks": 5, "late_s": 0.4, "worst_s": 0.4}], "", ""),  # while the users are made
        ([{"time": 5.0, "ticks": 5, "late_s": 0.4, "worst_s": 0.4, "over": True}], "", ""),
    ],
)
def test_a_generator_that_stands_still_is_named(loop: list[dict[str, Any]], reason: str, warning: str) -> None:
    judged = validity.judge([process(loop=loop)], written(), locust_count=100)
    assert [[note.code for note in notes] for notes in (judged.reasons, judged.warnings)] == [
        [reason] * bool(reason), [warning] * bool(warning),
    ]  # fmt: skip


def test_a_target_is_not_blamed_for_a_stall_of_the_generator() -> None:
    stall = [5.0] * 1_000 + [2_000.0] * 4
    assert [note.code for note in closed_notes(stall)] == ["coordinated-omission"]
    stopped = [*loops(0.0, 0.0), {"time": 5.0, "ticks": 50, "late_s": 2.0, "worst_s": 2.0}]
    assert [note.code for note in closed_notes(stall, loop=stopped)] == ["generator-stalled"]


def test_what_the_locustfile_does_to_its_exit_code_is_a_warning() -> None:
    for more, code in (({"own_exit_code": 1}, "own-exit-code"), ({"uncaught": "KeyError: 'x'"}, "listener-raised")):
        judged = validity.judge([process(footer={**more})], written(), locust_count=100, exit_code=1)
        assert judged.reasons == ()
        assert [note.code for note in judged.warnings] == [code]
        torn = validity.judge([process(footer={**more})], written(), locust_count=101, exit_code=1)
        assert [note.code for note in torn.reasons] == ["counts-differ", "generator-exit-code"]


def test_what_was_put_aside_is_a_warning() -> None:
    footer = {"dropped": 2, "odd_starts": 3}
    aside = process(
        footer=footer, count=110, shape=[{"name": "Steps"}], host=[{"classes": ["Shop"], "hosts": ["http://shop"]}],
        unread=[{"where": "locust.conf", "names": ["users"]}], stopped=[{"took_s": 11.0, "others": ["Grpc"]}],
    )  # fmt: skip
    rows = replace(written(), late=4, impossible=5)
    judged = validity.judge([aside], rows, locust_count=90)
    assert judged.reasons == ()
    assert {note.code for note in judged.warnings} == {
        "requests-after-end", "requests-unreported", "impossible-latency", "start-no-clock", "tasks-ended", "shape-unused",
        "host-replaced", "settings-unread", "events-without-time", "locust-counted-fewer",
    }  # fmt: skip


def test_what_was_cut_off_after_the_plans_end_is_late() -> None:
    ended = process(footer={"late": 3})
    judged = validity.judge([ended], written(), locust_count=100)
    assert judged.reasons == ()
    assert [(note.code, note.facts) for note in judged.warnings] == [("requests-after-end", {"requests": 3})]
    assert validity.account([ended], written())["late"] == 3


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


def test_late_impossible_and_unnamed_records_are_counted(tmp_path: Path) -> None:
    import pandas as pd

    rows = np.zeros(10, DTYPE)
    rows["start"], rows["latency"], rows["due"] = 1.79e9 + np.arange(10), 5.0, np.nan
    rows["latency"][:3] = (-1.0, np.inf, np.nan)
    rows["endpoint"][5], rows["error"][6] = 4_000_000_000, 77
    (tmp_path / "local-1.bin").write_bytes(rows.tobytes())
    notes = [
        {"kind": "endpoint", "index": 0, "name": "GET /"}, {"kind": "endpoint", "index": 400_000_000, "name": "far"},
        {"kind": "stop", "time": 1.79e9 + 8.5}, [1, 2],
    ]  # fmt: skip
    (tmp_path / "local-1.jsonl").write_text("\n".join(map(json.dumps, notes)) + "\n")
    done = write_requests(processes(tmp_path), tmp_path / "requests.parquet")
    assert (done.rows, done.late, done.impossible) == (6, 1, 2)
    frame = pd.read_parquet(tmp_path / "requests.parquet")
    assert frame.endpoint.astype(str).tolist() == ["GET /", "GET /", "?", "GET /", "GET /", "GET /"]
    assert frame.error.astype(object).dropna().tolist() == ["?"]


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


def closed_notes(latencies: list[float], **notes: Any) -> list[Note]:
    rows = written(latencies)
    rows = replace(rows, by_endpoint={"a": rows.latency})
    return list(validity.judge([process(count=rows.rows, **notes)], rows, locust_count=rows.rows).warnings)


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
