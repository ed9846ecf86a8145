"""The Chromium that visits pages: where it is, and how it is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perflab.errors import MissingExtraError
from perflab.provenance import package_version

VARIABLE = "PERFLAB_CHROMIUM"
"""The environment variable with the path of the browser."""
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge")
_OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PreconnectToSearch", "PreloadTopChromeWebUI", "Translate",
)  # fmt: skip
"""What the browser would do besides visiting a page. Playwright's own list would be longer, and turn off what users have:
the old page stays until the new one paints (paint holding)."""
_ARGUMENTS = (
    "--disable-dev-shm-usage",  # containers have little shared memory
    "--disable-background-networking",
    f"--disable-features={','.join(_OFF)}",
)


def installed() -> str | None:
    """The path of a Chromium on this machine: PERFLAB_CHROMIUM, or one on the path."""
    given = os.environ.get(VARIABLE)
    return given or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of its own, with an empty profile, until the end of the block.

    Raises `MissingExtraError` where Playwright or Chromium is missing, and says how to install it.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as problem:
        raise MissingExtraError.of(problem, "browser", "run_pages") from problem
    with sync_playwright() as playwright:
        path = installed() or _own(playwright)
        opened = playwright.chromium.launch(
            executable_path=path, args=list(_ARGUMENTS), handle_sigint=False, handle_sigterm=False, handle_sighup=False
        )
        try:
            yield opened
        finally:
            opened.close()


def _own(playwright: Any) -> str | None:
    """None for Playwright's own Chromium, which it finds itself."""
    if Path(playwright.chromium.executable_path).exists():
        return None
    raise MissingExtraError(
        "run_pages needs Chromium: apt install chromium, or python -m playwright install chromium; "
        f"{VARIABLE} gives the path of one that is elsewhere"
    )


def generator(version: str, throttling: str) -> str:
    """The name of what measured, by which `compare` refuses runs of another browser or under another throttling."""
    return f"chromium/{version}/{throttling} playwright {package_version('playwright')}"
