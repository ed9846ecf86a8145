"""PostgreSQL's plain log (stderr), behind the prefix that log_line_prefix sets.

https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-LINE-PREFIX
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perflab import sources
from perflab.errors import FormatError
from perflab.formats import Tables, _postgresql
from perflab.formats._postgresql import Record
from perflab.formats._queries import Skipped

COMMON_PREFIXES = (
    "%m [%p] %q%u@%d ",  # Debian and Ubuntu
    "%m [%p] ",  # PostgreSQL's default
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",  # pgBadger's recommendation
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t:%r:%u@%d:[%p]:",  # Amazon RDS
    "%t [%p-%l] %q%u@%d ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p]: [%l-1] %u@%d ",
    "%m [%p] %u@%d/%a ",
    "%t [%p] ",
    "%m %u@%d [%p] ",
    "%m [%c] %u@%d ",
    "%m [%p]: ",
    "%m ",
    "%t ",
)

_ZONE = r"[A-Za-z0-9+:\-]{1,10}"
_ESCAPES = {
    "m": rf"(?P<logged>\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} {_ZONE})",
    "t": rf"(?P<logged>\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {_ZONE})",
    "n": r"(?P<epoch>\d{9,11}\.\d{3})",
    "p": r"(?P<session>\d+)",
    "c": r"(?P<session>[0-9a-f]+\.[0-9a-f]+)",
    "l": r"(?P<line>\d+)",
    "u": r"(?P<user>\S*?)",
    "d": r"(?P<database>\S*?)",
    "a": r"(?P<application>.*?)",
    "h": r"\S*?",
    "r": r"\S*?(?:\(\d+\))?",
    "b": r"[a-z ]+?",
    "s": rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {_ZONE}",
    "v": r"[\d/]*?",
    "x": r"\d+",
    "e": r"[0-9A-Z]{5}",
    "i": r".*?",
    "L": r"\S*?",
    "Q": r"-?\d+",
    "P": r"\d*?",
    "%": "%",
}
_ANY = re.compile(rb"^.{0,300}?(?:LOG|ERROR|FATAL|WARNING):  ", re.MULTILINE)
_STATEMENT = re.compile(
    rb"^(?!\{)(?!.{0,80},\"?[^,]*\"?,\"?[^,]*\"?,\d*,)"
    rb".{0,300}?LOG:  (?:duration: [\d.]+ ms|statement: |execute .{1,64}: )",
    re.MULTILINE,
)
_LEVELS = (
    r"(?P<level>LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG\d?"
    r"|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT|BACKTRACE):  "
)
_CHUNK = 8 << 20
_LONGEST = 64 << 20


def sniff(head: bytes) -> bool:
    return _STATEMENT.search(head[: 64 * 1024]) is not None


def read(path: Path, *, log_line_prefix: str | None = None, timezone: str | None = None, **_: Any) -> Tables:
    """Statements of a plain log.

    ``log_line_prefix`` as in postgresql.conf (guessed among the common ones when not given; ``meta`` says which was
    used); ``timezone`` where the log's zone is an abbreviation such as CET.
    """
    head = sources.head(path).decode("utf-8", errors="replace")
    prefix = log_line_prefix if log_line_prefix is not None else guess(head)
    if prefix is None:
        raise FormatError(
            f"{path}:1: no common log_line_prefix fits {head[:80]!r}; give the server's with log_line_prefix="
        )
    entry = re.compile("^" + pattern(prefix) + _LEVELS, re.MULTILINE)
    if not entry.search(head):
        raise FormatError(f"{path}:1: expected lines behind log_line_prefix {prefix!r}, found {head[:80]!r}")
    skipped = Skipped()
    if "session" not in entry.groupindex:
        skipped.notes.append(
            "the log_line_prefix has no %p or %c: sessions can't be told apart; log it for units of work"
        )
    records = _postgresql.batches(_records(path, entry, skipped))
    return _postgresql.from_table(path, records, skipped, timezone, {"format": "stderr", "log_line_prefix": prefix})


def pattern(prefix: str) -> str:
    """The regular expression of a log_line_prefix; what follows %q is left out by processes without a session."""
    before, mark, after = prefix.partition("%q")
    return _pattern(before, set()) + (f"(?:{_pattern(after, set(_names(before)))})?" if mark else "")


def _names(prefix: str) -> Iterator[str]:
    for _, letter in re.findall(r"%(-?\d*)([a-zA-Z%])", prefix):
        yield from re.findall(r"\(\?P<(\w+)>", _ESCAPES.get(letter, ""))


def _pattern(prefix: str, seen: set[str]) -> str:
    parts, position = [], 0
    for found in re.finditer(r"%(-?\d*)([a-zA-Z%])", prefix):
        parts.append(re.escape(prefix[position : found.start()]))
        position = found.end()
        escape = _ESCAPES.get(found[2])
        if escape is None:
            raise ValueError(
                f"log_line_prefix must use PostgreSQL's escapes (%m, %p, %u, ...); got %{found[2]} in {prefix!r}"
            )
        name = next(iter(re.findall(r"\(\?P<(\w+)>", escape)), None)
        if name in seen:  # %p and %c both tell the session: the first one does
            escape = escape.replace(f"?P<{name}>", "?:")
        elif name:
            seen.add(name)
        parts.append(rf" *{escape} *" if found[1] else escape)
    return "".join(parts) + re.escape(prefix[position:])


def guess(head: str) -> str | None:
    """The common prefix that fits the most entries of the head, and all but a few of them."""
    total = len(_ANY.findall(head.encode()))
    fits = {p: len(re.findall("^" + pattern(p) + _LEVELS, head, re.MULTILINE)) for p in COMMON_PREFIXES}
    best = max(COMMON_PREFIXES, key=lambda p: fits[p])
    return best if fits[best] and fits[best] * 10 >= total * 8 else None


def _records(path: Path, entry: re.Pattern[str], skipped: Skipped) -> Iterator[Record]:
    """Log records: an entry with its continuation lines, and the DETAIL that follows it."""
    names = [n for n in ("logged", "user", "database", "application", "session", "line") if n in entry.groupindex]
    pending: list[Any] | None = None
    for number, (found, text) in enumerate(_entries(path, entry, skipped)):
        level = found["level"]
        if level == "LOG":
            if pending is not None:
                yield tuple(pending)
            pending = None
            if text.startswith(("duration: ", "statement: ", "execute ")):
                got = {n: found[n] for n in names}
                pending = [
                    got.get("logged") or _of_epoch(found, entry), got.get("user"), got.get("database"), got.get("application"),
                    got.get("session"), number, text, None,
                ]  # fmt: skip
        elif level == "DETAIL" and pending is not None and text[:11].lower() == "parameters:":
            pending[7] = text
    if pending is not None:
        yield tuple(pending)


def _of_epoch(found: re.Match[str], entry: re.Pattern[str]) -> str | None:
    if "epoch" not in entry.groupindex:
        return None
    import datetime

    at = datetime.datetime.fromtimestamp(float(found["epoch"]), datetime.UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d} UTC"


def _entries(path: Path, entry: re.Pattern[str], skipped: Skipped) -> Iterator[tuple[re.Match[str], str]]:
    line = 1
    for chunk in _chunks(path):
        previous: re.Match[str] | None = None
        if (first := entry.search(chunk)) is None or first.start() > 0:
            lost = chunk[: first.start() if first else len(chunk)]
            for _ in lost.splitlines():
                skipped.line(line)
        for found in entry.finditer(chunk):
            if previous is not None:
                yield previous, _body(chunk, previous.end(), found.start())
            previous = found
        if previous is not None:
            yield previous, _body(chunk, previous.end(), len(chunk))
        line += chunk.count("\n")
        skipped.total = line - 1


def _body(chunk: str, start: int, end: int) -> str:
    """The message: continuation lines lose the tab that the server put before them."""
    text = chunk[start:end].rstrip("\r\n")
    if "\n" in text:
        text = text.replace("\r\n", "\n").replace("\n\t", "\n")
    return _postgresql.cut(text)


def _chunks(path: Path) -> Iterator[str]:
    """Text that ends where a record ends: the next line does not begin with a tab."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with sources.open_bytes(path) as stream:
        kept: list[str] = []
        size = 0
        while data := stream.read(_CHUNK):
            text = decoder.decode(data)
            cut = _last_end(text)
            if cut < 0 and size < _LONGEST:
                kept.append(text)
                size += len(text)
                continue
            cut = cut if cut >= 0 else len(text)
            yield "".join((*kept, text[:cut]))
            kept, size = [text[cut:]], len(text) - cut
        rest = "".join(kept) + decoder.decode(b"", True)
        if rest:
            yield rest


def _last_end(text: str) -> int:
    """Behind the last line end that a new record follows, none of its DETAIL lines cut off; -1 if there is none."""
    at = len(text)
    while (at := text.rfind("\n", 0, at)) >= 0:
        following = text[at + 1 : at + 2]
        if following not in ("\t", "") and "LOG:  " in text[at + 1 : at + 300].split("\n", 1)[0]:
            return at + 1
    return -1
