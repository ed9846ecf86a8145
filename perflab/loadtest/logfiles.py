"""The part of a target's own log files that was written during a run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from perflab import provenance
from perflab.loadtest import reasons
from perflab.loadtest.child import LEFT_OUT
from perflab.notes import Note

MAX_BYTES = 50_000_000


class LogFiles:
    """Records where the files end now; `collect` copies what was added since."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._ends = {path: path.stat().st_size if path.is_file() else 0 for path in paths}

    def collect(self, folder: Path) -> list[Note]:
        """Copy what each file gained to the folder, at most its last 50 MB; return warnings."""
        warnings: list[Note] = []
        for number, (path, end) in enumerate(self._ends.items(), start=1):
            try:
                warnings += _copy(path, end, folder / f"{number:02d}-{path.name}")
            except OSError as problem:
                warnings.append(reasons.LOG_UNREADABLE(file=path.name, problem=problem.strerror))
        return warnings


def cut(folder: Path) -> list[Note]:
    """Warnings about output beyond the limit that was dropped."""
    warnings: list[Note] = []
    for file in sorted(folder.glob(f"*{LEFT_OUT}")):
        lost = int(file.read_text() or 0)
        file.unlink()
        name = file.name.removesuffix(LEFT_OUT)
        kept = (folder / name).stat().st_size
        warnings.append(reasons.LOG_CUT(file=name, grown_bytes=lost + kept, kept_bytes=kept))
    return warnings


def clean(folder: Path, given: Sequence[str] = ()) -> None:
    """Hide what may be a secret in what was printed. A file that can't be rewritten stays as it is."""
    for file in sorted(folder.glob("*")):
        with suppress(OSError):
            content = file.read_bytes()
            cleaned = provenance.hidden_in_lines(content, given)
            if cleaned != content:
                half = file.with_name(f"{file.name}.tmp")
                half.write_bytes(cleaned)
                half.replace(file)


def _copy(path: Path, end: int, place: Path) -> list[Note]:
    size = path.stat().st_size
    # A file that became shorter was rotated or truncated: all of it is new.
    begin = end if size >= end else 0
    left_out = max(0, size - begin - MAX_BYTES)
    with path.open("rb") as source, place.open("wb") as copy:
        source.seek(begin + left_out)
        shutil.copyfileobj(source, copy)
    cut = reasons.LOG_CUT(file=path.name, grown_bytes=size - begin, kept_bytes=MAX_BYTES)
    return [cut] if left_out else []
