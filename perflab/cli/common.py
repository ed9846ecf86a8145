"""What the commands share: exit codes, the parser, how a table is shown."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from perflab import rendering
from perflab.units import parse_fraction

EXIT_CODES = {"improved": 0, "equivalent": 0, "holds": 0, "regressed": 1, "fails": 1, "inconclusive": 2}
ERROR = 3
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse ends with 2 on bad usage, which here means "inconclusive"."""

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
    """The share that --tolerance names."""
    return parse_fraction(text, parameter="--tolerance")


def shown(sentence: str, frame: Any) -> str:
    """A sentence and a table for a terminal."""
    return rendering.text(sentence, frame)
