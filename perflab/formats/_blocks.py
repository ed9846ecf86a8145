"""Big text files in blocks of whole records, and blocks as Arrow tables: bounded memory, the speed of the engine below.

A block that the engine refuses is taken apart until only the lines at fault are left out, and those are counted.
"""

from __future__ import annotations

import codecs
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from csv import Error as CsvError
from csv import reader
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from perflab.data import sources

if TYPE_CHECKING:
    import pyarrow as pa

_Parsed = TypeVar("_Parsed")

BLOCK_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 4 * 1024 * 1024
"""A block that stays in a core's cache, with all that is made of it on the way: for parsers that cost little per block."""
MAX_RECORD_BYTES = 4 * 1024 * 1024
_COUNTED_BYTES = 128 * 1024
_ENGINE_BYTES = 8 * 1024 * 1024
_KEPT_BYTES = 32 * 1024 * 1024 - 8192


@dataclass
class Tally:
    """Lines that were read, those that were left out, and notes, while a file is read."""

    total: int = 0
    skipped: int = 0
    first: int = 0
    cut_off: bool = False
    notes: dict[str, int] = field(default_factory=dict)

    def skip(self, line: int, count: int = 1) -> None:
        if count:
            self.skipped += count
            self.first = min(self.first or line, line)

    def note(self, text: str, count: int = 1) -> None:
        """Count something that a reader must know; ``{count}`` in the text becomes the number."""
        if count:
            self.notes[text] = self.notes.get(text, 0) + count

    def add(self, other: Tally) -> None:
        """Count what another counted of the same file's lines."""
        self.skip(other.first, other.skipped)
        for text, count in other.notes.items():
            self.note(text, count)

    def warnings(self, path: Path) -> list[str]:
        found = [text.replace("{count}", f"{count:,}") for text, count in self.notes.items()]
        if self.skipped:
            lines = f"skipped {self.skipped:,} of {self.total:,} lines, the first at {self.first:,}"
            found.insert(0, f"{path.name}: {lines}")
        if self.cut_off:
            found.append(
                f"{path.name}: the last line has no end, so it may have been cut off: look at the last row, or run again"
            )
        return found


@dataclass(frozen=True)
class Block:
    """Whole records of a file: UTF-8 bytes, the number of their first line, and the bytes of the file read by now."""

    data: bytes
    line: int
    done: int


def blocks(path: Path, tally: Tally, *, quotes: bool, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The file in blocks that end where a line does; with ``quotes``, outside of quoted fields."""
    with sources.open_bytes(path) as stream:
        position = getattr(stream, "fileobj", None) or stream
        line, carry = 1, b""
        for chunk in _decoded(stream, size) if not _is_plain(stream) else _cut(stream, size):
            carry = carry + chunk if carry else chunk
            end = _end(carry, quotes)
            if end == 0 and len(carry) > size + MAX_RECORD_BYTES:
                end = carry.rfind(b"\n") + 1
            if end:
                data, carry = (carry, b"") if end == len(carry) else (carry[:end], carry[end:])
                yield Block(_valid(data), line, _position(position))
                line += _count(data, b"\n")
        if carry and not carry.isspace():
            tally.cut_off = not carry.endswith(b"\n")
            yield Block(_valid(carry.removesuffix(b"\n") + b"\n"), line, _position(position))
            line += carry.count(b"\n") + (not carry.endswith(b"\n"))
        tally.total = line - 1


def ahead(
    path: Path, tally: Tally, parse: Callable[[Block, Tally], _Parsed], *, quotes: bool, size: int
) -> Iterator[tuple[Block, _Parsed]]:
    """Each block with what ``parse`` makes of it, in order, some blocks ahead of whoever asks.

    Whoever parses a block also reads it, one at a time: it is in that core's cache then.
    """
    _keep_freed_memory()
    source, turn = enumerate(blocks(path, tally, quotes=quotes, size=size)), Lock()

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


def without_header(block: Block) -> Block:
    """The block behind the file's first line, where it holds that."""
    if block.line > 1:
        return block
    return Block(block.data[block.data.find(b"\n") + 1 :], 2, block.done)


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
    if not hasattr(stream, "fileno") or not hasattr(stream, "peek") or not hasattr(stream, "raw"):
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
) -> pa.Table:
    """The wanted columns of a block without its header: each "float", "text", "code" (a text of few values) or "flag".

    Texts that are not numbers, or neither true nor false, become missing values. Rows with another number of columns
    are counted and left out.
    Without ``threads`` the engine uses one core: for those who parse several blocks at a time (`ahead`).
    """
    import pyarrow as pa

    if not block.data or block.data.isspace():
        return pa.table({name: pa.array([], _type(kind)) for name, kind in wanted.items()})
    try:
        return _parsed(block, names, {n: _type(k) for n, k in wanted.items()}, tally, delimiter, _ENGINE_BYTES, threads)
    except pa.ArrowInvalid:
        pass
    try:
        texts = {n: pa.string() if k == "code" else pa.large_string() for n, k in wanted.items()}
        found = _parsed(block, names, texts, tally, delimiter, max(len(block.data) + 1, 64))
    except pa.ArrowInvalid:
        tally.skip(block.line, block.data.count(b"\n"))
        return csv_table(Block(b"", block.line, block.done), names, wanted, tally)
    return pa.table({name: _as_kind(found[name], kind) for name, kind in wanted.items()})


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
    tally: Tally,
    delimiter: str,
    engine_bytes: int,
    threads: bool = True,
) -> pa.Table:
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
    for text in rejected:
        at = block.data.find(text.encode("utf-8", "replace"))
        tally.skip(block.line + (block.data.count(b"\n", 0, at) if at > 0 else 0), text.rstrip("\n").count("\n") + 1)
    return found


def numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as floats; missing where they are not numbers."""
    import pandas as pd
    import pyarrow as pa

    return pa.array(pd.to_numeric(texts.to_pandas(), errors="coerce").astype("float64"), from_pandas=True)


def json_table(block: Block, schema: pa.Schema, tally: Tally) -> pa.Table:
    """The fields of a schema from a block of JSON lines; lines that don't fit are counted and left out."""
    import pyarrow as pa
    from pyarrow import json

    tables: list[pa.Table] = []
    open_parts = [(block.data, block.line)]
    while open_parts:
        data, line = open_parts.pop()
        if not data.strip():
            continue
        options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        try:
            read = json.ReadOptions(block_size=max(_ENGINE_BYTES, _longest(data)))
            tables.append(json.read_json(pa.BufferReader(data), read_options=read, parse_options=options))
        except pa.ArrowException:
            half = data.find(b"\n", len(data) // 2)
            half = half if 0 <= half < len(data) - 1 else data.find(b"\n")
            if not 0 <= half < len(data) - 1:
                tally.skip(line)
                continue
            cut = half + 1
            open_parts += [(data[cut:], line + data.count(b"\n", 0, cut)), (data[:cut], line)]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _longest(data: bytes) -> int:
    """No line of the block is longer than this many bytes, or the block is small."""
    return len(data) + 1 if len(data) < 2 * _ENGINE_BYTES else 2 * MAX_RECORD_BYTES


def fields(line: str, delimiter: str = ",") -> list[str]:
    """The fields of one line of CSV; none where it is no such line."""
    try:
        return next(reader([line], delimiter=delimiter), [])
    except CsvError:
        return []
