"""What a command prints: results for people, or one JSON document; and what continuous integration reads of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import perflab as lab
from perflab.notes import SHELL, Note, plain

EXIT_CODES: Mapping[str, int] = {
    **dict.fromkeys(("improved", "equivalent", "holds", "passes"), 0),
    **dict.fromkeys(("regressed", "fails"), 1),
    "inconclusive": 2,
}


@dataclass
class Output:
    """Where results go: to people as they come, or into one document at the end."""

    command: str = ""
    as_json: bool = False
    github: bool = False
    results: list[object] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    printed: bool = False

    def add(self, *results: object) -> None:
        """Print results with a blank line between, or keep them for the document."""
        given = [result for result in results if result is not None]
        self.results += given
        if not self.as_json and given:
            self.print("\n" * self.printed + "\n\n".join(map(_text, given)))
            self.printed = True

    def wrote(self, path: str | Path, text: str | None = None) -> None:
        """A file that the command wrote."""
        self.files.append(str(path))
        if not self.as_json:
            self.print(str(path) if text is None else text)

    def print(self, text: str) -> None:
        """Text for people, of which a GitHub runner takes no line for a command."""
        if self.github:
            from perflab.gates.github import without_commands

            text = without_commands(text)
        _print(text)

    def finish(self, code: int, problem: BaseException | None = None) -> None:
        """The document, where one was asked for."""
        if self.as_json:
            from perflab.cli.json_document import written

            _print(written(self.command, code, self.results, self.files, problem))


_OUTPUT: ContextVar[Output | None] = ContextVar("output", default=None)


@contextmanager
def printing(given: argparse.Namespace) -> Iterator[Output]:
    """The output of one command."""
    made = Output(given.command_name, getattr(given, "json", False), getattr(given, "github", False))
    token = _OUTPUT.set(made)
    try:
        yield made
    finally:
        _OUTPUT.reset(token)


def _current() -> Output:
    return _OUTPUT.get() or Output()


def say(*results: object) -> None:
    """Print results as a shell shows them, with a blank line between."""
    _current().add(*results)


def wrote(path: str | Path, text: str | None = None) -> None:
    """Print the path of a file that was written."""
    _current().wrote(path, text)


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader has left (| head): the exit code still counts, and nothing more may be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(result: Any) -> str:
    return str(result.show(SHELL).text() if hasattr(result, "show") else result)


def table(sentence: str, frame: Any, notes: Sequence[object] = (), *, ours: bool = True) -> Any:
    """A sentence, a table and notes as a result; ``ours`` as in `Shown`."""
    from perflab.results import Result, Shown  # pandas, which --help does not need

    class Table(Result):
        def __init__(self) -> None:
            self.sentence, self.table = sentence, frame
            self.notes = tuple(note if isinstance(note, Note) else plain(str(note)) for note in notes)

        def show(self, surface: str = SHELL) -> Shown:
            return Shown(sentence, frame, tuple(note.written(surface) for note in self.notes), ours=ours)

    return Table()


def integration_options(parser: argparse.ArgumentParser) -> None:
    """What continuous integration reads of a verdict."""
    group = parser.add_argument_group("continuous integration")
    group.add_argument("--junit", metavar="FILE", type=Path, help="write the verdicts as JUnit XML")
    group.add_argument(
        "--github", action="store_true", help="GitHub Actions: print annotations, and append to the summary of the step"
    )
    group.add_argument(
        "--inconclusive",
        choices=("pass", "fail"),
        help="what an inconclusive verdict counts as: exit code 0 or 1 (2, if not given)",
    )


def decided(given: argparse.Namespace, *results: Any) -> int:
    """Print results with a verdict and write what continuous integration reads; returns the exit code of the worst."""
    from perflab.gates.cases import cases_of
    from perflab.gates.gating import FAILS, INCONCLUSIVE

    say(*results)
    policy = given.inconclusive or ""
    each = [(result, cases_of(result, SHELL)) for result in results]
    if given.junit or given.github:
        _integrate(given, each, policy)
    outcomes = {case.under(policy) for _, cases in each for case in cases if case.decides}
    return 1 if FAILS in outcomes else 2 if INCONCLUSIVE in outcomes else 0


def not_measured(given: argparse.Namespace, text: str) -> None:
    """Write an error as JUnit and as an annotation, in place of what an earlier command left in the file."""
    junit, name = getattr(given, "junit", None), f"perflab {given.command_name}"
    if junit:
        from perflab.gates.junit_xml import error_junit

        with suppress(OSError):  # the error may be that this folder cannot be written
            junit.parent.mkdir(parents=True, exist_ok=True)
            junit.write_bytes(error_junit(name, text))
    if getattr(given, "github", False):
        from perflab.gates.github import error_command

        print(error_command(name, text), file=sys.stderr if given.json else sys.stdout, flush=True)


def _integrate(given: argparse.Namespace, each: Sequence[tuple[Any, Sequence[Any]]], policy: str) -> None:
    from perflab.gates.github import step_summary, workflow_commands
    from perflab.gates.junit_xml import to_junit

    cases = [case for _, own in each for case in own]
    if given.junit:
        facts = {name: value for name in ("metric", "tolerance") if (value := getattr(given, name, None))}
        given.junit.parent.mkdir(parents=True, exist_ok=True)
        given.junit.write_bytes(to_junit(cases, inconclusive=policy, properties={"perflab": lab.__version__, **facts}))
    if given.github:
        # A runner takes commands from both streams; a document on stdout must stay one.
        stream = sys.stderr if given.json else sys.stdout
        for line in workflow_commands(cases, inconclusive=policy):
            print(line, file=stream, flush=True)
        if place := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(place).open("a", encoding="utf-8") as summary:
                summary.writelines(step_summary(result, own, inconclusive=policy) for result, own in each)
        else:
            print("perflab: GITHUB_STEP_SUMMARY is not set, so no summary was written", file=sys.stderr)
