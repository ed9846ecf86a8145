"""Blocks of CSV as Arrow tables: a block that the engine refuses is taken apart until only the lines at fault are left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perflab.data.accounting import Tally
from perflab.formats._blocks import Block, chosen_lines

if TYPE_CHECKING:
    import pyarrow as pa

_ENGINE_BYTES = 8 * 1024 * 1024


def csv_table(
    block: Block,
    names: Sequence[str],
    wanted: Mapping[str, str],
    tally: Tally,
    *,
    delimiter: str = ",",
    threads: bool = True,
    unread: Callable[[], None] | None = None,
) -> tuple[pa.Table, Any]:
    """The wanted columns of a block without its header, and the line of each row (from 0, the block's first).

    Each column is "float", "whole" (numbers that are whole as a rule: int64 where all of a block are, which is read in half
    the time, else float64), "text", "code" (a text of few values) or "flag"; texts that are not numbers, or neither true nor
    false, become missing values. Rows with another number of columns are counted and left out, and so are records whose
    quotes do not match: those would swallow the records after them.
    ``unread`` is called where a number is none: perhaps it is a header.
    Without ``threads`` the engine uses one core: for those who parse several blocks at a time (`ahead`).
    """
    import pyarrow as pa

    types = {name: _type(kind) for name, kind in wanted.items()}
    found, rejected = _table(block, names, wanted, delimiter, threads, unread)
    if found is None:
        tally.skip(block.line, block.lines, "not CSV")
        return pa.table({name: pa.array([], kind) for name, kind in types.items()}), np.arange(0)
    if len(found) + len(rejected) == block.lines:
        starts = np.arange(block.lines)
    else:
        starts, torn, blank = _starts(block.data, delimiter, len(names))
        if torn:
            kept = np.ones(block.lines, dtype=bool)
            kept[torn] = False
            tally.skip(block.line + torn[0], len(torn), "quotes that do not match")
            left, numbers = chosen_lines(block, np.flatnonzero(kept))
            found, lines = csv_table(left, names, wanted, tally, delimiter=delimiter, threads=threads)
            return found, numbers[lines]
        tally.known += blank
        tally.continued += block.lines - blank - len(starts)
    if rejected:
        at = np.array(list(_lines_of(block.data, rejected)))
        tally.skip(block.line + int(at.min()), len(rejected), "another number of columns")
        starts = np.setdiff1d(starts, at)
    return found, starts if len(starts) == len(found) else np.arange(len(found))


_RECORD = re.compile(rb"(?:[A-Za-z_]\w*,)?(?:\d{10,19}(?:\.\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T][\d:.]+)[,;\t|]")


def _starts(data: bytes, delimiter: str, width: int) -> tuple[Any, list[int], int]:
    """The lines at which records begin, the lines of records with an open quote that another record follows, and how many are
    blank; lines count from 0.
    """
    letters = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if not (np.searchsorted(np.flatnonzero(letters == ord('"')), ends) % 2).any():
        filled = np.diff(ends, prepend=-1) > 1
        return np.flatnonzero(filled), [], int(np.count_nonzero(~filled))
    starts, torn, blank = list[int](), list[int](), 0
    open_, begun = False, 0
    lines = data.split(b"\n")[:-1]
    for number, line in enumerate(lines):
        if open_ and (_RECORD.match(line) or line.count(delimiter.encode()) >= max(width - 1, 4)):
            torn += range(begun, number)
            starts.pop()
            open_ = False
        if not open_:
            if not line:
                blank += 1
                continue
            starts.append(number)
            begun = number
        open_ ^= bool(line.count(b'"') & 1)
    if open_:
        torn += range(begun, len(lines))
    return np.array(starts, dtype="int64"), torn, blank


def _lines_of(data: bytes, rejected: Iterable[str]) -> Iterator[int]:
    """The lines of the texts, which follow each other in the data as a rule."""
    before = 0
    for text in rejected:
        found = data.find(text.encode("utf-8", "replace"), before)
        found = max(found if found >= 0 else data.find(text.encode("utf-8", "replace")), 0)
        before = found + 1
        yield data.count(b"\n", 0, found)


def _table(
    block: Block,
    names: Sequence[str],
    wanted: Mapping[str, str],
    delimiter: str,
    threads: bool,
    unread: Callable[[], None] | None,
) -> tuple[pa.Table | None, list[str]]:
    """The columns of a block, and the texts of the rows that were rejected; None where it is no table at all."""
    import pyarrow as pa

    if not block.data or block.data.isspace():
        return pa.table({name: pa.array([], _type(kind)) for name, kind in wanted.items()}), []
    for given in (wanted, {n: "float" if k == "whole" else k for n, k in wanted.items()}):
        try:
            return _parsed(block, names, {n: _type(k) for n, k in given.items()}, delimiter, _ENGINE_BYTES, threads)
        except pa.ArrowInvalid:
            continue
    if unread:
        unread()
    try:
        texts = {n: pa.string() if k == "code" else pa.large_string() for n, k in wanted.items()}
        found, rejected = _parsed(block, names, texts, delimiter, max(len(block.data) + 1, 64))
    except pa.ArrowInvalid:
        return None, []
    return pa.table({name: _as_kind(found[name], kind) for name, kind in wanted.items()}), rejected


def _as_kind(texts: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    if kind in ("float", "whole"):
        return numbers(texts)
    if kind == "code":
        return texts.dictionary_encode()
    if kind == "flag":
        small = pc.utf8_lower(texts)
        return pc.if_else(pc.is_in(small, pc.cast(["true", "false"], small.type)), pc.equal(small, "true"), None)
    return texts


def _type(kind: str) -> pa.DataType:
    import pyarrow as pa

    kinds = {
        "float": pa.float64(),
        "whole": pa.int64(),
        "text": pa.large_string(),
        "code": pa.dictionary(pa.int32(), pa.string()),
        "flag": pa.bool_(),
    }
    return kinds[kind]


def _parsed(
    block: Block,
    names: Sequence[str],
    types: Mapping[str, Any],
    delimiter: str,
    engine_bytes: int,
    threads: bool = True,
) -> tuple[pa.Table, list[str]]:
    import pyarrow as pa
    from pyarrow import csv

    rejected: list[str] = []

    def reject(row: Any) -> str:
        rejected.append(row.text)
        return "skip"

    found = csv.read_csv(
        pa.BufferReader(block.data),
        read_options=csv.ReadOptions(column_names=list(names), block_size=engine_bytes, use_threads=threads),
        parse_options=csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=b'"' in block.data, invalid_row_handler=reject
        ),
        convert_options=csv.ConvertOptions(
            include_columns=list(types),
            column_types=dict(types),
            strings_can_be_null=False,
            check_utf8=False,  # `_valid` has seen to it
            true_values=["true", "True", "TRUE"],
            false_values=["false", "False", "FALSE"],
        ),
    )
    return found, rejected


def numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as floats; missing where they are not numbers."""
    import pandas as pd
    import pyarrow as pa

    return pa.array(pd.to_numeric(texts.to_pandas(), errors="coerce").astype("float64"), from_pandas=True)
