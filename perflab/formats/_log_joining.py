"""The parts of one query log (rotated, compressed) as one stored run, in bounded memory."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pandas as pd

from perflab import formats
from perflab.data import store
from perflab.data.executing import mapped
from perflab.data.schemas import SCHEMAS
from perflab.formats import Tables, _log_pieces
from perflab.formats._run_span import RunSpan
from perflab.notes import Note


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
    span, notes = RunSpan(), dict[Note, None]()
    try:
        parts = mapped(_log_tables, [(file, used, options) for file in ordered], executor) if executor else (
            _log_pieces.tables(file, used, options) for file in ordered)  # fmt: skip
        for file, pieces in zip(ordered, parts, strict=True):
            accounting = None
            for piece in pieces:
                if set(piece) - {"queries"}:
                    raise ValueError(f"run= joins the parts of a query log; {file} holds {', '.join(piece)}")
                span.see("queries", piece["queries"])
                draft.append("queries", _with_columns(piece["queries"]))
                if piece.accounting:
                    accounting = accounting + piece.accounting if accounting else piece.accounting
                notes |= dict.fromkeys(piece.warnings)
            notes |= dict.fromkeys(accounting.notes(file.name) if accounting else ())
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
