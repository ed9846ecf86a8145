"""What there is to say of a store: runs that a newer perflab wrote, and what was not finished."""

from __future__ import annotations

from typing import Any

from perflab.notes import DATA, Kind, Note, Remedy

UNFINISHED = Kind(
    "unfinished-runs",
    DATA,
    "{place:raw}: left out {unfinished:unfinished run}; {remedy} makes a run of what one captured, or delete {place:raw}/.2* "
    "once no run is in progress",
)
UNFINISHED_INGEST = Kind(
    "unfinished-ingest",
    DATA,
    "{place:raw}: {folder:raw} is of an ingest in progress, or of one that was killed: then delete it and ingest the files again",
)
NEWER = Kind(
    "newer-run",
    DATA,
    "{run:raw}: left out, because a newer perflab wrote it (schema_version {found:raw}; this one reads {known:raw}): upgrade "
    "perflab",
)
INGEST = "-ingest."
"""In the name of the folder in which files become runs; the names of runs have no dot."""


def unfinished(place: Any) -> list[Note]:
    """Notes on the hidden folders of a store."""
    hidden = sorted(folder for folder in place.glob(".*-*-*") if folder.is_dir())
    ingests = [folder for folder in hidden if INGEST in folder.name]
    runs = [folder for folder in hidden if folder not in ingests]
    found = [UNFINISHED_INGEST(place=str(place), folder=folder.name) for folder in ingests]
    if runs:
        found.append(UNFINISHED(Remedy("recover", given=f'"{runs[0]}"'), place=str(place), unfinished=len(runs)))
    return found
