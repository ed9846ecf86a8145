"""The columns of each table, learnt from all statements of a log: what a ``SELECT *`` hands out.

INSERT and CREATE TABLE list all columns of a table, other statements some: what they select, set, join and compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from perflab.queries.conditions import aliases, unquoted
from perflab.queries.nouns import bare
from perflab.queries.predicates import text_at
from perflab.queries.shape import Shape, shape
from perflab.queries.tokens import Token, tokens

Columns = Mapping[str, frozenset[str]]

_NO_COLUMN = frozenset("constraint primary foreign unique check key index exclude like fulltext spatial period".split())  # noqa: SIM905


@lru_cache(maxsize=4)
def known_columns(fingerprints: tuple[str, ...]) -> Columns:
    """The known columns of each table; with "*" where there may be more.

    >>> log = ("insert into book(title, author_id) values (...)", "select * from author where name = ?")
    >>> {table: sorted(columns) for table, columns in known_columns(log).items()}
    {'book': ['author_id', 'id', 'title'], 'author': ['*', 'name']}
    """
    found: dict[str, frozenset[str]] = {}
    complete: set[str] = set()
    for text in fingerprints:
        columns, whole = _named(text)
        for table, names in columns.items():
            found[table] = found.get(table, frozenset()) | names
        complete |= {whole} - {""}
    return {table: names if table in complete else names | {"*"} for table, names in found.items()}


def handed_out(fingerprint: str, known: Columns) -> frozenset[str]:
    """The columns that a statement returns, where it takes all of a table those that are known; "*" where there may be more."""
    above = shape(fingerprint)
    if "*" not in above.columns or not above.tables:
        return above.columns
    unknown = frozenset({"*"})
    return (above.columns - unknown).union(*(known.get(table, unknown) for table in _taken_whole(fingerprint)))


@lru_cache(maxsize=16384)
def _taken_whole(fingerprint: str) -> tuple[str, ...]:
    """The tables whose columns a statement takes all: those before a ``.*``, or all of its tables."""
    words, names = list(tokens(fingerprint)), _aliases(fingerprint)
    starred = [at for at in range(len(words) - 2) if words[at + 1][1] == "." and words[at + 2][1] == "*"]
    return tuple(names.get(unquoted(words[at][1]).lower(), "") for at in starred) or shape(fingerprint).tables


def _aliases(fingerprint: str) -> Mapping[str, str]:
    return {alias: bare(table) for alias, table in aliases(fingerprint, "generic").items()}


@lru_cache(maxsize=16384)
def _named(fingerprint: str) -> tuple[Mapping[str, frozenset[str]], str]:
    """The columns that a statement names by table, and the table of which it names all ("" for none)."""
    below, words = shape(fingerprint), list(tokens(fingerprint))
    if words and words[0][1] == "create":
        return _created(words)
    if not below.tables or below.store:
        return {}, ""
    table = below.tables[0]
    if words[0][1] in ("insert", "replace") and (listed := _inserted(words)):
        return {table: listed | {"id"}}, table
    found: dict[str, set[str]] = {}
    names = _aliases(fingerprint)
    for at in range(len(words) - 2):
        if words[at + 1][1] == "." and words[at][0] in ("word", "name") and words[at + 2][0] in ("word", "name"):
            owner = names.get(unquoted(words[at][1]).lower(), "")
            if owner and text_at(words, at + 3) not in (".", "("):
                found.setdefault(owner, set()).add(bare(words[at + 2][1]))
    if len(below.tables) == 1:
        found.setdefault(table, set()).update(_unqualified(words, below))
    return {owner: frozenset(columns) for owner, columns in found.items()}, ""


def _inserted(words: list[Token]) -> frozenset[str]:
    """The columns in the brackets behind the table of an INSERT."""
    start = next((i for i, (_, text) in enumerate(words) if text == "("), len(words))
    end = next((i for i in range(start, len(words)) if words[i][1] == ")"), start)
    inside = words[start + 1 : end]
    plain = all(kind in ("word", "name") or text == "," for kind, text in inside)
    followed = text_at(words, end + 1) in ("values", "value", "select", "overriding", "output", "with", "(")
    return frozenset(bare(text) for kind, text in inside if text != ",") if plain and followed else frozenset()


def _created(words: list[Token]) -> tuple[Mapping[str, frozenset[str]], str]:
    """The columns of a CREATE TABLE, and its name; nothing of any other CREATE."""
    start = next((i for i, (_, text) in enumerate(words) if text == "("), 0)
    kind, name = words[start - 1]
    if "table" not in [text for _, text in words[1:4]] or kind not in ("word", "name") or name == "as":
        return {}, ""
    depth, found = 0, set()
    for at, (kind, text) in enumerate(words):
        if depth == 1 and words[at - 1][1] in ("(", ",") and kind in ("word", "name") and text not in _NO_COLUMN:
            found.add(bare(text))
        depth += (text == "(") - (text == ")")
    return {bare(name): frozenset(found)}, bare(name)


def _unqualified(words: list[Token], below: Shape) -> set[str]:
    """Of a statement with one table what it selects, sets and compares by its bare name."""
    found, depth, listing = set(below.keys), 0, False
    for at, (kind, text) in enumerate(words):
        depth += (text == "(") - (text == ")")
        if kind == "word" and depth == 0 and text in ("select", "set", "from", "where", "returning"):
            listing = text in ("select", "set")
        elif listing and depth == 0 and kind in ("word", "name"):
            first = text_at(words, at - 1) in ("select", "distinct", "set", ",")
            if first and text_at(words, at + 1) in (",", "from", "as", "="):
                found.add(bare(text))
    return found
