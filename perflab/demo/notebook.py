"""The investigation as a notebook: written, executed, and kept with its output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from perflab.errors import MissingExtraError, PerflabError, StoreError


def cells(experiment: str, evidence: list[str], endpoint: str) -> list[tuple[str, str]]:
    """(kind, source) of each cell; paths are relative to the notebook's folder."""
    lazy, eager = evidence
    return [
        ("markdown", f"# Is {endpoint} faster with eager loading, and why was it slow?\n\nThe runs are in `runs/`."),
        ("code", f'import perflab as lab\n\nruns = lab.load("runs", experiment="{experiment}")\nruns'),
        ("markdown", "## Did p95 get better?"),
        (
            "code",
            'before, after = runs.where(arm="n+1"), runs.where(arm="eager")\n'
            f"change = lab.compare(before, after, primary={json.dumps(endpoint)})\nchange",
        ),
        ("code", f"lab.plot_pairs(before, after, endpoint={json.dumps(endpoint)});"),
        ("code", f"lab.plot_ecdf(before, after, endpoint={json.dumps(endpoint)});"),
        (
            "markdown",
            "## Why was it slow?\n\nQueries were recorded in runs of their own, because recording costs time too.",
        ),
        ("code", f'lab.find_n_plus_one(lab.load("runs/{lazy}").queries)'),
        ("markdown", "And with eager loading:"),
        ("code", f'lab.find_n_plus_one(lab.load("runs/{eager}").queries)'),
        ("markdown", "## What it costs in resources"),
        ("code", "lab.plot_resources(before, after);"),
        ("markdown", "## Decision"),
        ("code", "print(change.sentence)"),
    ]


def write(path: Path, experiment: str, evidence: list[str], endpoint: str) -> Path:
    """Write and execute the notebook; returns its path."""
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as problem:
        raise MissingExtraError(f"executing a notebook needs {problem.name}: pip install 'perflab[lab]'") from problem
    # A kernel's debugger would warn about frozen modules on its standard error, which is no result.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    make: dict[str, Any] = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    book = nbformat.v4.new_notebook(
        cells=[make[kind](source) for kind, source in cells(experiment, evidence, endpoint)]
    )
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(book, timeout=120, resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    except CellExecutionError as problem:
        raise PerflabError(f"{path}: a cell failed: {problem.ename}: {problem.evalue}") from problem
    try:
        nbformat.write(book, path)
    except OSError as problem:
        raise StoreError(f"{path}: cannot be written: {problem.strerror}") from problem
    return path
