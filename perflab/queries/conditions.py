"""Which columns of a table a condition fixes by equality, and which it bounds: what an index could be led by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from perflab.queries.tokens import Token, tokens

_EQUAL = frozenset({"=", "is", "in", "=="})
_RANGE = frozenset({"<", ">", "<=", ">=", "between"})
_COMPARES = _EQUAL | _RANGE | {"<>", "!=", "like", "ilike", "~", "not"}
_ENDS = frozenset(
    {"group", "order", "limit", "offset", "fetch", "having", "window", "for", "union", "except", "intersect"}
)
_NO_NAMES = frozenset({"any", "array", "null", "true", "false", "and", "select", "from"})


@dataclass(frozen=True)
class Column:
    """A column as written in a condition: its qualifier ("" for none) and its name, without quotes."""

    qualifier: str
    name: str


@dataclass(frozen=True)
class Sought:
    """Columns that a condition compares with values: by equality, and by a range. ``plain``: nothing else is in it."""

    equal: tuple[Column, ...] = ()
    bounded: tuple[Column, ...] = ()
    plain: bool = True


def sought(condition: str, dialect: str) -> Sought:
    """The columns of a condition that is joined by AND; of one with OR at the top, nothing."""
    return _sought(_bare(list(tokens(condition, dialect))))


def where(sql: str, dialect: str) -> Sought:
    """The same for the outermost WHERE of a statement (the first, if there are several)."""
    words = list(tokens(sql, dialect))
    depth, places = 0, list[tuple[int, int]]()
    for position, (kind, text) in enumerate(words):
        depth += (text == "(") - (text == ")")
        if kind == "word" and text.lower() == "where":
            places.append((depth, position + 1))
    if not places:
        return Sought()
    level, start = min(places)
    depth, end = level, start
    for kind, text in words[start:]:
        depth += (text == "(") - (text == ")")
        if depth < level or (depth == level and kind == "word" and text.lower() in _ENDS):
            break
        end += 1
    return _sought(_bare(words[start:end]))


def aliases(sql: str, dialect: str) -> dict[str, str]:
    """The table behind each name that a FROM or JOIN gives it, as written there."""
    words = list(tokens(sql, dialect))
    found: dict[str, str] = {}
    for position, (kind, text) in enumerate(words):
        if kind == "word" and text.lower() in ("from", "join", "update", "into"):
            for table, alias in _named(words, position + 1):
                found[alias.lower()] = table
    return found


def _named(words: Sequence[Token], position: int) -> Iterator[tuple[str, str]]:
    while position < len(words) and words[position][0] in ("word", "name"):
        name = unquoted(words[position][1])
        position += 1
        while position + 1 < len(words) and words[position][1] == "." and words[position + 1][0] in ("word", "name"):
            name, position = unquoted(words[position + 1][1]), position + 2
        if position < len(words) and words[position][1].lower() == "as":
            position += 1
        yield name, name
        if position < len(words) and words[position][0] in ("word", "name"):
            yield name, unquoted(words[position][1])
            position += 1
        if position >= len(words) or words[position][1] != ",":
            return
        position += 1


def unquoted(name: str) -> str:
    """A name without its quotes."""
    closing = {'"': '"', "`": "`", "[": "]"}.get(name[:1])
    return name[1:-1].replace(closing * 2, closing) if closing and name.endswith(closing) and len(name) > 1 else name


def _sought(words: list[Token]) -> Sought:
    equal: list[Column] = []
    bounded: list[Column] = []
    plain = True
    if _split(words, "or")[1:]:
        return Sought(plain=False)
    for atom in _conjuncts(words):
        column, operator = _compared(_bare(atom))
        if column is None or operator not in _EQUAL | _RANGE:
            plain = False
        elif column not in equal and column not in bounded:
            (equal if operator in _EQUAL else bounded).append(column)
    return Sought(tuple(equal), tuple(bounded), plain)


def _conjuncts(words: list[Token]) -> Iterator[list[Token]]:
    for part in _split(words, "and"):
        inner = _bare(part)
        if inner != part and _split(inner, "and")[1:] and not _split(inner, "or")[1:]:
            yield from _conjuncts(inner)
        elif part:
            yield part


def _split(words: list[Token], word: str) -> list[list[Token]]:
    """Parts between the word at the top level; the AND of a BETWEEN is none."""
    parts: list[list[Token]] = [[]]
    depth, between = 0, False
    for kind, text in words:
        depth += (text in "([") - (text in ")]") if text else 0
        lowered = text.lower() if kind == "word" and depth == 0 else ""
        if lowered == word and not (word == "and" and between):
            parts.append([])
            continue
        between = lowered == "between" or (between and lowered != "and")
        parts[-1].append((kind, text))
    return parts


def _bare(words: list[Token]) -> list[Token]:
    """Without brackets around all of it."""
    while len(words) > 1 and words[0][1] == "(" and _closes(words) == len(words) - 1:
        words = words[1:-1]
    return words


def _closes(words: Sequence[Token]) -> int:
    depth = 0
    for position, (_, text) in enumerate(words):
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return position
    return -1


def _compared(words: list[Token]) -> tuple[Column | None, str]:
    """The column and the operator of ``column operator value`` (or the other way round); None for anything else."""
    place, depth = -1, 0
    for position, (_, text) in enumerate(words):
        depth += (text == "(") - (text == ")")
        if depth == 0 and text.lower() in _COMPARES:
            place = position
            break
    if place <= 0:
        return None, ""
    operator = words[place][1].lower()
    left, right = words[:place], words[place + 1 :]
    if operator == "is" and right and right[0][1].lower() == "not":
        return None, ""
    found = _column(left)
    if found is not None and _is_value(right):
        return found, operator
    mirrored = _column(right)
    return (
        (mirrored, operator)
        if mirrored is not None and _is_value(left) and operator not in ("in", "is")
        else (None, "")
    )


def _column(words: list[Token]) -> Column | None:
    """``name``, ``t.name``, ``(t.name)::text``: a column and nothing done to it."""
    inner = _bare(words)
    cast = next((i for i, (_, text) in enumerate(inner) if text == "::"), None)
    inner = _bare(inner[:cast]) if cast is not None else inner
    names = [text for kind, text in inner if kind in ("word", "name")]
    dots = [text for _, text in inner if text == "."]
    if len(names) + len(dots) != len(inner) or len(dots) != len(names) - 1 or not names:
        return None
    if names[-1].lower() in _NO_NAMES:
        return None
    return Column(unquoted(names[-2]) if len(names) > 1 else "", unquoted(names[-1]))


def _is_value(words: list[Token]) -> bool:
    """Values, placeholders and casts only: nothing that depends on a row."""
    behind_cast = False
    for kind, text in words:
        if kind in ("word", "name") and not behind_cast and text.lower() not in _NO_NAMES - {"select", "from"}:
            return False
        behind_cast = text == "::" or (behind_cast and kind == "word")
    return bool(words)


def of_table(columns: Sequence[Column], belongs: Callable[[Column], bool]) -> tuple[str, ...]:
    """The names of those that belong to the table, each once."""
    return tuple(dict.fromkeys(c.name for c in columns if belongs(c)))
