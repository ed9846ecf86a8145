"""The part of a target's own log files that was written during a run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

MAX_BYTES = 50_000_000


class LogFiles:
    """Notes where files end now; `collect` copies what was added since."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._ends = {path: path.stat().st_size if path.is_file() else 0 for path in paths}

    def collect(self, folder: Path) -> list[str]:
        """Copy to the folder what each file gained, at most 50 MB of its end; returns warnings."""
        warnings = []
        for number, (path, end) in enumerate(self._ends.items(), start=1):
            try:
                warnings += _copy(path, end, folder / f"{number:02d}-{path.name}")
            except OSError as problem:
                warnings.append(f"the log file {path.name} could not be collected: {problem.strerror}")
        return warnings


def _copy(path: Path, end: int, place: Path) -> list[str]:
    size = path.stat().st_size
    # A file that became shorter was rotated or truncated: all of it is new.
    begin = end if size >= end else 0
    left_out = max(0, size - begin - MAX_BYTES)
    with path.open("rb") as source, place.open("wb") as copy:
        source.seek(begin + left_out)
        shutil.copyfileobj(source, copy)
    return (
        [f"the log file {path.name} grew by {size - begin:,} bytes; its last {MAX_BYTES:,} were kept"]
        if left_out
        else []
    )
