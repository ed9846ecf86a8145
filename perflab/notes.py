"""Doubt and advice as data: a code, what it is about, the facts, and a call that would help.

A package defines each kind of note once (`Kind`), as a sentence with placeholders for facts, and makes notes from it.
Programs use ``note.code`` and ``note.about``; the text is made where it is shown, and nothing parses it.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perflab.rendering import shortened, visible
from perflab.units import format_value

GENERATOR, TARGET, MACHINE, RECORDER, DATA, DESIGN, YOU = ABOUT = (
    "generator", "target", "machine", "recorder", "data", "design", "you",
)  # fmt: skip
PYTHON, SHELL = "python", "shell"
"""The two surfaces for which advice is written."""
_MAX_FACT, _MAX_LISTED = 300, 5


@dataclass(frozen=True)
class Remedy:
    """A call with the arguments that would help: Python in a notebook, options in a shell.

    ``given`` is what precedes the keywords in Python ("plan, before, after"); without it the user has already made the
    call, and only the arguments are new.

    >>> Remedy("read", {"timezone": "Europe/Berlin"}).python(), Remedy("read", {"timezone": "Europe/Berlin"}).shell()
    ('read(..., timezone="Europe/Berlin")', '--timezone Europe/Berlin')
    >>> Remedy("run_pairs", {"pairs": 8}, given="plan, before, after").shell()
    'perflab pairs ... --pairs 8'
    """

    call: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    given: str = ""

    def python(self) -> str:
        """The call as written in a notebook cell."""
        inside = [self.given or "..."] if self.given or not self.call.startswith((".", "Stage")) else []
        inside += [f"{name}={literal(value)}" for name, value in self.arguments.items()]
        return f"{self.call}({', '.join(inside)})"

    def shell(self) -> str:
        """The equivalent options, after their command if it is another one; Python where the shell has no equivalent."""
        if self.call not in _COMMANDS or any((self.call, name) in _PYTHON_ONLY for name in self.arguments):
            return self.python()
        options = [_option(self.call, name, value) for name, value in self.arguments.items()]
        if self.given or not options:
            given = self.given.strip("\"'")
            options = [_COMMANDS[self.call].format(_word(given) if given else "..."), *options]
        return " ".join(filter(None, options)) or self.python()

    def written(self, surface: str = PYTHON) -> str:
        """The text for one of the two surfaces."""
        return self.shell() if surface == SHELL else self.python()


_COMMANDS: Mapping[str, str] = {
    "calibrate": "perflab calibrate ...",
    "change_points": "perflab change-points ...",
    "check": "perflab check ...",
    "compare": "perflab compare ...",
    "find_n_plus_one": "perflab queries ...",
    "load": "perflab compare BASELINE CANDIDATE --store {}",
    "merge": "perflab merge ...",
    "plan_runs": "perflab plan-runs ...",
    "read": "perflab read ...",
    "recover": "perflab recover {}",
    "run": "perflab run ...",
    "run_pairs": "perflab pairs ...",
    "set_baseline": "perflab baseline set ...",
} | dict.fromkeys((".where", "LoadPlan", "Stage", "Target"), "")
"""The command equivalent to a call; "" where the call's arguments are options of other commands."""
_PYTHON_ONLY = frozenset({("run", "profile"), ("run_pairs", "account"), ("read", "event"), ("read", "images")})
"""Arguments for which the command has no option."""
_REPEATED = frozenset({"allow", "primary"})
"""Options that are given once for each value."""
_OPTIONS: Mapping[tuple[str, str], str] = {(".where", "valid"): "--only-valid"}


def _option(call: str, name: str, value: object) -> str:
    option = _OPTIONS.get((call, name))
    if option:
        return option
    option = f"--{name.replace('_', '-')}"
    if value is True or value is ...:
        return option
    if name in _REPEATED and isinstance(value, (list, tuple)):
        return " ".join(f"{option} {_word(str(each))}" for each in value)
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return f"{option} {_word(text)}"


def _word(text: str) -> str:
    """A single shell word, quoted if needed."""
    if text and all(c.isalnum() or c in "_:/.,+%-" for c in text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def literal(value: object) -> str:
    """A value as Python source, in double quotes where possible."""
    if value is ...:
        return "..."
    return '"' + value + '"' if isinstance(value, str) and '"' not in value and "\\" not in value else repr(value)


@dataclass(frozen=True)
class Note:
    """One doubt, or one piece of advice.

    ``about`` is one of `ABOUT`: what the note concerns. ``facts`` are named with their units ("lag_ms", "failed_fraction").
    ``str(note)`` is the sentence; programs use ``code``.

    >>> few = Kind("too-few-requests", DATA, "{requests:request}; {metric} needs {needed}")
    >>> note = few(requests=72, metric="p95", needed=200)
    >>> note.code, str(note)
    ('too-few-requests', '72 requests; p95 needs 200')
    """

    code: str
    about: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    remedy: Remedy | None = None
    template: str = "{text:raw}"

    def __str__(self) -> str:
        return self.written()

    def __hash__(self) -> int:
        return hash((self.code, str(self)))

    def written(self, surface: str = PYTHON) -> str:
        """The sentence, with its advice for "python" or "shell"."""
        remedy = self.remedy.written(surface) if self.remedy else ""
        facts = {name: _within(fact, surface) for name, fact in self.facts.items()}
        return _FORMATTER.vformat(self.template, (), {**facts, "remedy": _Verbatim(remedy)})

    def to_json(self) -> dict[str, Any]:
        """Code, facts and text, as stored in run.json."""
        facts = {name: _jsonable(value) for name, value in self.facts.items()}
        return {"code": self.code, "about": self.about, "facts": facts, "text": str(self)}

    @classmethod
    def from_json(cls, kept: object) -> Note:
        """A stored note; a plain text, as in older runs, gets the code ""."""
        if isinstance(kept, Mapping):
            text, code, about = str(kept.get("text", "")), str(kept.get("code", "")), str(kept.get("about", DATA))
            facts = kept.get("facts")
            return cls(code, about, {**(facts if isinstance(facts, Mapping) else {}), "text": text})
        return cls("", DATA, {"text": str(kept)})


@dataclass(frozen=True)
class Kind:
    """A kind of note: its code, what it is about, and its sentence with placeholders for facts.

    A placeholder is the name of a fact: ``{lag_ms}`` is written with its unit, ``{runs:run}`` counts ("1 run", "3 runs"),
    ``{name:raw}`` is unchanged, and ``{remedy}`` is the call that would help, written for the surface.
    """

    code: str
    about: str
    template: str

    def __call__(self, remedy: Remedy | None = None, /, **facts: Any) -> Note:
        """Make a note of this kind with its facts."""
        return Note(self.code, self.about, facts, remedy, self.template)


def plain(text: str, about: str = DATA) -> Note:
    """A note from a foreign text (a tool's own warning)."""
    return Note("", about, {"text": text})


def notes_of(given: Iterable[object]) -> tuple[Note, ...]:
    """Notes from notes, texts, or their stored form; each once, in order."""
    return tuple(dict.fromkeys(g if isinstance(g, Note) else Note.from_json(g) for g in given))


def codes(given: Iterable[Note]) -> tuple[str, ...]:
    """The codes of notes, in order."""
    return tuple(note.code for note in given)


def written(given: Iterable[object], surface: str = PYTHON) -> tuple[str, ...]:
    """The texts of notes; texts are unchanged."""
    return tuple(g.written(surface) if isinstance(g, Note) else str(g) for g in given)


def joined(*parts: Note | str, by: str = "; ") -> Note:
    """A sentence of texts and notes that is written for a surface as a whole.

    >>> str(joined("p95 of all requests: inconclusive", plain("too few requests")))
    'p95 of all requests: inconclusive; too few requests'
    """
    facts = {f"part{n}": part for n, part in enumerate(filter(None, parts))}
    return Note("", DATA, facts, template=by.join(f"{{{name}:raw}}" for name in facts))


def listed(names: Iterable[object], most: int = _MAX_LISTED) -> str:
    """``a, b, c and 4 more``.

    >>> listed("abcdefg", 3)
    'a, b, c and 4 more'
    """
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def count(number: int, noun: str) -> str:
    """``1 unit``, ``1,204 statements``, ``3 queries``.

    >>> count(1, "run"), count(3, "query")
    ('1 run', '3 queries')
    """
    if number == 1 or noun.endswith("s"):
        return f"{number:,} {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"
    return f"{number:,} {plural}"


class _Verbatim(str):
    """A text of our own that is not shortened."""

    __slots__ = ()


def _within(fact: Any, surface: str) -> Any:
    """Write a note within a note for the same surface."""
    if isinstance(fact, (list, tuple)):
        return [_within(each, surface) for each in fact]
    return _Verbatim(fact.written(surface)) if isinstance(fact, Note) else fact


class _Formatter(string.Formatter):
    """Facts by name only: no attributes or positions, so that a template can reach nothing else."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        return (field_name, kwargs[field_name]), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        name, fact = value
        if format_spec == "raw":
            return visible(str(fact))
        if format_spec:
            return count(int(fact), format_spec)
        if isinstance(fact, _Verbatim):
            return str(fact)
        if isinstance(fact, (list, tuple, set, frozenset)):
            return listed(self.format_field((name, each), "") for each in fact)
        return shortened(visible(format_value(name, fact)), _MAX_FACT)


_FORMATTER = _Formatter()


def _jsonable(value: Any) -> Any:
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(each) for each in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if number - number == 0 else str(value)
