"""Every notebook runs from top to bottom, and is committed with its output."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from perflab.browsing.chromium import installed

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
_STAGE = re.compile(r'Stage\("([\d.]+)s", (users|rate)=(\d+)')


def _brief(source: str) -> str:
    """The cell with less load: that it runs is what is checked, the full measurement is in the committed output."""
    brief = _STAGE.sub(lambda m: f'Stage("{min(float(m[1]), 1.0):g}s", {m[2]}={min(int(m[3]), 30)}', source)
    return re.sub(r"\bvisits=\d+", "visits=1", re.sub(r"\bpairs=\d+", "pairs=3", brief))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    if "started_redis" in path.read_text(encoding="utf-8") and shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    if "lab.run_pages" in path.read_text(encoding="utf-8") and installed() is None:
        pytest.skip("needs a browser: apt-get install chromium")
    for cell in book.cells:
        cell.source = _brief(cell.source) if cell.cell_type == "code" else cell.source
    # Kept out of the checkout: runs go where the notebook's own "../runs" points to.
    work = tmp_path / "notebooks"
    work.mkdir()
    (tmp_path / "datasets").symlink_to(path.parent.parent / "datasets")
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(work)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_a_record(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert book.cells[0].cell_type == "markdown"
    opening = book.cells[0].source
    assert opening.startswith("# ")
    places = [opening.find(f"**{part}.**") for part in ("Question", "Answer", "Limits")]
    assert 0 < places[0] < places[1] < places[2], "begins with question, answer and limits"
    assert len(opening.splitlines()) <= 25, "on one screen"
    assert any("## Decision" in cell.source for cell in book.cells[-4:]), "ends in a decision"
    assert all(cell.execution_count for cell in code), "committed without its output"
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
