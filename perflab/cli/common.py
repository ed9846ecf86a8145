"""What the commands share: exit codes, the parser, how a result is printed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from perflab.notes import SHELL, Note, written
from perflab.units import parse_fraction

EXIT_CODES = {"improved": 0, "equivalent": 0, "holds": 0, "regressed": 1, "fails": 1, "inconclusive": 2}
ERROR = 3
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse exits with 2 on bad usage, which here means "inconclusive"."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ERROR, f"{self.prog}: error: {message}\n")


def command(commands: Any, name: str, call: Any, what: str, *examples: str) -> argparse.ArgumentParser:
    """A command with its examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog="examples:\n  " + "\n  ".join(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(call=call)
    return parser


def fraction(text: str) -> float:
    """The share given to --tolerance."""
    return parse_fraction(text, parameter="--tolerance")


def reason_of(problem: BaseException) -> str:
    """The text of an exception; what it advises as options of the command."""
    note = next((part for part in problem.args if isinstance(part, Note)), None)
    return str(problem) if note is None else note.written(SHELL)


def say(*results: object) -> None:
    """Print results as a shell shows them, with a blank line between."""
    texts = [_text(result) for result in results if result is not None]
    try:
        print("\n\n".join(texts), flush=True)
    except BrokenPipeError:
        # The reader has left (| head): the exit code still counts, and nothing more may be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(result: Any) -> str:
    return str(result.show(SHELL).text() if hasattr(result, "show") else result)


def table(sentence: str, frame: Any, notes: Iterable[object] = (), *, ours: bool = True) -> str:
    """A sentence, a table and notes as a shell shows them; ``ours`` as in `Shown`."""
    from perflab.results import Shown  # pandas, which --help does not need

    return Shown(sentence, frame, written(notes, SHELL), ours=ours).text()
