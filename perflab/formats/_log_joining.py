"""The parts of one query log (rotated, compressed) as one stored run, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from perflab import formats
from perflab.data import store
from perflab.data.executing import mapped
from perflab.data.schemas import SCHEMAS
from perflab.formats import Tables, _log_pieces
from perflab.formats import _log_notes as log_notes
from perflab.formats._run_span import RunSpan
from perflab.notes import Note

_AHEAD = 4
"""The most files of a log whose tables are in memory at once, where workers read them."""
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
    draft = store.Draft(place, arm or run)
    span, notes, spans = RunSpan(), dict[Note, None](), list[Span]()
    try:
        given = [(file, used, options) for file in ordered]
        parts: Iterable[Iterable[Tables]] = (
            # What workers return waits here to be written: not the whole log.
            (own for n in range(0, len(given), _AHEAD) for own in mapped(_log_tables, given[n : n + _AHEAD], executor))
            if executor
            else (_log_pieces.tables(*own) for own in given)
        )
        for file, pieces in zip(ordered, parts, strict=True):
            accounting, own = None, None
            for piece in pieces:
                if set(piece) - {"queries"}:
                    raise ValueError(f"run= joins the parts of a query log; {file} holds {', '.join(piece)}")
                span.see("queries", piece["queries"])
                own = span_of(piece["queries"], file.name, own)
                draft.append("queries", _with_columns(piece["queries"]))
                if piece.accounting:
                    accounting = accounting + piece.accounting if accounting else piece.accounting
                notes |= dict.fromkeys(piece.warnings)
            notes |= dict.fromkeys(accounting.notes(file.name) if accounting else ())
            spans += [own] if own else []
        notes |= dict.fromkeys(overlaps(spans))
        kept = draft.keep(
            {
                "arm": arm, "start": span.start, "duration_ms": span.duration_ms, "valid": True, "warnings": list(notes),
                "source": run, "format": used,
            }
        )  # fmt: skip
    except BaseException:
        draft.drop()
        raise
    place_there: Path = draft.sent(kept)
    return place_there


def _with_columns(queries: pd.DataFrame) -> pd.DataFrame:
    """With all columns that any piece of a log may have."""
    known = [*SCHEMAS["queries"].required, *SCHEMAS["queries"].optional, "dialect"]
    missing = [c for c in known if c not in queries.columns and c != "run"]
    return queries.assign(**dict.fromkeys(missing))[known[1:]]


def _log_tables(given: tuple[Path, str, dict[str, Any]]) -> list[Tables]:
    return list(_log_pieces.tables(*given))
