"""The public names: sorted, importable, documented; and what importing the package costs."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import perflab as lab

ROOT = Path(__file__).parent.parent


def test_the_vocabulary_is_sorted_and_importable() -> None:
    assert lab.__all__ == sorted(lab.__all__)
    assert len(set(lab.__all__)) == len(lab.__all__)
    for name in lab.__all__:
        assert not inspect.ismodule(getattr(lab, name)), name


@pytest.mark.parametrize("name", lab.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    thing = getattr(lab, name)
    assert thing.__doc__, name
    assert thing.__doc__.strip()
    if inspect.isfunction(thing):
        assert ">>>" in thing.__doc__, f"{name} has no example"


def test_no_public_name_is_a_submodules() -> None:
    modules = {p.stem for p in (ROOT / "perflab").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert not modules & set(lab.__all__)


LATER = {
    "PagePlan", "account", "audit_exchanges", "critical_path", "find_large_modules", "find_sequential",
    "miss_ratio_curve", "monitoring_rules", "plot_account", "plot_miss_ratio", "plot_vitals", "recover",
    "run_lighthouse", "run_pages", "what_if", "what_if_cache",
}  # fmt: skip
"""Names that came after the vocabulary was cut to 60; it is to stay below 80."""


def test_the_vocabulary_is_small_grouped_and_shown_in_notebooks() -> None:
    assert len(set(lab.__all__) - LATER) <= 60
    assert lab.__doc__
    groups = lab.__doc__.split("More names are public")[0]
    errors = {name for name in lab.__all__ if name.endswith("Error")}
    grouped = set(re.findall(r"\w+", groups))
    assert set(lab.__all__) - errors - grouped == set()
    books = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.ipynb"))
    # An error is no step of an investigation; Change is what compare returns; recover takes what a killed run left.
    unshown = errors | {"Change", "recover"}
    assert [name for name in lab.__all__ if f"lab.{name}" not in books and name not in unshown] == []


@pytest.mark.parametrize("name", lab._PACKAGES)
def test_the_rest_is_public_in_its_package(name: str) -> None:
    package = getattr(lab, name)
    assert inspect.ismodule(package) and package.__doc__
    assert package.__all__ == sorted(package.__all__)
    submodules = {path.stem for path in (ROOT / "perflab" / name).glob("*.py")}
    assert not submodules & set(package.__all__)
    for public in package.__all__:
        thing = getattr(package, public)
        assert not inspect.ismodule(thing) and thing.__doc__, public
        assert public not in lab.__all__ or thing is getattr(lab, public)


HEAVY = ("locust", "gevent", "pandas", "numpy", "matplotlib", "scipy", "duckdb", "pyarrow", "ipywidgets", "IPython")


def test_importing_is_light() -> None:
    code = f"import sys, perflab; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_kernel_never_imports_locust(tmp_path: Path) -> None:
    """In a real ipykernel, after a real run: Locust and gevent stay out, and the next cell runs."""
    from nbclient import NotebookClient
    from nbformat import v4

    tiny, users = (ROOT / "tests" / "loadtest" / "servers" / name for name in ("tiny.py", "users.py"))
    cells = [
        "import sys, socket\nimport perflab as lab\nprobe = socket.socket()\nprobe.bind(('127.0.0.1', 0))\n"
        "port = probe.getsockname()[1]\nprobe.close()",
        f"plan = lab.LoadPlan({str(users)!r}, stages=lab.Stage('1s', users=2), user_classes=['Shopper'])\n"
        f"target = lab.Target('tiny', host=f'http://127.0.0.1:{{port}}', ready='/ready', "
        f"command=[sys.executable, {str(tiny)!r}, str(port)])\n"
        f"one = lab.run(plan, target, store={str(tmp_path)!r})",
        "import json\nprint(json.dumps([len(one.requests) > 5, 'locust' in sys.modules, 'gevent' in sys.modules]))",
    ]
    book = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
    NotebookClient(book, timeout=60).execute()
    assert json.loads(book.cells[2].outputs[0].text) == [True, False, False]
    # Progress leaves plain HTML behind: nothing that needs a widget.
    kinds = {kind for output in book.cells[1].outputs for kind in output.get("data", {})}
    assert kinds == {"text/html", "text/plain"}
