"""The parts of one query log (rotated, compressed) as one stored run, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, cast

import pandas as pd

from perflab import formats
from perflab.data import store
from perflab.data.accounting import Accounting
from perflab.data.executing import AHEAD, mapped
from perflab.data.schemas import SCHEMAS
from perflab.formats import _log_notes as log_notes
from perflab.formats import _log_pieces
from perflab.formats._log_pieces import read_piece as _read_piece
from perflab.formats._run_span import RunSpan
from perflab.notes import Note
from perflab.progress import Progress

SHOWN_FROM_BYTES = 64 << 20
"""Files of this size and more show how far they have been read."""
_ADDED = frozenset({"source", "count", "untimed", "first"})
"""Notes that have only these facts are counts, which add up over the pieces of a file."""
_OVERLAP = 0.1
"""The share of the shorter log: the next log of a rotation begins with statements that started before the last one ended."""
Span = tuple[pd.Timestamp, pd.Timestamp, str]
"""The first and last start of a log's statements, and its name."""


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


def ingest_log(
    files: list[Path], run: str, place: str | Path, arm: str | None, format: str | None, options: dict[str, Any],
    executor: Executor | None,
) -> Path:  # fmt: skip
    """The parts of one query log as one run, piece by piece."""
    kinds = dict.fromkeys(format or formats.of_file(file) for file in files)
    used = next(iter(kinds))
    if len(kinds) > 1:
        raise ValueError(
            f"run= joins the parts of one query log, but the files are of {len(kinds)} formats: {', '.join(kinds)}"
        )
    ordered = sorted(files, key=lambda file: _log_pieces.first_start(file, used, options))
    sizes = [0, *accumulate(file.stat().st_size for file in ordered)]
    draft = store.Draft(place, arm or run)
    span, spans, accounts, noted = (
        RunSpan(),
        dict[int, Span](),
        dict[int, Accounting](),
        dict[tuple[int, object], Note](),
    )
    nothing, rows = None, 0
    cut = (piece for n, file in enumerate(ordered) for piece in _log_pieces.pieces(n, file, used, options))
    try:
        with (
            Progress(sizes[-1], f"reading {run}", shown=sizes[-1] >= SHOWN_FROM_BYTES) as progress,
            closing(cast("Any", mapped(_read_piece, cut, executor, ahead=AHEAD))) as read,
        ):
            for piece, tables in read:
                if set(tables) - {"queries"}:
                    raise ValueError(f"run= joins the parts of a query log; {piece.path} holds {', '.join(tables)}")
                before = accounts.get(piece.number)
                for note in tables.warnings:
                    _note(noted, piece.number, note, before.total if before else 0)
                if tables.accounting:
                    accounts[piece.number] = before + tables.accounting if before else tables.accounting
                nothing = nothing or tables.meta.get("nothing")
                if (queries := tables.get("queries")) is not None:
                    rows += len(queries)
                    span.see("queries", queries)
                    spans[piece.number] = span_of(queries, piece.path.name, spans.get(piece.number))
                    draft.append("queries", _with_columns(queries))
                progress.update(sizes[piece.number] + piece.done, rows=f"{rows:,}")
        if nothing and not rows:
            raise nothing
        said = [note for n, account in accounts.items() for note in account.notes(ordered[n].name)]
        kept = draft.keep(
            {
                "arm": arm, "start": span.start, "duration_ms": span.duration_ms, "valid": True,
                "warnings": [*dict.fromkeys([*said, *noted.values(), *overlaps(spans.values())])], "source": run, "format": used,
            }
        )  # fmt: skip
    except BaseException:
        draft.drop()
        raise
    place_there: Path = draft.sent(kept)
    return place_there


def _note(noted: dict[tuple[int, object], Note], number: int, note: Note, lines: int) -> None:
    """Add a note of a piece of a file, which so many lines are before, to those of the pieces before it."""
    facts = dict(note.facts)
    if isinstance(first := facts.get("first"), int):
        facts["first"] = lines + first
    if "count" not in facts or set(facts) - _ADDED:
        noted.setdefault((number, note), note)
        return
    before = noted.get((number, note.code))
    if before is not None:
        facts = {
            name: before.facts[name] + fact if name in ("count", "untimed") else before.facts[name]
            for name, fact in facts.items()
        }
    noted[number, note.code] = replace(note, facts=facts)


def _with_columns(queries: pd.DataFrame) -> pd.DataFrame:
    """With all columns that any piece of a log may have."""
    known = [*SCHEMAS["queries"].required, *SCHEMAS["queries"].optional, "dialect"]
    missing = [c for c in known if c not in queries.columns and c != "run"]
    return queries.assign(**dict.fromkeys(missing))[known[1:]]
