"""The predicates of a statement: the columns that it compares with values, and which of its values those are."""

from __future__ import annotations

from perflab.queries.nouns import bare
from perflab.queries.tokens import Token

_FILTERS = frozenset({"where", "on", "having"})
_ENDS_FILTER = frozenset({"group", "order", "limit", "offset", "fetch", "returning", "select", "from", "window", "for"})
_LOW, _HIGH = frozenset({">", ">="}), frozenset({"<", "<="})


def keys_of(words: list[Token]) -> tuple[tuple[str, ...], tuple[int, ...], bool, int | None]:
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
        elif is_list(words, position):
            lists.append(slot + 1)
            listed = listed or (filtering and _looked_up(words, position))
        elif text == "?":
            slot += 1
            if text_at(words, position - 1) == "limit" or (limit == slot - 1 and text_at(words, position - 1) == ","):
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


def list_of(words: list[Token]) -> tuple[str, int | None, bool, int]:
    """The column of the only list that something is looked up in, where it begins, whether it is an array; slots elsewhere."""
    found: list[tuple[str, int, bool]] = []
    slot = 0
    for position, (_, text) in enumerate(words):
        if is_list(words, position):
            if text_at(words, position - 2) == "in":
                found.append((_column_before(words, position - 2), slot, False))
            elif [text_at(words, p) for p in range(position - 5, position)] == ["=", "any", "(", "array", "["]:
                found.append((_column_before(words, position - 5), slot, False))
            else:
                found.append(("", slot, False))
        elif text == "?":
            if _compared(words, position) == "any":
                opened = next(p for p in range(position, -1, -1) if text_at(words, p) == "any")
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
    return text_at(words, position - 2) == "in" or "any" in [text_at(words, p) for p in range(position - 4, position)]


def is_list(words: list[Token], position: int) -> bool:
    """Whether a list of any length is written here: ``...``, or ``?::type`` behind IN."""
    if words[position][1] == "?":
        return (
            text_at(words, position + 1) == "::"
            and text_at(words, position - 1) == "("
            and text_at(words, position - 2) == "in"
        )
    return words[position][1] == text_at(words, position + 1) == text_at(words, position + 2) == "."


def text_at(words: list[Token], position: int) -> str:
    return words[position][1] if 0 <= position < len(words) else ""


def _compared(words: list[Token], position: int) -> str:
    """The column that the value at ``position`` is equal to, "any" for a list, "" for neither."""
    left = position - 1
    while text_at(words, left) == "(" and text_at(words, left - 1) != "=" and _is_name(words, left - 1):
        if text_at(words, left - 1) == "any" and text_at(words, left - 2) == "=":
            return "any"
        left -= 2  # = lower(?), = cast(? as ...)
    if text_at(words, left) == "(" and text_at(words, left - 1) == "=":
        left -= 1
    if text_at(words, left) in ("=", "is", "<=>") and words[left][1]:
        return _column_before(words, left)
    right = position + 1
    while text_at(words, right) == "::":
        right += 2
    if text_at(words, right) in ("=", "<=>"):
        return _column_after(words, right + 1)
    return ""


def _bound(words: list[Token], position: int) -> tuple[str, str] | None:
    """(column, "low" or "high") where the value at ``position`` is an end of a range of a column."""
    before = position - 1
    operator = text_at(words, before)
    if operator in _LOW | _HIGH:
        column = _column_before(words, before)
        return (column, "low" if operator in _LOW else "high") if column else None
    if operator == "between":
        return (_column_before(words, before), "low")
    if operator == "and":
        # The AND of a BETWEEN, whose other end may have a cast of some words.
        for back in range(before - 1, max(-1, before - 12), -1):
            if text_at(words, back) == "between":
                return (_column_before(words, back), "high")
            if text_at(words, back) in ("and", "or", "where", "on"):
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
    while text_at(words, at - 1) == "::":
        at -= 2
    while text_at(words, at) == ")":
        at -= 1
        while text_at(words, at - 1) == "::":
            at -= 2
    return bare(words[at][1]) if at >= 0 and words[at][0] in ("word", "name") else ""


def _column_after(words: list[Token], position: int) -> str:
    at = position
    while text_at(words, at) == "(" or text_at(words, at + 1) in (".", "("):
        at += 2 if text_at(words, at + 1) in (".", "(") else 1
    return bare(words[at][1]) if at < len(words) and words[at][0] in ("word", "name") else ""
