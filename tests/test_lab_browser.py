"""The explorers in a real JupyterLab in a real browser (Debian's chromium, driven by Playwright).

One server and one notebook for the whole file; screenshots are kept in ``build/screenshots``.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
TESTS = Path(__file__).parent
SHOTS = TESTS.parent / "build" / "screenshots"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

HOSTILE = "GET /<img src=x onerror=alert(1)><script>alert(2)</script>"
CELLS = [
    f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
import matplotlib; matplotlib.use("agg")
import conftest, perflab as lab
both = conftest._measurements(pairs=4, endpoints={{"GET /orders": 120.0, {HOSTILE!r}: 20.0}})
before, after = both.where(arm="n+1"), both.where(arm="eager")
from perflab.explorers.runs import explore_runs
explore_runs(both)
""",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab with settings of its own on a free port; ends with its kernels."""
    place = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.strip()) for c in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, place / "explore.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    own = {
        name: str(place / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={place}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None", "--LabApp.collaborative=False",
    ]  # fmt: skip
    with (place / "lab.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=place, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **own, "IPYTHONDIR": str(place / "ipython")},
        )  # fmt: skip
        try:
            _wait_until_up(f"http://127.0.0.1:{port}/api/status?token={token}", process, place / "lab.log")
            yield f"http://127.0.0.1:{port}/lab/tree/explore.ipynb?token={token}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def seen() -> dict[str, list[str]]:
    """What the browser complained about, and where it went."""
    return {"errors": [], "elsewhere": []}


@pytest.fixture(scope="module")
def page(server: str, seen: dict[str, list[str]]) -> Iterator[Page]:
    """The notebook, all of its cells run."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"], headless=True
        )
        page = browser.new_page(viewport={"width": 1250, "height": 1500})
        page.on("console", lambda m: seen["errors"].append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: seen["errors"].append(str(error)))
        page.on("dialog", lambda dialog: (seen["errors"].append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda r: seen["elsewhere"].append(r.url) if not _local(r.url) else None)
        page.goto(server)
        expect(page.locator(".jp-NotebookPanel")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("| Idle")).to_be_visible(timeout=30_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('li.lm-Menu-item[data-command="runmenu:run-all"]').click()
        expect(page.locator(".perflab-explorer").first).to_be_visible(timeout=40_000)
        yield page
        browser.close()


def _local(url: str) -> bool:
    return url.startswith(("data:", "blob:", "about:")) or re.match(r"(http|ws)://127\.0\.0\.1[:/]", url) is not None


def explorer(page: Page, title: str) -> Locator:
    return page.locator(".perflab-explorer", has=page.locator('div[role="heading"]', has_text=title)).first


def shown(box: Locator) -> str:
    """The picture's words and the panel's text: what a reader sees."""
    panel = box.locator(".perflab-panel")
    alt = panel.locator("img[alt]").all()
    return " ".join([*(a.get_attribute("alt") or "" for a in alt), panel.inner_text()])


def picture(box: Locator) -> str:
    return box.locator(".perflab-panel img").first.get_attribute("src") or ""


def code(box: Locator) -> Locator:
    return box.locator(".perflab-code textarea")


def test_runs_explorer_opens_and_each_control_changes_what_is_shown(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    expect(box.locator(".perflab-panel img")).to_have_attribute("alt", re.compile("p95 of all requests: n\\+1"))
    expect(code(box)).to_have_value("lab.plot_timeline(both, endpoint='Aggregated', percentile=95)")
    page.screenshot(path=SHOTS / "runs-over-time.png")

    box.get_by_label("Endpoint").select_option("GET /orders")
    expect(box.locator(".perflab-panel img")).to_have_attribute("alt", re.compile("p95 of GET /orders"))

    handle = box.locator(".widget-slider .noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    expect(box.locator(".perflab-panel img")).to_have_attribute("alt", re.compile("p99 of GET /orders"))

    before = picture(box)
    box.locator(".widget-slider .noUi-handle-upper").press("ArrowLeft")
    expect(code(box)).to_have_value(re.compile(r"lab\.time_window\(both, 0, \d"))
    assert picture(box) != before

    box.get_by_label("Runs", exact=True).select_option("n+1-1")
    expect(code(box)).to_have_value(re.compile(r"both\.where\(run=\['n\+1-1'\]\)"))
    assert "eager" not in shown(box)

    for view, words in (
        ("ECDF", "p99 of GET /orders"),
        ("Histogram", "p99 of GET /orders"),
        ("Heatmap", "p99 of GET /orders"),
        ("Resources", "Busiest process"),
        ("Slowest requests", "slowest requests"),
        ("Errors", "Failed requests"),
    ):
        box.get_by_role("button", name=view, exact=True).click()
        expect(code(box)).to_have_value(re.compile(r"lab\.(plot|slowest|summarize)_"))
        expect(box.locator(".perflab-panel")).to_contain_text(words) if view in (
            "Slowest requests",
            "Errors",
        ) else expect(box.locator(".perflab-panel img")).to_have_attribute("alt", re.compile(words))
        page.screenshot(path=SHOTS / f"runs-{view.lower().replace(' ', '-')}.png")


def test_views_can_be_chosen_by_keyboard(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_role("button", name="Over time", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(code(box)).to_have_value(re.compile(r"lab\.plot_ecdf"))


def test_figure_and_table_are_saved(page: Page, server: str) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_role("button", name="Save figure (.png)").click()
    expect(box.locator(".perflab-saved")).to_contain_text("wrote view.png")
    box.get_by_role("button", name="Slowest requests", exact=True).click()
    expect(box.locator(".perflab-panel table")).to_be_visible()
    box.get_by_role("button", name="Save table (.csv)").click()
    expect(box.locator(".perflab-saved")).to_contain_text("wrote view.csv")


def test_hostile_endpoints_are_text(page: Page) -> None:
    box = explorer(page, "Runs: 8 runs")
    box.get_by_label("Endpoint").select_option(HOSTILE)
    box.get_by_role("button", name="Errors", exact=True).click()
    expect(box.locator(".perflab-panel")).to_contain_text(re.compile("onerror|None in this part"))
    box.get_by_role("button", name="ECDF", exact=True).click()
    expect(box.locator(".perflab-panel img")).to_have_attribute("alt", re.compile("onerror"))
    assert page.locator("img[src=x]").count() == 0


def test_nothing_went_wrong_in_the_browser_and_nothing_left_the_machine(page: Page, seen: dict[str, list[str]]) -> None:
    assert seen["elsewhere"] == []
    assert [e for e in seen["errors"] if not re.search("favicon|404", e)] == []
