"""Notebooks as records: begun, executed with parameters, stamped, exported as one harmless file."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

import perflab as lab
from perflab.cli import main

ROOT = Path(__file__).parent.parent.parent
PARAMETERS = {
    "store": str(ROOT / "datasets" / "shop_runs"),
    "baseline": "n+1",
    "candidate": "eager",
    "endpoint": "GET /orders",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new investigation, and what else a notebook shows: explorers, widgets, an object without a repr, text in parts."""
    path = lab.new_notebook("Is GET /orders <b>faster</b>?", tmp_path_factory.mktemp("investigation"))
    widgets = "import ipywidgets as w\nw.HBox([w.IntSlider(), w.IntText()])"
    made = nbformat.read(path, as_version=4)
    parts = "import time\nprint(1, flush=True)\ntime.sleep(0.3)\nprint(2)"
    made.cells += map(nbformat.v4.new_code_cell, ("lab.explore(before, after)", widgets, "object()", parts))
    nbformat.write(made, path)
    return path


@pytest.fixture(scope="module")
def executed(template: Path) -> Path:
    return lab.execute_notebook(template, template.with_name("done.ipynb"), parameters=PARAMETERS)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    return [output for cell in code_cells(path) for output in cell.outputs]


def test_a_template_runs_with_its_parameters(executed: Path) -> None:
    shown = outputs(executed)
    assert not [output for output in shown if output.output_type == "error"]
    assert "p95 of GET /orders fell by" in "".join(output.get("text", "") for output in shown)
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2


def test_an_investigation_has_its_parts_and_is_never_overwritten(tmp_path: Path) -> None:
    book = nbformat.read(lab.new_notebook("Why slow?", tmp_path), as_version=4)
    text = "\n".join(cell.source for cell in book.cells)
    for part in ("Question", "Baseline", "Hypothesis", "Change", "Result", "Decision", "lab.record()"):
        assert part in text
    with pytest.raises(ValueError, match="already exists"):
        lab.new_notebook("Why slow?", tmp_path)
    with pytest.raises(ValueError, match="letters or digits"):
        lab.new_notebook("???", tmp_path)


def test_the_cell_that_fails_is_named_and_what_was_done_is_kept(executed: Path, tmp_path: Path) -> None:
    with pytest.raises(lab.PerflabError, match=r"cell \d+ failed: StoreError"):
        lab.execute_notebook(executed, tmp_path / "broken.ipynb", parameters={"store": "nowhere"})
    kept = outputs(tmp_path / "broken.ipynb")
    assert kept[0].output_type == "execute_result"
    assert kept[-1].output_type == "error"
    with pytest.raises(lab.PerflabError, match="no such notebook"):
        lab.execute_notebook(tmp_path / "none.ipynb")


def book(place: Path, *cells: str) -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, place)
    return place


def test_a_dead_kernel_is_an_error_that_names_the_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dies = book(tmp_path / "dies.ipynb", "kept = 1\nkept", "import os\nos._exit(1)", "2")
    assert main(["execute", str(dies), "-o", str(tmp_path / "done.ipynb")]) == 3
    assert "cell 2 failed: the kernel died" in capsys.readouterr().err
    assert outputs(tmp_path / "done.ipynb")[0].data["text/plain"] == "1"


def test_a_cell_that_takes_too_long_is_named(tmp_path: Path) -> None:
    slow = book(tmp_path / "slow.ipynb", "1", "import time\ntime.sleep(60)")
    with pytest.raises(lab.PerflabError, match=r"cell 2 failed: it took longer than 1 s"):
        lab.execute_notebook(slow, tmp_path / "done.ipynb", timeout_s=1)


def test_executed_twice_only_the_stamp_differs(template: Path, executed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND")  # with the pictures, as users have them
    again = lab.execute_notebook(template, template.with_name("again.ipynb"), parameters=PARAMETERS)
    twice = [nbformat.read(path, as_version=4) for path in (executed, again)]
    for book in twice:
        (stamp,) = [cell for cell in book.cells if cell.source.endswith("lab.record()")]
        assert stamp.outputs
        stamp.outputs = []
    assert nbformat.writes(twice[0]) == nbformat.writes(twice[1])
    assert "IntSliderModel" in nbformat.writes(twice[0])
    assert [output.text for output in twice[0].cells[-1].outputs] == ["1\n2\n"]


def test_an_export_needs_nothing_from_anywhere(executed: Path, tmp_path: Path) -> None:
    page = lab.export_notebook(executed, tmp_path / "record.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"(src|srcset|data|poster)=[\"']?(?!data:)\w", page.split("<body>")[1])
    assert "<link" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert page.count("data:image/png;base64,") == 3  # two plots, and that of the explorers
    assert "95 % interval" in page


def test_hostile_output_does_nothing_in_an_export(tmp_path: Path) -> None:
    make = nbformat.v4
    hostile = (
        "<img src=x onerror=alert(1)><script>alert(2)</script><iframe srcdoc='<script>alert(3)</script>'></iframe>"
        "<a href='javascript:alert(4)'>go</a><svg onload=alert(5)></svg><meta http-equiv=refresh content='0;url=http://a.test'>"
        "<table style='background:url(http://a.test/x)'><tr><td onclick=alert(6)>kept</td></tr></table>"
    )
    cell = make.new_code_cell("1 < 2", execution_count=1)
    cell.outputs = [
        make.new_output("display_data", data={"text/html": hostile, "text/plain": "plain"}),
        make.new_output("display_data", data={"application/javascript": "alert(7)", "text/plain": "from a script"}),
        make.new_output(
            "display_data",
            data={"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Slider()"},
        ),
        make.new_output(
            "display_data", data={"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(8)'/>"}
        ),
    ]
    book = make.new_notebook(cells=[make.new_markdown_cell(f"# Title\n\n`a < b` {hostile}"), cell])
    nbformat.write(book, tmp_path / "hostile.ipynb")
    page = lab.export_notebook(tmp_path / "hostile.ipynb", tmp_path / "hostile.html").read_text(encoding="utf-8")
    body = page.split("<body>")[1]
    assert not re.search(r"<(script|iframe|svg|meta|object|embed|form)\b", body, re.IGNORECASE)
    assert not re.search(r"<[^>]*\bon\w+=", body)
    assert "javascript:" not in body
    assert "url(" not in body
    assert "kept" in body
    assert "Slider()" in body
    assert "from a script" in body


def test_what_is_no_notebook_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{}")
    (tmp_path / "b.ipynb").write_text("nothing")
    for name in ("a.ipynb", "b.ipynb"):
        with pytest.raises(lab.PerflabError, match="expected a Jupyter notebook"):
            lab.export_notebook(tmp_path / name, tmp_path / "x.html")


def test_a_record_says_with_what_and_hides_secrets() -> None:
    stamped = lab.record(seed=7, api_token="hunter2")
    facts = stamped.table.set_index("fact")["value"]
    assert facts["perflab"] == lab.__version__
    assert facts["seed"] == "7"
    assert {"time", "python", "locust", "processor"} <= set(facts.index)
    assert "hunter2" not in stamped._repr_html_() + repr(stamped)


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "Checkout"]) == 0
    assert capsys.readouterr().out.strip() == "checkout.ipynb"
    make = nbformat.v4
    asked = make.new_code_cell("tolerance = 0.05\narm = 'a'", metadata={"tags": ["parameters"]})
    small = make.new_notebook(cells=[make.new_markdown_cell("# Small"), asked, make.new_code_cell("(tolerance, arm)")])
    small.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(small, tmp_path / "small.ipynb")
    assert main(["execute", "small.ipynb", "-p", "tolerance", "0.1", "-p", "arm", "n+1", "-o", "done.ipynb"]) == 0
    assert "(0.1, 'n+1')" in "".join(str(output.get("data", "")) for output in outputs(tmp_path / "done.ipynb"))
    assert main(["export", "done.ipynb", "done.html"]) == 0
    assert main(["export", "none.ipynb", "x.html"]) == 3
