"""Query logs larger than memory: a log as pieces of whole records, each of which its reader reads like a file of its own.

Cut are the formats whose records show where they begin. What belongs to one statement stays together but for the parse and
bind records of a statement that a session was about to execute at the cut: their time is lost, once for each session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from perflab.data import sources
from perflab.formats import Tables, _blocks, named, postgresql_stderr, tables_of

PIECE_BYTES = 128 << 20
_READ = 4 << 20
_FIRST_BYTES = 1 << 20


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


def tables(path: Path, format: str, options: Mapping[str, object], size: int = PIECE_BYTES) -> Iterator[Tables]:
    """The tables of each piece of a log; of a small file, or of another format, those of all of it."""
    read, end = named(format).read, _ENDS.get(format)
    if end is None or (sources.is_plain(path) and path.stat().st_size <= size):
        yield tables_of(read(path, **options))
        return
    with TemporaryDirectory(prefix="perflab-log-") as folder:
        piece = Path(folder) / path.name
        for data in _pieces(path, end, size):
            with piece.open("wb") as file:
                file.writelines(data)
            yield tables_of(read(piece, **options))


def _pieces(path: Path, end: Callable[[bytes], int], size: int) -> Iterator[list[bytes]]:
    held: list[bytes] = []
    length = 0
    with sources.open_bytes(path) as stream:
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
    """When the first statements of a log started, in microseconds; 0 where it has no times."""
    with TemporaryDirectory(prefix="perflab-log-") as folder:
        piece = Path(folder) / path.name
        data = sources.head(path, _FIRST_BYTES)
        end = _ENDS[format](data) if format in _ENDS else 0
        piece.write_bytes(data[: end or len(data)])
        found = tables_of(named(format).read(piece, **options)).get("queries")
    if found is None or not found["start"].notna().any():
        return 0
    return int(found["start"].dropna().astype("datetime64[us, UTC]").astype("int64").min())
