"""Dollars in names stay dollars: JupyterLab would typeset what stands between two of them as mathematics."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import CHROMIUM, Seen, jupyterlab, opened
from playwright.sync_api import expect

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

CELLS = [
    f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest, perflab as lab
from IPython.display import HTML
both = conftest._measurements(pairs=3, endpoints={{"GET /price?max=$10&min=$5": 20.0}})
lab.Report("From $5 to $3 per order", [lab.summarize(both)])
""",
    "lab.summarize(both)",
    'HTML("<p>typeset: $x^2$</p>")',
]


def test_dollars_are_shown_as_written(tmp_path: Path) -> None:
    with jupyterlab(tmp_path, CELLS) as address, opened(address, Seen()) as page:
        # The last cell proves that mathematics is typeset here, and by then the others would have been.
        expect(page.locator("mjx-container")).to_have_count(1, timeout=60_000)
        assert "From $5 to $3 per order" in page.locator(".perflab").first.inner_text()
        assert "GET /price?max=$10&min=$5" in page.locator(".perflab").nth(1).inner_text()
        assert page.locator(".perflab mjx-container").count() == 0
