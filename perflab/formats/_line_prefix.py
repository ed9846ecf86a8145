"""PostgreSQL's log_line_prefix: as a regular expression, and inferred from the lines of a log.

https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-LINE-PREFIX

Inference takes the texts before ``LOG:`` apart into times, session ids, addresses, numbers, words and what is between them.
Values become the server's escapes, by their form (``%m``, ``%c``), by the word before them (``user=``) or by how they change
from line to line (a process id repeats, a line number grows). What stays unknown may be anything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

STATE = r"(?:[0-9A-Z]{5}: )?"
"""What log_error_verbosity = verbose writes before the message."""
LEVELS = (
    r"(?P<level>LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG\d?"
    rf"|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT|BACKTRACE): {{1,2}}{STATE}"
)
STATEMENT = r"duration: [\d.]+ ms|statement: ?|execute [^\n]{1,64}: ?"
_ZONE = r"(?:[A-Za-z]{1,6}|[+-]\d\d(?::?\d\d){0,2})"
_SECOND = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
ESCAPES = {
    "m": rf"(?P<logged>{_SECOND}\.\d{{3}} {_ZONE})",
    "t": rf"(?P<logged>{_SECOND} {_ZONE})",
    "n": r"(?P<epoch>\d{9,11}\.\d{3})",
    "p": r"(?P<session>\d+)",
    "c": r"(?P<session>[0-9a-f]+\.[0-9a-f]+)",
    "l": r"(?P<line>\d+)",
    "u": r"(?P<user>\S*?)",
    "d": r"(?P<database>\S*?)",
    "a": r"(?P<application>.*?)",
    "h": r"\S*?",
    "r": r"\S*?(?:\(\d+\))?",
    "b": r"[a-z ]*?",
    "s": rf"{_SECOND} {_ZONE}",
    "v": r"[\d/-]*?",
    "x": r"\d*",
    "e": r"[0-9A-Z]{5}",
    "i": r".*?",
    "L": r"\S*?",
    "Q": r"-?\d*",
    "P": r"\d*?",
    "%": "%",
}
_ESCAPE = re.compile(r"%(-?\d*)([a-zA-Z%])")


def pattern(prefix: str) -> str:
    """The regular expression of a log_line_prefix; what follows %q is left out by processes without a session."""
    before, mark, after = prefix.partition("%q")
    seen: set[str] = set()
    first = _pattern(before, seen)
    return first + (f"(?:{_pattern(after, seen)})?" if mark else "")


def tolerant(prefix: str) -> str:
    """As `pattern`, for an inferred prefix: behind time and session there may also be what the first lines had not."""
    before, _, after = prefix.partition("%q")
    seen: set[str] = set()
    first = _pattern(before, seen)
    rest = _pattern(after, seen)
    return f"{first}(?:{rest}|.*?)" if rest else f"{first}(?:|.*?)"


def _pattern(prefix: str, seen: set[str]) -> str:
    parts, position = [], 0
    for found in _ESCAPE.finditer(prefix):
        parts.append(re.escape(prefix[position : found.start()]))
        position = found.end()
        escape = ESCAPES.get(found[2])
        if escape is None:
            raise ValueError(
                f"log_line_prefix must use PostgreSQL's escapes (%m, %p, %u, ...); got %{found[2]} in {prefix!r}"
            )
        name = next(iter(re.findall(r"\(\?P<(\w+)>", escape)), None)
        if name in seen:  # %p and %c are both the session: the first one counts
            escape = escape.replace(f"?P<{name}>", "?:")
        elif name:
            seen.add(name)
        parts.append(rf" *{escape} *" if found[1] else escape)
    return "".join(parts) + re.escape(prefix[position:])


# Inference

_MOST_LINES = 400
_MOST_SHAPES = 6
_FITS = 0.7
"""The share of lines that a prefix must fit to be taken."""
_BEFORE_LEVEL = re.compile(rf"^(?![\t{{])(?P<head>[^\n]{{0,400}}?)(?:LOG): {{1,2}}{STATE}(?:{STATEMENT})", re.MULTILINE)
_OTHER = re.compile(rf"^(?![\t{{])(?P<head>[^\n]{{0,400}}?)(?:LOG): {{1,2}}(?!{STATE}(?:{STATEMENT}))", re.MULTILINE)
_FORMS = (
    ("m", rf"{_SECOND}\.\d{{3}} {_ZONE}"),
    ("t", rf"{_SECOND} {_ZONE}"),
    ("c", r"(?<![\w.])[0-9a-f]{2,8}\.[0-9a-f]{1,8}(?![\w.(])"),
    ("n", r"(?<![\d.])\d{10}\.\d{3}(?![\d.])"),
    ("r", r"(?:\[local\]|\w[\w.:-]*)\(\d{1,5}\)"),
    (
        "h",
        r"\[local\]|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:])",
    ),
    ("v", r"(?<![\w/])-?\d{1,6}/\d+(?![\w/])"),
    ("w", r"\[unknown\]"),
    ("0", r"(?<![\w.-])-?\d+(?![\w.]|-\d\d-\d\d )"),
    ("w", r"[^\W\d][\w.-]*|\w[\w.-]*"),
)
_TOKEN = re.compile("|".join(f"(?P<{kind}{n}>{form})" for n, (kind, form) in enumerate(_FORMS) if kind != "0").replace(
    "(?P<w9>", rf"(?P<i8>{_FORMS[8][1]})|(?P<w9>"
))  # fmt: skip
_KEYS = {
    **dict.fromkeys(("user", "usr", "user_name", "username", "u", "role"), "u"),
    **dict.fromkeys(("db", "database", "dbname", "database_name", "d"), "d"),
    **dict.fromkeys(("app", "application", "application_name", "appname", "a", "prog"), "a"),
    **dict.fromkeys(
        ("client", "host", "remote", "remote_host", "ip", "addr", "h", "r", "from", "connection_from"), "r"
    ),
    **dict.fromkeys(("pid", "process", "process_id", "proc", "p", "backend_pid"), "p"),
    **dict.fromkeys(("line", "l", "seq", "num", "line_num", "session_line", "n"), "l"),
    **dict.fromkeys(("xid", "tx", "txid", "trx", "x", "tid"), "x"),
    **dict.fromkeys(("query_id", "queryid", "qid", "q"), "Q"),
    **dict.fromkeys(("tag", "cmd", "command", "ps", "i", "backend", "backend_type", "type", "state", "e", "code"), "i"),
    **dict.fromkeys(("leader", "leader_pid"), "P"),
}
_SPOKEN = frozenset(
    {"user", "database", "db", "host", "client", "pid", "process", "line", "session", "application", "xid", "queryid"}
)
"""Words that may be separated from their value by a blank."""


class _Part(NamedTuple):
    """What is between values (kind "") or a value of a kind."""

    kind: str
    text: str


def infer(head: str) -> str | None:
    """The prefix behind which the statements of these lines are, in the server's escapes; None where none fits most of them.

    >>> infer("2026-03-01 10:00:00 UTC [7] app=web,user=ann LOG:  duration: 1.5 ms  statement: SELECT 1")
    '%t [%p] %qapp=%a,user=%u '
    """
    heads = [found["head"] for found, _ in zip(_BEFORE_LEVEL.finditer(head), range(_MOST_LINES), strict=False)]
    if not heads:
        return None
    split = [_parts(text) for text in heads]
    shapes = Counter(_shape(parts) for parts in split)
    found = []
    for shape, _ in shapes.most_common(_MOST_SHAPES):
        prefix = _with_q(_written([parts for parts in split if _shape(parts) == shape]))
        fields, fits = _fields(tolerant(prefix), heads)
        if fits >= _FITS * len(heads):
            found.append((fits, fields, prefix))
    return max(found, key=lambda one: one[:2])[2] if found else None


def _fields(expression: str, heads: Sequence[str]) -> tuple[int, int]:
    """How many fields the expression finds in these texts, and how many of the texts it fits; RE2 never backtracks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.extract_regex(pa.array(heads, type=pa.string()), rf"\A(?P<whole>{expression})\z").drop_null()
    filled = sum(pc.sum(pc.not_equal(column, "")).as_py() or 0 for column in found.flatten())
    return filled, len(found)


def _parts(text: str) -> list[_Part]:
    parts, position = [], 0
    for found in _TOKEN.finditer(text):
        if found.start() > position:
            parts.append(_Part("", text[position : found.start()]))
        parts.append(_Part(str(found.lastgroup)[0], found[0]))
        position = found.end()
    if position < len(text):
        parts.append(_Part("", text[position:]))
    return parts


def _shape(parts: list[_Part]) -> tuple[str, ...]:
    """What a row of values has in common with others: kinds, and the text between them and of keys."""
    return tuple(part.text if not part.kind or _is_key(parts, n) else part.kind for n, part in enumerate(parts))


def _is_key(parts: list[_Part], place: int) -> bool:
    if parts[place].kind != "w":
        return False
    after = parts[place + 1].text if place + 1 < len(parts) and not parts[place + 1].kind else ""
    name = parts[place].text.lower()
    if after[:1] == "=" or (after[:1] == ":" and name in _KEYS):
        return True
    return after == " " and name in _SPOKEN and place + 2 < len(parts) and bool(parts[place + 2].kind)


def _written(rows: list[list[_Part]]) -> str:
    """The prefix of rows of one shape."""
    first = rows[0]
    values = [[row[n].text for row in rows] for n in range(len(first))]
    session = _session(first, values)
    times = [n for n, part in enumerate(first) if part.kind in "mtn" and part.kind]
    logged = max(times, key=lambda n: (len(set(values[n])), -n), default=None)
    kept: list[str] = []
    for n, part in enumerate(first):
        before, after = _between(first, n - 1), _between(first, n + 1)
        key = _key(first, n)
        if not part.kind:
            kept.append(_separator(first, n).replace("%", "%%").replace("\0", "%"))
        elif _is_key(first, n):
            kept.append(part.text)
        elif n in times and n != logged:
            kept.append("%s" if part.kind == "t" else "%i")
        elif part.kind in "mtnc":
            kept.append(f"%{part.kind}")
        elif n == session:
            kept.append("%p")
        elif part.kind in "rh":
            kept.append("%r" if part.kind == "r" else "%h")
        elif part.kind == "i":
            kept.append(
                "%l" if key in ("l", "") and _grows(values[n]) else f"%{key}" if key in "xQlP" and key else "%i"
            )
        elif key in ("u", "d", "a", "r"):
            kept.append(f"%{key}")
        elif after[:1] == "@" and len(after) == 1:
            kept.append("%u")
        elif before == "@" and n >= 2 and first[n - 2].kind == "w":
            kept.append("%d")
        elif before == "/" and n >= 4 and _between(first, n - 3) == "@":
            kept.append("%a")
        else:
            kept.append("%i")
    return "".join(kept)


def _between(parts: list[_Part], place: int) -> str:
    return parts[place].text if 0 <= place < len(parts) and not parts[place].kind else ""


def _separator(parts: list[_Part], place: int) -> str:
    """The text between values; a key whose value is empty in these lines (``app=,``) gets its escape ("\\0" for %)."""
    text = parts[place].text
    if place and _is_key(parts, place - 1) and text[:1] == "=" and text[1:2] in ("", ",", ";", "|", ")", "]", " ", "/"):
        last = place + 1 == len(parts)
        if len(text) > 1 or last:
            return f"=\0{_KEYS.get(parts[place - 1].text.lower(), 'i')}{text[1:]}"
    return text


def _key(parts: list[_Part], place: int) -> str:
    """The letter that the key before a value stands for, "?" of an unknown key, "" where there is none."""
    if place < 2 or parts[place - 1].kind or not _is_key(parts, place - 2):
        return ""
    separator = parts[place - 1].text
    if not re.fullmatch(r"[=:]\s?[\[(\"']?| ", separator):
        return ""
    return _KEYS.get(parts[place - 2].text.lower(), "?")


def _session(parts: list[_Part], values: list[list[str]]) -> int | None:
    """Which number is the process id: by its key or brackets, and by how it changes; None where a session id is there."""
    if any(part.kind == "c" for part in parts):
        return None
    scores = {n: _score(parts, values[n], n) for n, part in enumerate(parts) if part.kind == "i"}
    best = max(scores, key=lambda n: (scores[n], -n), default=None)
    return best if best is not None and scores[best] > -1 else None


def _score(parts: list[_Part], values: list[str], place: int) -> int:
    key, before, after = _key(parts, place), _between(parts, place - 1), _between(parts, place + 1)
    score = 8 if key == "p" else -8 if key else 0
    score += 4 * (before[-1:] == "[" and after[:1] in "]-:") + 2 * (before[-1:] == "(" and after[:1] == ")")
    score -= 3 * (after[:1] == "]" and before in ("-", ":"))
    score -= 6 * ("0" in values or any(len(v) > 8 or v.startswith("-") for v in values))
    return score - (4 * _grows(values) if len(values) > 2 else 0)


def _grows(values: list[str]) -> bool:
    """Whether numbers are those of lines: they start low and grow by one, for each session."""
    numbers = [int(v) for v in values if len(v) < 12]
    steps = sum(b == a + 1 for a, b in zip(numbers, numbers[1:], strict=False))
    return (numbers[0] == 1 if len(numbers) == 1 else steps * 2 >= len(numbers) - 1) if numbers else False


def _with_q(prefix: str) -> str:
    """With %q behind time and session, where fields of a session follow: other processes leave those out."""
    last = max((found.end() for found in _ESCAPE.finditer(prefix) if found[2] in "mtnpc"), default=0)
    rest = prefix[last:]
    following = next(_ESCAPE.finditer(rest), None)
    if following is None:
        return prefix
    separators = re.match(r"[^\w%]*", rest)
    cut = last + (separators.end() if separators else 0)
    return f"{prefix[:cut]}%q{prefix[cut:]}"


def names(prefix: str) -> Iterator[str]:
    """The fields that a prefix has."""
    for _, letter in _ESCAPE.findall(prefix):
        yield from re.findall(r"\(\?P<(\w+)>", ESCAPES.get(letter, ""))
