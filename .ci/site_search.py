"""Search in the built site, opened as files: names and words of each kind of page lead to their page."""

from __future__ import annotations

import sys
from pathlib import Path

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
            page.wait_for_timeout(300)
            page.wait_for_selector(".md-search-result__item a")
            links = page.eval_on_selector_all(".md-search-result__link", "found => found.map(link => link.href)")
            if not any(f"/{place}" in link for link in links):
                missed.append(f"{words}: {', '.join(links[:5])}")
    sys.stderr.write("".join(f"the search does not lead to {line}\n" for line in missed))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
