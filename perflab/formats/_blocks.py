"""Big text files in blocks of whole records, and blocks as Arrow tables: bounded memory, the speed of the engine below.

A block that the engine refuses is taken apart until only the lines at fault are left out, and those are counted.
"""

from __future__ import annotations

import codecs
import io
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from csv import Error as CsvError
from csv import reader
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import _caveats as caveats

if TYPE_CHECKING:
    import pyarrow as pa

_Parsed = TypeVar("_Parsed")

BLOCK_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 4 * 1024 * 1024
"""A block that stays in a core's cache, with all that is made of it on the way: for parsers that cost little per block."""
MAX_RECORD_BYTES = 4 * 1024 * 1024
_ENDLESS_BYTES = 256 * 1024 * 1024
_TOO_LONG = "longer than any record"
_COUNTED_BYTES = 128 * 1024
_ENGINE_BYTES = 8 * 1024 * 1024
_KEPT_BYTES = 32 * 1024 * 1024 - 8192


@dataclass(frozen=True)
class Block:
    """Whole records of a file: UTF-8 bytes, the number and the count of their lines, and the bytes of the file read so far."""

    data: bytes
    line: int
    done: int
    lines: int


def blocks(path: Path, tally: Tally, *, quotes: bool, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The file in blocks that end where a line does; with ``quotes``, outside of quoted fields.

    A line without an end in sight is skipped, and counted, while it is read.
    """
    with sources.open_bytes(path) as stream:
        position = getattr(stream, "fileobj", None) or stream
        carry, endless = b"", 0

        def block(data: bytes) -> Block:
            lines = _count(data, b"\n")
            tally.total += lines
            return Block(_valid(data), tally.total - lines + 1, _position(position), lines)

        for chunk in _decoded(stream, size) if not _is_plain(stream) else _cut(stream, size):
            if endless:
                end = chunk.find(b"\n") + 1
                endless += end or len(chunk)
                if endless > _ENDLESS_BYTES:
                    raise FormatError(
                        f"{path}:{tally.total + 1}: expected lines, found one of more than {_ENDLESS_BYTES:,} bytes"
                    )
                if not end:
                    continue
                tally.total, endless = tally.total + 1, 0
                tally.skip(tally.total, why=_TOO_LONG)
                chunk = chunk[end:]
            carry = carry + chunk if carry else chunk
            end = _end(carry, quotes)
            if end == 0 and len(carry) > size + MAX_RECORD_BYTES:
                end = carry.rfind(b"\n") + 1
                if end == 0:
                    carry, endless = b"", len(carry)
            if end:
                data, carry = (carry, b"") if end == len(carry) else (carry[:end], carry[end:])
                yield block(data)
        if endless:
            tally.total += 1
            tally.skip(tally.total, why=_TOO_LONG)
        elif carry and not carry.isspace():
            tally.cut_off = not carry.endswith(b"\n")
            yield block(carry.removesuffix(b"\n") + b"\n")
        elif carry:
            blank = carry.count(b"\n") + (not carry.endswith(b"\n"))
            tally.total, tally.known = tally.total + blank, tally.known + blank


def ahead(
    path: Path, tally: Tally, parse: Callable[[Block, Tally], _Parsed], *, quotes: bool, size: int
) -> Iterator[tuple[Block, _Parsed]]:
    """Each block with what ``parse`` makes of it, in order, some blocks ahead of whoever asks.

    Whoever parses a block also reads it, one at a time: it is in that core's cache then.
    """
    _keep_freed_memory()
    # Counted by whichever thread reads, so apart from what is added up here.
    split = Tally()
    source, turn = enumerate(blocks(path, split, quotes=quotes, size=size)), Lock()

    def one() -> tuple[int, Block, _Parsed, Tally] | None:
        with turn:
            number, block = next(source, (0, None))
        if block is None:
            return None
        own = Tally()
        return number, block, parse(block, own), own

    pool = ThreadPoolExecutor(2, "perflab-read")
    try:
        waiting = deque(pool.submit(one) for _ in range(max(3, BLOCK_BYTES // size)))
        # Two that started together may have read in the other order.
        early: dict[int, tuple[Block, _Parsed]] = {}
        following = 0
        while waiting:
            found = waiting.popleft().result()
            if found is None:
                continue
            number, block, parsed, own = found
            tally.add(own)
            early[number] = block, parsed
            while following in early:
                yield early.pop(following)
                following += 1
            waiting.append(pool.submit(one))
        tally.add(split)
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def _keep_freed_memory() -> None:
    """Let the C library keep the memory of blocks that are freed for those that follow: fresh pages cost more than reading.

    The GNU library gives pieces above a threshold back at once, and raises that to the largest it has seen freed, up to
    32 MiB (mallopt(3), M_MMAP_THRESHOLD). Once in a process: the first such piece is fresh and is never touched.
    """
    bytes(_KEPT_BYTES)


def gathered(pieces: Iterable[tuple[Block, pa.Table]], rows: int) -> Iterator[tuple[int, pa.Table]]:
    """Tables of blocks put together to so many rows, nothing copied, with the bytes of the file read by then."""
    import pyarrow as pa

    held: list[pa.Table] = []
    count = done = 0
    for block, table in pieces:
        held.append(table)
        count, done = count + len(table), block.done
        if count >= rows:
            yield done, pa.concat_tables(held)
            held, count = [], 0
    if count:
        yield done, pa.concat_tables(held)


def without_header(path: Path, block: Block, header: str, tally: Tally, tool: str) -> Block:
    """The block behind the file's first line, where it holds that. A second header is another run, and refused."""
    data, line = block.data, block.line
    if line == 1:
        tally.known += 1
        data, line = data[data.find(b"\n") + 1 :], 2
    again = header.encode() + b"\n"
    found = 0 if data.startswith(again) else data.find(b"\n" + again) + 1
    if found or data.startswith(again):
        raise FormatError(caveats.SECOND_RUN(path=path, line=line + data.count(b"\n", 0, found), tool=tool))
    return Block(data, line, block.done, block.lines - (block.line == 1))


def _valid(data: bytes) -> bytes:
    """The bytes, with what is no UTF-8 replaced: the engines do not always look."""
    if data.isascii():
        return data
    return data.decode("utf-8", "replace").encode()


def _position(stream: Any) -> int:
    """The bytes of the file read by now; 0 where the stream can't tell (zstd, bzip2)."""
    try:
        return int(stream.tell())
    except OSError:
        return 0


def _is_plain(stream: IO[bytes]) -> bool:
    """Whether the stream is the file itself, in UTF-8 without a byte-order mark and with LF line ends (as far as can be seen)."""
    if not hasattr(stream, "peek") or not isinstance(getattr(stream, "raw", None), io.FileIO):
        return False
    start = stream.peek(4096)
    return b"\r" not in start and not start.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def _cut(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """Chunks that end where a line does, so that they need no copying."""
    place = stream.fileno()
    position = stream.tell()
    while True:
        tail = min(size, 65_536)
        window = os.pread(place, tail, position + size - tail)
        # Without a line end in sight, or near the end of the file, what is there.
        length = size - tail + window.rfind(b"\n") + 1 if len(window) == tail else size
        chunk = stream.read(length or size)
        if not chunk:
            return
        position += len(chunk)
        yield chunk.replace(b"\r\n", b"\n") if b"\r" in chunk else chunk


def _decoded(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """Chunks as UTF-8 with LF line ends, without a byte-order mark."""
    chunk = stream.read(size)
    decoder = None
    if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    elif chunk.startswith(codecs.BOM_UTF8):
        chunk = chunk[3:]
    held = b""
    while chunk:
        text = held + (decoder.decode(chunk).encode() if decoder else chunk)
        held = text[-1:] if text.endswith(b"\r") else b""
        text = text[: len(text) - len(held)]
        yield text.replace(b"\r\n", b"\n") if b"\r" in text else text
        chunk = stream.read(size)
    if held:
        yield held


def _count(data: Any, letter: bytes) -> int:
    """How often the letter is in the data: faster than bytes.count for letters that are frequent, without fresh memory."""
    letters = np.frombuffer(data, dtype=np.uint8)
    parts = (letters[at : at + _COUNTED_BYTES] for at in range(0, len(letters), _COUNTED_BYTES))
    return sum(int(np.count_nonzero(part == letter[0])) for part in parts)


def _end(data: bytes, quotes: bool) -> int:
    """Behind the last line end at which no quoted field is open; 0 where there is none."""
    end = data.rfind(b"\n") + 1
    if not quotes or b'"' not in data or _count(memoryview(data)[:end], b'"') % 2 == 0:
        return end
    for _ in range(200):
        before = data.rfind(b"\n", 0, end - 1) + 1
        if before == 0:
            return 0
        if data.count(b'"', before, end) % 2:
            return before
        end = before
    return 0


def csv_table(
    block: Block,
    names: Sequence[str],
    wanted: Mapping[str, str],
    tally: Tally,
    *,
    delimiter: str = ",",
    threads: bool = True,
) -> tuple[pa.Table, Any]:
    """The wanted columns of a block without its header, and the line of each row (from 0, the block's first).

    Each column is "float", "text", "code" (a text of few values) or "flag"; texts that are not numbers, or neither true nor
    false, become missing values. Rows with another number of columns are counted and left out, and so are records whose
    quotes do not match: those would swallow the records after them.
    Without ``threads`` the engine uses one core: for those who parse several blocks at a time (`ahead`).
    """
    import pyarrow as pa

    types = {name: _type(kind) for name, kind in wanted.items()}
    found, rejected = _table(block, names, wanted, delimiter, threads)
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


def chosen_lines(block: Block, chosen: Any, ends: Any = None) -> tuple[Block, Any]:
    """The chosen lines of a block, counted from 0, as a block of their own."""
    import pyarrow as pa

    if ends is None:
        ends = np.flatnonzero(np.frombuffer(block.data, dtype=np.uint8) == ord("\n"))
    offsets = np.zeros(len(ends) + 1, dtype="int64")
    offsets[1:] = ends + 1
    lines = pa.Array.from_buffers(pa.large_binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(block.data)])
    data: bytes = lines.take(pa.array(chosen)).buffers()[2].to_pybytes()
    return Block(data, block.line, block.done, len(chosen)), chosen


_RECORD = re.compile(rb"(?:[A-Za-z_]\w*,)?(?:\d{10,19}(?:\.\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T][\d:.]+)[,;\t|]")


def _starts(data: bytes, delimiter: str, width: int) -> tuple[Any, list[int], int]:
    """The lines at which records begin, the lines of records with an open quote that another record follows, and how many are
    blank; lines count from 0.
    """
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
    block: Block, names: Sequence[str], wanted: Mapping[str, str], delimiter: str, threads: bool
) -> tuple[pa.Table | None, list[str]]:
    """The columns of a block, and the texts of the rows that were rejected; None where it is no table at all."""
    import pyarrow as pa

    if not block.data or block.data.isspace():
        return pa.table({name: pa.array([], _type(kind)) for name, kind in wanted.items()}), []
    try:
        return _parsed(block, names, {n: _type(k) for n, k in wanted.items()}, delimiter, _ENGINE_BYTES, threads)
    except pa.ArrowInvalid:
        pass
    try:
        texts = {n: pa.string() if k == "code" else pa.large_string() for n, k in wanted.items()}
        found, rejected = _parsed(block, names, texts, delimiter, max(len(block.data) + 1, 64))
    except pa.ArrowInvalid:
        return None, []
    return pa.table({name: _as_kind(found[name], kind) for name, kind in wanted.items()}), rejected


def _as_kind(texts: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    if kind == "float":
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


def json_table(block: Block, schema: pa.Schema, tally: Tally) -> pa.Table:
    """The fields of a schema from a block of JSON lines; lines that don't fit are counted and left out, as blank ones are."""
    import pyarrow as pa
    from pyarrow import json

    tables: list[pa.Table] = []
    open_parts = [(block.data, block.line, block.lines)]
    while open_parts:
        data, line, lines = open_parts.pop()
        if not data or data.isspace():
            tally.known += lines
            continue
        options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            read = json.ReadOptions(block_size=max(_ENGINE_BYTES, _longest(data)))
            found = json.read_json(pa.BufferReader(data), read_options=read, parse_options=options)
            if len(found) == lines:
                tables.append(found)
                continue
        except pa.ArrowException:
            pass
        # Lines that are damaged or blank, or that hold several objects, are found by halving.
        half = data.find(b"\n", len(data) // 2)
        half = half if 0 <= half < len(data) - 1 else data.find(b"\n")
        if not 0 <= half < len(data) - 1:
            tally.skip(line, why="not one JSON object of the expected shape")
            continue
        cut = half + 1
        before = data.count(b"\n", 0, cut)
        open_parts += [(data[cut:], line + before, lines - before), (data[:cut], line, before)]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _longest(data: bytes) -> int:
    """No line of the block is longer than this many bytes, or the block is small."""
    return len(data) + 1 if len(data) < 2 * _ENGINE_BYTES else 2 * MAX_RECORD_BYTES


def first_lines(path: Path, count: int = 1) -> list[str]:
    """The first lines of a file, as far as its head holds them; empty texts where there are none."""
    found = sources.head(path).decode("utf-8", "replace").splitlines()[:count]
    return found + [""] * (count - len(found))


def fields(line: str, delimiter: str = ",") -> list[str]:
    """The fields of one line of CSV; none where it is no such line."""
    try:
        return next(reader([line], delimiter=delimiter), [])
    except CsvError:
        return []
