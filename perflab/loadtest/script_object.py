"""The options of a k6 script as data: a small parser for JavaScript literals that executes nothing.

Objects, arrays, texts, numbers, comments and trailing commas (ECMAScript's literals, a superset of JSON), names of constants
with literal values, and ``__ENV.NAME || literal``, which gives the literal. Anything that would have to be executed becomes
`Unresolved`; the caller decides whether that matters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

_SKIPPED = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`)"
    r"|(?P<regex>(?<=[(=:,\[!&|?{};])\s*/(?![/*])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/)",
    re.DOTALL,
)
_DECLARED = r"\b(?:let|const|var)\s+{name}\b\s*(?::\s*[\w.<>\[\]| ]+?\s*)?=(?![=>])\s*"
_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TEXT = re.compile(r"'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\"|`((?:[^`\\$]|\\.|\$(?!\{))*)`", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w$.])")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_COMPUTED = re.compile(r"\[[^\]\n]*\]")
_ESCAPES = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ENVIRONMENT = re.compile(r"__ENV\s*(?:\.\s*[\w$]+|\[\s*(?:'[^'\n]*'|\"[^\"\n]*\")\s*\])")
_WRAPPED = re.compile(r"(?:Number|parseInt|parseFloat|String|Object\s*\.\s*freeze)\s*\(\s*|\(\s*")
_OTHERWISE = re.compile(r"\|\||\?\?")
_ENDS = re.compile(r"[,\]})]|\|\||\?\?|\Z|;|(?:as|satisfies)\b|\n")
_NAMED = {"true": True, "false": False, "null": None, "undefined": None}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_LARGEST, _DEEPEST = 1_000_000, 40


@dataclass(frozen=True)
class Unresolved:
    """A value that only executing the script would give."""

    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.text!r} (line {self.line})"


class OfEnvironment(Unresolved):
    """An environment variable: the operand after ``||`` or ``??`` replaces it."""


def options_of(text: str) -> dict[str, Any]:
    """The options that a script exports, or the whole text where it is one object (JSON).

    >>> options_of("const VUS = 5; export const options = { vus: VUS, duration: __ENV.D || '30s', };")
    {'vus': 5, 'duration': '30s'}
    """
    if len(text) > _LARGEST:
        raise ValueError(f"options: expected a script of at most {_LARGEST:,} characters; got {len(text):,}")
    script = Script(text)
    first = skip(text, 0)
    if text[first : first + 1] == "{":
        value, end = script.object(first, 0)
        if text[skip(text, end) :].strip("; \n\t"):
            raise ValueError(f"options: line {script.line(end)}: expected the end of the options, found more")
        return value
    found, _ = script.value(script.exported(), 0)
    if not isinstance(found, dict):
        raise ValueError(f"options: expected an object, found {found}; {INSPECT}")
    return found


INSPECT = "`k6 inspect script.js > options.json` resolves them: give that JSON instead"


class Script:
    """A script: its text, its top level, and its literals."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Texts and comments become blanks of the same length, so that positions stay valid.
        self.bare = _SKIPPED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
        self._depths: list[int] | None = None
        self._open: set[str] = set()
        self.local: dict[str, Any] = {}
        """Local constants of the function being parsed."""

    def line(self, at: int) -> int:
        return self.text.count("\n", 0, at) + 1

    def is_top(self, at: int) -> bool:
        if self._depths is None:
            depth, self._depths = 0, []
            for letter in self.bare:
                depth -= letter in ")}]"
                self._depths.append(depth)
                depth += letter in "({["
        return self._depths[at] == 0

    def _places(self, pattern: str) -> list[int]:
        return [match.end() for match in re.finditer(pattern, self.bare) if self.is_top(match.start())]

    def exported(self) -> int:
        """The start of the exported options; a local variable of that name does not count."""
        declared = self._places(_DECLARED.format(name="options"))
        exported = self._places(r"\bexport\s+" + _DECLARED.format(name="options"))
        exported += self._places(r"\b(?:module\s*\.\s*)?exports\s*\.\s*options\s*=\s*")
        if not exported and (self._places(r"\bexport\s*\{[^}]*\boptions\b[^}]*\}") or len(declared) == 1):
            exported = declared
        if not exported:
            raise ValueError(
                "options: expected a JSON object, or a script with `export const options = {...}` at its top level; found neither"
            )
        if len(exported) > 1:
            lines = ", ".join(str(self.line(at)) for at in exported)
            raise ValueError(
                f"options: expected one exported options, found them at lines {lines}: k6 refuses such a script"
            )
        return exported[0]

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """The value at a position and the position after it; the right side of ``||`` where the left is empty."""
        found, end = self._one(at, depth)
        while match := _OTHERWISE.match(self.text, skip(self.text, end)):
            other, end = self._one(skip(self.text, match.end()), depth)
            missing = isinstance(found, OfEnvironment) or found is None
            found = other if missing or (match[0] == "||" and not found) else found
        return found, end

    def _one(self, at: int, depth: int) -> tuple[Any, int]:
        if depth > _DEEPEST:
            raise ValueError(f"options: line {self.line(at)}: expected at most {_DEEPEST} levels")
        text = self.text
        found: Any
        if text[at : at + 1] == "{":
            found, end = self.object(at, depth)
        elif text[at : at + 1] == "[":
            found, end = self._array(at, depth)
        elif match := _TEXT.match(text, at):
            found, end = _unescaped(next(group for group in match.groups() if group is not None)), match.end()
        elif match := _NUMBER.match(text, at):
            found, end = _number(match[0].replace("_", "")), match.end()
        elif match := _ENVIRONMENT.match(text, at):
            found, end = OfEnvironment(match[0], self.line(at)), match.end()
        elif match := _WRAPPED.match(text, at):
            inner, end = self.value(skip(text, match.end()), depth + 1)
            end = skip(text, end)
            if text[end : end + 1] == ",":  # parseInt(text, 10)
                _, end = self.value(skip(text, end + 1), depth + 1)
            if text[end : end + 1] != ")":
                return self._unresolved(at)
            found, end = _as_number(inner) if match[0][0] in "Np" else inner, end + 1
        elif (match := _WORD.match(text, at)) and match[0] in _NAMED:
            found, end = _NAMED[match[0]], match.end()
        elif match:
            found, end = self.constant(match[0], match.start(), depth), match.end()
        else:
            return self._unresolved(at)
        after = skip(text, end)
        # 10 * 60, "a" + b, name.x: only executing the script would give these.
        return (found, end) if _ENDS.match(text, after) or "\n" in text[end:after] else self._unresolved(at)

    def constant(self, name: str, at: int = 0, depth: int = 0) -> Any:
        if name in self.local:
            return self.local[name]
        places = self._places(_DECLARED.format(name=re.escape(name)))
        alone = rf"(?<![\w$.]){re.escape(name)}"
        assigned = len(re.findall(alone + r"\s*(?::[^=\n]+)?=(?![=>])", self.bare))
        changed = re.search(
            alone + r"(?:\s*(?:[-+*/]=|\+\+|--)|\.push\(|\.\w+\s*=(?!=)|\[[^\]]*\]\s*=(?!=))", self.bare
        )
        if len(places) != 1 or name in self._open or assigned != 1 or changed:
            return Unresolved(name, self.line(at))
        self._open.add(name)
        try:
            return self.value(places[0], depth + 1)[0]
        finally:
            self._open.discard(name)

    def _unresolved(self, at: int) -> tuple[Unresolved, int]:
        """The text at a position, up to the comma or bracket that ends it."""
        depth, end = 0, at
        while end < len(self.bare) and not (depth == 0 and self.bare[end] in ",)}];"):
            depth += (self.bare[end] in "({[") - (self.bare[end] in ")}]")
            end += 1
        said = " ".join(self.text[at:end].split())[:60] or "the end of the text"
        return Unresolved(said, self.line(at)), end

    def object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        text, at = self.text, skip(self.text, at + 1)
        while text[at : at + 1] != "}":
            if text.startswith("...", at):
                spread, at = self.value(skip(text, at + 3), depth + 1)
                found |= spread if isinstance(spread, dict) else {"...": spread}
                at = self._next(at, "}")
                continue
            if match := _TEXT.match(text, at):
                key = _unescaped(next(group for group in match.groups() if group is not None))
            elif match := _WORD.match(text, at) or _COMPUTED.match(text, at):
                key = match[0]
            else:
                self._fail(at, "a name")
            after = skip(text, match.end())
            if text[after : after + 1] == ":":
                found[key], at = self.value(skip(text, after + 1), depth + 1)
            elif text[after : after + 1] in ",}":
                found[key], at = self.constant(key, at, depth), after
            else:
                found[key], at = self._unresolved(at)
            at = self._next(at, "}")
        return found, at + 1

    def _array(self, at: int, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = skip(self.text, at + 1)
        while self.text[at : at + 1] != "]":
            spread = self.text.startswith("...", at)
            value, at = self.value(skip(self.text, at + 3 * spread), depth + 1)
            found += value if spread and isinstance(value, list) else [value]
            at = self._next(at, "]")
        return found, at + 1

    def _next(self, at: int, close: str) -> int:
        """The position after the comma that follows an element, or of the closing bracket."""
        at = skip(self.text, at)
        if self.text[at : at + 1] == ",":
            return skip(self.text, at + 1)
        if self.text[at : at + 1] != close:
            self._fail(at, f"a comma or {close!r}")
        return at

    def _fail(self, at: int, expected: str) -> NoReturn:
        found = self.text[at : at + 40].split("\n")[0].strip() or "the end"
        raise ValueError(
            f"options: line {self.line(at)}: expected {expected}, found {found!r} (perflab runs no script)"
        )


def skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _number(text: str) -> float | int:
    digits = text.lstrip("+-").lower()
    if digits.startswith("0x"):
        return int(text, 16)
    value = float(text)
    # JavaScript has a single number type: 5.0 is 5.
    return (
        int(text)
        if re.fullmatch(r"[+-]?\d{1,18}", text)
        else int(value)
        if abs(value) < 2**53 and value.is_integer()
        else value
    )


def _as_number(value: Any) -> Any:
    """The result of Number() or parseInt() on a text."""
    return _number(value.strip()) if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) else value


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else _CONTROL.get(match[3], match[3])

    # A character outside the basic plane is written as two escapes.
    return _ESCAPES.sub(plain, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
