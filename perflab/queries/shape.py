"""What a fingerprint does: its class (lookup, batch, scan, ...), its tables, and the columns it looks things up by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from perflab.queries.nouns import bare, own_key
from perflab.queries.predicates import is_list, keys_of, list_of, text_at
from perflab.queries.tokens import Token, tokens

_WRITES = frozenset({"insert", "update", "delete", "merge", "replace", "upsert", "call"})
_READS = frozenset({"select", "with", "table", "values", "(", "explain", "find", "get", "request"})
_AGGREGATES = frozenset({"count", "sum", "avg", "min", "max", "exists"})
_CLAUSES = frozenset(
    "where group order having limit union except intersect returning on set using values select for window offset "  # noqa: SIM905
    "fetch as left right inner outer full cross natural join lateral only".split()
)


@dataclass(frozen=True)
class Shape:
    """The structure of a fingerprint that finding N+1 needs.

    ``tables`` in order of appearance, bare and in lower case. ``keys``: the columns compared with a value by
    equality. ``key_slots``: which of the statement's values, in the order of the text, those are, and beside them the
    ends of ranges that are bounded on both sides (of a night, a shift: a value of the parent's row as much as its key);
    counted from the end (negative) where a list of any length stands before them. ``columns``: what a SELECT names in its list.
    ``list_key``: the column looked up in the statement's only list ("" without one), ``list_slot`` the value that this list
    is (``in_array``: an array, for ANY) or that it starts with; ``slots``: how many values are in no list of any length.
    ``store``: a call of a database without SQL (`stores`).
    ``asks``: a read whose values may differ, whatever its predicate; ``pages``: its values are a LIMIT and an OFFSET only.
    ``hands_out``: it returns rows that a loop may be over (``opaque``: of columns that its text doesn't name); ``one_row``: at
    most one, found by a name that is unique by custom. ``cursor``: a DECLARE, whose rows are fetched later.
    """

    kind: str
    verb: str
    tables: tuple[str, ...]
    keys: tuple[str, ...]
    key_slots: tuple[int, ...]
    columns: frozenset[str]
    single_row: bool
    limited: bool
    listed: bool
    limit_slot: int | None
    list_key: str
    list_slot: int | None
    in_array: bool
    slots: int
    asks: bool = False
    pages: bool = False
    hands_out: bool = False
    opaque: bool = False
    one_row: bool = False
    ordered: bool = False
    cursor: bool = False
    store: bool = False


@lru_cache(maxsize=16384)
def shape(fingerprint: str) -> Shape:
    """The shape of a fingerprint (of any dialect)."""
    words, cursor = _of_cursor(_working(list(tokens(fingerprint))))
    verb = _verb(words)
    tables = _tables(words)
    keys, slots, listed, limit_slot = keys_of(words)
    list_key, list_slot, in_array, fixed = list_of(words)
    texts = {text for kind, text in words if kind == "word"}
    valued = "?" in [text for _, text in words] or any(is_list(words, at) for at in range(len(words)))
    if verb in _WRITES:
        kind = "write"
    elif verb == "execute":
        kind = "function"
    elif verb != "select":
        kind = "control"
    elif not tables:
        kind = "function" if _calls_function(words) else "no table"
    else:
        kind = "lookup" if keys or slots else "batch" if listed else "scan"
    columns, hands_out, opaque = _handed_out(words, verb, kind, tables)
    paged = _paged(words)
    one = bool(_NAMES_ONE & set(keys)) and "group" not in texts and _in_own_order(words, tables)
    return Shape(
        kind=kind,
        verb=verb,
        tables=tables,
        keys=keys,
        key_slots=slots,
        columns=columns,
        single_row=_single_row(words, tables, keys, texts),
        limited="limit" in texts or "fetch" in texts,
        listed=listed,
        limit_slot=limit_slot,
        list_key=list_key,
        list_slot=list_slot,
        in_array=in_array,
        slots=fixed,
        asks=kind in ("scan", "function") and valued,
        pages=paged > 0 and paged == sum(text == "?" for _, text in words),
        hands_out=hands_out,
        opaque=opaque,
        one_row=one,
        ordered="order" in texts,
        cursor=cursor,
        store=_of_store(words),
    )


def _of_store(words: list[Token]) -> bool:
    return [text for _, text in words[:2]] in (["find", "from"], ["get", "from"], ["request", "from"])


def _working(words: list[Token]) -> list[Token]:
    """Of several statements in one text the first that is not about the session (``SET LOCAL ...; SELECT ...``)."""
    start = 0
    for position, (_, text) in enumerate([*words, ("operator", ";")]):
        if text == ";" and position > start:
            if words[start][1] not in _SESSION or position >= len(words) - 1:
                return words[start:position] if start else words
            start = position + 1
    return words


def _of_cursor(words: list[Token]) -> tuple[list[Token], bool]:
    """The query of a DECLARE ... CURSOR FOR, or of a COPY (...) TO, and whether it is a cursor's."""
    if words and words[0][1] == "declare":
        at = next((i for i, (_, text) in enumerate(words) if text == "for" and text_at(words, i + 1) in _READS), None)
        return (words[at + 1 :], True) if at is not None else (words, False)
    if [text for _, text in words[:2]] == ["copy", "("]:
        return words[2 : _closing(words, 1)], False
    return words, False


def _closing(words: list[Token], opened: int) -> int:
    depth = 0
    for position in range(opened, len(words)):
        depth += (words[position][1] == "(") - (words[position][1] == ")")
        if depth == 0:
            return position
    return len(words)


def _calls_function(words: list[Token]) -> bool:
    """Whether a statement without a table calls a function of the application, with values."""
    if not any(text == "?" for _, text in words):
        return False
    called = [words[i][1] for i in range(len(words) - 1) if words[i][0] in ("word", "name") and words[i + 1][1] == "("]
    return any(not _OF_SYSTEM.match(bare(name)) for name in called)


def _paged(words: list[Token]) -> int:
    """How many of the values are a LIMIT, an OFFSET, or the rows of a FETCH or TOP."""
    before = ("limit", "offset", "next", "first", "top")
    found = sum(text_at(words, i) == "?" and text_at(words, i - 1) in before for i in range(len(words)))
    return found + sum(
        [text_at(words, i - 3), text_at(words, i - 2), text_at(words, i - 1)] == ["limit", "?", ","]
        and text_at(words, i) == "?"
        for i in range(len(words))
    )


def _handed_out(words: list[Token], verb: str, kind: str, tables: tuple[str, ...]) -> tuple[frozenset[str], bool, bool]:
    """The columns that it returns ("*": all, or not known), whether a loop may be over its rows, whether they are unnamed."""
    everything = frozenset({"*"})
    texts = [text for _, text in words]
    if verb == "select" and tables:
        if _of_store(words):
            return everything, texts[0] in ("find", "request"), False
        return everything if texts[0] == "table" else _columns(words), True, False
    if verb == "select":
        return _columns(words) | everything, "from" in texts or texts[:1] == ["values"], True
    if verb in ("call", "execute"):
        return everything, True, True
    for word in ("returning", "output"):
        if kind == "write" and word in texts:
            return _columns(words[texts.index(word) :]), True, False
    return frozenset(), False, False


_SESSION = frozenset({"set", "use", "begin", "start", "savepoint", "reset", "discard"})
_OF_SYSTEM = re.compile(
    r"(?:pg|mysql|sqlite|current|session|last|txid)_|(?:next|set|curr|last)val$|set_config$|(?:get|release|is_free)_lock$|now$"
    r"|sleep$|(?:gen_random_)?uuid|random$|rand$|coalesce$|cast$|version$|database$|changes$|found_rows$|row_count$|concat$|nullif$"
)
_NAMES_ONE = frozenset(
    "host hostname domain subdomain slug handle token email username login code sku hash digest api_key session_key "  # noqa: SIM905
    "session_id ext_id external_id app_label".split()
)
"""Columns that name one row by custom."""


def _verb(words: list[Token]) -> str:
    first = next((text for _, text in words if text != "("), "")
    if first not in ("with", "explain"):
        return first if first in _WRITES or first not in _READS else "select"
    plain = [text for kind, text in words if kind == "word"]
    pairs = set(pairwise(plain))
    if ("insert", "into") in pairs:
        return "insert"
    if ("delete", "from") in pairs:
        return "delete"
    return "update" if "update" in plain and ("for", "update") not in pairs and "set" in plain else "select"


def _in_own_order(words: list[Token], tables: tuple[str, ...]) -> bool:
    """Whether the rows are in no order but that of their key, as an ORM writes it without being asked."""
    texts = [text for _, text in words]
    if "order" not in texts:
        return True
    behind = words[texts.index("order") + 2 :]
    ends = next((i for i, (_, text) in enumerate(behind) if text in ("limit", "offset", "fetch", "for")), len(behind))
    ordered = [
        bare(t)
        for i, (kind, t) in enumerate(behind[:ends])
        if kind in ("word", "name") and text_at(behind, i + 1) != "."
    ]
    return bool(tables) and all(name in ("asc", "desc") or own_key(name, tables[0]) for name in ordered)


def _tables(words: list[Token]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for position, (kind, text) in enumerate(words[:-1]):
        if kind == "word" and text in ("from", "join", "into", "update", "table"):
            if text == "update" and position and words[position - 1][1] in ("for", "key", "do", "on"):
                continue
            _table_list(words, position + 1, found)
    return tuple(found)


def _table_list(words: list[Token], position: int, found: dict[str, None]) -> None:
    """Names after FROM: ``a``, ``s.a AS x``, ``a, b``; not functions, not subqueries."""
    start = position
    while position < len(words):
        while position < len(words) and words[position][1] in ("(", "only", "lateral", "ignore", "into"):
            position += 1
        name = ""
        while position < len(words) and words[position][0] in ("word", "name") and words[position][1] not in _CLAUSES:
            name = bare(words[position][1])
            position += 1
            if position < len(words) and words[position][1] == ".":
                position += 1
            else:
                break
        if not name:
            return
        if position < len(words) and words[position][1] == "(" and words[position - 1][0] == "word":
            if words[start - 1][1] == "into":
                found[name] = None  # INSERT INTO t (columns)
            return  # else a function
        found[name] = None
        while position < len(words) and (words[position][1] == "as" or words[position][0] in ("word", "name")):
            if words[position][1] != "as" and words[position][1] in _CLAUSES:
                return
            position += 1
        if position >= len(words) or words[position][1] != ",":
            return
        position += 1


def _columns(words: list[Token]) -> frozenset[str]:
    """Names in the list of the first SELECT; "*" when it takes all."""
    found: set[str] = set()
    depth = 0
    for position, (kind, text) in enumerate(words[1:], start=1):
        depth += (text == "(") - (text == ")")
        if kind == "word" and text == "from" and depth <= 0:
            break
        named = kind in ("word", "name") and text != "as" and text_at(words, position + 1) != "."
        if named or (text == "*" and text_at(words, position + 1) in ("from", ",", "into", ";", "")):
            found.add(bare(text))
    return frozenset(found)


def _single_row(words: list[Token], tables: tuple[str, ...], keys: tuple[str, ...], texts: set[str]) -> bool:
    """One row at most, by all appearance: found by its own primary key, or an aggregate without groups."""
    if len(tables) == 1 and any(own_key(key, tables[0]) for key in keys):
        return True
    if "group" in texts or len(words) < 3 or words[0][1] != "select":
        return False
    return words[1][1] in _AGGREGATES and words[2][1] == "(" and "over" not in texts
