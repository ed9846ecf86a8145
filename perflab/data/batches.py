"""Several runs that enter a store together: all of them when everything is written, none where a file or a worker fails.

Until then they are in a hidden folder of the store, of an object store without their ``run.json``. Work that a cluster does
again after a worker was lost leaves nothing twice, for only the runs that were handed back are kept.
"""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from perflab.data.places import RemotePath, place_of
from perflab.data.store import RECORD, Draft
from perflab.data.store_notes import INGEST
from perflab.errors import StoreError


class Written(NamedTuple):
    """A run of a batch; ``record`` is what an object store still needs to take it for a run."""

    place: Any
    record: bytes = b""


class Batch:
    """The runs of one call. Use it in a ``with`` block; ``at`` is where workers write them, as `draft` does."""

    def __init__(self, store: str | Path) -> None:
        self.store = place_of(store)
        self.at: Any = store
        if isinstance(self.store, RemotePath):
            return
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        self.at = self.store.absolute() / f".{stamp}{INGEST}{secrets.token_hex(2)}"
        try:
            self.at.mkdir(parents=True)
        except OSError as problem:
            raise StoreError(f"{self.store}: cannot keep runs here: {problem.strerror}") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.store, RemotePath):
            return
        ended = self.at.with_name(f"{self.at.name}-ended")
        with suppress(OSError):
            self.at.rename(ended)  # a worker that is still writing finds its folder no more
        shutil.rmtree(ended, ignore_errors=True)

    def keep(self, written: list[Written]) -> list[Any]:
        """Turn these into runs of the store; return their places."""
        found = []
        for place, record in written:
            if isinstance(place, RemotePath):
                (place / RECORD).write_bytes(record)
                found.append(place)
                continue
            try:
                found.append(place.rename(self.store / place.name))
            except OSError as problem:
                raise StoreError(f"{self.store / place.name}: the run cannot be kept: {problem.strerror}") from problem
        return found


def draft(at: Any, arm: str) -> Draft:
    """A draft of a run of the batch at this place; StoreError where the batch has ended."""
    if isinstance(at, Path) and not at.is_dir():
        raise StoreError(f"{at.parent}: the other files were given up, so this one is not kept")
    return Draft(at, arm)


def written(run: Draft, kept: Path) -> Written:
    """A kept draft, handed to its batch."""
    if run.remote is None:
        return Written(kept)
    record = (kept / RECORD).read_bytes()
    return Written(run.sent(kept, record=False), record)
