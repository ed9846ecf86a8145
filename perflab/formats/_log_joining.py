"""The parts of one query log (rotated, compressed) as one stored run, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from perflab import formats
from perflab.data import batches, sources
from perflab.data.accounting import Accounting
from perflab.data.batches import Batch, Written
from perflab.data.executing import AHEAD, mapped
from perflab.data.schemas import SCHEMAS
from perflab.errors import FormatError
from perflab.formats import Tables, _log_pieces
from perflab.formats import _log_notes as log_notes
from perflab.formats._log_pieces import read_piece as _read_piece
from perflab.formats._run_span import RunSpan
from perflab.notes import Note
from perflab.progress import Progress

SHOWN_FROM_BYTES = 64 << 20
"""Files of this size and more show how far they have been read."""
_ADDED = frozenset({"source", "count", "untimed", "first"})
"""Notes that have only these facts are counts, which add up over the pieces of a file."""
_SECOND_US, _MILLISECOND_US = 1_000_000, 1_000
_LOOKED_AT = 4096
_OVERLAP = 0.1
"""The share of the shorter log: the next log of a rotation begins with statements that started before the last one ended."""
Span = tuple[pd.Timestamp, pd.Timestamp, str]
"""The first and last start of a log's statements, and its name."""


class _Owed(NamedTuple):
    """Parse and bind records whose statement is in another piece: the number of their file, how many, and milliseconds."""

    number: int
    records: int
    ms: float


def span_of(queries: pd.DataFrame, name: str, before: Span | None = None) -> Span:
    """The span of statements, and of those before them."""
    first, last = queries["start"].min(), queries["start"].max()
    known = [at for at in (first, last, *(before or ())[:2]) if isinstance(at, pd.Timestamp)]
    return (min(known), max(known), name) if known else (pd.NaT, pd.NaT, name)


def overlaps(spans: Iterable[Span]) -> tuple[Note, ...]:
    """A note where parts of one log are of the same time, as a copy of a part would be."""
    ordered = sorted(span for span in spans if isinstance(span[0], pd.Timestamp))
    twice = [
        name
        for one, other in pairwise(ordered)
        if one[1] - other[0] > _OVERLAP * min(one[1] - one[0], other[1] - other[0])
        for name in (one[2], other[2])
    ]
    return (log_notes.OVERLAP(names=" and ".join(dict.fromkeys(twice))),) if twice else ()


def names_of(files: Sequence[Path]) -> list[str]:
    """The names of files, with their folders where two have the same: each server calls its log alike."""
    times = Counter(file.name for file in files)
    return [file.name if times[file.name] == 1 else f"{file.absolute().parent.name}/{file.name}" for file in files]


def filled(files: list[Path]) -> list[Path]:
    """The parts of a log without those that hold nothing: a server has only just opened them, or a night was quiet."""
    return [file for file in files if sources.head(file, _LOOKED_AT).strip()] or files


def ingest_log(
    files: list[Path], run: str, place: str | Path, arm: str | None, format: str | None, options: dict[str, Any],
    executor: Executor | None,
) -> Path:  # fmt: skip
    """The parts of one query log as one run, piece by piece; those that a server has only just opened are empty."""
    files = filled(files)
    kinds = dict.fromkeys(format or formats.of_file(file) for file in files)
    used = next(iter(kinds))
    if len(kinds) > 1:
        raise ValueError(
            f"run= joins the parts of one query log, but the files are of {len(kinds)} formats: {', '.join(kinds)}"
        )
    ordered = sorted(files, key=lambda file: _log_pieces.first_start(file, used, options))
    with Batch(place) as batch:
        kept: list[Path] = batch.keep([_written(ordered, run, batch.at, arm, used, options, executor)])
        return kept[0]


def _written(
    ordered: list[Path],
    run: str,
    at: Any,
    arm: str | None,
    used: str,
    options: dict[str, Any],
    executor: Executor | None,
) -> Written:
    sizes = [0, *accumulate(file.stat().st_size for file in ordered)]
    draft = batches.draft(at, arm or run)
    log = _Log(_Sessions(used in _log_pieces.POSTGRESQL), names_of(ordered))
    cut = (piece for n, file in enumerate(ordered) for piece in _log_pieces.pieces(n, file, used, options))
    try:
        with (
            Progress(sizes[-1], f"reading {run}", shown=sizes[-1] >= SHOWN_FROM_BYTES) as progress,
            closing(cast("Any", mapped(_read_piece, cut, executor, ahead=AHEAD))) as read,
        ):
            for piece, tables in read:
                if set(tables) - {"queries"}:
                    raise ValueError(f"run= joins the parts of a query log; {piece.path} holds {', '.join(tables)}")
                if (queries := log.add(piece, tables)) is not None:
                    draft.append("queries", _with_columns(queries))
                progress.update(sizes[piece.number] + piece.done, rows=f"{log.rows:,}")
        if log.nothing and not log.rows:
            raise log.nothing
        kept = draft.keep(
            {
                "arm": arm, "start": log.span.start, "duration_ms": log.span.duration_ms, "valid": True,
                "warnings": log.notes(), "source": run, "format": used,
            }
        )  # fmt: skip
    except BaseException:
        draft.drop()
        raise
    return batches.written(draft, kept)


@dataclass
class _Sessions:
    """What the pieces of a log know of its sessions for those after them: what is owed, and when the last statement started."""

    cut_times: bool
    owed: dict[str, _Owed] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def owe(self, number: int, tables: Tables) -> None:
        for session, (records, ms) in tables.owed.items():
            before = self.owed.get(session, _Owed(number, 0, 0.0))
            known = before.records if before.number == number else 0
            self.owed[session] = _Owed(number, known + records, before.ms + ms)

    def settled(self, queries: pd.DataFrame, noted: dict[tuple[int, object], Note]) -> pd.DataFrame:
        """The statements of a piece: the first of a session with the parse and bind records that were in pieces before it, and
        none before the session's last one where times were cut.
        """
        if not self.cut_times or queries.empty:
            return queries
        session = queries["session"].fillna("") if "session" in queries else pd.Series("", index=queries.index)
        before = queries["duration_ms"].to_numpy(dtype="float64")
        took, code = before.copy(), log_notes.DURATIONS_ALONE.code
        for place in np.flatnonzero((~session.duplicated() & session.isin(self.owed)).to_numpy(dtype=bool)).tolist():
            number, records, ms = self.owed.pop(session.iloc[place])
            took[place] = round(took[place] + ms, 6)
            if (note := noted.pop((number, code), None)) and (left := note.facts["count"] - records) > 0:
                noted[number, code] = replace(note, facts={**note.facts, "count": left})
        start = queries["start"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
        logged = start + np.round(before * 1e3).astype("int64")
        cut = _SECOND_US if np.mean(logged % _SECOND_US == 0) > 0.5 else _MILLISECOND_US
        start = logged - np.round(took * 1e3).astype("int64")
        last = session.map(self.last).to_numpy(dtype="float64")
        start = np.where((last > start) & (last <= start + 2 * cut), last, np.maximum(start, 0)).astype("int64")
        self.last |= pd.Series(start, dtype="float64").groupby(session.to_numpy()).max().to_dict()
        return queries.assign(duration_ms=took, start=pd.to_datetime(start, unit="us", utc=True))


@dataclass
class _Log:
    """What the pieces of a log add up to; by number of the file, the spans, the accounts and the notes."""

    sessions: _Sessions
    names: list[str]
    span: RunSpan = field(default_factory=RunSpan)
    spans: dict[int, Span] = field(default_factory=dict)
    accounts: dict[int, Accounting] = field(default_factory=dict)
    noted: dict[tuple[int, object], Note] = field(default_factory=dict)
    rows: int = 0
    nothing: FormatError | None = None

    def add(self, piece: _log_pieces.Piece, tables: Tables) -> pd.DataFrame | None:
        """Count a piece; its statements, if it has any."""
        before = self.accounts.get(piece.number)
        for note in tables.warnings:
            self._note(piece.number, note, before.total if before else 0)
        if tables.accounting:
            self.accounts[piece.number] = before + tables.accounting if before else tables.accounting
        self.nothing = self.nothing or tables.meta.get("nothing")
        queries = tables.get("queries")
        if queries is not None:
            self.rows += len(queries)
            self.spans[piece.number] = span_of(queries, self.names[piece.number], self.spans.get(piece.number))
            queries = self.sessions.settled(queries, self.noted)
            self.span.see("queries", queries)
        self.sessions.owe(piece.number, tables)
        return queries

    def notes(self) -> list[Note]:
        """The notes on lines first, then those of the readers."""
        lines = [note for n, account in self.accounts.items() for note in account.notes(self.names[n])]
        return [*dict.fromkeys([*lines, *self.noted.values(), *overlaps(self.spans.values())])]

    def _note(self, number: int, note: Note, lines: int) -> None:
        """Add a note of a piece of a file, which so many lines are before, to those of the pieces before it."""
        facts = dict(note.facts)
        if isinstance(first := facts.get("first"), int):
            facts["first"] = lines + first
        if "count" not in facts or set(facts) - _ADDED:
            self.noted.setdefault((number, note), note)
            return
        before = self.noted.get((number, note.code))
        if before is not None:
            facts = {
                name: before.facts[name] + fact if name in ("count", "untimed") else before.facts[name]
                for name, fact in facts.items()
            }
        self.noted[number, note.code] = replace(note, facts=facts)


def _with_columns(queries: pd.DataFrame) -> pd.DataFrame:
    """With all columns that any piece of a log may have."""
    known = [*SCHEMAS["queries"].required, *SCHEMAS["queries"].optional, "dialect"]
    missing = [c for c in known if c not in queries.columns and c != "run"]
    return queries.assign(**dict.fromkeys(missing))[known[1:]]
