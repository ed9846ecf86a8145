"""The command line: parse, call, print.

Exit codes: 0 holds, improved or equivalent; 1 regressed or failed; 2 inconclusive; 3 an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import perflab as lab
from perflab.cli import decide, load, notebooks, plan_commands, show
from perflab.cli.common import ERROR, INTERRUPTED, Parser, reason_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = parser().parse_args(arguments)
    try:
        return int(parsed.call(parsed))
    except (lab.PerflabError, ValueError) as problem:
        print(f"perflab: {reason_of(problem)}", file=sys.stderr)
        return ERROR
    except KeyboardInterrupt as stop:
        print(f"\nperflab: {reason_of(stop) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    made = Parser(
        prog="perflab",
        description="Did p95 really get better, and why was it slow?",
        epilog="Exit codes: 0 improved, equivalent or holds; 1 regressed or failed; 2 inconclusive; 3 error.",
    )
    made.add_argument("--version", action="version", version=f"perflab {lab.__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for part in (load, decide, plan_commands, show, notebooks):
        part.add(commands)
    return made
