"""Big text files in blocks of whole records: bounded memory, read ahead on two cores."""

from __future__ import annotations

import codecs
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
_AHEAD = 4
"""Blocks that are parsed or wait for whoever asked for them."""
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


@dataclass(frozen=True)
class _Piece:
    """Bytes of a file up to the end of a record, as they are; or the place of a line that is ``too_long`` to keep."""

    data: bytes
    done: int
    too_long: bool = False
    cut_off: bool = False

    def lines(self) -> int:
        return 1 if self.too_long else _count(self.data, b"\n")

    def block(self, line: int, lines: int, tally: Tally) -> Block:
        """The block, whose lines are counted; it is empty where the piece holds none that matter."""
        tally.total += lines
        tally.cut_off |= self.cut_off
        data = self.data
        if self.too_long:
            tally.skip(line, why=_TOO_LONG)
        elif data.isspace():
            tally.known += lines
        else:
            data = data.replace(b"\r\n", b"\n") if b"\r" in data else data
            return Block(_valid(data), line, self.done, lines)
        return Block(b"", line + lines, self.done, 0)


def blocks(path: Path, tally: Tally, *, quotes: bool, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The file in blocks that end where a line does; with ``quotes``, outside of quoted fields.

    A line without an end in sight is skipped, and counted, while it is read.
    """
    for piece in _pieces(path, quotes, size):
        line, lines = tally.total + 1, piece.lines()
        yield piece.block(line, lines, tally)


def _pieces(path: Path, quotes: bool, size: int) -> Iterator[_Piece]:
    """The file in pieces: what must be done in the order of the file, and no more."""
    with sources.open_bytes(path) as stream:
        position = getattr(stream, "fileobj", stream)
        carry, endless = b"", 0
        for chunk in _decoded(stream, size) if not _is_plain(stream) else _cut(stream, size):
            if endless:
                end = chunk.find(b"\n") + 1
                endless += end or len(chunk)
                if endless > _ENDLESS_BYTES:
                    raise FormatError(f"{path}: expected lines, found one of more than {_ENDLESS_BYTES:,} bytes")
                if not end:
                    continue
                endless = 0
                yield _Piece(b"", _position(position), too_long=True)
                chunk = chunk[end:]
            carry = carry + chunk if carry else chunk
            end = _end(carry, quotes)
            if end == 0 and len(carry) > size + MAX_RECORD_BYTES:
                end = carry.rfind(b"\n") + 1
                if end == 0:
                    carry, endless = b"", len(carry)
            if end:
                data, carry = (carry, b"") if end == len(carry) else (carry[:end], carry[end:])
                yield _Piece(data, _position(position))
        if endless:
            yield _Piece(b"", _position(position), too_long=True)
        elif carry:
            whole = carry.endswith(b"\n")
            cut_off = not whole and not carry.isspace()
            yield _Piece(carry if whole else carry + b"\n", _position(position), cut_off=cut_off)


def ahead(
    path: Path, tally: Tally, parse: Callable[[Block, Tally], _Parsed], *, quotes: bool, size: int
) -> Iterator[tuple[Block, _Parsed]]:
    """Each block with what ``parse`` makes of it, in order, some blocks ahead of whoever asks.

    Whoever parses a block also reads it, one at a time: it is in that core's cache then. Lines are counted in parallel;
    the number of a block's first line comes from who counted the block before.
    """
    _keep_freed_memory()
    source, turn = _pieces(path, quotes, size), Lock()
    firsts = [Future[int]()]
    firsts[0].set_result(1)

    def one() -> tuple[int, Block, _Parsed, Tally] | None:
        with turn:
            piece, number = next(source, None), len(firsts) - 1
            if piece is None:
                return None
            firsts.append(Future())
        own = Tally()
        try:
            lines = piece.lines()
            line = firsts[number].result()
            firsts[number + 1].set_result(line + lines)
        except BaseException:
            firsts[number + 1].cancel()
            raise
        block = piece.block(line, lines, own)
        return number, block, parse(block, own), own

    pool = ThreadPoolExecutor(2, "perflab-read")
    try:
        waiting = deque(pool.submit(one) for _ in range(_AHEAD))
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


def without_header(path: Path, block: Block, header: str, tally: Tally, tool: str, *, once: bool = False) -> Block:
    """The block behind the file's first line, where it holds that. A second header is another run, and refused.

    Who knows another way to find a second header (`refuse_second`) asks for it ``once``: the search costs a pass.
    """
    if block.line == 1:
        tally.known += 1
        block = Block(block.data[block.data.find(b"\n") + 1 :], 2, block.done, block.lines - 1)
    if not once:
        refuse_second(path, block, header, tool)
    return block


def refuse_second(path: Path, block: Block, header: str, tool: str) -> None:
    """FormatError where the block holds the file's header again."""
    again = header.encode() + b"\n"
    found = 0 if block.data.startswith(again) else block.data.find(b"\n" + again) + 1
    if found or block.data.startswith(again):
        line = block.line + block.data.count(b"\n", 0, found)
        raise FormatError(caveats.SECOND_RUN(path=path, line=line, tool=tool))


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
        yield chunk


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


def end_of_records(data: bytes) -> int:
    """Behind the last line end outside of quoted fields; 0 where there is none."""
    return _end(data, quotes=True)


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
