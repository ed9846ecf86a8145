"""What the commands share: exit codes, the parser, how a table is shown."""

from __future__ import annotations

import argparse
import os
import re
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


_OPTIONS = (
    "record_queries|started|timezone|time_format|transactions|endpoint|log_line_prefix|format|unit|sample_type|warmup|pacing|order|allow|"
    "rate|primary"
)
_ADVICE = (
    (
        re.compile(r'load\("([^"]+)", experiment="([^"]+)"\)\.where\(valid=True\)'),
        r"perflab compare --store \1 --experiment \2 --only-valid BASELINE CANDIDATE",
    ),
    (re.compile(r"\.where\(valid=True\)"), "--only-valid"),
    (re.compile(r"(?:\.where|load)\((?:store, )?(experiment|arm|run)=\.\.\.\)"), r"--\1"),
    (re.compile(r"Stage\(rate=\.\.\.\)"), "--rate"),
    (re.compile(r"run_pairs\(plan, before, after, pairs=(\d+)\)"), r"perflab pairs ... --pairs \1"),
    (re.compile("perflab.formats.NAMES lists them, and format= takes a function of your own"), "README lists them"),
)
_KEYWORD = re.compile(
    rf"""(?<![\w/?&=;.-])({_OPTIONS})=("[^"]*"|'[^']*'|True|\.\.\.|(?=[\s;,.)]|$))(?: to read\(\))?"""
)


def in_shell(text: str) -> str:
    """Advice that speaks of the library's keywords, with the command line's options instead.

    >>> in_shell('give timezone="Europe/Berlin" to read()')
    'give --timezone Europe/Berlin'
    """
    for python, shell in _ADVICE:
        text = python.sub(shell, text)
    return _KEYWORD.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    value = "" if found[2] in ("True", "...") else found[2]
    if re.fullmatch(r"[\w:/-]+", value[1:-1]):
        value = value[1:-1]
    return f"--{found[1].replace('_', '-')} {value}".rstrip()


def say(*results: object, data: bool = False) -> None:
    """Print results, a blank line between them; what they advise as options. ``data``: only their notes are our words."""
    texts = [str(result) for result in results]
    if data:
        lines = [[in_shell(line) if line.startswith("! ") else line for line in text.split("\n")] for text in texts]
        texts = ["\n".join(part) for part in lines]
    else:
        texts = [in_shell(text) for text in texts]
    try:
        print("\n\n".join(texts), flush=True)
    except BrokenPipeError:
        # Who reads has seen enough (| head): the exit code is still to be given, and nothing more to be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shown(sentence: str, frame: Any) -> str:
    """A sentence and a table for a terminal."""
    return rendering.text(sentence, frame)
