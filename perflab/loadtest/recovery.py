"""Turns what was captured before a run's last step failed, or its process was killed, into a run.

During a run its hidden folder also holds what that needs: how the run is to be judged, and space for how its load ended,
reserved before the disk can be full.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from perflab.data import store
from perflab.data.tables import Measurements
from perflab.errors import FormatError, StoreError
from perflab.loadtest import capture, process, recorded_target, validity
from perflab.loadtest.header_rows import write_exchanges
from perflab.loadtest.logfiles import clean
from perflab.notes import DATA, RECORDER, Kind, Note, Remedy, notes_of

HELD = Kind(
    "records-held", DATA, "{problem:raw}. What was captured is still in {folder:raw}: free what it needs, then {remedy}"
)
RECOVERED = Kind(
    "recovered",
    DATA,
    "recovered from the files of an unfinished run; what was only in memory (resources, metrics of the target) is missing",
)
END_UNKNOWN = Kind(
    "end-unknown",
    RECORDER,
    "perflab itself was stopped during the run, so how the target and the generator ended is unknown",
)
_FACTS, _ENDED = "draft.json", "ended.json"
_ROOM = 4096
GENERATOR = "generator"


def prepare(draft: store.Draft, record: Mapping[str, Any], judging: Mapping[str, Any]) -> None:
    """Before the load: store the run's record so far, and what is needed to judge it."""
    try:
        _write(draft.folder / _FACTS, {"record": record, "judging": judging})
        (draft.folder / _ENDED).write_bytes(b" " * _ROOM)
    except OSError as problem:
        raise StoreError(f"{draft.store}: the run cannot be kept: {problem.strerror}") from problem


def note_end(draft: store.Draft, *, ended: object, restarted: object) -> None:
    """After the load: store how it ended, in the space reserved before, so that a full disk does not prevent it."""
    facts = orjson.dumps({"ended": ended, "restarted": restarted}, default=_plain)
    if len(facts) <= _ROOM:
        with contextlib.suppress(OSError), (draft.folder / _ENDED).open("r+b") as file:
            file.write(facts)


@contextlib.contextmanager
def holding(draft: store.Draft, captured: str = "generator/*.bin") -> Iterator[None]:
    """Keep captured records (files of this pattern) whatever fails inside, and say in the error where they are."""
    try:
        yield
    except BaseException as problem:
        if not any(file.stat().st_size for file in draft.folder.glob(captured)):
            draft.drop()
            raise
        draft.release()
        text = str(problem) or (
            "interrupted again" if isinstance(problem, KeyboardInterrupt) else type(problem).__name__
        )
        remedy = Remedy("recover", given=f'"{draft.folder}"')
        note = HELD(remedy, problem=text.rstrip("."), folder=str(draft.folder))
        if isinstance(problem, KeyboardInterrupt):
            raise KeyboardInterrupt(note) from problem
        raise StoreError(note) from problem
    forget(draft.store / draft.run)


def forget(kept: Path, *names: str) -> None:
    """Remove from a kept run what only an unfinished one needs."""
    for name in (_FACTS, _ENDED, *names):
        (kept / name).unlink(missing_ok=True)


def facts_of(draft: store.Draft) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `prepare` and `note_end` wrote; empty where that is missing or damaged."""
    return _read(draft.folder / _FACTS), _read(draft.folder / _ENDED)


def recovered(folder: str | Path, makers: Mapping[str, Callable[[store.Draft], Path]]) -> Measurements:
    """The run of a hidden folder: by the maker for a file in it, else from the records of a load."""
    draft = store.Draft.of(_draft(Path(folder)))
    make = next((make for name, make in makers.items() if (draft.folder / name).is_file()), _kept)
    try:
        return store.load(make(draft))
    except OSError as problem:
        raise StoreError(f"{draft.folder}: cannot be written: {problem.strerror}") from problem
    finally:
        draft.release()


def _draft(place: Path) -> Path:
    if not place.is_dir():
        raise StoreError(f"{place}: expected the hidden folder of an unfinished run, found no such folder")
    if (place / _FACTS).is_file():
        return place
    found = sorted(path.parent for path in place.glob(f".*/{_FACTS}"))
    if len(found) != 1:
        which = ", ".join(str(path) for path in found[:5]) or "none"
        raise StoreError(f"{place}: expected one unfinished run in it; found {which}")
    return found[0]


def _kept(draft: store.Draft) -> Path:
    folder, generator = draft.folder, draft.folder / GENERATOR
    found = capture.processes(generator) if generator.is_dir() else []
    if not sum(p.count for p in found):
        raise StoreError(f"{folder}: no request was captured in it; delete it")
    facts, end = facts_of(draft)
    judging = {**facts.get("judging", {}), **(end or {"ended": END_UNKNOWN(), "restarted": None})}
    for half in (*folder.glob("*.parquet"), *folder.glob("*.tmp")):
        half.unlink()
    written = capture.write_requests(found, folder / "requests.parquet")
    capture.write_checks(found, folder / "checks.parquet")
    write_exchanges(draft, found)
    draft.write("load", capture.load_frame(found))
    warnings: list[object] = [RECOVERED()]
    queries = folder / "queries.jsonl"
    if queries.exists() and queries.stat().st_size:
        warnings += _queries(draft, queries)
    if (folder / recorded_target.LOG).exists():
        warnings += recorded_target.keep(draft)
    entries = process.statistics(generator)
    judgement = validity.judge(found, written, locust_count=process.counted(entries) if entries else None, **judging)
    start_s, stop_s = capture.span(found)
    clean(folder / "logs")
    kept = draft.keep(
        {
            **facts.get("record", {}),
            "start": datetime.fromtimestamp(start_s, UTC).isoformat(),
            "duration_ms": (stop_s - start_s) * 1e3,
            "valid": not judgement.reasons,
            "reasons": list(judgement.reasons),
            "warnings": notes_of([*warnings, *judgement.warnings]),
            "locust": entries,
            "accounting": validity.account(found, written),
        }
    )
    forget(kept)
    shutil.rmtree(kept / GENERATOR, ignore_errors=True)
    return kept


def _queries(draft: store.Draft, path: Path) -> list[object]:
    from perflab import formats

    try:
        tables = formats.named("query_recorder").read(path)
        draft.write("queries", recorded_target.with_requests(tables["queries"], draft.folder))
    except FormatError as problem:
        return [f"the recorded queries could not be read: {problem}"]
    path.unlink()
    return list(getattr(tables, "warnings", ()))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes().strip() or b"{}")
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_bytes(orjson.dumps(facts, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY))


def _plain(value: object) -> object:
    return value.to_json() if isinstance(value, Note) else str(value)
