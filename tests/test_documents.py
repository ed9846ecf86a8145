"""Every example of README, CONTRIBUTING and docs/ runs, and every shell line parses.

The blocks of a page run in their order, in a folder that holds what they name. What drives load is answered from recorded
runs after its arguments were bound to the real function's; that it works with real load is tested elsewhere.
"""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import sqlite3
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

import perflab as lab
from perflab.cli import parser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
APART = {"monitoring.md"}
"""Their examples are whole applications, with a test of their own."""
DATASETS, SAMPLES = ROOT / "datasets", ROOT / "tests" / "samples"
mpl.use("Agg")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@cache
def pairs() -> tuple[lab.Measurements, ...]:
    """Six pairs of runs."""
    return tuple(lab.load(DATASETS / "shop_runs", arm=arm) for arm in ("n+1", "eager"))


@cache
def pages() -> tuple[lab.Measurements, ...]:
    """Pages in a browser, as they were and with a fix."""
    both = lab.load(DATASETS / "shop_pages")
    return tuple(both.where(arm=arm) for arm in both.runs["arm"].unique()[:2])


@cache
def change() -> lab.Change:
    return lab.compare(*pairs())


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded runs in place of load."""

    def fixes() -> tuple[lab.Measurements, ...]:
        return tuple(lab.load(DATASETS / "shop_fixes", arm=arm) for arm in ("shop", "eager"))

    def answer(name: str, found: Callable[..., Any]) -> None:
        signature = inspect.signature(getattr(lab, name))

        def call(*given: Any, **named: Any) -> Any:
            return found(**signature.bind(*given, **named).arguments)

        monkeypatch.setattr(lab, name, call)

    def one(
        plan: lab.LoadPlan, target: lab.Target | None = None, profile: str | None = None, **_: object
    ) -> lab.Measurements:
        if target is not None and target.record_queries:
            return lab.load(DATASETS / "shop_recorded", arm="n+1")
        if plan.response_headers:
            return lab.read(SAMPLES / "har" / "playwright.har")
        return lab.load(DATASETS / "shop_profiles") if profile else pairs()[0]

    answer("run", one)
    answer("run_lighthouse", lambda **_: lab.read(SAMPLES / "lighthouse" / "lighthouse-12.json.gz"))

    def both(plan: object, account: bool = False, **_: object) -> tuple[lab.Measurements, ...]:
        return pages() if isinstance(plan, lab.PagePlan) else fixes() if account else pairs()

    answer("run_pairs", both)
    answer("run_pages", lambda **_: pages()[0])
    answer("start_run", lambda **_: SimpleNamespace(result=lambda: pairs()[0]))
    answer("find_capacity", lambda **_: None)
    answer("calibrate", lambda **_: None)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file that the pages name."""
    for name, source in {
        "queries.jsonl": DATASETS / "shop_queries.jsonl",
        "visit.har": SAMPLES / "har" / "playwright.har",
        "stats-before.json": SAMPLES / "webpack_stats" / "stats.json",
        "stats-after.json": SAMPLES / "esbuild_metafile" / "meta.json",
        "script.js": DATASETS / "other_tools" / "orders.js",
        "k6.csv": SAMPLES / "k6_csv" / "seconds.csv",
        "postgresql.log": SAMPLES / "postgresql_stderr" / "pg15.log",
    }.items():
        shutil.copy(source, tmp_path / name)
    shutil.copytree(DATASETS / "other_tools", tmp_path / "results")
    shutil.copytree(DATASETS / "shop_runs", tmp_path / "runs")
    fixed = [line for line in (tmp_path / "queries.jsonl").read_text().splitlines() if "FROM order_lines" not in line]
    (tmp_path / "after.jsonl").write_text("".join(f"{line}\n" for line in fixed if "GET /customers" not in line))
    (tmp_path / "static").mkdir()
    (tmp_path / "locustfile.py").write_text(blocks(ROOT / "docs" / "tutorial.md")[0])
    (tmp_path / "INTERFACE.md").write_text("- Response time: <100ms p95\n- Error rate: <1%\n")
    (tmp_path / "ours.csv").write_text("page,at,seconds,code\norders,2026-11-30T10:00:00Z,0.1,200\n")
    lines = [
        f'10.0.0.1 - - [30/Nov/2026:10:{i % 60:02}:{i % 59:02} +0000] "GET /orders/{i % 9} HTTP/1.1" 200 512'
        for i in range(600)
    ]
    (tmp_path / "access.log").write_text("\n".join(sorted(lines, key=lambda line: line[21:38])) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def space() -> dict[str, Any]:
    """What a page may take for granted: the tutorial's plan, targets and runs, and an application with its database."""
    import flask
    import sqlalchemy

    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER)")
    app = flask.Flask("example")
    old = lab.Target("lazy", host="http://127.0.0.1:8001")
    new = lab.Target("eager", host="http://127.0.0.1:8002")
    plan = lab.LoadPlan("locustfile.py", stages=lab.Stage("30s", users=20))
    before, after = pairs()
    return {
        "lab": lab, "plan": plan, "target": new, "old": old, "new": new, "before": before, "after": after,
        "change": change(), "connection": connection, "app": app, "application": app.wsgi_app,
        "engine": sqlalchemy.create_engine("sqlite://"), "api": SimpleNamespace(add_middleware=lambda *_, **__: None), "pd": pd,
    }  # fmt: skip


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p) and p.name not in APART], ids=lambda page: page.name)
@pytest.mark.usefixtures("answered")
def test_the_examples_of_a_page_run(page: Path, place: Path) -> None:
    scope = space()
    for number, block in enumerate(blocks(page), 1):
        lines = block.splitlines()
        code = compile(block, f"{page.name}, example {number}", "exec")
        if named := re.match(r"# (\w+\.py)\n", block):  # a file of the reader's
            assert (place / named[1]).read_text() == block
            continue
        exec(code, scope)
        # A line that is a name or a call alone is shown, as a notebook shows the last one.
        for line in lines:
            shown = scope.get(line.split("#")[0].strip())
            if shown is not None and hasattr(shown, "_repr_html_"):
                assert "<" in shown._repr_html_()
    plt.close("all")


def test_the_readme_shows_what_notebooks_show_today() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"*{lab.compare(*pairs(), primary='GET /orders').sentence}*" in text
    book = nbformat.read(ROOT / "notebooks" / "07_why_did_p95_change.ipynb", as_version=4)
    shown = [output for cell in book.cells if cell.source == "lab.plot_account(account);" for output in cell.outputs]
    assert (ROOT / "notebooks" / "pictures" / "account.png").read_bytes() == b64decode(shown[0].data["image/png"])


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - (?:unreleased|\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert versions[0] == lab.__version__
    assert len(versions) == len(re.findall(r"^## ", text, re.MULTILINE))
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)", text, re.MULTILINE)) <= kinds


KINDS = {
    "lab": lab, "change": lab.Change, "report": lab.Report, "plan": lab.LoadPlan, "target": lab.Target,
    "run": lab.Measurements, "before": lab.Measurements, "after": lab.Measurements, "data": lab.Measurements,
}  # fmt: skip
"""What a word before a dot stands for, in text."""


def inline_names() -> list[tuple[str, str]]:
    """Each `lab.stats.growth(...)` and `change.verdict` in the text of a page or notebook, outside its blocks."""
    texts = {page.name: re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE) for page in PAGES}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
        texts[path.name] = "\n".join(cell.source for cell in cells)
    pattern = rf"`(?:print\()?((?:{'|'.join(KINDS)})(?:\.[A-Za-z]\w*)+)"
    return [(name, found) for name, text in texts.items() for found in re.findall(pattern, text)]


def test_every_name_in_the_text_exists() -> None:
    missing = []
    names = inline_names()
    for page, dotted in names:
        first, *rest = dotted.split(".")
        if rest[-1] == "json" or page == "upgrading.md":  # a file; the names of earlier versions
            continue
        owner: Any = KINDS[first]
        for attribute in rest:
            known = {*dir(owner), *getattr(owner, "__dataclass_fields__", ()), *getattr(owner, "__annotations__", ())}
            if attribute not in known:
                missing.append(f"{page}: {dotted}")
                break
            owner = getattr(owner, attribute, Any)
            if owner is Any or isinstance(owner, property):
                break
    assert len(names) > 60
    assert not missing


def shell_lines() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        joined = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
        found += [(page.name, line.strip()) for line in re.findall(r"^    (perflab [a-z].*)$", joined, re.MULTILINE)]
    return found


@pytest.mark.parametrize(("page", "line"), shell_lines())
def test_every_shell_line_parses(page: str, line: str) -> None:
    for part in re.split(r"\s#\s.*?perflab(?= )|\s+#\s.*|(?<=\s);\s*", line)[:1]:
        arguments = shlex.split(part, comments=True)[1:]
        assert callable(parser().parse_args(arguments).call)


def test_every_page_is_in_the_site_and_every_link_leads_somewhere() -> None:
    site = (ROOT / ".ci" / "site.yml").read_text()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if page.parent.name == "docs":
            assert f": {page.name}" in site, page
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
            assert (page.parent / target).exists() or target == "changes.md", f"{page.name}: {target}"
