"""The target's Prometheus `/metrics` page, read under load."""

from __future__ import annotations

import time
from urllib.parse import urljoin, urlsplit

import pandas as pd

from perflab import provenance
from perflab.data.schemas import conform, empty
from perflab.formats._prometheus import parse
from perflab.loadtest import reasons
from perflab.loadtest.pages import read_page
from perflab.loadtest.repeating import Repeating
from perflab.notes import Note

MAX_BYTES = 4_000_000
MAX_SERIES = 20_000
MAX_VALUES = 5_000_000
"""For a whole run."""
INTERVAL_S = 1.0
ANSWER_S = 2.0
_LONGEST = 20_000
"""Characters of a line."""
_STARTED = "process_start_time_seconds"
HEALTH = "probe_success"
"""The metric of the health page: 1 where it answered (the name that Prometheus' blackbox exporter has for it)."""


class Scraper(Repeating):
    """Reads a metrics page once a second from a thread, in a ``with`` block.

    Pages that cannot be read, lines that are not in Prometheus' text format, and anything beyond 4 MB or 20,000 series a
    page, or 5 million values a run, are left out and counted; the load goes on. Whether a ``health`` page answered is kept
    as the metric `HEALTH`.
    """

    def __init__(self, host: str, path: str, *, health: str | None = None, interval_s: float = INTERVAL_S) -> None:
        self.url = urljoin(host.rstrip("/") + "/", path)
        self._health = None if health is None else urljoin(host.rstrip("/") + "/", health)
        self._shown = provenance.without_credentials(self.url)
        self._rows: list[tuple[float, str, dict[str, str], float]] = []
        self._failed = self._skipped = self._pages = 0
        self._problem = ""
        super().__init__(self._look, interval_s, name="perflab-metrics")

    def frame(self, run: str) -> pd.DataFrame:
        """The ``metrics`` table so far."""
        rows = list(self._rows)
        if not rows:
            return empty("metrics")
        frame = pd.DataFrame(rows, columns=["time", "name", "labels", "value"])
        frame["time"] = pd.to_datetime(frame["time"] * 1e9, unit="ns", utc=True)
        return conform("metrics", frame.assign(run=run))

    @property
    def warnings(self) -> list[Note]:
        """Notes on what could not be read."""
        found: list[Note] = []
        if self._failed:
            found.append(
                reasons.PAGES_FAILED(url=self._shown, failed=self._failed, pages=self._pages, problem=self._problem)
            )
        if self._skipped:
            found.append(reasons.VALUES_SKIPPED(url=self._shown, values=self._skipped))
        return found

    @property
    def restarted(self) -> bool:
        """Whether the target reported a restart during the run."""
        begun = [value for _, name, _, value in self._rows if name == _STARTED]
        return bool(begun) and max(begun) - min(begun) > 0.5

    def _look(self) -> None:
        self._pages += 1
        if self._health is not None:
            self._rows.append(
                (time.time(), HEALTH, {"page": urlsplit(self._health).path}, float(_answers(self._health)))
            )
        try:
            at = time.time()
            self._take(at, read_page(self.url, within_s=ANSWER_S, most_bytes=MAX_BYTES + 1)[1])
        except (OSError, ValueError) as problem:
            self._failed, self._problem = self._failed + 1, provenance.hidden(str(problem)[:200])

    def _take(self, at: float, page: bytes) -> None:
        if len(page) > MAX_BYTES:
            raise ValueError(f"the page is larger than {MAX_BYTES:,} bytes")
        if b"\0" in page:
            raise ValueError("the page is not text")
        text, beyond = _first(page.decode("utf-8", errors="replace"))
        samples, bad = parse(text)
        kept = samples[: min(MAX_SERIES, MAX_VALUES - len(self._rows))]
        self._skipped += beyond + bad + len(samples) - len(kept)
        self._rows += [(at, *sample) for sample in kept]


def _answers(url: str) -> bool:
    try:
        return read_page(url, within_s=ANSWER_S)[0] < 400
    except (OSError, ValueError):
        return False


def _first(page: str) -> tuple[str, int]:
    """So much of a page as may be read without taking CPU from the load, and how many lines with values were left out."""
    kept: list[str] = []
    values = beyond = 0
    for line in page.split("\n"):
        values += bool(line) and not line.startswith("#")
        if len(line) > _LONGEST or values > MAX_SERIES or len(kept) > 3 * MAX_SERIES:
            beyond += not line.startswith("#") and bool(line)
        else:
            kept.append(line)
    return "\n".join(kept), beyond
