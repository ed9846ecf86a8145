"""SQL as a flat list of tokens: one linear regular expression for each dialect, no parser and no recursion.

sqlparse's lexer was tried first: it is 20 times slower, reads ``"ident"`` as a string in every dialect, and has no
notion of E'..', dollar quotes or a backslash in MySQL's strings, all of which a fingerprint depends on.
Lexical rules: PostgreSQL 17 manual 4.1, MySQL 8.4 manual 9, https://www.sqlite.org/lang.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

DIALECTS = ("generic", "postgresql", "mysql", "sqlite")

Token = tuple[str, str]
"""Kind ("word", "name", "value", "placeholder", "operator") and text; a name is a quoted identifier."""

STANDARD = r"'(?:[^']++|'')*+(?:'|\Z)"
BACKSLASH = r"'(?:[^'\\]++|''|\\(?s:.))*+(?:'|\\?\Z)"
QUOTED_NAME = r'"(?:[^"]++|"")*+(?:"|\Z)'
_BACKTICK = r"`(?:[^`]++|``)*+(?:`|\Z)"
_NUMBER = (
    r"(?:0[xX][0-9a-fA-F_]++|0[bB][01_]++|0[oO][0-7_]++"
    r"|(?:\d[\d_]*+(?:\.\d[\d_]*+)?+|\.\d[\d_]*+)(?:[eE][+-]?\d++)?+)(?![\w$])"
    r"|(?<!(?i:from|join|into) )(?<!(?i:update) )(?<!(?i:table) )(?<!\.)\d[\w$]*+(?:\.\d[\w$]*+)?"
    r'|(?<![\w"`\]])\.\d[\w$]*+|\d++'
)
"""What starts with a digit is a value to its last letter (``0xNOTHEX``); a table may be called ``2fa_keys`` in MySQL."""
_WORD = r"[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*+"
_PYFORMAT = r"%\([^)\n]{1,200}\)s|%s"
_BRACKETED = r'(?<![\w\])"])\[[A-Za-z_][\w ]*+\]'
"""SQL Server's names; no element of an array, which follows a name."""
_AT = r"@[A-Za-z_]\w*+(?!\()"
"""Npgsql's parameters; PostgreSQL's operator @ stands before a space or a bracket."""
_NAMED = r"(?<![:\w])[:@]" + _WORD
DOLLAR = r"\$(?P<tag>(?:[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*+)?)\$(?s:.*?)(?:\$(?P=tag)\$|\Z)"
_ORACLE = (
    r"[qQ]'(?:\[(?s:.*?)(?:\]'|\Z)|\{(?s:.*?)(?:\}'|\Z)|\((?s:.*?)(?:\)'|\Z)|<(?s:.*?)(?:>'|\Z)|!(?s:.*?)(?:!'|\Z))"
)
_HASH = r"(?<!(?i:from|join|into) )(?<!(?i:table) )(?<!(?i:update) )\#(?![>\-=#&|])[^\n]*+"
"""MySQL's comment; neither an operator of PostgreSQL nor a temporary table of SQL Server."""
_HASH_WORDS = (
    r"(?m:^)\#(?![>\-=#&|])[^\n]*+|\#(?=[ \t]++\w++[ \t]++(?!(?i:and|or|from|as|is|in|then|else|end|asc|desc|where|group|order"
    r"|limit|union|between|like|not)\b)\w|[ \t]*+(?!(?i:[bxen])')\w++')[^\n]*+"
)
"""What no operator of PostgreSQL can be: a line of its own, or two words in a row."""
_OPERATOR = r"::|<=>|<>|!=|<=|>=|\|\||->>|->|#>>|#>|@>|<@|:=|=>|."

_BLOCK = r"/\*(?s:.*?)(?:\*/|\Z)"
_DASH = r"--[^\n]*+"
_PREFIX = r"(?:[bBxXnN]|[uU]&)"


def _pattern(*, skip: str, value: str, name: str, placeholder: str, number: str = _NUMBER) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<skip>\s++|{skip})|(?P<value>{value})|(?P<name>{name})|(?P<placeholder>{placeholder})"
        rf"|(?P<word>{_WORD})|(?P<number>{number})|(?P<operator>(?s:{_OPERATOR}))"
    )


_PATTERNS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "generic": _pattern(
            skip=f"{_DASH}|{_BLOCK}|{_HASH}",
            value=f"[eE]{BACKSLASH}|{_ORACLE}|{_PREFIX}?{STANDARD}|{DOLLAR}",
            name=f"{QUOTED_NAME}|{_BACKTICK}|{_BRACKETED}",
            placeholder=rf"\$\d++|\?\d*+|{_PYFORMAT}|{_NAMED}|(?<![:\w\[\]]):\d++",
        ),
        "postgresql": _pattern(
            skip=f"{_DASH}|/\\*|{_HASH_WORDS}",  # nested comments are counted by hand
            value=f"[eE]{BACKSLASH}|{_ORACLE}|{_PREFIX}?{STANDARD}|{DOLLAR}",
            name=f"(?:[uU]&)?{QUOTED_NAME}",
            placeholder=rf"\$\d++|\?(?![|&])|{_PYFORMAT}|(?<![:\w\]]):{_WORD}|(?<![@\w]){_AT}",
        ),
        "mysql": _pattern(
            skip=rf"--(?=\s|\Z)[^\n]*+|\#[^\n]*+|{_BLOCK}",
            value=rf"{DOLLAR}|{_ORACLE}|(?:[bBxXnN]|_[A-Za-z0-9]++\s*+)?{BACKSLASH}"
            + r'|"(?:[^"\\]++|""|\\.)*+(?:"|\\?\Z)',
            name=_BACKTICK,
            placeholder=rf"\?|{_PYFORMAT}|(?<![:\w]):{_WORD}",
        ),
        "sqlite": _pattern(
            skip=f"{_DASH}|{_BLOCK}|{_HASH}",
            value=f"[eE]{BACKSLASH}|{_ORACLE}|{DOLLAR}|[xX]?{STANDARD}",
            name=rf"{QUOTED_NAME}|{_BACKTICK}|\[[^\]'\"]*+(?:\]|\Z)",
            placeholder=rf"\?\d*+|%s|%\([^)\n]{{1,200}}\)s|{_NAMED}|\$\w++",
        ),
    }
)

_COMMENT_EDGE = re.compile(r"/\*|\*/")


def tokens(sql: str, dialect: str = "generic") -> Iterator[Token]:
    """The tokens of a statement, without space and comments; a quote that is never closed ends with the text."""
    pattern = _PATTERNS[dialect]
    position, end = 0, len(sql)
    while position < end:
        for match in pattern.finditer(sql, position):
            kind = match.lastgroup
            if kind == "tag":
                kind = "value"
            if kind == "skip":
                if match[0] == "/*":
                    position = _after_comment(sql, match.end())
                    break
                continue
            yield ("value" if kind == "number" else str(kind), match[0])
        else:
            return


def _after_comment(sql: str, position: int) -> int:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)
