"""Search in the built site, opened as files: names and words of each kind of page lead to their page."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import TimeoutError

from perflab.browsing.chromium import browser

SITE = Path(__file__).parent.parent / "build" / "site"
WANTED = {
    "find_n_plus_one": "reference/explain.html",
    "harrell_davis": "reference/stats.html",
    "coordinated omission": "load.html",
    "pg_stat_statements": "formats.html",
    "locustfile": "tutorial.html",
}


def main() -> int:
    missed = []
    with browser() as opened:
        page = opened.new_page()
        page.goto(f"{SITE.as_uri()}/index.html")
        for words, place in WANTED.items():
            page.fill(".md-search__input", words)
            page.press(".md-search__input", "End")  # the search listens to keys
            try:
                page.wait_for_selector(f".md-search-result__link[href*='/{place}']", state="attached", timeout=10_000)
            except TimeoutError:
                missed.append(f"{words}: {place}")
    sys.stderr.write("".join(f"the search does not lead from {line}\n" for line in missed))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
