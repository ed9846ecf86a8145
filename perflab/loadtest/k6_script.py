"""The steps of a k6 script's function: literal requests, groups, checks and sleeps. Nothing is executed.

https://grafana.com/docs/k6/latest/javascript-api/k6-http/ and .../javascript-api/k6/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from perflab.loadtest.script_expression import NotTranslated, Translation, translated
from perflab.loadtest.script_object import OfEnvironment, Script, Unresolved, skip

_METHODS = {
    "get": "GET",
    "head": "HEAD",
    "del": "DELETE",
    "options": "OPTIONS",
    "patch": "PATCH",
    "post": "POST",
    "put": "PUT",
}
_FUNCTION = r"(?:async\s+)?function\s*{name}\s*\([^)]*\)\s*\{{"
_ARROW = r"(?:async\s*)?(?:\([^)]*\)|[\w$]+)\s*=>\s*\{"
_CALL = re.compile(r"(?P<name>[\w$]+(?:\s*\.\s*[\w$]+)?)\s*\(")
_DECLARED = re.compile(r"(?:const|let|var)\s+(?P<name>[\w$]+)\s*=\s*")
_BLOCK = re.compile(r"(?:if|for|while|do|try|switch|function|class|async)\b|\{")
_GOES_ON = re.compile(r"\s*(?:else\b|catch\b|finally\b|while\b)")
_FUNCTION_VALUE = re.compile(
    r"\s*(?:(?:async\s*)?\(?\s*(?P<name>[\w$]*)\s*\)?\s*=>\s*|function\s*\(\s*(?P<named>[\w$]*)\s*\)\s*)"
)
_RETURN = re.compile(r"\{\s*return\b(?P<value>.*?);?\s*\}\s*", re.DOTALL)
_HOLDS = {"request": re.compile(r"\bhttp\s*\.\s*\w+\s*\("), "check": re.compile(r"\bcheck\s*\(")}
_WITHOUT_EFFECT = ("responseType", "tags", "compression")


@dataclass(frozen=True)
class Request:
    """One request; ``variable`` is the script's name for its response."""

    method: str
    url: str
    name: str | None = None
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    redirects: bool = True
    variable: str = ""


@dataclass(frozen=True)
class Batch:
    """Requests sent at the same time."""

    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Check:
    """Named assertions about a response, each a Python expression in which the response is ``r``."""

    variable: str
    assertions: Mapping[str, Translation]


@dataclass(frozen=True)
class Sleep:
    """A pause; ``seconds`` is a Python expression."""

    seconds: str


@dataclass(frozen=True)
class Group:
    """Named steps."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Untaken:
    """A statement that cannot be translated, and why."""

    text: str
    line: int
    why: str


Step = Request | Batch | Check | Sleep | Group | Untaken


class _Not(Exception):
    """Why a statement is not taken."""


def held(text: str) -> dict[str, int]:
    """Count the requests and checks in JavaScript text.

    >>> held("const r = http.get('/a'); check(r, {});")
    {'request': 1, 'check': 1}
    """
    bare = Script(text).bare
    return {name: len(pattern.findall(bare)) for name, pattern in _HOLDS.items()}


def steps_of(text: str, function: str = "") -> tuple[Step, ...]:
    """The steps of the script's default function, or of the exported one that a scenario names (``exec``)."""
    script = Script(text)
    start = _body(script, function)
    if start is None:
        wanted = f"export function {function}" if function else "export default function"
        raise ValueError(f"the k6 script: expected `{wanted}() {{...}}` at its top level; found none")
    return tuple(_Function(script).steps(start, _closing(script.bare, start - 1)))


def outside_of_the_load(text: str) -> tuple[Untaken, ...]:
    """The functions that k6 calls once, before and after the load."""
    script = Script(text)
    found = re.finditer(r"\bexport\s+(?:async\s+)?function\s+(setup|teardown)\b", script.bare)
    return tuple(Untaken(f"{m[1]}()", script.line(m.start()), "it runs once, outside of the load") for m in found)


def _body(script: Script, function: str) -> int | None:
    """The index at which the function's body starts."""
    name = re.escape(function)
    patterns = [r"\bexport\s+default\s+(?:" + _FUNCTION.format(name=r"[\w$]*") + "|" + _ARROW + ")"]
    if not function and (named := re.search(r"\bexport\s+default\s+([\w$]+)\s*;?\s*$", script.bare, re.MULTILINE)):
        name = re.escape(named[1])
    if name:
        patterns = [r"\b" + _FUNCTION.format(name=name), rf"\b(?:const|let|var)\s+{name}\s*=\s*" + _ARROW]
    for pattern in patterns:
        for match in re.finditer(pattern, script.bare):
            if script.is_top(match.start()):
                return match.end()
    return None


def _closing(bare: str, at: int) -> int:
    """The index of the bracket that closes the one at ``at``."""
    depth = 0
    for place in range(at, len(bare)):
        depth += (bare[place] in "({[") - (bare[place] in ")}]")
        if depth == 0:
            return place
    return len(bare)


class _Function:
    """The statements of a function, with its local constants."""

    def __init__(self, script: Script) -> None:
        self.script, self.text, self.bare = script, script.text, script.bare
        found = re.search(r"import\s+(?:\*\s*as\s+)?(\w+)\s+from\s+['\"]k6/http['\"]", script.text)
        self.http = found[1] if found else "http"
        self.responses: set[str] = set()

    def steps(self, at: int, end: int) -> Iterator[Step]:
        while (at := skip(self.text, at)) < end:
            if self.bare[at] == ";":
                at += 1
                continue
            stop = min(self._statement_end(at, end), end)
            try:
                yield from self._statement(at, stop)
            except (_Not, NotTranslated, ValueError) as problem:
                said = " ".join(self.text[at:stop].split())
                yield Untaken(said, self.script.line(at), str(problem))
            at = max(stop, at + 1)

    def _statement_end(self, at: int, end: int) -> int:
        if _BLOCK.match(self.bare, at):
            return self._block_end(at, end)
        depth = 0
        for place in range(at, end):
            letter = self.bare[place]
            depth += (letter in "({[") - (letter in ")}]")
            if depth == 0 and letter == ";":
                return place
            if depth == 0 and letter == "\n" and not self._continues(at, place, end):
                return place
        return end

    def _continues(self, at: int, newline: int, end: int) -> bool:
        before, after = self.bare[at:newline].rstrip()[-1:], self.bare[newline:end].lstrip()[:1]
        return (before != "" and before in "=(,+-*/?:&|<>.[{") or (after != "" and after in ".?:+-*/&|=<>,)")

    def _block_end(self, at: int, end: int) -> int:
        """The index after the last brace of a compound statement, or the end of one without braces."""
        while True:
            place = at
            while place < end and self.bare[place] not in "{;":
                place = _closing(self.bare, place) + 1 if self.bare[place] in "([" else place + 1
            if place >= end or self.bare[place] == ";":
                return min(place, end)
            at = _closing(self.bare, place) + 1
            if not _GOES_ON.match(self.bare, at):
                return at

    def _statement(self, at: int, end: int) -> Iterator[Step]:
        variable = ""
        if match := _DECLARED.match(self.bare, at):
            variable, at = match["name"], match.end()
        call = _CALL.match(self.bare, at)
        close = _closing(self.bare, call.end() - 1) if call else 0
        name = re.sub(r"\s", "", call["name"]) if call else ""
        if call and name.startswith("console."):
            return
        if call and (name.startswith(f"{self.http}.") or name in ("check", "group", "sleep")):
            if self.bare[close + 1 : end].strip():
                raise _Not("what follows the call would have to be executed")
            given = self._arguments(call.end(), close)
            yield from self._called(name.removeprefix(f"{self.http}."), given, variable)
        elif variable:
            value = self._value(at, end)
            if isinstance(value, Unresolved) and not isinstance(value, OfEnvironment):
                raise _Not("its value would have to be computed")
            self.script.local[variable] = value
        else:
            raise _Not("it is not a request, group, check or sleep")

    def _called(self, name: str, given: list[tuple[int, int]], variable: str) -> Iterator[Step]:
        if name == "sleep":
            yield Sleep(self._expression(given[0], "number").code if given else "0")
        elif name == "group":
            yield self._group(given)
        elif name == "check":
            yield from self._check(given)
        elif name == "batch":
            yield Batch(tuple(self._of_batch(given)))
        else:
            yield self._request(name, given, variable)
            self.responses.add(variable)

    def _group(self, given: list[tuple[int, int]]) -> Group:
        if len(given) != 2:
            raise _Not("expected a name and a function")
        start, end = given[1]
        opening = re.compile(_FUNCTION.format(name="") + "|" + _ARROW).match(self.bare, skip(self.text, start))
        if not opening:
            raise _Not("expected an inline function")
        inside = tuple(self.steps(opening.end(), min(_closing(self.bare, opening.end() - 1), end)))
        return Group(self._text(given[0], "the group's name"), inside)

    def _check(self, given: list[tuple[int, int]]) -> Iterator[Step]:
        if len(given) < 2:
            raise _Not("expected a response and assertions")
        start, end = given[0]
        subject = self.text[start:end].strip()
        if subject not in self.responses:
            call = _CALL.match(self.bare, skip(self.text, start))
            if not call or not call["name"].startswith(f"{self.http}."):
                raise _Not("its subject is not the response of a translated request")
            subject = f"response_{self.script.line(start)}"
            for made in self._statement(skip(self.text, start), end):
                yield replace(made, variable=subject) if isinstance(made, Request) else made
        yield Check(subject, self._assertions(given[1]))

    def _assertions(self, span: tuple[int, int]) -> dict[str, Translation]:
        start = skip(self.text, span[0])
        if self.bare[start : start + 1] != "{":
            raise _Not("expected its assertions as an object literal")
        found = {}
        for first, last in self._arguments(start + 1, _closing(self.bare, start)):
            colon = self._colon(first, last)
            key = self.text[skip(self.text, first) : colon].strip()
            found[str(Script(key).value(0, 0)[0]) if key[:1] in "'\"`" else key] = self._assertion(colon + 1, last)
        return found

    def _colon(self, first: int, last: int) -> int:
        """The index of the colon after an entry's name; quoted names are blank here."""
        place = self.bare.find(":", first, last)
        if place < 0:
            raise _Not("expected names and functions")
        return place

    def _assertion(self, start: int, end: int) -> Translation:
        match = _FUNCTION_VALUE.match(self.text, start)
        name = (match["name"] or match["named"] or "") if match else ""
        if match:
            start = match.end()
            if returned := _RETURN.fullmatch(self.text, start, end):
                start, end = returned.span("value")
        names = {name: "r"} if name else {variable: "r" for variable in self.responses if variable}
        return translated(self.text[start:end], names, "truth", self._constant)

    def _request(self, name: str, given: list[tuple[int, int]], variable: str) -> Request:
        if name == "request":
            method, given = self._text(given[0], "the method").upper(), given[1:]
        elif name in _METHODS:
            method = _METHODS[name]
        else:
            raise _Not(f"http.{name} has no counterpart")
        if not given:
            raise _Not("expected an address")
        url = self._text(given[0], "its address")
        with_body = name not in ("get", "head")
        values = [self._value(*span) for span in given[1:]]
        body = values.pop(0) if with_body and values else None
        return _request_of(method, url, body, values.pop(0) if values else None, variable)

    def _of_batch(self, given: list[tuple[int, int]]) -> Iterator[Request]:
        start = skip(self.text, given[0][0]) if given else 0
        if not given or self.bare[start : start + 1] != "[":
            raise _Not("expected its requests as an array literal")
        for first, last in self._arguments(start + 1, _closing(self.bare, start)):
            at = skip(self.text, first)
            if self.bare[at : at + 1] == "[":
                yield self._request("request", self._arguments(at + 1, _closing(self.bare, at)), "")
            elif self.bare[at : at + 1] == "{":
                made = self._value(first, last)
                if not isinstance(made, dict) or not isinstance(made.get("url"), str):
                    raise _Not("one of its requests would have to be computed")
                yield _request_of(str(made.get("method", "GET")), made["url"], made.get("body"), made.get("params"), "")
            else:
                yield Request("GET", self._text((first, last), "one of its addresses"))

    def _arguments(self, start: int, end: int) -> list[tuple[int, int]]:
        """The spans that commas separate."""
        found, depth, first = [], 0, start
        for place in range(start, end):
            letter = self.bare[place]
            depth += (letter in "({[") - (letter in ")}]")
            if depth == 0 and letter == ",":
                found.append((first, place))
                first = place + 1
        if skip(self.text, first) < end:
            found.append((first, end))
        return found

    def _expression(self, span: tuple[int, int], wanted: str) -> Translation:
        return translated(self.text[span[0] : span[1]], {}, wanted, self._constant)

    def _constant(self, name: str) -> Any:
        return self.script.constant(name)

    def _text(self, span: tuple[int, int], what: str) -> str:
        value = self._value(*span)
        if not isinstance(value, str):
            raise _Not(f"{what} would have to be computed")
        return value

    def _value(self, start: int, end: int) -> Any:
        """A literal, joined texts, or JSON.stringify of one; else `Unresolved`."""
        at = skip(self.text, start)
        if match := re.compile(r"JSON\s*\.\s*stringify\s*\(").match(self.text, at):
            close = _closing(self.bare, match.end() - 1)
            if not self.bare[close + 1 : end].strip():
                value = self._value(match.end(), close)
                return value if _is_open(value) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        pieces = self._pieces(at, end)
        if pieces is not None:
            return pieces
        value, after = self.script.value(at, 0)
        return (
            value if skip(self.text, after) >= end else Unresolved(self.text[at:end].strip()[:60], self.script.line(at))
        )

    def _pieces(self, at: int, end: int) -> Any:
        """Texts joined by ``+`` and in templates; None for any other value."""
        if "+" not in self.bare[at:end] and not (self.text[at] == "`" and "${" in self.text[at:end]):
            return None
        found = translated(self.text[at:end], {}, "text", self._constant, environment="")
        return found.value if found.value is not None else Unresolved(found.code, self.script.line(at))


def _is_open(value: Any) -> bool:
    """Whether a value contains something that would have to be computed."""
    if isinstance(value, Mapping):
        return any(_is_open(each) for each in value.values())
    return any(map(_is_open, value)) if isinstance(value, list) else isinstance(value, Unresolved)


def _request_of(method: str, url: str, body: Any, options: Any, variable: str) -> Request:
    if _is_open(body):
        raise _Not("its body would have to be computed")
    if _is_open(options) or not isinstance(options, (dict, type(None))):
        raise _Not("its parameters would have to be computed")
    options = dict(options or {})
    headers = {str(name): str(value) for name, value in (options.pop("headers", None) or {}).items()}
    name = (options.get("tags") or {}).get("name")
    redirects = options.pop("redirects", None)
    lost = [n for n, v in options.items() if n not in _WITHOUT_EFFECT and v is not None]
    if lost or redirects not in (None, 0):
        raise _Not(f"its parameters hold {', '.join(lost) or 'redirects'}, which has no counterpart")
    if isinstance(body, dict):
        body = urlencode({key: _form(value) for key, value in sorted(body.items())})
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    elif body is not None and not isinstance(body, str):
        raise _Not("its body is neither text nor an object")
    return Request(method.upper(), url, name, body, headers, redirects is None, variable)


def _form(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
