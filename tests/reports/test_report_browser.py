"""A report in a real browser: nothing is clipped on a phone, a tablet, a desk and paper, and nothing is asked of the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import CHROMIUM
from playwright.sync_api import sync_playwright

import perflab as lab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
STORE = Path(__file__).parents[2] / "datasets" / "shop_runs"
CLIPPED = (
    "() => [...document.querySelectorAll('.wide, p, li, pre')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
)

BEYOND = """() => [...document.querySelectorAll('td, img, pre, code, p, tbody')].filter(
    e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 200))"""
"""Cells and pictures past the right edge, whether a box around them scrolls or not."""


@pytest.mark.parametrize("name", ["00_start_here", "03_n_plus_one"])
def test_an_exported_notebook_hides_no_column(tmp_path: Path, name: str) -> None:
    book = Path(__file__).parents[2] / "notebooks" / f"{name}.ipynb"
    place = lab.export_notebook(book, tmp_path / "r.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(place.as_uri())
        for width, media in ((390, "screen"), (800, "screen"), (1500, "screen"), (700, "print")):
            page.emulate_media(media=media)
            page.set_viewport_size({"width": width, "height": 1000})
            assert page.evaluate(BEYOND) == [], (width, media)
        first = page.locator("tbody td").first
        assert first.get_attribute("data-label") is not None
        browser.close()


def test_a_report_fits_every_screen(tmp_path: Path) -> None:
    runs = lab.load(STORE)
    change = lab.compare(
        runs.where(arm="n+1"), runs.where(arm="eager"), primary="GET /orders", metric=["p95", "throughput_per_s"]
    )
    place = lab.Report("GET /orders is faster", [runs, change], optimisations=["eager loading"]).save(
        tmp_path / "r.html"
    )
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        for width in (390, 800, 1500):
            page.set_viewport_size({"width": width, "height": 1000})
            page.goto(place.as_uri())
            assert page.evaluate(CLIPPED) == 0, width
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            wrong = Axe().run(page).response["violations"]
            assert [(each["id"], each["nodes"][0]["html"][:120]) for each in wrong] == [], scheme
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 700, "height": 1000})  # A4 with its margins
        assert page.evaluate(CLIPPED) == 0
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == [] and said == []
