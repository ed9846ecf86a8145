"""The investigation as a notebook, written and executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perflab.errors import MissingExtraError, StoreError
from perflab.reports.investigations import execute_notebook


def cells(experiment: str, evidence: list[str], endpoint: str) -> list[tuple[str, str]]:
    """(kind, source) of each cell; paths are relative to the notebook's folder."""
    lazy, eager = evidence
    return [
        ("markdown", f"# Is {endpoint} faster with eager loading, and why was it slow?\n\nThe runs are in `runs/`."),
        ("code", "import perflab as lab\n\nlab.record()"),
        ("code", f'runs = lab.load("runs", experiment="{experiment}")\nruns'),
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
            "## Where did the time go?\n\nOf the runs whose requests were recorded, in milliseconds that add up.",
        ),
        ("code", f"account = lab.account(before, after, endpoint={json.dumps(endpoint)})\naccount"),
        ("code", "lab.plot_account(account);"),
        (
            "markdown",
            "## Why was it slow?\n\nQueries were recorded in separate runs, because recording costs time.",
        ),
        ("code", f'lab.find_n_plus_one(lab.load("runs/{lazy}").queries)'),
        ("markdown", "And with eager loading:"),
        ("code", f'lab.find_n_plus_one(lab.load("runs/{eager}").queries)'),
        ("markdown", "## Resources"),
        ("code", "lab.plots.plot_resources(before, after);"),
        ("markdown", "## Decision"),
        ("code", "print(change.sentence)"),
    ]


def write(path: Path, experiment: str, evidence: list[str], endpoint: str) -> Path:
    """Write and execute the notebook; return its path."""
    try:
        import nbformat
    except ImportError as problem:
        raise MissingExtraError.of(problem, "demo", "the demo's notebook") from problem
    make: dict[str, Any] = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    book = nbformat.v4.new_notebook(
        cells=[make[kind](source) for kind, source in cells(experiment, evidence, endpoint)]
    )
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    try:
        nbformat.write(book, path)
    except OSError as problem:
        raise StoreError(f"{path}: cannot be written: {problem.strerror}") from problem
    return execute_notebook(path, timeout_s=120)
