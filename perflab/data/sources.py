"""Foreign files as bytes and lines: decompressed by content, taken out of a collector's envelope, never by name."""

from __future__ import annotations

import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

from perflab.data import envelopes
from perflab.data.envelopes import Envelope, Unwrapped
from perflab.errors import FormatError

HEAD_BYTES = 64 * 1024
LONGEST_LINE = 32 << 20
"""Characters of a line that are kept; no text file may take all memory by having no line ends."""

_BUFFER = 1 << 20
_DEEPEST = 3
"""Envelopes around one line at most: a container's around syslog's around the log."""
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file (gzip, zstd and bzip2 are known by their first bytes), without a collector's envelope.

    What goes wrong while reading (a cut-off archive, no such file) becomes a `FormatError` that names the file.
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
    """The envelopes around the lines of a file, from the outside in; of a file of this age and size."""
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
    import pyarrow as pa

    try:
        with path.open("rb") as raw:
            start = raw.read(4)
            compression = next((name for magic, name in _MAGIC if start.startswith(magic)), None)
            raw.seek(0)
            if compression == "gzip":
                import gzip

                with gzip.open(raw) as unzipped:
                    yield cast("IO[bytes]", unzipped)
            elif compression:
                with pa.CompressedInputStream(raw, compression) as stream:
                    yield cast("IO[bytes]", stream)
            else:
                yield raw
    except (OSError, EOFError, zlib.error) as problem:
        if system := getattr(problem, "strerror", None):
            raise FormatError(f"{path}: cannot be read: {system}") from problem
        raise FormatError(  # of the archive, not of the system: cut off or damaged
            f"{path}: cannot be read: {problem}; decompress what there is of it (gzip -dc, zstd -dc, bzip2 -dc) into a file and "
            "read that"
        ) from problem


def head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first ``size`` decompressed bytes, as UTF-8 where a byte-order mark says they are not."""
    with open_bytes(path) as stream:
        return as_utf8(stream.read(size))


def as_utf8(data: bytes) -> bytes:
    """Bytes that begin with a byte-order mark as plain UTF-8 without one."""
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data[: len(data) & ~1].decode("utf-16", errors="replace").encode()
    return data


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file without their ends (LF or CRLF), invalid UTF-8 replaced, nothing held in memory."""
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
    """Whether others may read the file by its name: not compressed, no byte-order mark, no envelope around its lines."""
    with open_bytes(path) as _, path.open("rb") as raw:
        start = raw.read(4)
    return _envelope_of(path) is None and not start.startswith(
        (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", *(magic for magic, _ in _MAGIC))
    )
