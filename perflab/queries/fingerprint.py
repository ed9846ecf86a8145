"""Fingerprints: statements that differ only in their values have the same one.

Rules: comments out, white space folded, case folded outside quoted names, literals and placeholders become ``?``, an
IN list or an ARRAY of any length ``(...)``, repeated VALUES tuples one, as are the repeated WHENs of a bulk update and the
same condition again behind OR (``a = ? or ...``). Names of cursors, savepoints and prepared statements are values, and
numbers of several digits in the name of a table are ``00``. ``y = ?`` and ``y in (...)`` stay apart: one is
a lookup, the other a batch. What libpg_query (the fingerprint of pg_query and pganalyze) keeps apart is never merged, but for
the number of repeated UNIONs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from perflab.queries import quoting
from perflab.queries.client_names import names_folded
from perflab.queries.repeated_terms import terms_folded
from perflab.queries.tokens import Token, tokens

MAX_SQL = 200_000
"""Characters of a statement that count for its fingerprint; a longer one is cut there (and marked)."""

CUT = "…"

_VALUE = ("value", "?")
_LIST = ("value", "...")
_DEFAULT = (("word", "default"),)
_CONSTANTS = frozenset({"true", "false", "null"})
_NOT_A_CONSTANT_AFTER = frozenset({"is", "not", "set", "default", "."})
_SIGN_AFTER = frozenset(
    "where and or select limit offset then else when in between return set by not like values on having case from as "  # noqa: SIM905
    "distinct all interval returning using".split()
)
_NUMBERED = frozenset({"operator", "function", "fetch", "move", "forward", "backward"})
_NAMED_BY_CLIENT = frozenset({"savepoint", "deallocate"})


@lru_cache(maxsize=4096)
def of_text(sql: str, dialect: str = "generic") -> str:
    """The fingerprint of one statement."""
    cut = len(sql) > MAX_SQL
    found = list(tokens(quoting.settled(sql[:MAX_SQL] if cut else sql, dialect), dialect))
    words = _values_folded(quoting.without_values(found, dialect))
    words = _lists_folded(_closed(words) if cut else words)  # an IN list longer than that is the usual case
    return written(terms_folded(names_folded(words))) + (CUT if cut else "")


def _closed(words: list[Token]) -> list[Token]:
    """With the brackets that are still open at its end closed."""
    opened: list[str] = []
    for _, text in words:
        if text in ("(", "["):
            opened.append(")" if text == "(" else "]")
        elif opened and text == opened[-1]:
            opened.pop()
    return words + [("operator", text) for text in reversed(opened)]


def _values_folded(raw: Iterable[Token]) -> list[Token]:
    out: list[Token] = []
    previous = ""
    sign_before = False  # a sign that belongs to the number after it: "= -5", but not "a - 5", nor "= -$1"
    for kind, text in raw:
        token = _folded(kind, text, previous)
        if token is _VALUE and sign_before and (text[:1].isdigit() or text[:1] == "."):
            out.pop()
        sign_before = text == "-" and (not out or _takes_sign(out[-1]))
        if previous == "<" and text == ">":
            out[-1] = token = ("operator", "<>")
        else:
            out.append(token)
        previous = token[1]
    while out and out[-1][1] == ";":
        out.pop()
    return out


def _folded(kind: str, text: str, previous: str) -> Token:
    if kind == "value" and previous in _NUMBERED and text.isdigit():
        return ("word", text)  # FETCH 100 FROM c; ALTER OPERATOR FAMILY f USING gist DROP OPERATOR 14
    if kind in ("value", "placeholder"):
        return _VALUE
    if kind == "word":
        word = text.lower()
        if (word in _CONSTANTS and previous not in _NOT_A_CONSTANT_AFTER) or (
            previous in _NAMED_BY_CLIENT and word not in ("to", "all", "prepare")
        ):
            return _VALUE
        return (kind, word)
    if kind == "name" and previous in _NAMED_BY_CLIENT:
        return _VALUE
    return (kind, "<>" if text == "!=" else text)


def _takes_sign(before: Token) -> bool:
    kind, text = before
    return (kind == "operator" and text not in (")", "]", ".", "*")) or (kind == "word" and text in _SIGN_AFTER)


def _lists_folded(words: list[Token]) -> list[Token]:
    ends = _list_ends(words)
    out: list[Token] = []
    position, end = 0, len(words)
    while position < end:
        kind, text = words[position]
        out.append((kind, text))
        position += 1
        if kind != "word" or position not in ends:
            continue
        following = words[position][1]
        if (text == "in" and following == "(") or (text == "array" and following == "["):
            out += _list(words, position, ends[position])
            position = ends[position]
        elif text in ("values", "value") and following == "(":
            position = _tuples(words, position, ends, out)
    return out


def _list_ends(words: list[Token]) -> dict[int, int]:
    """Where the list that opens at a position ends (just behind it); not for subqueries, nor what is never closed."""
    ends: dict[int, int] = {}
    opened: list[tuple[int, int]] = []
    queries = 0
    for position, (kind, text) in enumerate(words):
        if text in ("(", "["):
            opened.append((position, queries))
        elif text in (")", "]") and opened:
            start, before = opened.pop()
            if queries == before:
                ends[start] = position + 1
        elif text == "select" and kind == "word":
            queries += 1
    return ends


def _list(words: list[Token], start: int, end: int, *, row: bool = False) -> list[Token]:
    """The bracketed list with each different item once, or the mark of a list when all are values."""
    items: dict[tuple[Token, ...], None] = {}
    depth, item_start = 0, start + 1
    for position in range(start + 1, end):
        text = words[position][1]
        if depth == 0 and (text == "," or position == end - 1):
            if position > item_start:
                items[tuple(words[item_start:position])] = None
            item_start = position + 1
        depth += (text in ("(", "[")) - (text in (")", "]"))
    inner = [_LIST]
    if any(item not in ((_VALUE,), _DEFAULT) for item in items) or (_DEFAULT in items and not row):
        inner = [token for item in items for token in (("operator", ","), *item)][1:]
    return [words[start], *inner, words[end - 1]]


def _tuples(words: list[Token], start: int, ends: dict[int, int], out: list[Token]) -> int:
    """Write VALUES tuples, each different one once; returns the position after the last."""
    seen: set[tuple[Token, ...]] = set()
    position = start
    while position in ends:
        folded = _list(words, position, ends[position], row=True)
        if tuple(folded) not in seen:
            out += [("operator", ","), *folded] if seen else folded
            seen.add(tuple(folded))
        position = ends[position]
        if position + 1 < len(words) and words[position][1] == "," and words[position + 1][1] == "(":
            position += 1
        else:
            break
    return position


_NO_SPACE_BEFORE = frozenset({",", ")", ".", "::", "]", ";", "[", "..."})
_NO_SPACE_AFTER = frozenset({"(", ".", "::", "[", "..."})
_BEFORE_MORE = frozenset({"or", "union", "all", "distinct", ","})
_SPACE_BEFORE_BRACKET = frozenset(
    "in values and or not where from on as select exists any all some over using with into union except intersect by "  # noqa: SIM905
    "join then when else case between like limit key set having check".split()
)


def written(words: list[Token]) -> str:
    """Tokens as one line, spaced as people write SQL."""
    parts: list[str] = []
    previous, previous_kind = "(", "operator"
    for kind, text in words:
        glued = text in _NO_SPACE_BEFORE or previous in _NO_SPACE_AFTER
        if text == "(" and previous_kind in ("word", "name"):
            glued = previous not in _SPACE_BEFORE_BRACKET
        if not glued or (text == "(" and previous == ",") or (text[0] == "." and previous in _BEFORE_MORE):
            parts.append(" ")
        parts.append(text)
        previous, previous_kind = text, kind
    return "".join(parts)


def values_of(raw: Iterable[Token]) -> Iterable[Token]:
    """The tokens that a fingerprint shows as ``?``, as they are written, in their order."""
    previous = ""
    for kind, text in raw:
        folded = _folded(kind, text, previous)
        if folded is _VALUE:
            yield ("placeholder" if kind == "placeholder" else "value", text)
        previous = folded[1]
