"""Texts whose quotes say something else than their dialect does: a wrong dialect, none, or a text that was cut.

``'it\\'s'`` is one string in MySQL and the start of a second one elsewhere; ``"x"`` is a string in MySQL and a name elsewhere.
Where the dialect's own reading of a text makes no sense, the other one counts; where neither does, the rest of the text is a
value. No value may reach a fingerprint because somebody named the wrong dialect.
"""

from __future__ import annotations

import re
import zlib

from perflab.queries.tokens import BACKSLASH, DOLLAR, QUOTED_NAME, STANDARD, Token

_DOUBT = re.compile(r"\\['\"]")
_STRICT = re.compile(
    rf"(?P<text>\b[eE]{BACKSLASH}|{STANDARD})|(?P<other>{QUOTED_NAME}|--[^\n]*+|/\*(?s:.*?)(?:\*/|\Z)|{DOLLAR})"
)
_ESCAPED = re.compile(
    rf"(?P<text>{BACKSLASH}|" + r'"(?:[^"\\]++|""|\\(?s:.))*+(?:"|\\?\Z))'
    r"|(?P<other>`[^`]*+(?:`|\Z)|--[^\n]*+|\#[^\n]*+|/\*(?s:.*?)(?:\*/|\Z))"
)
_PREFIX = re.compile(r"(?:^|[^\w$])(?:[a-z]|u&|_\w+|date|time|timestamp|interval)$", re.IGNORECASE)


def settled(sql: str, dialect: str) -> str:
    """The text with those strings as ``'x'`` of which the dialect would see the wrong end.

    >>> settled(r"SELECT a FROM t WHERE b = 'it\\'s me' AND c = 'y'", "postgresql")
    "SELECT a FROM t WHERE b = 'x' AND c = 'y'"
    """
    if not _DOUBT.search(sql):
        return sql
    own, other = (_ESCAPED, _STRICT) if dialect == "mysql" else (_STRICT, _ESCAPED)
    if _makes_sense(sql, own):
        return sql
    if _makes_sense(sql, other):
        return other.sub(lambda m: "'x'" if m["text"] and "\\" in m[0] else m[0], sql)
    first = next((m.start() for m in own.finditer(sql) if "\\" in m[0]), sql.index("\\"))
    return f"{sql[:first]}'x'"


def _makes_sense(sql: str, reading: re.Pattern[str]) -> bool:
    """Whether every string ends, none touches a word, and no backslash is left outside."""
    position = 0
    for found in reading.finditer(sql):
        if "\\" in sql[position : found.start()]:
            return False
        position = found.end()
        if not found["text"] and found[0][:1] not in '"`':
            continue
        quote = found[0][-1]
        if len(found[0]) < 2 or quote not in "'\"`" or (position == len(sql) and not _ends(found[0], reading)):
            return False
        if sql[position : position + 1].isalnum() or _touches(sql[max(found.start() - 12, 0) : found.start()]):
            return False
    return "\\" not in sql[position:]


def _ends(text: str, reading: re.Pattern[str]) -> bool:
    """Whether a string at the end of a text has its closing quote: it would not swallow what follows."""
    found = reading.match(text + " ")
    return found is not None and found.end() == len(text)


def _touches(before: str) -> bool:
    return before[-1:].isalnum() and not _PREFIX.search(before)


_COMPARES = frozenset(
    {"=", "<>", "!=", "<", ">", "<=", ">=", "<=>", "like", "ilike", "regexp", "rlike", "infile", "outfile"}
)
_LISTS = frozenset({"in", "values", "value"})
_ORDINARY = re.compile(r'"[^\W\d]\w{0,62}"')


def without_values(words: list[Token], dialect: str) -> list[Token]:
    """Tokens in which what stands like a value is one: a quoted name that is compared with, a word that a setting gets."""
    if any(text[:1] == '"' for kind, text in words if kind == "name"):
        words = _names(words, dialect)
    if any(text == "#" for kind, text in words if kind == "operator"):
        words = [
            _hidden(token, dialect) if n and words[n - 1] == ("operator", "#") and token[0] == "word" else token
            for n, token in enumerate(words)
        ]
    if any(text.lower() in _SETS and (not n or words[n - 1][1] == ";") for n, (_, text) in enumerate(words)):
        words = _settings(words)
    if any(text.lower() in _EXECUTES for _, text in words):
        words = _arguments(words)
    return words


def _names(words: list[Token], dialect: str) -> list[Token]:
    places = {n for n, (kind, text) in enumerate(words) if kind == "name" and text[:1] == '"'}
    lists, called = _brackets(words)
    doubtful = {n for n in places if _like_a_value(words, n, lists) or words[n][1].count('"') % 2}
    sure = places - doubtful - called
    if dialect in ("generic", "sqlite") or words[0][1].lower() in ("call", "exec"):
        doubtful |= places & called
    if dialect != "postgresql" and any(kind == "name" and text[:1] == "`" for kind, text in words):
        doubtful, sure = places, set()
    return [
        _hidden(token, dialect) if n in doubtful and not (sure and _ORDINARY.fullmatch(token[1])) else token
        for n, token in enumerate(words)
    ]


def _like_a_value(words: list[Token], place: int, lists: set[int]) -> bool:
    before = words[place - 1][1].lower() if place else ""
    after = words[place + 1][1] if place + 1 < len(words) else ""
    if after in (".", "("):
        return False
    identified = before == "by" and place > 1 and words[place - 2][1].lower() == "identified"
    return before in _COMPARES or identified or place in lists


def _brackets(words: list[Token]) -> tuple[set[int], set[int]]:
    """The places of items in the lists of IN and VALUES, and of the arguments of functions, that stand alone."""
    lists: set[int] = set()
    called: set[int] = set()
    opened: list[str] = []
    kinds = {"list": lists, "call": called}
    for place, (kind, text) in enumerate(words):
        if text == "(":
            before = words[place - 1] if place else ("", "")
            listed = before[1].lower() in _LISTS or (before[1] == "," and opened[-1:] == ["rows"])
            opened.append("list" if listed else "call" if before[0] == "word" else "")
        elif text == ")" and opened:
            rows = opened.pop() == "list"
            if rows and words[place + 1 : place + 2] == [("operator", ",")]:
                opened.append("rows")
        elif opened[-1:] == ["rows"] and text != ",":
            opened.pop()
        alone = words[place + 1][1] in (",", ")") if place + 1 < len(words) else True
        if kind == "name" and opened and opened[-1] in kinds and alone and words[place - 1][1] in ("(", ","):
            kinds[opened[-1]].add(place)
    return lists, called


def _hidden(token: Token, dialect: str) -> Token:
    """A value; where PostgreSQL would see a name, one that tells it from others and does not show it."""
    if dialect != "postgresql":
        return ("value", "?")
    return ("name", f'"?{zlib.crc32(token[1].encode()) & 0xFFFF:04x}"')


_SETS = frozenset({"set", "pragma"})
_KEPT = frozenset({"default", "local", "session", "global", "transaction", "all", "not"})


def _settings(words: list[Token]) -> list[Token]:
    """``SET app.token = word`` with a value for the word, until the end of the setting."""
    out: list[Token] = []
    sets = given = False
    for place, (kind, text) in enumerate(words):
        word = text.lower()
        if not place or words[place - 1][1] == ";":
            sets, given = word in _SETS, False
        elif text == "," and "=" in (t for _, t in words[place + 1 : place + 5]):
            given = False
        following = words[place + 1][1] if place + 1 < len(words) else ""
        if given and kind in ("word", "name") and following not in (".", "(") and word not in _KEPT:
            out.append(("value", "?"))
        else:
            out.append((kind, text))
        given = given or (sets and (text in ("=", ":=") or word in ("to", "names", "role", "zone")))
    return out


_EXECUTES = frozenset({"exec", "execute"})
_NOT_EXECUTED = frozenset({".", ",", "grant", "revoke", "for", "from", "join", "as", "into", "update", "table"})
_STATEMENTS = frozenset("select insert update delete set if return begin end declare go print while else".split())  # noqa: SIM905
_NO_ARGUMENT = frozenset(
    "output out with recompile using default null immediate function procedure block at as login user result sets none".split()  # noqa: SIM905
)


def _arguments(words: list[Token]) -> list[Token]:
    """``EXEC dbo.find word, @name = word`` with values for the words: SQL Server needs no quotes there."""
    out: list[Token] = []
    called = named = False
    for place, (kind, text) in enumerate(words):
        word = text.lower()
        before = words[place - 1][1].lower() if place else ";"
        following = words[place + 1][1] if place + 1 < len(words) else ""
        if word in _EXECUTES and before not in _NOT_EXECUTED and following not in (".", "=", ",", ")"):
            called, named = True, False
        elif text == ";" or (word in _STATEMENTS and before != "="):
            called = False
        elif called and not named:
            named = kind in ("word", "name") and following not in (".", "=") and word not in _NO_ARGUMENT
        elif (
            called
            and kind in ("word", "name")
            and word not in _NO_ARGUMENT
            and before not in (".", "@")
            and following not in (".", "(", "=")
        ):
            kind, text = "value", "?"
        out.append((kind, text))
    return out
