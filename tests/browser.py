"""A real JupyterLab in a real browser (Debian's chromium, driven by Playwright): what the browser tests share."""

from __future__ import annotations

import contextlib
import json
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
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
SHOTS = Path(__file__).parent.parent / "build" / "screenshots"
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
"""Cells outside the window stay in the page, so that a test finds them; no question about news on top of them."""


class Seen:
    """What the browser complained about, and where it went."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.elsewhere: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: (self.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda r: self.elsewhere.append(r.url) if not _local(r.url) else None)

    @property
    def complaints(self) -> list[str]:
        """Errors, without those of JupyterLab's own missing files (no favicon, no saved workspace yet)."""
        return [e for e in self.errors if not re.search("favicon|404", e)]


def _local(url: str) -> bool:
    return url.startswith(("data:", "blob:", "about:")) or re.match(r"(http|ws)://127\.0\.0\.1[:/]", url) is not None


@contextlib.contextmanager
def jupyterlab(place: Path, cells: Sequence[str]) -> Iterator[str]:
    """A JupyterLab with settings of its own on a free port, and the address of a notebook with these cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.strip()) for c in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, place / "explore.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    own = {
        name: str(place / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    for plugin, settings in SETTINGS.items():
        file = place / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={place}",
        f"--LabApp.user_settings_dir={place / 'settings'}", f"--LabApp.workspaces_dir={place / 'workspaces'}",
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
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def opened(address: str, seen: Seen) -> Iterator[Page]:
    """The notebook in the browser, its kernel ready and Run All Cells clicked."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"], headless=True
        )
        context = browser.new_context(
            viewport={"width": 1250, "height": 1500}, permissions=["clipboard-read", "clipboard-write"]
        )
        page = context.new_page()
        seen.watch(page)
        page.goto(address)
        expect(page.locator(".jp-NotebookPanel")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("| Idle")).to_be_visible(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('li.lm-Menu-item[data-command="runmenu:run-all"]').click()
        yield page
        browser.close()
