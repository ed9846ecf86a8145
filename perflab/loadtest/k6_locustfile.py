"""Writes a locustfile that does what the function of a k6 script does."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from perflab.loadtest.k6_script import (
    Batch,
    Check,
    Group,
    Request,
    Sleep,
    Step,
    Untaken,
    held,
    outside_of_the_load,
    steps_of,
)
from perflab.notes import DESIGN, YOU, Kind, Note, Remedy

SCRIPT_NOT_TAKEN = Kind(
    "k6-script-not-taken",
    YOU,
    "the script's {requests:request} and {checks:check} were not taken, because what users do is in the locustfile. {remedy} "
    "writes one from the script.",
)
STATEMENT_NOT_TAKEN = Kind(
    "k6-statement-not-taken",
    DESIGN,
    "line {line} of the k6 script was not taken ({statement:raw}): {why:raw}. Write it in the locustfile by hand.",
)
_INDENT = " " * 4
_HEAD = '''"""What a k6 script does, for Locust. Written by perflab; requests go to the target's address{origins}."""
'''
_CLASS = '''

class K6User(FastHttpUser):
    """Each iteration starts without cookies, as in k6."""
'''


def not_written(text: str) -> tuple[Note, ...]:
    """A note on requests and checks of a script from which no locustfile is written."""
    counts = held(text)
    if not any(counts.values()):
        return ()
    remedy = Remedy("LoadPlan.from_k6", {"write_locustfile": True})
    return (SCRIPT_NOT_TAKEN(remedy, requests=counts["request"], checks=counts["check"]),)


def write(path: Path, text: str, function: str = "") -> tuple[Note, ...]:
    """Write the locustfile of a k6 script; return notes on the statements that it lacks.

    ValueError for an existing file that differs: it may be hand-written.
    """
    steps = steps_of(text, function)
    found = [*_untaken(steps), *outside_of_the_load(text)]
    if not any(isinstance(step, (Request, Batch)) for step in _flat(steps)):
        causes = "\n".join(f"line {lost.line}: {_short(lost.text)}: {lost.why}" for lost in found)
        raise ValueError(
            f"the k6 script has no literal request, so no locustfile can be written from it\n{causes}".strip()
        )
    source = source_of(steps)
    if path.exists() and path.read_text(encoding="utf-8") != source:
        raise ValueError(f"{path}: exists already and differs; write the locustfile to a new path, or remove that file")
    path.write_text(source, encoding="utf-8")
    return tuple(STATEMENT_NOT_TAKEN(line=lost.line, statement=_short(lost.text), why=lost.why) for lost in found)


def source_of(steps: Sequence[Step]) -> str:
    """The text of the locustfile."""
    origins = Counter(_origin(request.url) for request in _requests(steps))
    own = next(iter(origins), "")
    body = "\n".join(f"{_INDENT * 2}{line}" for line in _Writer(steps, own).lines())
    code = f"{_INDENT}@task\n{_INDENT}def iteration(self):\n{body}"
    imports = [name for name in ("gevent", "random", "time") if re.search(rf"\b{name}\.", code)]
    head = _HEAD.format(origins=f", in the script {own}" if own else "")
    lines = [
        *(f"import {name}" for name in imports if name != "gevent"),
        *(["import gevent"] if "gevent" in imports else []),
    ]
    blocks = [head, *(["\n".join(lines) + "\n"] if lines else [])]
    blocks.append("from locust import FastHttpUser, task\n")
    if "check(" in code:
        blocks.append("from perflab.recorders.checks import check\n")
    return "\n".join(blocks) + _CLASS + "\n" + code + "\n"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


class _Writer:
    """Writes steps as lines of Python."""

    def __init__(self, steps: Sequence[Step], origin: str) -> None:
        self.steps, self.origin = steps, origin
        self.named: dict[str, Request] = {}
        checks = [step for step in _flat(steps) if isinstance(step, Check)]
        self.timed = {c.variable for c in checks if any(made.timed for made in c.assertions.values())}

    def lines(self) -> Iterator[str]:
        """The task's body."""
        yield "self.client.cookiejar.clear()"
        yield from (line for step in self.steps for line in self._step(step))

    def _step(self, step: Step) -> Iterator[str]:
        if isinstance(step, Request):
            self.named[step.variable] = step
            yield from self._request(step)
        elif isinstance(step, Batch):
            yield "gevent.joinall(["
            yield from (f"{_INDENT}gevent.spawn({self._call(request, spawned=True)})," for request in step.requests)
            yield "])"
        elif isinstance(step, Check):
            yield from self._check(step)
        elif isinstance(step, Sleep):
            yield f"time.sleep({step.seconds})"
        elif isinstance(step, Group):
            yield f"# Group {step.name!r}"
            yield from (line for inner in step.steps for line in self._step(inner))
            yield f"# End of group {step.name!r}"
        else:
            yield f"# Not taken, line {step.line} of the script: {_short(step.text)}"

    def _request(self, step: Request) -> Iterator[str]:
        variable = _python(step.variable) if step.variable else ""
        if step.variable in self.timed:
            yield f"with {self._call(step, more=', catch_response=True')} as {variable}:"
            yield f"{_INDENT}pass  # its time is known when it ends"
        else:
            yield f"{variable} = {self._call(step)}" if variable else self._call(step)

    def _call(self, step: Request, *, spawned: bool = False, more: str = "") -> str:
        given = [repr(step.method), repr(self._path(step.url))]
        given += [f"name={step.name!r}"] if step.name else []
        given += [f"data={step.body!r}"] if step.body is not None else []
        given += [f"headers={dict(step.headers)!r}"] if step.headers else []
        given += [] if step.redirects else ["allow_redirects=False"]
        listed = ", ".join(given) + more
        return f"self.client.request, {listed}" if spawned else f"self.client.request({listed})"

    def _path(self, url: str) -> str:
        """The address without the script's most common origin; the target's replaces it."""
        return (url.removeprefix(self.origin) or "/") if _origin(url) == self.origin else url

    def _check(self, step: Check) -> Iterator[str]:
        request = self.named.get(step.variable)
        about = f", endpoint={f'{request.method} {request.name or self._path(request.url)}'!r}" if request else ""
        yield f"check({_python(step.variable)}, {{"
        yield from (f"{_INDENT}{name!r}: lambda r: {made.code}," for name, made in step.assertions.items())
        yield f"}}{about})"


def _python(variable: str) -> str:
    """A valid Python name."""
    name = variable.replace("$", "_")
    taken = keyword.iskeyword(name) or name in ("self", "check", "time", "random", "gevent", "task")
    return f"{name}_" if taken else name


def _flat(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step, Group):
            yield from _flat(step.steps)


def _requests(steps: Iterable[Step]) -> Iterator[Request]:
    for step in _flat(steps):
        if isinstance(step, Request):
            yield step
        elif isinstance(step, Batch):
            yield from step.requests


def _untaken(steps: Iterable[Step]) -> Iterator[Untaken]:
    return (step for step in _flat(steps) if isinstance(step, Untaken))


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
