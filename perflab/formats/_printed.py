"""Values as Python and Ruby print them in logs, taken apart without evaluating anything: one pass, no recursion."""

from __future__ import annotations

import re

MAX_PRINTED = 200_000
"""Characters of printed values that are looked at."""

_PART = re.compile(r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+"|[\[({]|[\])}]|,|[^'"\[\](){},]++|.""", re.DOTALL)
_CALL = re.compile(r"""[A-Za-z_][\w.]*\((?P<inner>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\)""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_NOTHING = frozenset({"None", "nil", "NULL", "null"})

Values = list[str | None] | dict[str, str | None]


def items(text: str) -> list[str] | None:
    """The parts of a printed tuple, list or dict at its top level, as they are written; None for anything else.

    >>> items("(1, 'a, b', Decimal('2.5'))")
    ['1', "'a, b'", "Decimal('2.5')"]
    """
    text = text.strip()
    if len(text) < 2 or len(text) > MAX_PRINTED or text[0] not in "([{":
        return None
    found: list[str] = []
    parts: list[str] = []
    depth = 0
    for match in _PART.finditer(text):
        part = match[0]
        depth += part in "([{" if len(part) == 1 else 0
        if depth == 1 and part in (",", ")", "]", "}"):
            if whole := "".join(parts).strip():
                found.append(whole)
            parts = []
        elif not (depth == 1 and len(part) == 1 and part in "([{" and match.start() == 0):
            parts.append(part)
        depth -= part in ")]}" if len(part) == 1 else 0
        if depth == 0:
            return found if match.end() == len(text) else None
    return None


def value(text: str) -> str | None:
    """One printed value as text: quotes and escapes undone, ``None`` and ``nil`` as None.

    >>> value("'it\\\\'s'"), value("Decimal('2.5')"), value("None")
    ("it's", '2.5', None)
    """
    text = text.strip()
    if text in _NOTHING:
        return None
    if call := _CALL.fullmatch(text):
        text = call["inner"]
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        return _ESCAPE.sub(lambda m: _CONTROL.get(m[1], m[1]), text[1:-1])
    return text


_KEYED = re.compile(r"""(?P<key>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*:\s*(?P<value>.*)""", re.DOTALL)


def values(text: str) -> Values | None:
    """Printed parameters: ``(1, 'a')`` as a list of texts, ``{'id': 1}`` as a mapping; None when they are ambiguous."""
    parts = items(text)
    if parts is None:
        return None
    if text.lstrip()[0] != "{":
        return [value(part) for part in parts]
    keyed = [_KEYED.fullmatch(part) for part in parts]
    return {str(value(k["key"])): value(k["value"]) for k in keyed if k} if all(keyed) else None
