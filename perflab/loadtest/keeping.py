"""What a run keeps: its tables, the record of how it ran, and the judgement of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from perflab import formats, provenance
from perflab.data import store
from perflab.data.selection import RECORDED
from perflab.errors import FormatError
from perflab.loadtest import capture, process, profiled_target, reasons, recorded_target, recovery, validity
from perflab.loadtest.header_rows import write_exchanges
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.resources import Sampler
from perflab.loadtest.scrape import Scraper
from perflab.loadtest.server_statements import ServerStatements
from perflab.loadtest.slot import Slot
from perflab.loadtest.target import Target
from perflab.notes import Note, notes_of

JUDGING = "judging"
"""The key in a run's record with what is needed to judge it again."""
GENERATOR = recovery.GENERATOR
"""The folder in a draft for the files of the generator's processes."""


@dataclass(frozen=True)
class Ended:
    """How the load ended (the reason, if early), whether the target restarted, and what was observed besides requests."""

    reason: Note | None
    restarted: Note | None
    exit_code: int
    interrupted: bool
    sampler: Sampler
    scraper: Scraper | None
    counted: ServerStatements | None
    environment: dict[str, Any]
    warnings: tuple[Note, ...]


def keep(plan: LoadPlan, target: Target, draft: store.Draft, at: Slot, ended: Ended, seed: int | None) -> Path:
    """Write every table of the run, judge it, and move it into the store; return its folder."""
    folder, generator = draft.folder, draft.folder / GENERATOR
    found = capture.processes(generator)
    if not sum(p.count for p in found):
        raise KeyboardInterrupt("stopped before the first request; nothing was kept")
    start_s, stop_s = capture.span(found)
    ending = {"ended": _reason(ended, (stop_s - start_s) * 1e3), "restarted": ended.restarted}
    judging = {**judging_of(plan), **ending, "exit_code": ended.exit_code}
    recovery.note_end(draft, ended=judging["ended"], restarted=ended.restarted)
    written = capture.write_requests(found, folder / "requests.parquet")
    capture.write_checks(found, folder / "checks.parquet")
    write_exchanges(draft, found)
    draft.write("load", capture.load_frame(found))
    draft.write("resources", ended.sampler.frame(draft.run))
    metrics = [ended.scraper.frame(draft.run)] if ended.scraper else []
    if ended.counted:
        metrics += [waits] if len(waits := ended.counted.waits()) else []
        draft.write("summary", ended.counted.summary())
    if metrics:
        draft.write("metrics", pd.concat(metrics, ignore_index=True))
    entries = process.statistics(generator)
    counted = process.counted(entries) if entries else None
    judgement = validity.judge(found, written, locust_count=counted, **judging)
    # A worker that was cut off may deliver its records later, and merging needs the others' records unchanged.
    can_be_merged = any(p.role == "remote" and p.footer is None for p in found)
    warnings: list[object] = [
        *judgement.warnings,
        *ended.warnings,
        *(ended.scraper.warnings if ended.scraper else ()),
        *(ended.counted.warnings if ended.counted else ()),
        *(_keep_queries(draft) if target.record_queries else ()),
        *(recorded_target.keep(draft) if target.record_requests else ()),
    ]
    profiled, notes = profiled_target.keep(target.profile, draft)
    warnings += notes
    expected = plan.expected_arrivals
    record = record_of(plan, target, at, ended.environment, seed)
    kept = draft.keep(
        {
            **record,
            "start": datetime.fromtimestamp(start_s, UTC).isoformat(),
            "duration_ms": (stop_s - start_s) * 1e3,
            "valid": not judgement.reasons,
            "reasons": list(judgement.reasons),
            "warnings": notes_of(warnings),
            "environment": record["environment"] | profiled,
            "locust": entries,
            "accounting": validity.account(found, written),
            **_rates(plan, found, written, start_s, stop_s),
            **({JUDGING: judging} if can_be_merged else {}),
            **({} if expected is None else {"schedule": validity.schedule(found, written, expected)}),
        }
    )
    # Last: the raw records must outlive every step that can fail.
    if not can_be_merged:
        shutil.rmtree(kept / GENERATOR)
    return kept


def record_of(plan: LoadPlan, target: Target, at: Slot, stamped: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """What is known about a run before its load."""
    return {
        "arm": target.arm,
        "experiment": at.experiment,
        "pair": at.pair,
        "order": at.order,
        "host": provenance.without_credentials(target.host),
        "plan": plan.record(),
        "environment": _environment(target, stamped, seed) | at.environment,
    }


def judging_of(plan: LoadPlan) -> dict[str, Any]:
    """What a run is judged by."""
    return {
        "expected_arrivals": plan.expected_arrivals,
        "poisson": plan.arrivals == "poisson",
        "expected_workers": plan.all_workers,
        "stages": plan.record()["stages"],
    }


def _reason(ended: Ended, after_ms: float) -> Note | None:
    """Why the load ended early, if it did."""
    return reasons.INTERRUPTED(after_ms=after_ms) if ended.interrupted else ended.reason


def _environment(target: Target, stamped: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    return {
        **stamped,
        "generator": f"locust {provenance.package_version('locust')}",
        "target": target.record(),
        "recorded_queries": target.record_queries,
        **({RECORDED: True} if target.record_requests else {}),
        **({} if seed is None else {"order_seed": seed}),
    }


def _rates(
    plan: LoadPlan, found: list[capture.Process], written: capture.Written, start_s: float, stop_s: float
) -> dict[str, float | None]:
    """Requests per second, offered and achieved.

    A closed plan offers what its users would send if every response were immediate: their time without the waiting.
    """
    ran_s = max(stop_s - start_s, 1e-3)
    achieved = written.rows / ran_s
    if plan.expected_arrivals is not None:
        started = sum(note["begun"] for p in found for note in p.notes.get("arrivals", []))
        offered: float | None = plan.expected_arrivals / plan.duration_s * written.rows / max(1, started)
    else:
        frame = capture.load_frame(found)
        users_s = float(frame["users"].mean()) * ran_s if len(frame) else 0.0
        idle_s = users_s - float(written.latency.sums.sum()) / 1e3
        offered = written.rows / ran_s * users_s / idle_s if idle_s > 0.01 * users_s else None
    return {"offered_per_s": offered, "achieved_per_s": achieved}


def _keep_queries(draft: store.Draft) -> list[object]:
    """Turn the application's recording into the run's queries; return warnings."""
    path = draft.folder / "queries.jsonl"
    if not path.exists() or not path.stat().st_size:
        path.unlink(missing_ok=True)
        return [reasons.NO_QUERIES()]
    try:
        tables = formats.named("query_recorder").read(path)
    except FormatError as problem:
        return [reasons.QUERIES_UNREADABLE(problem=problem)]
    draft.write("queries", recorded_target.with_requests(tables["queries"], draft.folder))
    path.unlink()
    return list(getattr(tables, "warnings", ()))
