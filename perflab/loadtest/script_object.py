"""An object literal of a k6 script as data: a small parser that evaluates nothing.

Objects, arrays, texts, numbers, true, false, null, comments and trailing commas (ECMAScript's object literals without
expressions, which contain JSON). Anything that would have to be run is a ValueError with its line.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

_START = re.compile(r"(?:\bexport\s+)?\b(?:let|const|var)\s+options\b\s*(?::\s*[\w.]+\s*)?=\s*(?=\{)")
_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TEXT = re.compile(r"'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\"|`((?:[^`\\$]|\\.|\$(?!\{))*)`", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w$.])")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_ESCAPES = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ENDS = re.compile(r"[,\]}]|\Z")
_NAMED = {"true": True, "false": False, "null": None, "undefined": None}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_LARGEST, _DEEPEST = 1_000_000, 40


def options_of(text: str) -> dict[str, Any]:
    """The object after ``options =`` of a script, or the whole text where it is one object (JSON).

    >>> options_of("export const options = { vus: 10, /* all day */ duration: '30s', };")
    {'vus': 10, 'duration': '30s'}
    """
    if len(text) > _LARGEST:
        raise ValueError(f"options: expected a script of at most {_LARGEST:,} characters; got {len(text):,}")
    first = _skip(text, 0)
    if text[first : first + 1] == "{":
        value, end = _object(text, first, 0)
        if text[_skip(text, end) :].strip("; \n\t"):
            _fail(text, _skip(text, end), "the end of the options")
        return value
    masked = re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
    start = _START.search(masked)
    if not start:
        raise ValueError(
            "options: expected a JSON object, or a script with `export const options = {...}`; got neither"
        )
    return _object(text, start.end(), 0)[0]


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        _fail(text, at, f"at most {_DEEPEST} levels")
    if text[at : at + 1] == "{":
        return _object(text, at, depth)
    if text[at : at + 1] == "[":
        return _array(text, at, depth)
    found: Any
    if match := _TEXT.match(text, at):
        found = _unescaped(next(group for group in match.groups() if group is not None))
    elif match := _NUMBER.match(text, at):
        found = _number(match[0].replace("_", ""))
    elif (match := _WORD.match(text, at)) and match[0] in _NAMED:
        found = _NAMED[match[0]]
    else:
        _fail(text, at, "a plain value")
    after = _skip(text, match.end())
    if not _ENDS.match(text, after):
        # 10 * 60, "a" + b, name.x: to know it one would have to run the script.
        _fail(text, at, "a plain value")
    return found, after


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if match := _TEXT.match(text, at):
            key = _unescaped(next(group for group in match.groups() if group is not None))
        elif match := _WORD.match(text, at):
            key = match[0]
        else:
            _fail(text, at, "a name")
        at = _skip(text, match.end())
        if text[at : at + 1] != ":":
            _fail(text, at, f"a colon after {key!r}")
        found[key], at = _value(text, _skip(text, at + 1), depth + 1)
        at = _next(text, at, "}")
    return found, at + 1


def _array(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        value, at = _value(text, at, depth + 1)
        found.append(value)
        at = _next(text, at, "]")
    return found, at + 1


def _next(text: str, at: int, close: str) -> int:
    """Past the comma after an element, or at the closing bracket."""
    at = _skip(text, at)
    if text[at : at + 1] == ",":
        return _skip(text, at + 1)
    if text[at : at + 1] != close:
        _fail(text, at, f"a comma or {close!r}")
    return at


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _number(text: str) -> float | int:
    digits = text.lstrip("+-").lower()
    if digits.startswith("0x"):
        return int(text, 16)
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else float(text)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else _CONTROL.get(match[3], match[3])

    # A character beyond the first plane is written as two escapes.
    return _ESCAPES.sub(plain, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _fail(text: str, at: int, expected: str) -> NoReturn:
    line = text.count("\n", 0, at) + 1
    found = text[at : at + 40].split("\n")[0].strip() or "the end"
    raise ValueError(f"options: line {line}: expected {expected}, found {found!r} (perflab runs no script)")
