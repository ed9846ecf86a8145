"""Terms that a statement repeats once for each value: WHENs of a bulk update, conditions behind OR, UNIONs, FIELD()."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perflab.queries.tokens import Token

_VALUE = ("value", "?")
_MORE = ("value", "...")
_DEEPEST = 32
_STARTS = frozenset({"where", "on", "having", "when", "select", "and", "set", "by"})
_ENDS = frozenset(
    "group order limit offset fetch having window for union except intersect returning then else end as from".split()  # noqa: SIM905
)


def terms_folded(words: list[Token]) -> list[Token]:
    """The statement with each repeated term once, and ``...`` for the others."""
    texts = [text for kind, text in words if kind == "word"]
    if "case" in texts and texts[0] == "update":
        words = _cases_folded(words)
    if "field" in texts:
        words = _fields_folded(words)
    if "or" in texts or "union" in texts:
        words = _folded(words)
    return words


def _cases_folded(words: list[Token]) -> list[Token]:
    """An UPDATE whose CASE has the same WHEN for each row (a bulk update) with one of them."""
    out: list[Token] = []
    opened: list[tuple[int, list[Token]]] = []  # where the last WHEN of each open CASE starts, and the one before it
    for token in words:
        if token == ("word", "case"):
            opened.append((-1, []))
        elif opened and token in (("word", "when"), ("word", "else"), ("word", "end")):
            start, before = opened.pop()
            if start >= 0 and out[start:] == before:
                del out[start:]
            elif start >= 0:
                before = out[start:]
            if token[1] != "end":
                opened.append((len(out) if token[1] == "when" else -1, before))
        out.append(token)
    return out


def _fields_folded(words: list[Token]) -> list[Token]:
    """MySQL's ``ORDER BY FIELD(id, 3, 1, 2)``, which repeats an IN list."""
    out: list[Token] = []
    at = 0
    while at < len(words):
        out.append(words[at])
        at += 1
        if words[at - 1] != ("word", "field") or at >= len(words) or words[at][1] != "(":
            continue
        while at < len(words) and words[at][1] != ",":
            out.append(words[at])
            at += 1
        end = at
        while end + 1 < len(words) and words[end][1] == "," and words[end + 1] == _VALUE:
            end += 2
        if end > at and end < len(words) and words[end][1] == ")":
            out += [("operator", ","), _MORE]
            at = end
    return out


def _folded(words: Sequence[Token]) -> list[Token]:
    """OR and UNION folded, in brackets first (down to a depth, so that deep ones cost no more than long ones)."""
    out: list[list[Token]] = [[]]
    depth = 0
    for word in words:
        depth += (word[1] == "(") - (word[1] == ")")
        if word[1] == "(" and len(out) <= _DEEPEST and depth == len(out):
            out[-1].append(word)
            out.append([])
        elif word[1] == ")" and len(out) > 1 and depth == len(out) - 2:
            inner = out.pop()
            out[-1] += [*_unions_folded(_ors_folded(inner)), word]
        else:
            out[-1].append(word)
    while len(out) > 1:
        inner = out.pop()
        out[-1] += inner
    return _unions_folded(_ors_folded(out[0]))


def _parts(words: list[Token], separator: str) -> list[list[Token]]:
    """The words between those of a name that are in no brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for word in words:
        depth += (word[1] == "(") - (word[1] == ")")
        if word == ("word", separator) and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _ors_folded(words: list[Token]) -> list[Token]:
    """``a = ? or a = ? or a = ?`` as ``a = ? or ...``, whatever else is behind."""
    if ("word", "or") not in words:
        return words
    parts = _parts(words, "or")
    out, term = list(parts[0]), _last_term(parts[0])
    more = False
    for part in parts[1:]:
        end = next(_top(part, _ENDS), len(part))
        if term and part[:end] == term:
            out += [] if more else [("word", "or"), _MORE]
            more = True
        else:
            out += [("word", "or"), *part[:end]]
            more, term = False, part[:end]
        if end < len(part):
            out += part[end:]
            more, term = False, _last_term(part[end:])
    return out


def _top(words: list[Token], wanted: frozenset[str]) -> Iterator[int]:
    """The places of these words that are in no brackets."""
    depth = 0
    for place, (kind, text) in enumerate(words):
        depth += (text == "(") - (text == ")")
        if depth == 0 and kind == "word" and text in wanted:
            yield place


def _last_term(words: list[Token]) -> list[Token]:
    """What stands behind the last word that a condition starts with; nothing behind an AND, which binds it."""
    start = max((place + 1 for place in _top(words, _STARTS)), default=0)
    return [] if start and words[start - 1][1] == "and" else words[start:]


def _unions_folded(words: list[Token]) -> list[Token]:
    """The same SELECT again and again behind UNION, once."""
    if ("word", "union") not in words:
        return words
    parts = _parts(words, "union")
    out, before = list(parts[0]), (list[Token](), parts[0])
    more = False
    for part in parts[1:]:
        how = part[:1] if part[:1] in ([("word", "all")], [("word", "distinct")]) else []
        body = part[len(how) :]
        if body == before[1] and (not more or how == before[0]):
            out += [] if more else [("word", "union"), *how, _MORE]
            more = True
        else:
            out += [("word", "union"), *part]
            more = False
        before = (how, body)
    return out
