"""Commands for notebooks: new, execute, export."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import perflab as lab
from perflab.cli.common import command
from perflab.cli.output import wrote


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    new = command(
        commands, "new", _new, "start an investigation: a notebook to fill in", 'perflab new "Is checkout faster?"'
    )
    new.add_argument("title", help="the question; the file is named after it")
    new.add_argument("--folder", default=".", help="folder (%(default)s)")
    execute = command(
        commands,
        "execute",
        _execute,
        "execute a notebook from top to bottom and keep its output",
        "perflab execute investigation.ipynb",
        "perflab execute investigation.ipynb -p store runs -p candidate eager -o result.ipynb",
    )
    execute.add_argument("notebook", help="the notebook")
    execute.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        metavar=("NAME", "VALUE"),
        help='for the cell tagged "parameters"',
    )
    execute.add_argument("-o", "--output", help="path of the executed notebook; overwrites the original if not given")
    export = command(
        commands,
        "export",
        _export,
        "export a notebook as one HTML file that needs no kernel and no network",
        "perflab export investigation.ipynb investigation.html",
    )
    export.add_argument("notebook", help="the executed notebook")
    export.add_argument("output", help="the HTML file")


def _new(given: argparse.Namespace) -> int:
    wrote(lab.new_notebook(given.title, given.folder))
    return 0


def _execute(given: argparse.Namespace) -> int:
    parameters = {name: _literal(value) for name, value in given.parameter or ()}
    wrote(lab.execute_notebook(given.notebook, given.output, parameters=parameters, progress=sys.stderr.isatty()))
    return 0


def _export(given: argparse.Namespace) -> int:
    wrote(lab.export_notebook(given.notebook, given.output))
    return 0


def _literal(text: str) -> Any:
    """A number or a truth value where the text is one, else the text: what papermill's own command does."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
