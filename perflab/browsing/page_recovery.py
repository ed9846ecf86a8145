"""`recover` for runs of any kind: those of pages here, those of load by `perflab.loadtest.recovery`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from perflab.browsing import chromium
from perflab.browsing.kept_visits import LINES, judged, lines, visit_of, write_tables
from perflab.data import store
from perflab.data.tables import Measurements
from perflab.errors import StoreError
from perflab.loadtest import recovery
from perflab.loadtest.logfiles import clean
from perflab.notes import Note


def recover(folder: str | Path) -> Measurements:
    """Make a run from the hidden folder that a failed or killed run left behind.

    Parameters
    ----------
    folder : str or Path
        The hidden folder in the store, such as ``runs/.20261124-014812-eager-91bc``; or a store with one of them.

    Returns
    -------
    Measurements
        The run, now in the store. It is valid if its load (or the visits of its pages) ended as planned and only what came
        after failed.

    Raises
    ------
    StoreError
        No such folder, nothing captured in it, a run still in progress, or no space to write.

    >>> lab.recover("runs/.20261124-014812-eager-91bc")  # doctest: +SKIP
    """
    return recovery.recovered(folder, {LINES: _kept})


def _kept(draft: store.Draft) -> Path:
    facts, end = recovery.facts_of(draft)
    written = list(lines(draft.folder / LINES))
    visits = [visit_of(line) for line in written]
    if not visits:
        raise StoreError(f"{draft.folder}: no page visit was finished in it; delete it")
    for half in draft.folder.glob("*.parquet"):
        half.unlink()
    record, judging = facts.get("record", {}), facts.get("judging", {})
    planned = int(judging.get("visits") or max(one.number for one in visits))
    invalid, warnings = judged(visits, planned)
    if not end:
        invalid.insert(0, recovery.END_UNKNOWN())
    else:
        invalid += [Note.from_json(note) for note in end.get("ended") or ()]
    write_tables(draft, visits)
    clean(draft.folder / "logs")
    environment: dict[str, Any] = record.get("environment") or {}
    if "throttling" in judging:
        environment["generator"] = chromium.generator(written[0]["browser"], judging["throttling"])
    kept = draft.keep(
        {
            **record,
            "environment": environment,
            "start": record.get("start") or visits[0].start.isoformat(),
            "duration_ms": _took_ms(visits[0].start, visits[-1].exchanges),
            "valid": not invalid,
            "reasons": invalid,
            "warnings": [recovery.RECOVERED(), *warnings],
        }
    )
    recovery.forget(kept, LINES)
    return kept


def _took_ms(start: datetime, exchanges: list[dict[str, Any]]) -> float:
    """From the first visit to the last request of the last one."""
    ends = (row["start"].timestamp() * 1e3 + sum(row["timings_ms"].values()) for row in exchanges)
    return max(0.0, max(ends, default=start.timestamp() * 1e3) - start.timestamp() * 1e3)
