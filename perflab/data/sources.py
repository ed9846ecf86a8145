"""Foreign files as bytes and lines: decompressed by content, never by name, and without a collector's envelope."""

from __future__ import annotations

import io
import lzma
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

from perflab.data import envelopes
from perflab.data.envelopes import Envelope, Unwrapped
from perflab.errors import FormatError

HEAD_BYTES = 64 * 1024
LONGEST_LINE = 32 << 20
"""Characters to keep of a line: a text file without line ends must not take all memory."""

_BUFFER = 1 << 20
_ALWAYS_UNPACKED, _EXPANSION, _LOOKED_AT = 256 << 20, 100, 1 << 20
_DEEPEST = 3
"""The most envelopes around one line: a container's around syslog's around the log."""
_MAGIC = (
    (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4"),
)  # fmt: skip
_LONGEST_MAGIC = max(len(magic) for magic, _ in _MAGIC)


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file (gzip, zstd, bzip2, xz and lz4 by their first bytes), without a collector's envelope.

    Errors during reading (a truncated archive, no such file) become a `FormatError` that names the file.
    """
    envelope = _envelope_of(path)
    with _decompressed(path) as stream:
        if envelope is None:
            yield stream
        else:
            yield io.BufferedReader(Unwrapped(stream, envelope), _BUFFER)


def _envelope_of(path: Path) -> Envelope | None:
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _envelope(str(path), found.st_mtime, found.st_size)


@lru_cache(maxsize=64)
def _envelope(path: str, modified: float, size: int) -> Envelope | None:
    """The envelopes around the lines of a file, from the outside in; ``modified`` and ``size`` are keys of the cache."""
    try:
        with _decompressed(Path(path)) as stream:
            begins = stream.read(HEAD_BYTES)
    except FormatError:
        return None
    start = as_utf8(begins)
    coded = begins.startswith((b"\xff\xfe", b"\xfe\xff")) and not start.startswith(
        b"<?xml"
    )  # which names its own encoding
    found: list[Envelope] = [envelopes.utf_16] if coded else []
    while len(found) < _DEEPEST and (envelope := envelopes.detect(start, modified)):
        found.append(envelope)
        lines = start.splitlines(keepends=True)
        whole = lines if len(start) < HEAD_BYTES or len(lines) < 2 else lines[:-1]
        start = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in envelope(iter(whole)))
    return envelopes.joined(found) if found else None


@contextmanager
def _decompressed(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as raw, _unpacked(raw) as stream:
            if stream is raw:
                yield raw
                return
            found = path.stat()
            if _explodes(str(path), found.st_mtime, found.st_size):
                raise _too_large(str(path), _ALWAYS_UNPACKED)
            yield cast("IO[bytes]", _Decompressed(stream, path, raw))
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as problem:
        if system := getattr(problem, "strerror", None):
            raise FormatError(f"{path}: cannot be read: {system}") from problem
        raise FormatError(  # an error of the archive, not the system: truncated or damaged
            f"{path}: cannot be read: {problem}; decompress what is left of it (gzip -dc, zstd -dc, bzip2 -dc, xz -dc) into a "
            "file and read that"
        ) from problem


class _Limited(io.RawIOBase):
    """Decompressed bytes, limited in size: a few megabytes can unpack to terabytes."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path, self._seen = stream, path, 0
        self._limit = max(_ALWAYS_UNPACKED, _EXPANSION * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._seen += len(data)
        if self._seen > self._limit:
            raise _too_large(str(self._path), self._limit)
        return len(data)


def _too_large(path: str, limit: int) -> FormatError:
    return FormatError(
        f"{path}: unpacks to more than {limit:,} bytes, over {_EXPANSION} times its size. If that is right, decompress it into a "
        "file and read that."
    )


class _Decompressed(io.BufferedReader):
    """The same with a buffer; ``fileobj`` is the compressed file."""

    def __init__(self, stream: Any, path: Path, fileobj: IO[bytes]) -> None:
        super().__init__(_Limited(stream, path), _BUFFER)
        self.fileobj = fileobj


@lru_cache(maxsize=64)
def _explodes(path: str, _modified: float, _size: int) -> bool:
    """Whether the first megabyte of a compressed file unpacks to too much, checked before a reader spends time on it."""
    with Path(path).open("rb") as raw, _unpacked(raw) as stream:
        seen = 0
        while raw.tell() < _LOOKED_AT and (length := len(stream.read(_BUFFER))):
            seen += length
            if seen > _ALWAYS_UNPACKED:
                return True
    return False


def _unpacked(raw: IO[bytes]) -> Any:
    """A file's decompressed bytes; the file itself if it is not compressed."""
    import gzip

    import pyarrow as pa

    start = raw.read(_LONGEST_MAGIC)
    raw.seek(0)
    name = next((name for magic, name in _MAGIC if start.startswith(magic)), None)
    if name is None:
        return nullcontext(raw)
    if name == "xz":
        return lzma.open(raw)
    return gzip.open(raw) if name == "gzip" else pa.CompressedInputStream(raw, name)


def head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first ``size`` decompressed bytes, converted to UTF-8 where a byte-order mark shows another encoding."""
    with open_bytes(path) as stream:
        return as_utf8(stream.read(size))


def windows(path: Path, count: int, size: int = HEAD_BYTES) -> Iterator[bytes]:
    """Up to ``count`` windows of decompressed text after the first, each from the beginning of a line on."""
    with open_bytes(path) as stream:
        begun = stream.read(size).rpartition(b"\n")[2]
        for _ in range(count):
            if not (more := stream.read(size)):
                return
            whole, _, begun = (begun + more).rpartition(b"\n")
            if whole:
                yield whole


def as_utf8(data: bytes) -> bytes:
    """Bytes with a byte-order mark as plain UTF-8 without one."""
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data[: len(data) & ~1].decode("utf-16", errors="replace").encode()
    return data


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file without their ends (LF or CRLF), streamed, with invalid UTF-8 replaced."""
    with open_bytes(path) as stream:
        buffered = io.BufferedReader(cast("io.RawIOBase", stream)) if not hasattr(stream, "peek") else stream
        mark = buffered.peek(3)[:3]
        encoding = "utf-16" if mark[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with io.TextIOWrapper(buffered, encoding=encoding, errors="replace", newline="\n") as decoded:
            while line := decoded.readline(LONGEST_LINE):
                rest = line
                while len(rest) == LONGEST_LINE and not rest.endswith("\n"):
                    rest = decoded.readline(LONGEST_LINE)
                yield line.rstrip("\r\n")


def is_plain(path: Path) -> bool:
    """Whether others can read the file by its name: not compressed, no byte-order mark, no envelope."""
    with open_bytes(path) as _, path.open("rb") as raw:
        start = raw.read(_LONGEST_MAGIC)
    return _envelope_of(path) is None and not start.startswith(
        (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", *(magic for magic, _ in _MAGIC))
    )
