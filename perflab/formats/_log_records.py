"""Records of a server's log as one Arrow table: when, who, in which session, and what was said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perflab.formats._queries import MAX_TEXT

MAX_MESSAGE = MAX_TEXT + 200
"""Characters of a message that are kept: the text of a statement and what comes before it."""

Record = tuple[str | None, str | None, str | None, str | None, str | None, int | None, str, str | None, str | None]
COLUMNS = ("logged", "user", "database", "application", "session", "line", "message", "detail", "context")

_BATCH = 50_000


def batches(records: Iterable[Record]) -> Any:
    """Records as one Arrow table, gathered in batches."""
    import pyarrow as pa

    parts, batch = [], []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            parts.append(_part(batch, schema()))
            batch = []
    parts.append(_part(batch, schema()))
    return pa.Table.from_batches(parts, schema())


def schema() -> Any:
    """The Arrow schema of records."""
    import pyarrow as pa

    return pa.schema([(name, pa.int64() if name == "line" else pa.large_string()) for name in COLUMNS])


def _part(batch: list[Record], schema: Any) -> Any:
    import pyarrow as pa

    columns = list(zip(*batch, strict=True)) if batch else [()] * len(COLUMNS)
    arrays = [pa.array(column, type=kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def cut(text: str) -> str:
    """A message, bounded; that its statement was cut is counted where statements are."""
    return text[:MAX_MESSAGE]
