"""Query logs larger than memory: a log as pieces of whole records, each of which its reader reads like a file of its own.

Cut are the formats whose records show where they begin. What belongs to one statement stays together, but for the parse and
bind records of a statement that a session was about to execute at the cut, which `Tables.owed` has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, NamedTuple

from perflab.data import sources
from perflab.data.accounting import Accounting, count_marker
from perflab.data.places import scratch
from perflab.errors import FormatError
from perflab.formats import Tables, _blocks, named, postgresql_stderr, tables_of
from perflab.formats import _log_notes as log_notes
from perflab.notes import Note

PIECE_BYTES = 64 << 20
_READ = 4 << 20
_FIRST_BYTES, _WINDOWS = 1 << 20, 64


class Piece(NamedTuple):
    """Some bytes of a log: ``data``, or without it those from ``start`` to ``stop`` of the file (-1: all of it).

    ``number`` is the place of the file among those of the log, ``done`` how much of it has been read at the piece's end.
    """

    number: int
    path: Path
    format: str
    options: Mapping[str, object]
    start: int = 0
    stop: int = -1
    data: bytes | None = None
    done: int = 0


def _behind_line(data: bytes) -> int:
    return data.rfind(b"\n") + 1


def _behind_quotes(data: bytes) -> int:
    return _blocks.end_of_records(data)


def _before_log(data: bytes) -> int:
    return max(0, postgresql_stderr.last_end(data))


def _before_head(data: bytes) -> int:
    return max(data.rfind(b"\n# Time: "), data.rfind(b"\n# User@Host: ") if b"\n# Time: " not in data else -1) + 1


_ENDS: Mapping[str, Callable[[bytes], int]] = MappingProxyType(
    {
        "postgresql_stderr": _before_log,
        "postgresql_csvlog": _behind_quotes,
        "postgresql_jsonlog": _behind_line,
        "mysql_slow": _before_head,
        "query_recorder": _behind_line,
    }
)
CUT = frozenset(_ENDS)
"""Formats that are read in pieces."""
POSTGRESQL = frozenset(name for name in _ENDS if name.startswith("postgresql_"))
"""Formats whose statements have a time that was cut, to milliseconds or to seconds."""


def pieces(number: int, path: Path, format: str, options: Mapping[str, object]) -> Iterator[Piece]:
    """The pieces of a log; a small file, or one of another format, is one.

    Whoever reads a piece opens the file itself; only what was compressed or wrapped is carried along.
    """
    whole, end = Piece(number, path, format, options, done=path.stat().st_size), _ENDS.get(format)
    plain = sources.is_plain(path)
    if end is None or (plain and whole.done <= PIECE_BYTES):
        yield whole
        return
    start = 0
    with sources.open_bytes(path) as stream:
        for data in _cut(stream, end, PIECE_BYTES):
            stop = start + sum(map(len, data))
            if plain:
                yield whole._replace(start=start, stop=stop, done=stop)
            else:
                yield whole._replace(data=b"".join(data), done=_position(stream))
            start = stop


def _position(stream: IO[bytes]) -> int:
    """How much of a compressed file has been read; 0 of one in an envelope, which does not say."""
    raw = getattr(stream, "fileobj", None)
    return int(raw.tell()) if raw else 0


def read_piece(piece: Piece) -> tuple[Piece, Tables]:
    """The tables of a piece, and the piece without its bytes.

    A piece without statements (a quiet night, hours of checkpoints) is no error: ``meta["nothing"]`` has what its reader raised.
    """
    known = piece._replace(data=None)
    if piece.data is None and piece.stop < 0:
        return known, _read(piece, piece.path)
    with scratch("perflab-log-") as folder:
        place = folder / piece.path.name
        if piece.data is not None:
            place.write_bytes(piece.data)
        else:
            with piece.path.open("rb") as file:
                file.seek(piece.start)
                data = file.read(piece.stop - piece.start)
            if len(data) < piece.stop - piece.start:
                raise FormatError(f"{piece.path}: became shorter while it was read; read the rotated file instead")
            place.write_bytes(data)
        return known, _read(piece, place)


def _read(piece: Piece, place: Path) -> Tables:
    try:
        return tables_of(named(piece.format).read(place, **piece.options))
    except FormatError as problem:
        note = problem.args[0]
        if not isinstance(note, Note):
            if place == piece.path:
                raise
            raise FormatError(f"{piece.path}, in what ends at byte {piece.done:,}: {problem}") from problem
        if "path" in note.facts:
            problem = FormatError(replace(note, facts={**note.facts, "path": piece.path}))
        if note.code != log_notes.NOTHING_TIMED.code:
            raise problem from None
        with sources.open_bytes(place) as stream:
            lines = count_marker(iter(lambda: stream.read(_READ), b""), b"\n")
        return Tables(accounting=Accounting(total=lines, known=lines), meta={"nothing": problem})


def _cut(stream: IO[bytes], end: Callable[[bytes], int], size: int) -> Iterator[list[bytes]]:
    held: list[bytes] = []
    length = 0
    while data := stream.read(_READ):
        held.append(data)
        length += len(data)
        if length < size:
            continue
        # The quotes of csvlog are counted from a record's beginning: from that of the piece.
        tail = b"".join(held) if end is _behind_quotes else data
        if place := end(tail):
            before = [tail] if end is _behind_quotes else held
            yield [*before[:-1], before[-1][:place]]
            held, length = [tail[place:]], len(tail) - place
    if length:
        yield held


def first_start(path: Path, format: str, options: Mapping[str, object]) -> int:
    """When the first statements of a log started, in microseconds; 0 where it has no times, or no statements for long."""
    with scratch("perflab-log-") as folder:
        part = folder / path.name
        for data in (sources.head(path, _FIRST_BYTES), *sources.windows(path, _WINDOWS, _FIRST_BYTES)):
            end = _ENDS[format](data) if format in _ENDS else 0
            part.write_bytes(data[: end or len(data)])
            found = _read(Piece(0, path, format, options, done=len(data)), part).get("queries")
            if found is not None:
                known = found["start"].dropna().astype("datetime64[us, UTC]").astype("int64")
                return int(known.min()) if len(known) else 0
    return 0
