"""The command line: parse, call, print.

Exit codes: 0 holds, improved or equivalent; 1 regressed or failed; 2 inconclusive; 3 an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import perflab as lab
from perflab.cli import decide, gate_commands, load, notebooks, plan_commands, show
from perflab.cli.common import ERROR, INTERRUPTED, Parser, reason_of
from perflab.cli.output import not_measured, printing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = parser().parse_args(arguments)
    with printing(parsed) as output:
        problem: BaseException | None = None
        try:
            code = int(parsed.call(parsed))
        except (lab.PerflabError, ValueError, OSError) as found:
            code, problem = ERROR, found
            print(f"perflab: {reason_of(found)}", file=sys.stderr)
        except KeyboardInterrupt as stop:
            code, problem = INTERRUPTED, stop
            print(f"\nperflab: {reason_of(stop) or 'interrupted'}", file=sys.stderr)
        if problem is not None:
            not_measured(parsed, reason_of(problem) or "interrupted")
        output.finish(code, problem)
        return code


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    made = Parser(
        prog="perflab",
        description="Did p95 really get better, and why was it slow?",
        epilog="Exit codes: 0 improved, equivalent or holds; 1 regressed or failed; 2 inconclusive; 3 error.",
    )
    made.add_argument("--version", action="version", version=f"perflab {lab.__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for part in (load, decide, gate_commands, plan_commands, show, notebooks):
        part.add(commands)
    return made
