"""The tables of runs, read from their Parquet files and joined; a run of which one can't be read is left out with a note."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from perflab.data import listed_texts
from perflab.data.schemas import SCHEMAS, conform, empty
from perflab.errors import PerflabError, StoreError
from perflab.notes import DATA, Kind, Note

DAMAGED = Kind("damaged-run", DATA, "{run:raw}: left out, because it is damaged: {problem:raw}")
UNREADABLE = (OSError, ValueError, TypeError, LookupError, NotImplementedError, PerflabError)
"""What pyarrow raises for a file that it cannot read (its exceptions are children of these), and pandas for its values."""
STORED = tuple(table for table in SCHEMAS if table != "runs")
AS_JSON = frozenset({"parameters", "labels", "attributes", "headers", "request_headers", "timings_ms"})
"""Columns of lists and mappings of anything: kept as JSON texts."""


def tables_of(
    records: Mapping[str, Mapping[str, Any]], place: Path, tables: Sequence[str] = STORED
) -> tuple[dict[str, pd.DataFrame], list[Note]]:
    """All (or these) tables of the runs, and a note for each run of which a table cannot be read."""
    parts: dict[str, dict[str, Any]] = {}
    damaged: dict[str, Note] = {}
    for run, record in records.items():
        for table in tables:
            file = record["folder"] / f"{table}.parquet"
            if file.exists():
                try:
                    parts.setdefault(table, {})[run] = _part(file)
                except UNREADABLE as problem:
                    damaged[run] = _damaged(run, table, problem)
    frames = {}
    for table, of_table in parts.items():
        whole, odd = _of_one_kind(table, {run: part for run, part in of_table.items() if run not in damaged})
        damaged |= odd
        try:
            frames[table] = _joined(table, whole)
        except UNREADABLE:
            damaged |= _culprits(table, whole)
            try:
                frames[table] = _joined(table, {run: part for run, part in whole.items() if run not in damaged})
            except UNREADABLE as problem:
                text = f"{place}: the runs' {table}.parquet differ and cannot be joined: {first_line(problem)}"
                raise StoreError(text) from problem
    if damaged:
        frames = {table: frame[~frame["run"].isin(set(damaged))] for table, frame in frames.items()}
    return {table: frame for table, frame in frames.items() if len(frame) or not damaged}, [*damaged.values()]


def frame_of_run(table: str, run: str, part: Any) -> pd.DataFrame:
    """An Arrow table of one run, with lists of texts as Arrow has them."""
    lists = {
        name: found
        for name in AS_JSON & set(part.column_names)
        if (found := listed_texts.from_json(part[name])) is not None
    }
    frame = _joined(table, {run: part.drop_columns([*lists]).replace_schema_metadata(None)})
    return frame.assign(**lists)


def _of_one_kind(table: str, parts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Note]]:
    """The tables with each column of the kind that it has in most runs, and a note for each run that has another kind of value.

    Kinds that can be joined as they are (two widths of integers) stay as they are.
    """
    import pyarrow as pa

    try:
        pa.unify_schemas([part.schema for part in parts.values()], promote_options="permissive")
    except (pa.ArrowException, ValueError):
        pass
    else:
        return dict(parts), {}
    kinds = Counter((field.name, field.type) for part in parts.values() for field in part.schema)
    usual = {name: kind for (name, kind), _ in reversed(kinds.most_common())}
    found, odd = {}, {}
    for run, part in parts.items():
        try:
            for field in part.schema:
                # A cast takes a time without a zone for one in UTC.
                if getattr(field.type, "tz", None) != getattr(usual[field.name], "tz", None):
                    raise ValueError(f"{field.name}: expected {usual[field.name]}, found {field.type}")
            found[run] = part.cast(pa.schema([(name, usual[name]) for name in part.column_names]))
        except UNREADABLE as problem:
            odd[run] = _damaged(run, table, problem)
    return found, odd


def _culprits(table: str, parts: Mapping[str, Any]) -> dict[str, Note]:
    """The runs whose own table breaks its schema."""
    found = {}
    for run, part in parts.items():
        try:
            _joined(table, {run: part})
        except UNREADABLE as problem:
            found[run] = _damaged(run, table, problem)
    return found


def _damaged(run: str, table: str, problem: Exception) -> Note:
    return DAMAGED(run=run, problem=f"{table}.parquet: {first_line(problem)}")


def footer(file: Path) -> Any:
    """The footer of a Parquet file: its rows and columns."""
    import pyarrow.parquet as pq

    if not file.is_file():  # to open a pipe would wait for ever
        raise OSError("not a file")
    with file.open("rb") as source:
        return pq.read_metadata(source)


def some_columns(file: Path, columns: Iterable[str], coded: Sequence[str]) -> pd.DataFrame:
    """Columns of a table of one run, as far as it has them; those of ``coded`` as categories, which cost a quarter."""
    import pyarrow.parquet as pq

    with file.open("rb") as source:
        metadata = pq.read_metadata(source)
        held = set(metadata.schema.to_arrow_schema().names)
        source.seek(0)
        read = pq.ParquetFile(source, metadata=metadata, read_dictionary=[c for c in coded if c in held])
        found: pd.DataFrame = read.read([c for c in columns if c in held]).replace_schema_metadata(None).to_pandas()
    return found.assign(**{c: found[c].astype("category") for c in coded if c in found})


def _part(file: Path) -> Any:
    """A table of one run. Opened as one file: a reader of datasets takes columns out of the names of folders."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    required = SCHEMAS[file.stem].required
    if not file.is_file():  # to open a pipe would wait for ever
        raise OSError("not a file")
    with file.open("rb") as source:
        part = pq.ParquetFile(source).read()
    if "run" in part.column_names:
        part = part.drop_columns("run")
    for position, column in enumerate(part.schema):
        if pa.types.is_nested(column.type) and column.name in required:
            raise ValueError(f"{column.name}: found {column.type}")
        if pa.types.is_dictionary(column.type):
            plain = part.column(position).cast(column.type.value_type)
            part = part.set_column(position, column.name, plain)
    return part.replace_schema_metadata(None)


def first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:300]


def _joined(table: str, parts: Mapping[str, Any]) -> pd.DataFrame:
    """The tables of several runs as one, each row with its run."""
    import pyarrow as pa

    if not parts:
        return empty(table)
    codes = np.repeat(np.arange(len(parts), dtype="int32"), [part.num_rows for part in parts.values()])
    names = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([*parts], pa.string())).cast(pa.string())
    whole = pa.concat_tables(parts.values(), promote_options="permissive").add_column(0, "run", names)
    frame = whole.to_pandas()
    for column in AS_JSON & set(frame.columns):
        frame[column] = pd.Series(
            [orjson.loads(v) if isinstance(v, str) else None for v in frame[column]], dtype=object
        )
    return conform(table, frame)
