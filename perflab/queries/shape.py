"""What a fingerprint does: its class (lookup, batch, scan, ...), its tables, and the columns it looks things up by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from perflab.queries.tokens import Token, tokens

CLASSES = ("lookup", "batch", "scan", "function", "no table", "write", "control")

_WRITES = frozenset({"insert", "update", "delete", "merge", "replace", "upsert", "call"})
_READS = frozenset({"select", "with", "table", "values", "(", "explain"})
_AGGREGATES = frozenset({"count", "sum", "avg", "min", "max", "exists"})
_CLAUSES = frozenset(
    "where group order having limit union except intersect returning on set using values select for window offset "  # noqa: SIM905
    "fetch as left right inner outer full cross natural join lateral only".split()
)
_FILTERS = frozenset({"where", "on", "having"})
_ENDS_FILTER = frozenset({"group", "order", "limit", "offset", "fetch", "returning", "select", "from", "window", "for"})
_LOW, _HIGH = frozenset({">", ">="}), frozenset({"<", "<="})


@dataclass(frozen=True)
class Shape:
    """The structure of a fingerprint that finding N+1 needs.

    ``tables`` in order of appearance, bare and in lower case. ``keys``: the columns compared with a value by
    equality. ``key_slots``: which of the statement's values, in the order of the text, those are, and beside them the
    ends of ranges that are bounded on both sides (of a night, a shift: a value of the parent's row as much as its key);
    counted from the end (negative) where a list of any length stands before them. ``columns``: what a SELECT names in its list.
    ``list_key``: the column looked up in the statement's only list ("" without one), ``list_slot`` the value that this list
    is (``in_array``: an array, for ANY) or that it starts with; ``slots``: how many values are in no list of any length.
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


@lru_cache(maxsize=16384)
def shape(fingerprint: str) -> Shape:
    """The shape of a fingerprint (of any dialect)."""
    words, cursor = _of_cursor(_working(list(tokens(fingerprint))))
    verb = _verb(words)
    tables = _tables(words)
    keys, slots, listed, limit_slot = _keys(words)
    list_key, list_slot, in_array, fixed = _list(words)
    texts = {text for kind, text in words if kind == "word"}
    valued = "?" in [text for _, text in words] or any(_is_list(words, at) for at in range(len(words)))
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
    one = bool(_NAMES_ONE & set(keys)) and not texts & {"group", "order"}
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
    )


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
        at = next((i for i, (_, text) in enumerate(words) if text == "for" and _text(words, i + 1) in _READS), None)
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
    found = sum(_text(words, i) == "?" and _text(words, i - 1) in before for i in range(len(words)))
    return found + sum(
        [_text(words, i - 3), _text(words, i - 2), _text(words, i - 1)] == ["limit", "?", ","]
        and _text(words, i) == "?"
        for i in range(len(words))
    )


def _handed_out(words: list[Token], verb: str, kind: str, tables: tuple[str, ...]) -> tuple[frozenset[str], bool, bool]:
    """The columns that it returns ("*": all, or not known), whether a loop may be over its rows, whether they are unnamed."""
    everything = frozenset({"*"})
    texts = [text for _, text in words]
    if verb == "select" and tables:
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


def bare(name: str) -> str:
    """A name without quotes, in lower case, camelCase written as snake_case."""
    unquoted = name[1:-1] if name[:1] in '"`[' and len(name) > 1 else name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unquoted).lower()


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


def _keys(words: list[Token]) -> tuple[tuple[str, ...], tuple[int, ...], bool, int | None]:
    """Columns and slots of equality predicates, whether a list is looked up (IN, ANY), and the slot of the LIMIT."""
    filtering, listed, slot = False, False, -1
    keys: list[str] = []
    slots: list[int] = []
    limit: int | None = None
    lists: list[int] = []  # how many slots stood before each list of any length
    bounds: dict[tuple[str, str], int] = {}
    for position, (kind, text) in enumerate(words):
        if kind == "word" and text in _FILTERS:
            filtering = True
        elif kind == "word" and text in _ENDS_FILTER:
            filtering = False
        elif _is_list(words, position):
            lists.append(slot + 1)
            listed = listed or (filtering and _looked_up(words, position))
        elif text == "?":
            slot += 1
            if _text(words, position - 1) == "limit" or (limit == slot - 1 and _text(words, position - 1) == ","):
                limit = slot
            if not filtering:
                continue
            column = _compared(words, position)
            if column == "any":
                listed = True
            elif column:
                keys.append(column)
                slots.append(slot)
            elif side := _bound(words, position):
                bounds[side] = slot
    # One end alone is a page of a longer list, wherever that starts.
    slots += [bounds[c, end] for c, end in bounds if {(c, "low"), (c, "high")} <= set(bounds)]
    placed = [p for s in slots if (p := _placed(s, lists, slot + 1)) is not None]
    return tuple(keys), tuple(placed), listed, None if limit is None else _placed(limit, lists, slot + 1)


def _list(words: list[Token]) -> tuple[str, int | None, bool, int]:
    """The column of the only list that something is looked up in, where it begins, whether it is an array; slots elsewhere."""
    found: list[tuple[str, int, bool]] = []
    slot = 0
    for position, (_, text) in enumerate(words):
        if _is_list(words, position):
            if _text(words, position - 2) == "in":
                found.append((_column_before(words, position - 2), slot, False))
            elif [_text(words, p) for p in range(position - 5, position)] == ["=", "any", "(", "array", "["]:
                found.append((_column_before(words, position - 5), slot, False))
            else:
                found.append(("", slot, False))
        elif text == "?":
            if _compared(words, position) == "any":
                opened = next(p for p in range(position, -1, -1) if _text(words, p) == "any")
                found.append((_column_before(words, opened - 1), slot, True))
            slot += 1
    return (*found[0], slot) if len(found) == 1 and found[0][0] else ("", None, False, slot)


def _placed(slot: int, lists: list[int], total: int) -> int | None:
    """The slot counted from the start, from the end behind a list of any length, or None between two of them."""
    if not lists or slot < lists[0]:
        return slot
    return slot - total if slot >= lists[-1] else None


def _looked_up(words: list[Token], position: int) -> bool:
    """Whether something is looked up in the list: IN (...), = ANY (ARRAY[...])."""
    return _text(words, position - 2) == "in" or "any" in [_text(words, p) for p in range(position - 4, position)]


def _is_list(words: list[Token], position: int) -> bool:
    """Whether a list of any length is written here: ``...``, or ``?::type`` behind IN."""
    if words[position][1] == "?":
        return (
            _text(words, position + 1) == "::"
            and _text(words, position - 1) == "("
            and _text(words, position - 2) == "in"
        )
    return words[position][1] == _text(words, position + 1) == _text(words, position + 2) == "."


def _text(words: list[Token], position: int) -> str:
    return words[position][1] if 0 <= position < len(words) else ""


def _compared(words: list[Token], position: int) -> str:
    """The column that the value at ``position`` is equal to, "any" for a list, "" for neither."""
    left = position - 1
    while _text(words, left) == "(" and _text(words, left - 1) != "=" and _is_name(words, left - 1):
        if _text(words, left - 1) == "any" and _text(words, left - 2) == "=":
            return "any"
        left -= 2  # = lower(?), = cast(? as ...)
    if _text(words, left) == "(" and _text(words, left - 1) == "=":
        left -= 1
    if _text(words, left) in ("=", "is", "<=>") and words[left][1]:
        return _column_before(words, left)
    right = position + 1
    while _text(words, right) == "::":
        right += 2
    if _text(words, right) in ("=", "<=>"):
        return _column_after(words, right + 1)
    return ""


def _bound(words: list[Token], position: int) -> tuple[str, str] | None:
    """(column, "low" or "high") where the value at ``position`` is an end of a range of a column."""
    before = position - 1
    operator = _text(words, before)
    if operator in _LOW | _HIGH:
        column = _column_before(words, before)
        return (column, "low" if operator in _LOW else "high") if column else None
    if operator == "between":
        return (_column_before(words, before), "low")
    if operator == "and":
        # The AND of a BETWEEN, whose other end may have a cast of some words.
        for back in range(before - 1, max(-1, before - 12), -1):
            if _text(words, back) == "between":
                return (_column_before(words, back), "high")
            if _text(words, back) in ("and", "or", "where", "on"):
                break
    return None


def _is_name(words: list[Token], position: int) -> bool:
    return (
        position >= 0
        and words[position][0] in ("word", "name")
        and words[position][1] not in ("in", "values", "and", "or", "where", "on", "not")
    )


def _column_before(words: list[Token], position: int) -> str:
    """The column that ends just before ``position``: ``t.a``, ``(t.a)``, ``lower(t.a)``, ``a::text``."""
    at = position - 1
    while _text(words, at - 1) == "::":
        at -= 2
    while _text(words, at) == ")":
        at -= 1
        while _text(words, at - 1) == "::":
            at -= 2
    return bare(words[at][1]) if at >= 0 and words[at][0] in ("word", "name") else ""


def _column_after(words: list[Token], position: int) -> str:
    at = position
    while _text(words, at) == "(" or _text(words, at + 1) in (".", "("):
        at += 2 if _text(words, at + 1) in (".", "(") else 1
    return bare(words[at][1]) if at < len(words) and words[at][0] in ("word", "name") else ""


def _columns(words: list[Token]) -> frozenset[str]:
    """Names in the list of the first SELECT; "*" when it takes all."""
    found: set[str] = set()
    depth = 0
    for position, (kind, text) in enumerate(words[1:], start=1):
        depth += (text == "(") - (text == ")")
        if kind == "word" and text == "from" and depth <= 0:
            break
        named = kind in ("word", "name") and text != "as" and _text(words, position + 1) != "."
        if named or text == "*":
            found.add(bare(text))
    return frozenset(found)


def _single_row(words: list[Token], tables: tuple[str, ...], keys: tuple[str, ...], texts: set[str]) -> bool:
    """One row at most, by all appearance: found by its own primary key, or an aggregate without groups."""
    if len(tables) == 1 and any(key in _OWN_KEYS or same_noun(stem(key), stem(tables[0])) for key in keys):
        return True
    if "group" in texts or len(words) < 3 or words[0][1] != "select":
        return False
    return words[1][1] in _AGGREGATES and words[2][1] == "(" and "over" not in texts


_KEY_ENDINGS = re.compile(r"_?(?:id|ids|fk|pk|uuid|guid|code|key|no|nr|ref)$")


_KEY_BEGINNINGS = re.compile(r"^(?:fk|id|ref|tbl|tb)_(?=\w{3})")


def stem(name: str) -> str:
    """The noun of a table or foreign key: ``shop_books`` -> ``book``, ``author_id`` -> ``author``."""
    word = _KEY_BEGINNINGS.sub("", _KEY_ENDINGS.sub("", name)) or name
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 2 else word


def same_noun(one: str, other: str) -> bool:
    """Whether two stems name one thing: equal, or equal behind an application's prefix (``shop_book``, ``book``)."""
    if not one or not other:
        return False
    if one == other or one.endswith("_" + other) or other.endswith("_" + one):
        return True
    short, long = sorted((one.rpartition("_")[2], other.rpartition("_")[2]), key=len)
    return len(short) >= 4 and long.startswith(short) and len(long) - len(short) <= 2  # kunde, kunden


@lru_cache(maxsize=65536)
def link(parent: str, child: str, keys: tuple[str, ...]) -> int:
    """How clearly names link a child, by these of its keys, to a parent: 3 a key says so, 2 the parent hands out a column of
    that name, or names a role, 1 it may be, 0 nothing does, -1 the parent holds no such key."""
    above, below = shape(parent), shape(child)
    return max((_link(above, below, key) for key in keys), default=0)


def _link(above: Shape, below: Shape, key: str) -> int:
    nouns = [stem(t) for t in above.tables]
    owner = stem(below.tables[0]) if below.tables else ""
    plain = key in _OWN_KEYS
    everything = "*" in above.columns
    if not plain and nouns and same_noun(owner, nouns[0]) and len(below.tables) > 1 and points_elsewhere(key):
        return 3  # many to many of a table with itself: the key is the join table's
    if plain or same_noun(stem(key), owner):  # many to one: the parent holds the child's key
        foreign = {stem(c) for c in above.columns if points_elsewhere(c)}
        own = bool(nouns) and same_noun(owner, nouns[0])
        if not own and any(same_noun(c, owner) for c in foreign | {stem(c) for c in above.columns}):
            return 3
        if own and key in above.columns:  # the ids first, then each row by its id
            return 2
        if plain and any(c in ROLES or c.endswith("_by") for c in foreign):
            return 2  # an author may be a member, an owner a user
        if plain and nouns and any(same_noun(stem(t), nouns[0]) for t in below.tables[1:]):
            return 2  # joined to the parent's table, and found by its id
        return 1 if foreign or everything else -1
    named = _KEY_ENDINGS.search(key) is not None or _KEY_BEGINNINGS.match(key) is not None
    if (named and key in above.columns and _KEY_ENDINGS.sub("", key)) or any(same_noun(stem(key), n) for n in nouns):
        return 3  # one to many
    if key in _ATTRIBUTES:
        return 0
    if key in above.columns:
        return 2
    return 1 if everything or (named and any(c in _OWN_KEYS or _KEY_ENDINGS.search(c) for c in above.columns)) else 0


def points_elsewhere(column: str) -> bool:
    """Whether a column may hold the key of another row: ``author_id``, ``created_by``, ``parent``."""
    if column in _OWN_KEYS:
        return False
    named = _KEY_ENDINGS.search(column) is not None and _KEY_ENDINGS.sub("", column) != ""
    return named or _KEY_BEGINNINGS.match(column) is not None or column.endswith("_by") or column in ROLES


_ATTRIBUTES = frozenset(
    "name title label state status type kind role level region country lang language locale category key flag shard "  # noqa: SIM905
    "partition bucket day date month year priority queue channel value active enabled deleted".split()
)
"""What a program knows without a query and reads one by one: settings, states, shards."""
ROLES = frozenset({"parent", "owner", "author", "creator", "user", "customer", "manager", "assignee"})
_OWN_KEYS = frozenset({"id", "pk", "uuid"})
