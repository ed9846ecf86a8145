"""Every notebook runs from top to bottom, and is committed with its output: on recorded data, the output of today."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

import perflab as lab
from perflab.browsing.chromium import installed

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
_LOAD = ("shop(", "lab.run")
"""What drives load in a notebook, so that its output differs each time."""
_STAGE = re.compile(r'Stage\("([\d.]+)s", (users|rate)=(\d+)')


def _code(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def _drives_load(book: Any) -> bool:
    return any(call in cell.source for cell in _code(book) for call in _LOAD)


def _brief(source: str) -> str:
    """The cell with less load: that it runs is what is checked, the full measurement is in the committed output."""
    brief = _STAGE.sub(lambda m: f'Stage("{min(float(m[1]), 1.0):g}s", {m[2]}={min(int(m[3]), 30)}', source)
    return re.sub(r"\bvisits=\d+", "visits=1", re.sub(r"\bpairs=\d+", "pairs=3", brief))


def _texts(book: Any) -> list[tuple[str, str]]:
    """Each code cell with the text that it shows, but for the stamp of `lab.record()`."""
    found = []
    for cell in _code(book):
        texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
        shown = "".join(text for text in texts if not text.startswith("<Figure"))  # no display in the tests
        found.append((cell.source, "" if "lab.record()" in cell.source else shown))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    if "started_redis" in path.read_text(encoding="utf-8") and shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    if "lab.run_pages" in path.read_text(encoding="utf-8") and installed() is None:
        pytest.skip("needs a browser: apt-get install chromium")
    recorded = not _drives_load(book)
    for cell in [] if recorded else _code(book):
        cell.source = _brief(cell.source)
    # Kept out of the checkout: runs go where the notebook's own "../runs" points to.
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "datasets").symlink_to(path.parent.parent / "datasets")
    copy = tmp_path / "notebooks" / path.name
    nbformat.write(book, copy)
    done = nbformat.read(lab.execute_notebook(copy, timeout_s=240), as_version=4)
    if recorded:
        committed = nbformat.read(path, as_version=4)
        assert _texts(done) == _texts(committed), (
            f"stale: perflab execute notebooks/{path.name}, then read what changed"
        )


def test_some_notebooks_are_compared() -> None:
    recorded = {path.stem[:2] for path in NOTEBOOKS if not _drives_load(nbformat.read(path, as_version=4))}
    assert recorded >= {"00", "02", "06", "07", "10"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_a_record(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    code = _code(book)
    assert book.cells[0].cell_type == "markdown"
    opening = book.cells[0].source
    assert opening.startswith("# ")
    places = [opening.find(f"**{part}.**") for part in ("Question", "Answer", "Limits")]
    assert 0 < places[0] < places[1] < places[2], "begins with question, answer and limits"
    assert len(opening.splitlines()) <= 25, "on one screen"
    assert any("## Decision" in cell.source for cell in book.cells[-4:]), "ends in a decision"
    assert all(cell.execution_count for cell in code), "committed without its output"
    assert not _drives_load(book) or any("lab.record()" in cell.source for cell in code), "which machine and commit?"
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
