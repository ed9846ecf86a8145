"""Evidence as the blocks of a document: tables, lists, pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pandas as pd

from perflab.data.tables import Measurements
from perflab.notes import written
from perflab.queries.layout import laid_out
from perflab.reports import opening, sections
from perflab.reports.document import Block, Code, Heading, Items, Paragraph, Picture, Table
from perflab.reports.placing import Evidence, Lines, Method, figure_of
from perflab.results import Findings, Result, Shown
from perflab.stats.change import Change
from perflab.stats.several_arms import ArmsCompared

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STATEMENTS = 3
"""So many of the statements behind findings are laid out in full."""
_LATENCY_NOTE = (
    "One value per run after the warm-up (quantiles of type 8), then the mean over the arm's runs, geometric for latencies "
    "and throughput; failed requests count. Values marked ~ rest on a handful of requests: p95 is stable from about 200 "
    "requests per run, p99 from about 1,000."
)
_RESOURCE_NOTE = "CPU is the mean number of busy cores, memory the highest RSS; medians over the arm's runs."


def _advice(frame: pd.DataFrame) -> list[Block]:
    """How to fix what was found, each way once, and the worst statements laid out."""
    if "suggestion" not in frame.columns:
        return []
    routes = frame["route"].fillna("") if "route" in frame.columns else pd.Series("", index=frame.index)
    given = [(str(r), w) for r, w in zip(routes, frame["suggestion"], strict=True) if isinstance(w, str) and w]
    if not given:
        return []
    if "operations" in frame.columns:  # of calls in a row, whose fix is code
        listings = dict.fromkeys(f"# {' '.join(route.split())}\n{words}" if route else words for route, words in given)
        return [Paragraph("How to fix it:"), *(Code(code, "python") for code in [*listings][:_STATEMENTS])]
    ways = dict.fromkeys(f"{route}: {words}" if route else words for route, words in given)
    statements = frame["child"].dropna().drop_duplicates().head(_STATEMENTS) if "child" in frame.columns else ()
    return [Items(tuple(ways), "How to fix it:"), *(Code(laid_out(str(sql)), "sql") for sql in statements)]


def _plain(frame: pd.DataFrame) -> Shown:
    """A table that is no result; its columns stay as they are."""
    return Shown(
        str(frame.attrs.get("sentence", "")), frame if len(frame) else None, written(frame.attrs.get("warnings", ()))
    )


@dataclass
class Writer:
    """Turns an item into blocks, and numbers the pictures."""

    show_literals: bool
    pictures: int = 0

    def __call__(self, item: Evidence, section: str) -> list[Block]:
        if isinstance(item, str):
            return [Paragraph(item)]
        if isinstance(item, Lines):
            return [Items(item.texts)] if item.texts else []
        if isinstance(item, Method):
            return self._method(item.measurements)
        if isinstance(item, Measurements):
            return self._measured(item)
        if isinstance(item, pd.DataFrame):
            return self._findings(item)
        if (figure := figure_of(item)) is not None:
            return [self._picture(item, figure)]
        if isinstance(item, Result):
            shown = item.show()
            return [Paragraph(shown.sentence, strong=True), *self._rest(shown)]
        raise ValueError(f"items of the section {section!r} must be evidence; got {type(item).__name__}")

    def _table(self, shown: Shown, left_out: Sequence[str] = ()) -> Table:
        """The table as every surface shows it, but for literals, and columns that are written below it."""
        assert shown.table is not None
        frame = shown.table[[c for c in shown.table.columns if c not in left_out]]
        grid = replace(shown, table=frame if self.show_literals else sections.without_literals(frame)).grid()
        assert grid is not None
        return Table(grid)

    def opening(self, result: Change | ArmsCompared, measured: Measurements | None) -> Table:
        """What a reader wants first."""
        return self._table(opening.table(result, measured))

    def _rest(self, shown: Shown) -> list[Block]:
        """The table and the notes."""
        table: list[Block] = [self._table(shown)] if shown.table is not None and len(shown.table) else []
        return [*table, *([Items(shown.notes)] if shown.notes else [])]

    def _measured(self, measured: Measurements) -> list[Block]:
        blocks: list[Block] = []
        if "requests" in measured.tables:
            blocks += [Heading("Response time, throughput and errors", 3), Paragraph(_LATENCY_NOTE)]
            blocks.append(self._table(sections.latency(measured).show()))
        elif "summary" in measured.tables:
            blocks += [Heading("Response time, as the tool reported it", 3), self._table(Shown("", measured.summary))]
        if "resources" in measured.tables:
            blocks += [Heading("CPU, memory and I/O", 3), Paragraph(_RESOURCE_NOTE)]
            blocks.append(self._table(Shown("", sections.resources(measured), ours=True)))
        return blocks or [Paragraph(f"{measured.sentence}; neither requests nor resources were recorded.")]

    def _findings(self, frame: pd.DataFrame) -> list[Block]:
        title = str(frame.attrs.get("title", ""))
        shown = frame.show() if isinstance(frame, Findings) else _plain(frame)
        blocks: list[Block] = [Heading(title, 3)] if title else []
        blocks += [Paragraph(shown.sentence)] if shown.sentence else []
        if shown.table is not None:
            # The advice is too long for a column, and what readers want most: it comes below the table, in full.
            blocks += [self._table(shown, ["suggestion"]), *_advice(frame)]
        elif not shown.sentence:
            blocks.append(Paragraph("Nothing was found."))
        return [*blocks, *([Items(shown.notes)] if shown.notes else [])]

    def _picture(self, item: Evidence, figure: Figure) -> Picture:
        drawn = [cast("Axes", item)] if hasattr(item, "get_title") else figure.axes
        first = drawn[0] if drawn else None
        titles = [first.get_title(loc=side) for side in ("left", "center", "right")] if first is not None else []
        alt = " ".join(t for t in titles if t).replace(r"\$", "$") or f"Figure {self.pictures + 1}"
        self.pictures += 1
        slug = re.sub(r"[^a-z0-9]+", "-", alt.lower()).strip("-")[:40].strip("-") or "figure"
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=150, bbox_inches="tight", facecolor="auto", metadata={"Software": None})
        return Picture(f"{self.pictures:02d}-{slug}.png", alt, png.getvalue())

    def _method(self, measured: Measurements) -> list[Block]:
        blocks: list[Block] = [Paragraph(sections.design(measured)), Paragraph(sections.validity(measured))]
        blocks += [Paragraph(f"Load: {plan}") for plan in sections.plans(measured)]
        blocks += [Heading("Runs", 3), self._table(Shown("", sections.run_list(measured), ours=True))]
        provenance = sections.provenance(measured)
        if len(provenance):
            blocks += [Heading("Provenance", 3), self._table(Shown("", provenance, ours=True))]
        if measured.warnings:
            blocks += [Heading("Warnings", 3), Items(written(measured.warnings))]
        return blocks
