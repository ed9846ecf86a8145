"""The Stop button of a run in the background, in a real JupyterLab in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

import perflab as lab

ROOT = Path(__file__).parent.parent.parent

from browser import CHROMIUM, SHOTS, Seen, jupyterlab, opened  # noqa: E402
from driving import SERVERS, USERS, free_port, mine, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")


def test_a_click_on_stop_ends_the_run_and_the_notebook_goes_on(tmp_path: Path) -> None:
    port, seen = free_port(), Seen()
    store = tmp_path / "runs"
    cells = [
        f"""
import sys
import perflab as lab
target = lab.Target("tiny", host="http://127.0.0.1:{port}", ready="/ready",
                    command=[sys.executable, {str(SERVERS / "tiny.py")!r}, "{port}"])
plan = lab.LoadPlan({str(USERS)!r}, stages=lab.Stage("90s", users=4), user_classes=["Shopper"])
going = lab.start_run(plan, target, store={str(store)!r})
""",
        "print('the kernel is', 'free' if not going.done else 'too late')",
        "import asyncio\nwhile not going.done:\n    await asyncio.sleep(0.2)\n"
        "one = going.result()\nprint('reason:', one.runs.reasons[0][0]); print('kept', len(one.requests) > 20)",
    ]
    before = mine()
    with jupyterlab(tmp_path, cells) as address, opened(address, seen) as page:
        line = page.locator(".perflab-running")
        expect(line).to_contain_text(re.compile(r"users 4, .*requests [1-9]"), timeout=60_000)
        expect(page.get_by_text("the kernel is free")).to_be_visible()
        expect(line).to_contain_text(re.compile(r"throughput .*p95 .*errors .*requests .*generator \d\.\d\d cores"))
        page.screenshot(path=SHOTS / "run-running.png")
        line.get_by_role("button", name="Stop").click()
        expect(page.get_by_text(re.compile("reason: interrupted after"))).to_be_visible(timeout=30_000)
        expect(page.get_by_text("kept True")).to_be_visible()
        # What stays in the notebook is plain HTML.
        expect(page.locator(".perflab-running")).to_have_count(0)
        expect(page.locator(".perflab-progress")).to_contain_text(re.compile("users 4.*; stopped"))
        page.screenshot(path=SHOTS / "run-stopped.png")
    wait_for(lambda: not mine() - before, 10)
    assert len(lab.load(store).runs) == 1
    assert seen.elsewhere == []
