"""Names that say nothing about the statement: of cursors, savepoints and prepared statements, and numbers in those of tables.

``ev_20260301`` and ``ev_20260302`` are one table to whoever reads a log; so are the schemas of tenants 17 and 18. Runs of at
least two digits in the name of a table are written ``00``, as libpg_query leaves them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from perflab.queries.tokens import Token

_VALUE = ("value", "?")
_DIGITS = re.compile(r"\d{2,}")
_BEFORE_TABLE = frozenset({"from", "join", "into", "update", "truncate"})
_QUERY = frozenset({"select", "insert", "update", "delete", "merge", "truncate", "with"})
_NO_NAME = frozenset({"all", "to", "savepoint", "prepare"})


def names_folded(words: list[Token]) -> list[Token]:
    """The statement without the names that its client made up."""
    return _tables_folded(_client_names_folded(_one_spelling(words)))


def _one_spelling(words: list[Token]) -> list[Token]:
    """``ROLLBACK TO x``, ``RELEASE x`` and ``FETCH FIRST 1 ROW``, without the words that may be left out."""
    texts = [text for _, text in words]
    if texts[:1] == ["rollback"] or texts[:1] == ["release"]:
        return [word for word in words if word != ("word", "savepoint")]
    if "fetch" in texts and "row" in texts:
        at = len(texts) - 1 - texts[::-1].index("row")
        if texts[at - 3 : at - 2] == ["fetch"] and texts[at - 1] == "?":
            return [*words[:at], ("word", "rows"), *words[at + 1 :]]
    return words


def _client_names_folded(words: list[Token]) -> list[Token]:
    texts = [text for _, text in words[:4]]
    first, place = texts[:1], None
    if first and first[0] in ("declare", "close", "prepare", "execute", "listen", "unlisten", "notify"):
        place = 1
    elif first in (["fetch"], ["move"], ["release"]) or (first == ["rollback"] and "to" in texts):
        place = len(words) - 1
    elif first == ["deallocate"] and len(words) > 1:
        return [words[0], words[-1] if texts[-1] == "all" else _VALUE]
    if place is None or place >= len(words) or words[place][0] not in ("word", "name") or words[place][1] in _NO_NAME:
        return words
    if first == ["execute"] and words[place][1] in ("immediate", "procedure", "block"):
        return words
    return [*words[:place], _VALUE, *words[place + 1 :]]


def _tables_folded(words: list[Token]) -> list[Token]:
    if not any(kind in ("word", "name") and _DIGITS.search(text) for kind, text in words):
        return words
    named = set(_table_names(words))
    return [(kind, _DIGITS.sub("00", text)) if at in named else (kind, text) for at, (kind, text) in enumerate(words)]


def _table_names(words: list[Token]) -> Iterator[int]:
    """The places of the names of tables and their schemas, behind FROM and the like."""
    queries = [False]  # for each open bracket whether a query is in it: not so in EXTRACT(year FROM d20)
    for place, (kind, text) in enumerate(words):
        if text == "(":
            queries.append(False)
        elif text == ")" and len(queries) > 1:
            queries.pop()
        elif kind == "word" and text in _QUERY:
            queries[-1] = True
        before = words[place - 1][1] if place else ""
        if kind != "word" or text not in _BEFORE_TABLE or not queries[-1] or before in ("distinct", "for", "do", "key"):
            continue
        yield from _listed(words, place + 1, function=text != "into")


def _listed(words: list[Token], at: int, *, function: bool) -> Iterator[int]:
    """The names from here on: ``a``, ``s.a AS x``, ``a, b``."""
    while at < len(words):
        while at < len(words) and words[at][1] in ("only", "table", "lateral", "ignore", "into"):
            at += 1
        parts = []
        while at < len(words) and words[at][0] in ("word", "name"):
            parts.append(at)
            if at + 1 >= len(words) or words[at + 1][1] != ".":
                break
            at += 2
        at += 1
        if not parts or (function and at < len(words) and words[at][1] == "("):
            return
        yield from parts
        while at < len(words) and words[at][0] in ("word", "name") and words[at][1] not in ("where", "set", "on"):
            at += 1  # an alias
        if at >= len(words) or words[at][1] != ",":
            return
        at += 1
