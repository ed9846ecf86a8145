"""Translates expressions in a k6 script's checks and sleeps to Python expressions with the same value.

Comparisons, ``&&``, ``||``, ``!``, arithmetic, texts and templates; of a response its status, body, headers, duration and JSON.
Where the two languages would differ (truth of an empty list, "200" == 200 of unknown values) nothing is translated.

https://tc39.es/ecma262/#sec-ecmascript-language-expressions, https://grafana.com/docs/k6/latest/javascript-api/k6-http/response/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perflab.loadtest.script_object import OfEnvironment, Script, Unresolved

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`)"
    r"|(?P<number>(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_$][\w$]*)"
    r"|(?P<sign>===|!==|==|!=|<=|>=|&&|\|\||[-!<>+*/%()\[\].,]))",
    re.DOTALL,
)
_TEMPLATE = re.compile(r"\$\{([^{}`]*)\}")
_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.(?:[A-Za-z_][\w-]*|\d+))*")
_COMPARED = {"===": "==", "!==": "!=", "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_OF_TEXT = {
    "includes": ("{1} in {0}", "truth"),
    "startsWith": ("{0}.startswith({1})", "truth"),
    "endsWith": ("{0}.endswith({1})", "truth"),
    "indexOf": ("{0}.find({1})", "number"),
    "toLowerCase": ("{0}.lower()", "text"),
    "toUpperCase": ("{0}.upper()", "text"),
    "trim": ("{0}.strip()", "text"),
}
_OF_RESPONSE = {"status": ("status_code", "number"), "body": ("text", "text")}


@dataclass(frozen=True)
class Translation:
    """A Python expression, the kind of its value ("number", "text", "truth", "json", "headers", "response" or "none"), its
    value where that is constant, and whether it uses the duration of the request.
    """

    code: str
    kind: str
    value: Any = None
    timed: bool = False


def _is_strict(left: Translation, right: Translation) -> bool:
    """Whether ``==`` equals ``===`` for these: true unless a response's value could be converted to match the text."""
    if "json" not in (left.kind, right.kind):
        return True
    text = (right if left.kind == "json" else left).value
    return isinstance(text, str) and re.search(r"[^\s\d.+-]", text) is not None


class NotTranslated(ValueError):
    """An expression without an equivalent in Python."""


def translated(
    text: str, names: Mapping[str, str], wanted: str, constant: Callable[[str], Any], *, environment: str | None = None
) -> Translation:
    """Translate an expression to Python.

    ``names`` maps the responses in it to their Python names, ``constant`` returns the value of other names, and environment
    variables have the value ``environment``.

    >>> translated("r.status === 200 && !r.body.includes('no')", {"r": "r"}, "truth", lambda name: None).code
    "r.status_code == 200 and (not ('no' in (r.text or '')))"
    """
    parser = _Parser(text, names, constant, environment)
    found = parser.either()
    if parser.token is not None:
        raise parser.refusal()
    if found.kind != wanted and not (wanted == "truth" and found.kind in ("number", "text")):
        raise NotTranslated(f"{' '.join(text.split())[:60]!r} is not certainly a {wanted}")
    return found


class _Parser:
    """A recursive descent parser with a method per level of precedence."""

    def __init__(self, text: str, names: Mapping[str, str], constant: Callable[[str], Any], environment: str | None):
        self.text, self.names, self.constant, self.environment = text.strip(), names, constant, environment
        self.at, self.depth = 0, 0
        self.kind = ""
        self.token: str | None = ""
        self.timed = False
        self.move()

    def move(self) -> None:
        match = _TOKEN.match(self.text, self.at)
        if match:
            self.kind, self.token, self.at = str(match.lastgroup), match[match.lastgroup or 0], match.end()
        elif self.text[self.at :].strip():
            raise self.refusal()
        else:
            self.token = None

    def refusal(self) -> NotTranslated:
        return NotTranslated(f"{' '.join(self.text.split())[:60]!r} would have to be executed")

    def took(self, *tokens: str) -> str:
        if self.token is not None and self.kind != "text" and self.token in tokens:
            token = self.token
            self.move()
            return token
        return ""

    def need(self, token: str) -> None:
        if not self.took(token):
            raise self.refusal()

    def either(self) -> Translation:
        return self._joined("||", "or", self._both)

    def _both(self) -> Translation:
        return self._joined("&&", "and", self._compared)

    def _joined(self, sign: str, word: str, below: Callable[[], Translation]) -> Translation:
        found = below()
        while self.took(sign):
            other = below()
            if "json" in (found.kind, other.kind):
                raise self.refusal()  # an empty list is truthy in JavaScript
            sides = [f"({s.code})" if word == "and" and " or " in s.code else s.code for s in (found, other)]
            found = self._made(f" {word} ".join(sides), "truth" if found.kind == other.kind == "truth" else "number")
        return found

    def _compared(self) -> Translation:
        left = self._sum()
        sign = self.took(*_COMPARED)
        if not sign:
            return left
        right = self._sum()
        loose, ordered = sign in ("==", "!="), sign[0] in "<>"
        if {left.kind, right.kind} == {"number", "text"} and loose:
            left, right = (self._as_number(side) for side in (left, right))
        if (
            (loose and "json" in (left.kind, right.kind))
            or left.kind == right.kind == "json"
            or (ordered and {left.kind, right.kind} - {"number", "text", "json"})
        ):
            raise self.refusal()
        if "none" in (left.kind, right.kind) and "json" in (left.kind, right.kind) and sign[0] == "=":
            raise self.refusal()  # a missing key raises in Python
        return self._made(f"{left.code} {_COMPARED[sign]} {right.code}", "truth")

    def _as_number(self, side: Translation) -> Translation:
        if side.kind == "number":
            return side
        try:
            number = float(str(side.value))
        except ValueError:
            raise self.refusal() from None
        return Translation(f"{number:g}", "number", number)

    def _sum(self) -> Translation:
        return self._arithmetic(("+", "-"), lambda: self._arithmetic(("*", "/", "%"), self._signed))

    def _arithmetic(self, signs: tuple[str, ...], below: Callable[[], Translation]) -> Translation:
        found = below()
        while sign := self.took(*signs):
            other = below()
            kinds = {found.kind, other.kind}
            if kinds == {"text"} and sign == "+":
                constant = isinstance(found.value, str) and isinstance(other.value, str)
                value = found.value + other.value if constant else None
                found = self._made(repr(value) if constant else f"{found.code} + {other.code}", "text", value)
            elif (
                kinds == {"text", "number"}
                and sign == "+"
                and all(isinstance(s.value, (str, int)) for s in (found, other))
            ):
                value = f"{found.value}{other.value}"
                found = self._made(repr(value), "text", value)
            elif kinds == {"number"}:
                sides = [
                    f"({s.code})" if sign in "*/%" and re.search(r" [-+] ", s.code) else s.code for s in (found, other)
                ]
                found = self._made(f" {sign} ".join(sides), "number")
            else:
                raise self.refusal()
        return found

    def _signed(self) -> Translation:
        if self.took("!"):
            found = self._signed()
            if found.kind == "json":
                raise self.refusal()
            return self._made(f"not ({found.code})" if " " in found.code else f"not {found.code}", "truth")
        if self.took("-"):
            found = self._signed()
            if found.kind != "number":
                raise self.refusal()
            return self._made(
                f"-{found.code}", "number", -found.value if isinstance(found.value, (int, float)) else None
            )
        return self._member()

    def _member(self) -> Translation:
        found = self._one()
        while self.token is not None and self.kind == "sign":
            if self.took("."):
                found = self._property(found)
            elif found.kind in ("json", "headers") and self.took("["):
                key = self.either()
                self.need("]")
                found = self._keyed(found, key)
            else:
                break
        return found

    def _keyed(self, found: Translation, key: Translation) -> Translation:
        if not isinstance(key.value, (str, int)):
            raise self.refusal()
        if found.kind == "headers":
            return self._made(f"({found.code}.get({key.code}) or '')", "text")
        return self._made(f"{found.code}[{key.code}]", "json")

    def _property(self, found: Translation) -> Translation:
        name, kind = self.token or "", self.kind
        self.move()
        if kind != "name":
            raise self.refusal()
        if found.kind == "response":
            return self._of_response(found.code, name)
        if found.kind == "text" and name == "length":
            return self._made(f"len({found.code})", "number")
        if found.kind == "text" and name in _OF_TEXT:
            template, kind = _OF_TEXT[name]
            return self._made(template.format(found.code, *(a.code for a in self._given())), kind)
        if found.kind == "json" and name == "length":
            return self._made(f"len({found.code})", "number")
        if found.kind == "headers":
            return self._made(f"({found.code}.get({name!r}) or '')", "text")
        if found.kind == "json" and self.token != "(":
            return self._made(f"{found.code}[{name!r}]", "json")
        raise self.refusal()

    def _of_response(self, code: str, name: str) -> Translation:
        if name in _OF_RESPONSE:
            attribute, kind = _OF_RESPONSE[name]
            whole = f"{code}.{attribute}"
            return self._made(f"({whole} or '')" if kind == "text" else whole, kind)
        if name == "headers":
            return self._made(f"{code}.headers", "headers")
        if name == "timings" and self.took(".") and self.token == "duration":
            self.move()
            self.timed = True
            return self._made(f"{code}.request_meta['response_time']", "number")
        if name == "json":
            keys = ""
            for path in self._given():
                if not isinstance(path.value, str) or not _PATH.fullmatch(path.value):
                    raise self.refusal()
                keys = "".join(f"[{p}]" if p.isdigit() else f"[{p!r}]" for p in path.value.split("."))
            return self._made(f"{code}.json(){keys}", "json")
        raise self.refusal()

    def _given(self) -> list[Translation]:
        self.need("(")
        found = []
        while self.token is not None and not self.took(")"):
            found.append(self.either())
            self.took(",")
        if len(found) > 1:
            raise self.refusal()
        return found

    def _one(self) -> Translation:
        self.depth += 1
        if self.depth > 200 or self.token is None:
            raise self.refusal()
        kind, token = self.kind, self.token
        self.move()
        if kind == "text":
            return self._template(token) if token[0] == "`" else self._literal(token)
        if kind == "number":
            return self._literal(token)
        if token == "(":
            found = self.either()
            self.need(")")
            return self._made(f"({found.code})" if " " in found.code else found.code, found.kind, found.value)
        if kind == "name":
            return self._named(token)
        raise self.refusal()

    def _named(self, name: str) -> Translation:
        if name in self.names:
            return self._made(self.names[name], "response")
        if name in ("null", "undefined"):
            return self._made("None", "none")
        if name in ("true", "false"):
            return self._made(name.capitalize(), "truth")
        if name == "Math" and self.took(".") and self.took("random") and not self._given():
            return self._made("random.random()", "number")
        if name == "randomIntBetween" and self.took("("):
            low = self.either()
            self.need(",")
            high = self.either()
            self.need(")")
            if {low.kind, high.kind} != {"number"}:
                raise self.refusal()
            return self._made(f"random.randint({low.code}, {high.code})", "number")
        if name == "__ENV" and self.environment is not None:
            if not self.took("."):
                raise self.refusal()
            self.move()
            return self._of_value(self.environment)
        value = self.constant(name)
        if isinstance(value, OfEnvironment) and self.environment is not None:
            value = self.environment
        return self._of_value(value)

    def _of_value(self, value: Any) -> Translation:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self.refusal()
        return Translation(repr(value), "text" if isinstance(value, str) else "number", value)

    def _literal(self, token: str) -> Translation:
        value = Script(token).value(0, 0)[0]
        if isinstance(value, Unresolved):
            raise self.refusal()
        return self._of_value(value)

    def _template(self, token: str) -> Translation:
        """A template whose parts are constants."""

        def part(match: re.Match[str]) -> str:
            inside = _Parser(match[1], self.names, self.constant, self.environment)
            found = inside.either()
            if inside.token is not None or isinstance(found.value, float) or found.value is None:
                raise self.refusal()
            return str(found.value)

        return self._of_value(self._plain(_TEMPLATE.sub(part, token)))

    def _plain(self, token: str) -> Any:
        return Script(token).value(0, 0)[0]

    def _made(self, code: str, kind: str, value: Any = None) -> Translation:
        return Translation(code, kind, value, self.timed)
