"""What the commands share: the parser, options, how an error is written."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from perflab.notes import SHELL, Note
from perflab.units import parse_fraction

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
    parser.set_defaults(call=call, command_name=name)
    parser.add_argument("--json", action="store_true", help="print one JSON document (docs/output.schema.json)")
    return parser


def fraction(text: str) -> float:
    """The share given to --tolerance."""
    return parse_fraction(text, parameter="--tolerance")


def reason_of(problem: BaseException) -> str:
    """The text of an exception; what it advises as options of the command."""
    note = next((part for part in problem.args if isinstance(part, Note)), None)
    if note is not None:
        return note.written(SHELL)
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror
    return str(problem)
