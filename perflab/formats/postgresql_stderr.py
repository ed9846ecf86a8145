"""PostgreSQL's plain log (stderr), behind the prefix that log_line_prefix sets.

https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-LINE-PREFIX
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _line_prefix, _log_heads, _log_records, _postgresql
from perflab.formats import _log_notes as notes
from perflab.formats._line_prefix import LEVELS, STATE
from perflab.notes import Remedy

_STATEMENT = re.compile(
    rb"^(?!\{)(?!\"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^,]{0,20},(?:\"[^\"]*\")?,(?:\"[^\"]*\")?,\d*,(?:\"[^\"]*\")?,[0-9a-f.]+,\d+,)"
    rb".{0,300}?LOG: {1,2}(?:[0-9A-Z]{5}: )?(?:duration: [\d.]+ ms|statement: |execute .{1,64}: )",
    re.MULTILINE,
)
"""A line of a statement, and none of a csvlog."""
_SERVER = re.compile(
    rb"(?![\t{])(?:[^\n]{0,300}\n){0,2}?[^\n,\"]{0,40}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})? "
    rb"[A-Z+-][^\n]{0,300}?(?:LOG|FATAL):  "
)
"""A log may begin with other messages than statements."""
_BEGINS = r"duration: [\d.]+ ms(?: {1,2}(?:rows: \d+ +size: \d+ bytes +)?(?P<word>[a-z]+))?|statement: |execute |[pP]arameters: "
_STATEMENT_LINE = re.compile(rf"^.{{0,300}}?LOG: {{1,2}}{STATE}duration: .*$", re.MULTILINE)
_DURATION = "duration:"
_MOST_MISSED = 0.05
"""The share of statements that may be behind another prefix than the inferred one: a warning has their number."""
_HEAD = 600
"""Bytes of a record in which its prefix and its level must be."""
_SHORT = 120
"""Bytes of a record in which they nearly always are."""
_BRIEF = 80
"""Bytes of the message of a parse or bind record that are kept: its duration."""
_CHUNK = 2 << 20
_LONGEST = 64 << 20
_INFERRED_FROM = 256 * 1024


def sniff(head: bytes) -> bool:
    if b"LOG:" in head and _STATEMENT.search(head[: 64 * 1024]):
        return True
    return _SERVER.match(head) is not None


def read(path: Path, *, log_line_prefix: str | None = None, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a plain log.

    ``log_line_prefix`` as in postgresql.conf (inferred from the log when not given; ``meta`` says which was used);
    ``timezone`` where the log's zone is an abbreviation such as CET.
    """
    head = _with_statements(path)
    prefix = log_line_prefix if log_line_prefix is not None else _line_prefix.infer(head)
    if prefix is None and not _STATEMENT.search(head.encode()):
        raise FormatError(notes.NOTHING_TIMED(path=path))
    if prefix is None:
        raise _unknown_prefix(path, [line for line in head.splitlines() if _STATEMENT.search(line.encode())])
    given = log_line_prefix is not None
    expression = _line_prefix.pattern(prefix) if given else _line_prefix.tolerant(prefix)
    if not re.search("^" + expression + LEVELS, head, re.MULTILINE):
        begins = head.split("\n", 1)[0].partition("LOG: ")[0][:200]
        raise FormatError(notes.WRONG_PREFIX(path=path, prefix=repr(prefix), begins=repr(begins)))
    tally = Tally()
    meta = {"log": "stderr", "log_line_prefix": prefix}
    tables = _postgresql.from_table(path, [_table(path, expression, tally)], tally, timezone, meta)
    logged, read = tally.markers.get(_DURATION, (0, 0))
    if not given and logged - read > _MOST_MISSED * logged:
        other = re.compile(f"(?!{expression}{LEVELS})")
        raise _unknown_prefix(path, [m[0] for m in _STATEMENT_LINE.finditer(head) if other.match(m[0])])
    if "session" not in _line_prefix.names(prefix):
        tables.warnings += (notes.NO_SESSION(),)
    return tables


def _unknown_prefix(path: Path, lines: list[str]) -> FormatError:
    """That no prefix was found behind which the statements of these lines are."""
    begins = next(iter(lines), "").partition("LOG: ")[0][:200]  # and no part of a statement
    remedy = Remedy("read", {"log_line_prefix": "%m [%p] %q%u@%d "})
    return FormatError(notes.UNKNOWN_PREFIX(remedy, path=path, begins=repr(begins)))


def _with_statements(path: Path) -> str:
    """The beginning of the log, or of that part of it where statements begin."""
    with sources.open_bytes(path) as stream:
        first = data = sources.as_utf8(stream.read(_INFERRED_FROM))
        while data and not _STATEMENT.search(data):
            data = stream.read(_INFERRED_FROM)
    return (data or first).decode("utf-8", errors="replace")


def _table(path: Path, expression: str, tally: Tally) -> Any:
    """Log records as one Arrow table, chunk after chunk of the file."""
    import pyarrow as pa

    head = rf"\A(?P<head>{expression}{LEVELS})(?P<begins>{_BEGINS})?"
    first, parts = 0, []
    for chunk in _chunks(path):
        batch = _batch(chunk, head, tally, first)
        first += len(batch)
        parts.append(batch)
    schema = _log_records.schema()
    return pa.Table.from_batches(parts, schema) if parts else schema.empty_table()


_MARKS = (b"LOG:  duration: ", b"LOG: duration: ", b"LOG:  00000: duration: ")
_MARKED_LINE = re.compile(rb"^(?!\t).*?LOG: {1,2}(?:00000: )?duration: ", re.MULTILINE)


def _durations(chunk: bytes, timed: int) -> int:
    """How many durations a chunk has; where there are more than were read, without those inside of statements' values."""
    found = sum(map(chunk.count, _MARKS))
    return found if found == timed else len(_MARKED_LINE.findall(chunk))


_SPACES = np.frombuffer(b" \r\n", dtype=np.uint8)


def _batch(chunk: bytes, head: str, tally: Tally, first: int) -> Any:
    """The records of a chunk that are of statements, without a loop over them.

    A record begins at a line that has the prefix (a tab at the beginning never has), and ends where the next one begins, or
    what another program wrote into the file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    starts, ends, found, lines = _split(chunk, head, tally)
    level, begins = pc.struct_field(found, "level"), pc.struct_field(found, "begins")
    given = pc.match_substring(begins, "arameters:").to_numpy(zero_copy_only=False)
    logged = pc.and_(pc.equal(level, "LOG"), pc.not_equal(begins, "")).to_numpy(zero_copy_only=False)
    statements = np.flatnonzero(logged & ~given)
    brief = pc.is_in(pc.struct_field(found, "word"), pa.array(["parse", "bind"])).to_numpy(zero_copy_only=False)
    detailed = pc.equal(level, "DETAIL").to_numpy(zero_copy_only=False) & given
    detailed[1:] &= logged[:-1] & ~brief[:-1]  # of the record right before it, if that is of a statement
    detailed[:1] = False
    lengths = pc.binary_length(pc.struct_field(found, "head")).to_numpy(zero_copy_only=False)
    wanted = np.flatnonzero((logged & ~given) | detailed)
    tally.continued += int(lines[wanted].sum()) - len(statements)
    tally.known += int(lines.sum() - lines[wanted].sum())
    timed = pc.sum(pc.and_(pc.equal(level, "LOG"), pc.starts_with(begins, "duration"))).as_py() or 0
    tally.mark(_DURATION, _durations(chunk, timed), 0)
    context = np.append(pc.equal(level, "CONTEXT").to_numpy(zero_copy_only=False)[1:], False)
    bodies = _bodies(chunk, starts, ends, lengths, brief, lines, wanted)
    place = np.searchsorted(wanted, statements)
    with_detail = np.append(detailed, False)[statements + 1]
    columns = {
        "message": bodies.take(pa.array(place)),
        "detail": bodies.take(pa.array(place + 1, mask=~with_detail)),
        "line": pa.array(np.arange(first, first + len(statements))),
        "context": pa.array(
            ["function" if inside else None for inside in context[statements].tolist()], type=pa.large_string()
        ),
        **_fields(found, statements),
    }
    nothing = pa.nulls(len(statements), pa.large_string())
    schema = _log_records.schema()
    return pa.RecordBatch.from_arrays([columns.get(name, nothing) for name in schema.names], schema=schema)


def _bodies(chunk: bytes, starts: Any, ends: Any, lengths: Any, brief: Any, lines: Any, wanted: Any) -> Any:
    """The messages of the wanted records: without heads and line ends, continuation lines without the server's tab."""
    import pyarrow as pa
    import pyarrow.compute as pc

    data = np.frombuffer(chunk, dtype=np.uint8)
    begin = starts[wanted] + lengths[wanted]
    end = ends[wanted]
    end = np.where(brief[wanted], np.minimum(end, begin + _BRIEF), end)
    for _ in range(3):  # no character may be cut in two
        inside = (data[np.minimum(end, len(chunk) - 1)] & 0xC0 == 0x80) & (end < len(chunk))
        end = end - inside
    ended = (data[end - 1] == 10) & (end > begin)
    end = end - ended
    end = end - (ended & (data[end - 1] == 13) & (end > begin))
    bodies = _log_heads.ranges(chunk, begin, np.maximum(end, begin)).view(pa.large_string())
    several = np.flatnonzero(lines[wanted] > 1)
    if not len(several):
        return bodies
    joined = pc.replace_substring(bodies.take(pa.array(several)), "\r\n", "\n")
    place = np.arange(len(bodies))
    place[several] = len(bodies) + np.arange(len(several))
    return pa.concat_arrays([bodies, pc.replace_substring(joined, "\n\t", "\n")]).take(pa.array(place))


def _split(chunk: bytes, head: str, tally: Tally) -> tuple[Any, Any, Any, Any]:
    """Where the chunk's records begin and end, the parts of their heads, and how many lines each has."""
    import pyarrow as pa

    data = np.frombuffer(chunk, dtype=np.uint8)
    ends = np.flatnonzero(data == 10)
    following = ends[ends + 1 < len(chunk)] + 1
    starts = np.concatenate([[0], following[data[following] != 9]]).astype("int64")
    found = _log_heads.heads(chunk, starts, head, _SHORT)
    lengths = np.diff(np.append(starts, len(chunk)))
    if len(again := np.flatnonzero(_cut_short(found, lengths))):  # what follows the prefix may be beyond those bytes
        longer = _log_heads.matched(_log_heads.cut(chunk, starts, _HEAD).take(pa.array(again)), head)
        place = np.arange(len(found))
        place[again] = len(found) + np.arange(len(again))
        found = pa.concat_arrays([found, longer]).take(pa.array(place))
    valid = found.is_valid().to_numpy(zero_copy_only=False)
    right = np.flatnonzero(valid)
    begins = int(starts[right[0]]) if len(right) else len(chunk)
    foreign = np.flatnonzero(~valid & (starts > begins))
    # A line that only lost its tab (to an editor, to another log's agent) begins with some other space, if not with nothing.
    foreign = foreign[~np.isin(data[starts[foreign]], _SPACES)]
    edges = np.union1d(right, foreign)
    stops = np.append(starts[edges], len(chunk))[np.searchsorted(edges, right) + 1]
    counts = np.searchsorted(ends, stops) - np.searchsorted(ends, starts[right])
    total = len(ends) + (not chunk.endswith(b"\n"))
    counts[-1:] += len(right) > 0 and stops[-1] == len(chunk) and not chunk.endswith(b"\n")
    first = int(np.searchsorted(ends, starts[foreign[0]])) + 1 if begins == 0 and len(foreign) else 1
    tally.skip(tally.total + first, total - int(counts.sum()), "no log_line_prefix")
    tally.total += total
    return starts[right], stops, found if len(right) == len(found) else found.take(pa.array(right)), counts


def _cut_short(found: Any, lengths: Any) -> Any:
    """Which lines may be records of statements whose head is longer than the bytes in which it was looked for."""
    import pyarrow.compute as pc

    unsure = pc.and_(pc.equal(pc.struct_field(found, "level"), "LOG"), pc.equal(pc.struct_field(found, "begins"), ""))
    unsure = pc.or_(found.is_null(), pc.fill_null(unsure, False))
    return unsure.to_numpy(zero_copy_only=False) & (lengths > _SHORT)


def _fields(found: Any, statements: Any) -> dict[str, Any]:
    """The columns that the prefix has, of these records; what it left empty is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = [found.type.field(n).name for n in range(found.type.num_fields)]
    wanted = ("epoch", "logged", "user", "database", "application", "session")
    columns = {n: pc.struct_field(found, n).take(pa.array(statements)) for n in wanted if n in names}
    if "epoch" in columns:
        columns["logged"] = pa.array([_of_epoch(text) for text in columns["epoch"].to_pylist()], type=pa.large_string())
    known = {n: columns[n] for n in wanted[1:] if n in columns}
    missing = pa.scalar(None, type=pa.large_string())
    return {n: pc.if_else(pc.equal(values, ""), missing, values) for n, values in known.items()}


def _of_epoch(text: str) -> str:
    at = dt.datetime.fromtimestamp(float(text), dt.UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d} UTC"


def _chunks(path: Path) -> Iterator[bytes]:
    """Valid UTF-8 that ends where a record ends."""
    with sources.open_bytes(path) as stream:
        kept: list[bytes] = []
        size = 0
        while data := stream.read(_CHUNK):
            cut = last_end(data)
            if cut < 0 and size < _LONGEST:
                kept.append(data)
                size += len(data)
                continue
            cut = cut if cut >= 0 else len(data)
            yield _valid(b"".join((*kept, data[:cut])))
            kept, size = [data[cut:]], len(data) - cut
        if rest := b"".join(kept):
            yield _valid(rest)


def _valid(data: bytes) -> bytes:
    """The bytes, invalid UTF-8 replaced, and without a byte-order mark."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("utf-8", errors="replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


def last_end(data: bytes) -> int:
    """Behind the last line end that a new LOG record follows, so that none loses its DETAIL; -1 if there is none."""
    at = len(data)
    while (at := data.rfind(b"\n", 0, at)) >= 0:
        following = data[at + 1 : at + 2]
        if following not in (b"\t", b"") and b"LOG: " in data[at + 1 : at + 600].split(b"\n", 1)[0]:
            return at + 1
    return -1
