"""Removes what log collectors put around each line of a log, before any reader sees it.

docker's json-file and compose, CRI (containerd, CRI-O), syslog (RFC 3164, RFC 5424, PostgreSQL's own splitting), journald,
CloudWatch, Cloud SQL, Azure, CloudNativePG and Elastic's shippers. `detect` checks the first lines; an `Envelope` turns the
lines of a file into those of the log inside, one at a time. Lines of other programs become empty lines, so that lines can
still be counted.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import orjson

from perflab.data import statement_objects
from perflab.errors import FormatError

Envelope = Callable[[Iterator[bytes]], Iterator[bytes]]

_LOOKED_AT = 30
_LONGEST = 32 << 20
_CRI = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) (?P<part>[FP]) ")
_COMPOSE = re.compile(
    rb"(?:\x1b\[[\d;]*m)?[a-z0-9][\w.-]{0,60} +\| (?:\x1b\[[\d;]*m)?"
    rb"(?:\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) )?"
)
_STAMPED = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d) "
    rb"(?:(?!\d{4}-\d\d-\d\d )[\w./-]{1,200} )?(?=(?P<inner>.*))"
)
_INNER = re.compile(rb'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|# (?:Time|User@Host|Thread_id)|\{"timestamp"|\d{10}\.\d{3} ')
_SYSLOG = re.compile(
    rb"(?:<\d{1,3}>)?(?:1 )?"
    rb"(?P<time>[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) "
    rb"(?:(?P<host>[^\s\[\]]{1,255}) )?(?P<program>[\w./@-]{1,64})"
    rb"(?:\[(?P<pid>[\w.]{1,20})\]:?| (?P<procid>\d{1,10}|-) (?:\S{1,64}) (?:-|\[[^\]]{0,200}\])|:) ?"
)
_POD = re.compile(rb"\[pod/[^\]\s]{1,300}\] ")
_LABELLED = re.compile(rb"(?P<label>[^\s#{][^#{]{0,200} )(?:# (?:Time|User@Host): |\{\"timestamp\")")
"""A collector's label (a pod, a container) before each line of a slow log or a jsonlog; a prefix of PostgreSQL has values."""
_DATABASE = re.compile(rb"(?:postgres|postmaster|pgsql|mysqld|mariadbd|mysql)", re.IGNORECASE)
_PIECE = re.compile(rb"\[(?P<message>\d{1,9})-(?P<piece>\d{1,6})\] ")
_LEVEL = re.compile(rb".{0,300}?(?:LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|DETAIL|HINT|STATEMENT|CONTEXT|QUERY): {1,2}")
_OWN_TIME = re.compile(rb".{0,120}?(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d{10}\.\d{3}\b)")
_MONTHS = (b"", *b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_ESCAPED = re.compile(rb"#(\d{3})")


def detect(head: bytes, modified: float = 0.0) -> Envelope | None:
    """The envelope of a file with this head; ``modified`` (its modification time) gives the year that syslog omits."""
    whole = head.rstrip(b"\r\n").split(b"\n")
    lines = [line.rstrip(b"\r") for line in (whole[:-1] or whole) if line.strip()][:_LOOKED_AT]
    if not lines:
        return None
    if _most(_POD, lines):
        return _plain(_POD)
    if lines[0][:1] in b"{[":
        return _json(head, lines)
    if _most(_CRI, lines):
        return _cri
    if csv_envelope := _of_csv(lines):
        return csv_envelope
    if lines[0].isascii() and _most(_COMPOSE, lines, 0.95):
        return _plain(_COMPOSE)
    found = _SYSLOG.match(lines[0])
    if found and _most(_SYSLOG, lines) and any(_of_database(line) for line in lines):
        return lambda given: _syslog(given, modified)
    stamped = _STAMPED.match(lines[0])
    if stamped and _INNER.match(stamped["inner"]):
        return _plain(_STAMPED)
    labelled = _LABELLED.match(lines[0])
    if labelled and _most(label := re.compile(re.escape(labelled["label"])), lines, 0.95):
        return _plain(label)
    return None


class Unwrapped(io.RawIOBase):
    """The bytes of the log inside an envelope."""

    def __init__(self, stream: IO[bytes], envelope: Envelope) -> None:
        super().__init__()
        self._lines = envelope(_lines(stream))
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        held = [self._rest] if self._rest else []
        size = len(self._rest)
        while size < len(buffer) and (line := next(self._lines, None)) is not None:
            held.append(line if line.endswith(b"\n") else line + b"\n")
            size += len(held[-1])
        data = b"".join(held)
        given = data[: len(buffer)]
        buffer[: len(given)] = given
        self._rest = data[len(given) :]
        return len(given)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    buffered = stream if hasattr(stream, "peek") else io.BufferedReader(stream)  # type: ignore[type-var]
    while line := buffered.readline(_LONGEST):
        yield line


def _most(pattern: re.Pattern[bytes], lines: list[bytes], share: float = 0.8) -> bool:
    return sum(pattern.match(line) is not None for line in lines) >= share * len(lines)


def _plain(pattern: re.Pattern[bytes]) -> Envelope:
    """Remove what matches at the start of a line; other lines continue the previous one."""
    return lambda lines: (pattern.sub(b"", line, count=1) if pattern.match(line) else line for line in lines)


def _cri(lines: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for line in lines:
        found = _CRI.match(line)
        held.append(line[found.end() :] if found else line)
        if found and found["part"] == b"P" and sum(map(len, held)) < _LONGEST:
            held[-1] = held[-1].rstrip(b"\r\n")
            continue
        yield b"".join(held)
        held = []
    if held:
        yield b"".join(held)


def _of_csv(lines: list[bytes]) -> Envelope | None:
    """An export with a message column, as from CloudWatch Insights and Grafana."""
    try:
        head, first = (next(csv.reader([_csv_text(line)]), []) for line in (*lines, b"")[:2])
    except csv.Error:  # not a table
        return None
    names = [name.strip().lstrip("@").lower() for name in head]
    place = next((names.index(name) for name in (*_TEXTS, "textpayload") if name in names), None)
    if place is None or len(names) < 2 or len(first) <= place or not _INNER.match(first[place].encode()):
        return None

    def messages(given: Iterator[bytes]) -> Iterator[bytes]:
        rows = csv.reader(map(_csv_text, given))
        next(rows, None)
        try:
            for row in rows:
                yield (row[place] if len(row) > place else "").encode()
        except csv.Error as problem:
            raise FormatError(f"line {rows.line_num}: expected a row of a CSV export: {problem}") from problem

    return messages


def _csv_text(line: bytes) -> str:
    """A line for the csv module, which allows a carriage return only before a line end."""
    return line.decode(errors="replace").replace("\r\n", "\n").replace("\r", " ")


def utf_16(lines: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-16, as written by PowerShell's >, as UTF-8; the pieces may end within a character."""
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    rest = ""
    for piece in lines:
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        yield from (line.encode(errors="replace") + b"\n" for line in whole)
    if rest:
        yield rest.encode(errors="replace")


# syslog


def _of_database(line: bytes) -> bool:
    found = _SYSLOG.match(line)
    if found is None:
        return False
    return bool(
        _DATABASE.search(found["program"]) or _DATABASE.search(found["pid"] or b"") or _LEVEL.match(line[found.end() :])
    )


def _syslog(lines: Iterator[bytes], modified: float) -> Iterator[bytes]:
    """The messages of databases; PostgreSQL's pieces of one message are joined, per process."""
    open_messages: dict[bytes, tuple[bytes, list[bytes]]] = {}
    for line in lines:
        found = _SYSLOG.match(line)
        if found is None or not _of_database(line):
            yield b"\n" if found else line
            continue
        text = line[found.end() :].rstrip(b"\r\n").removeprefix(codecs.BOM_UTF8)
        pid = found["pid"] or found["procid"] or b""
        piece = _PIECE.match(text)
        if piece is None:
            yield _dated(_unescaped(text), found, pid, modified)
            continue
        text = _unescaped(text[piece.end() :])
        number, held = open_messages.get(pid, (b"", []))
        if number == piece["message"] and piece["piece"] != b"1":
            record = _LEVEL.match(text) is not None
            held += (
                [b"\n", _dated(text, found, pid, modified)]
                if record
                else [b"\n", text]
                if text[:1] == b"\t"
                else [text]
            )
            continue
        if held:
            yield b"".join(held)
        open_messages[pid] = (piece["message"], [_dated(text, found, pid, modified)])
    for _, held in open_messages.values():
        yield b"".join(held)


def _unescaped(text: bytes) -> bytes:
    """Undo the escapes of syslog daemons: ``#011`` is a tab."""
    return _ESCAPED.sub(lambda m: bytes([int(m[1], 8)]) if int(m[1][:1]) < 4 else m[0], text) if b"#0" in text else text


def _dated(text: bytes, found: re.Match[bytes], pid: bytes, modified: float) -> bytes:
    """Give a message without a time its envelope's, with the process id, as PostgreSQL would write it."""
    level = _LEVEL.match(text)
    if level is None or _OWN_TIME.match(level[0]):
        return text
    number = pid.rpartition(b".")[2]  # from "postgres.1371"
    return _time(found["time"], modified) + b" [" + (number if number.isdigit() else b"0") + b"]: " + text


def _time(text: bytes, modified: float) -> bytes:
    if text[:1].isdigit():
        at = dt.datetime.fromisoformat(text.decode()).astimezone(dt.UTC)
        return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC".encode()
    last = dt.datetime.fromtimestamp(modified, dt.UTC)
    name, number, clock = text.split()
    month, day = _MONTHS.index(name) if name in _MONTHS else 1, int(number)
    year = last.year if (month, day) <= (last.month, last.day + 1) else last.year - 1
    return f"{year:04d}-{month:02d}-{day:02d} {clock.decode()}.000 local".encode()


# JSON


def _json(head: bytes, lines: list[bytes]) -> Envelope | None:
    records = [_loaded(line.strip().removeprefix(b"[").removesuffix(b",")) for line in lines]
    if any(isinstance(record, dict) and _of_logger(record) for record in records):
        return lambda given: _unwrapped_json(given, _of_logger)
    for record in records[:5]:
        if isinstance(record, dict) and (inner := _inner_of(record)):
            return lambda given: _unwrapped_json(given, inner)
    if re.match(rb"\s*\[\s*\{|\s*\{\s*\"(?:events|records|entries)\"\s*:\s*\[", head) and _DOCUMENT.search(head):
        return _document
    if statement_objects.NESTED.search(head):
        if isinstance(records[0], dict) and statement_objects.inside(records[0]):
            return lambda given: _unwrapped_json(given, statement_objects.inside)
        return _document if not isinstance(records[0], dict) else None
    return None


_DOCUMENT = re.compile(
    rb'"(?:textPayload|logStreamName|ingestionTime|sql_text(?:_s)?)"\s*:|"category"\s*:\s*"PostgreSQLLogs"'
)
_TEXTS = ("log", "message", "line", "msg", "text")
"""Collectors' names for the log line itself."""
Inner = Callable[[dict[str, Any]], str | None]


def _inner_of(record: dict[str, Any]) -> Inner | None:
    """A function that extracts the text from records like this one."""
    if isinstance(record.get("log"), str) and ("stream" in record or "time" in record):
        return lambda r: _text(r.get("log"))
    if isinstance(record.get("textPayload"), str):
        return _of_cloud_sql
    if "MESSAGE" in record and "__REALTIME_TIMESTAMP" in record:
        return _of_journal
    if isinstance(record.get("properties"), dict) and "category" in record and "message" in record["properties"]:
        return statement_objects.of_azure
    if statement_objects.of_slow_row(record):
        return statement_objects.of_slow_row
    if str(record.get("target")).startswith("quaint") and statement_objects.of_prisma(record):
        return statement_objects.of_prisma
    if "logger" in record and "msg" in record and ("logging_pod" in record or "record" in record):
        return statement_objects.of_cnpg
    if isinstance(record.get("message"), str) and {"@timestamp", "ingestionTime", "eventId"} & record.keys():
        if any(isinstance(record.get(name), str) for name in ("sql", "query", "statement", "stmt")):
            return None  # a record of its own, whose message is one of its fields
        return lambda r: _text(r.get("message"))
    for name in _TEXTS:
        if isinstance(text := record.get(name), str) and _INNER.match(text.encode()):
            return lambda r: _text(r.get(name))
    return None


_LOGGERS = re.compile(
    r"(?:django\.db|sqlalchemy\.engine|org\.hibernate\.(?:SQL|orm\.jdbc\.bind|type\.descriptor)|Microsoft\.EntityFrameworkCore\.Data)"
)


def _of_logger(record: dict[str, Any]) -> str | None:
    """A statement that an application's logger wrote as JSON, as its logger writes lines: time, level, logger, text."""
    logger = _first_of(record, "logger_name", "logger", "name", "SourceContext", "Category")
    text = _first_of(record, "message", "msg", "event", "@m", "Message")
    if text is None and isinstance(record.get("commandText"), str):  # Serilog's template and its values
        took, bound = record.get("elapsed"), record.get("parameters") or ""
        head = f"Executed DbCommand ({took}ms) [Parameters=[{bound}], CommandType='Text', CommandTimeout='30']"
        text = f"{head}\n{record['commandText']}"
    if not isinstance(logger, str) or not isinstance(text, str) or not _LOGGERS.match(logger):
        return None
    time = _first_of(record, "@timestamp", "timestamp", "asctime", "time", "@t", "Timestamp")
    level = _first_of(record, "level", "levelname", "@l", "LogLevel")
    return f"{time if isinstance(time, str) else ''} {level or ''} {logger} : {text}".lstrip()


def _first_of(record: dict[str, Any], *names: str) -> Any:
    return next((record[name] for name in names if record.get(name)), None)


def _unwrapped_json(lines: Iterator[bytes], inner: Inner) -> Iterator[bytes]:
    held: list[str] = []
    for line in lines:
        record = _loaded(line.strip().removesuffix(b","))
        text = inner(record) if isinstance(record, dict) else None
        if text is None or record is None:
            yield line if record is None else b"\n"
            continue
        held.append(text)
        if (
            len(text) >= _DOCKER_PIECE
            and not text.endswith("\n")
            and "log" in record
            and sum(map(len, held)) < _LONGEST
        ):
            continue  # docker splits lines into pieces of 16 KB
        yield "".join(held).encode(errors="replace")
        held = []
    if held:
        yield "".join(held).encode(errors="replace")


_DOCKER_PIECE = 16_000


def _document(lines: Iterator[bytes]) -> Iterator[bytes]:
    """One JSON document with all records: an export of CloudWatch, Cloud SQL or Azure."""
    whole = found = _loaded(b"".join(lines))
    if isinstance(found, dict):
        found = next((found[name] for name in ("events", "records", "entries") if name in found), None)
    if not isinstance(found, list) or not any(isinstance(one, dict) and _inner_of(one) for one in found[:_LOOKED_AT]):
        yield (statement_objects.inside(whole) or "").encode(errors="replace")
        return
    for record in found:
        inner = _inner_of(record) if isinstance(record, dict) else None
        text = inner(record) if inner else _text(record.get("message")) if isinstance(record, dict) else None
        yield (text or "").encode(errors="replace")


def _loaded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _of_journal(record: dict[str, Any]) -> str | None:
    text = record.get("MESSAGE")
    if isinstance(text, list):  # journald writes invalid UTF-8 as numbers
        text = bytes(n for n in text if isinstance(n, int) and 0 <= n < 256).decode(errors="replace")
    return _text(text)


def _of_cloud_sql(record: dict[str, Any]) -> str | None:
    """The payload; Cloud SQL's prefix may leave the time to the record."""
    text = _text(record.get("textPayload"))
    level = _LEVEL.match(text.encode()) if text else None
    if text is None or level is None or _OWN_TIME.match(level[0]):
        return text
    try:
        return f"{_time(str(record.get('timestamp')).encode(), 0).decode()} {text}"
    except ValueError:
        return text


def joined(envelopes: Iterable[Envelope]) -> Envelope:
    """Chain envelopes, the outermost first."""

    def all_of_them(lines: Iterator[bytes]) -> Iterator[bytes]:
        for envelope in envelopes:
            lines = envelope(line if line.endswith(b"\n") else line + b"\n" for line in lines)
        return lines

    return all_of_them
