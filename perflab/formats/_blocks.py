"""Big text files in blocks of whole records: bounded memory, read ahead on two cores."""

from __future__ import annotations

import codecs
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
        position = getattr(stream, "fileobj", stream)
        carry, endless = b"", 0

        def block(data: bytes) -> Block:
            lines = _count(data, b"\n")
            tally.total += lines
            if data.isspace():
                tally.known += lines
                data, lines = b"", 0
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


def first_lines(path: Path, count: int = 1) -> list[str]:
    """The first lines of a file that are not blank, as far as its head holds them; empty texts where there are none."""
    head = sources.head(path).decode("utf-8", "replace")
    found = [line for line in head.splitlines() if line.strip()][:count]
    return found + [""] * (count - len(found))


def fields(line: str, delimiter: str = ",") -> list[str]:
    """The fields of one line of CSV; none where it is no such line."""
    try:
        return next(reader([line], delimiter=delimiter), [])
    except CsvError:
        return []
