"""`Report`: evidence in order, as a document that colleagues read without a kernel."""

from __future__ import annotations

import io
import os
import re
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import pandas as pd

from perflab import rendering
from perflab.data.tables import Measurements
from perflab.errors import StoreError, one_of
from perflab.notes import PYTHON, written
from perflab.queries.layout import laid_out
from perflab.reports import document, opening, sections
from perflab.reports.document import Block, Code, Heading, Items, Paragraph, Picture, Table
from perflab.results import Findings, Result, Shown
from perflab.stats.change import Change
from perflab.traces.accounts import Account

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE, BOTTLENECKS, OPTIMISATIONS, RESULTS, METHOD = (
    "Baseline metrics",
    "Bottlenecks found",
    "Optimisations applied",
    "Results",
    "How it was measured",
)
_EMPTY = {
    BASELINE: "No measurements were given.",
    BOTTLENECKS: "No findings were given.",
    OPTIMISATIONS: "None were named.",
    RESULTS: "Nothing was compared, so there is no verdict.",
    METHOD: "No measurements were given, so the method is unknown.",
}
_STATEMENTS = 3
"""So many of the statements behind findings are laid out in full."""

Evidence: TypeAlias = object
"""Measurements, Result, DataFrame, str, Section, matplotlib Axes or Figure (which are not imported for this)."""


@dataclass(frozen=True)
class Section:
    """A section by hand: ``title`` is one of the report's own sections, or a new one before "How it was measured"."""

    title: str
    items: Sequence[Evidence]


@dataclass(frozen=True, repr=False, eq=False)
class Report(Result):
    """Ordered evidence as Markdown, HTML, a commit message, and in a notebook.

    Parameters
    ----------
    title : str
        What was found, in one line.
    evidence : sequence
        Measurements, results of `compare` and `check`, DataFrames of findings, matplotlib Axes or Figures, paragraphs (str),
        and `perflab.reports.Section` to place things explicitly. Measurements go to "Baseline metrics" and "How it was
        measured", DataFrames and accounts to "Bottlenecks found", which begins with the accounts, results to "Results"; a
        paragraph or a picture stays with what comes before it in the list, and a paragraph at the start goes below the title.
    optimisations : sequence of str
        What was changed, a line each.
    question : str
        The question that was asked.
    show_literals : bool
        Show the literals of queries and the values in URLs, which are left out by default: literals can be personal data,
        and URLs can carry tokens.

    Raises
    ------
    ValueError
        Evidence of another kind.

    >>> import perflab as lab
    >>> report = lab.Report("Checkout is faster", ["Measured on the staging host."], optimisations=["eager loading"])
    >>> print(report.to_markdown().splitlines()[0])
    # Checkout is faster
    """

    title: str
    evidence: Sequence[Evidence]
    optimisations: Sequence[str] = field(default=(), kw_only=True)
    question: str = field(default="", kw_only=True)
    show_literals: bool = field(default=False, kw_only=True)

    def to_markdown(self, pictures: str = "report_files") -> str:
        """GitHub Markdown whose pictures lie in the folder ``pictures`` (`save` writes them there)."""
        return document.to_markdown(_blocks(self), pictures)

    def to_html(self) -> str:
        """One self-contained page: pictures inside, no script, nothing from the network."""
        return document.to_html(_blocks(self), self.title)

    def commit_message(self, *, task: str = "") -> str:
        """A commit message in lines of at most 72 characters: the title, what was proven, what was changed, how it was measured.

        Parameters
        ----------
        task : str
            Written as a trailer, ``Task: ...``.
        """
        measured = _measurements(self.evidence)
        proven: list[str] = []
        for result in _results(self.evidence):
            proven += opening.bullets(result, measured) if isinstance(result, Change) else [result.show().sentence]
        parts = ["\n".join(_wrapped(line, "- ") for line in (*proven, *self.optimisations))]
        parts.append(_wrapped(f"Measured: {sections.design(measured)}") if measured is not None else "")
        parts.append(f"Task: {rendering.visible(task)}" if task else "")
        title = " ".join(rendering.visible(self.title).split())
        if not re.match(r"[a-z]+(\([^)]*\))?!?: ", title):
            title = f"perf: {title if title[:2].isupper() else title[:1].lower() + title[1:]}"
        return "\n\n".join([textwrap.shorten(title, 72, placeholder="…"), *filter(None, parts)]) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write ``report.md`` (its pictures in ``report_files/`` beside it) or ``report.html``; replaces what is there.

        Raises
        ------
        ValueError : another suffix. StoreError : the folder can't be written.
        """
        place = Path(path)
        if place.suffix.lower() not in (".md", ".html"):
            raise one_of("path", str(path), ("*.md", "*.html"))
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.suffix.lower() == ".html":
                _replace(place, self.to_html().encode())
            else:
                _save_markdown(place, _blocks(self))
        except OSError as problem:
            raise StoreError(f"{place}: the report cannot be written: {problem.strerror or problem}") from problem
        return place

    def show(self, surface: str = PYTHON) -> Shown:
        """The title and the verdicts; in a notebook the whole report."""
        sentences = [result.show(surface).sentence for result in _results(self.evidence)]
        return _Page("\n".join([self.title, *sentences]), report=self)


@dataclass(frozen=True)
class _Page(Shown):
    """A report in a notebook."""

    report: Report = field(kw_only=True)

    def html(self) -> str:
        """The document, without its page."""
        return document.to_fragment(_blocks(self.report))


def _save_markdown(place: Path, blocks: list[Block]) -> None:
    folder = place.with_name(f"{place.stem}_files")
    pictures = document.pictures(blocks)
    if pictures:
        folder.mkdir(exist_ok=True)
    for picture in pictures:
        _replace(folder / picture.name, picture.png)
    _replace(place, document.to_markdown(blocks, folder.name).encode())
    kept = {picture.name for picture in pictures}
    for old in folder.glob("[0-9][0-9]-*.png") if folder.is_dir() else ():
        if old.name not in kept:
            old.unlink()


def _replace(place: Path, content: bytes) -> None:
    """All of the new file or the old one, never half."""
    handle, draft = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(draft).chmod(0o644)
        Path(draft).replace(place)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


def _wrapped(text: str, bullet: str = "") -> str:
    flat = " ".join(rendering.visible(text).split())
    return textwrap.fill(flat, 72, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_on_hyphens=False)


# From evidence to blocks


def _blocks(report: Report) -> list[Block]:
    placed = _placed(report)
    write = _Writer(show_literals=report.show_literals)
    blocks: list[Block] = [Heading(report.title, 1)]
    if report.question:
        blocks.append(Paragraph(f"Question: {report.question}"))
    results = [r for r in _results(report.evidence) if not isinstance(r, Account)]
    blocks += [Paragraph(r.show().sentence, strong=True) for r in results]
    measured = _measurements(report.evidence)
    blocks += [write.opening(r, measured) for r in results if isinstance(r, Change)]
    blocks += [Paragraph(str(item)) for item in placed.pop("", [])]
    for title, items in placed.items():
        written = [block for item in items for block in write(item, title)]
        blocks += [Heading(title), *(written or [Paragraph(_EMPTY.get(title, "Nothing was given."))])]
    return blocks


def _placed(report: Report) -> dict[str, list[Evidence]]:
    """Each item under the title of its section, sections in the order they are written."""
    given: dict[str, list[Evidence]] = {}
    here = ""
    for position, item in enumerate(report.evidence):
        if isinstance(item, Section):
            given.setdefault(item.title, []).extend(item.items)
        else:
            here = _home(item, here, position)
            given.setdefault(here, []).append(item)
    found = given.get(BOTTLENECKS, [])
    if accounts := [i for i in found if isinstance(i, Account)]:
        # First where the time went, then why: with the picture that follows an account.
        given[BOTTLENECKS] = [*_with_pictures(found, accounts), *_others(found, accounts)]
    measured = _measurements(report.evidence)
    given.setdefault(OPTIMISATIONS, []).insert(0, _Lines(tuple(report.optimisations)))
    if measured is not None:
        given[BASELINE] = [measured, *(i for i in given.get(BASELINE, []) if not isinstance(i, Measurements))]
        given.setdefault(METHOD, []).insert(0, _Method(measured))
    by_hand = [t for t in given if t not in ("", BASELINE, BOTTLENECKS, OPTIMISATIONS, RESULTS, METHOD)]
    order = ["", BASELINE, BOTTLENECKS, OPTIMISATIONS, RESULTS, *by_hand, METHOD]
    return {title: given.get(title, []) for title in order}


def _with_pictures(items: Sequence[Evidence], accounts: Sequence[Account]) -> list[Evidence]:
    """The accounts, each with the pictures right behind it."""
    chosen: list[Evidence] = []
    follows = False
    for item in items:
        is_account = any(item is a for a in accounts)
        follows = is_account or (follows and _figure(item) is not None)
        chosen += [item] if follows else []
    return chosen


def _others(items: Sequence[Evidence], accounts: Sequence[Account]) -> list[Evidence]:
    first = _with_pictures(items, accounts)
    return [item for item in items if not any(item is each for each in first)]


def _home(item: Evidence, before: str, position: int) -> str:
    if isinstance(item, Measurements):
        return BASELINE
    if isinstance(item, (pd.DataFrame, Account)):
        return BOTTLENECKS
    if isinstance(item, str):
        return before
    if _figure(item) is not None:
        return before or RESULTS
    if isinstance(item, Result):
        return RESULTS
    kinds = "Measurements, a result of compare or check, a DataFrame, Axes, a Figure, a str or a Section"
    raise ValueError(f"evidence[{position}] must be {kinds}; got {type(item).__name__}")


def _flat(items: Sequence[Evidence]) -> Iterator[Evidence]:
    for item in items:
        yield from _flat(item.items) if isinstance(item, Section) else [item]


def _results(items: Sequence[Evidence]) -> list[Result]:
    return [i for i in _flat(items) if isinstance(i, Result) and not isinstance(i, (Measurements, pd.DataFrame))]


def _measurements(items: Sequence[Evidence]) -> Measurements | None:
    found: list[Measurements] = []
    for item in items:
        if isinstance(item, Measurements) and not any(item is known for known in found):
            found.append(item)
    return sections.together(found) if found else None


def _figure(item: Evidence) -> Figure | None:
    """The Figure of an Axes or Figure, by duck type: matplotlib need not be loaded for a report without pictures."""
    figure = item.get_figure(root=True) if hasattr(item, "get_figure") else None
    return cast("Figure", figure) if hasattr(figure, "savefig") else None


@dataclass(frozen=True)
class _Lines:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Method:
    measurements: Measurements


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
class _Writer:
    """Turns an item into blocks, and numbers the pictures."""

    show_literals: bool
    pictures: int = 0

    def __call__(self, item: Evidence, section: str) -> list[Block]:
        if isinstance(item, str):
            return [Paragraph(item)]
        if isinstance(item, _Lines):
            return [Items(item.texts)] if item.texts else []
        if isinstance(item, _Method):
            return self._method(item.measurements)
        if isinstance(item, Measurements):
            return self._measured(item)
        if isinstance(item, pd.DataFrame):
            return self._findings(item)
        if (figure := _figure(item)) is not None:
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

    def opening(self, change: Change, measured: Measurements | None) -> Table:
        """What a reader wants first."""
        return self._table(opening.table(change, measured))

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
        figure.savefig(png, format="png", dpi=150, bbox_inches="tight", facecolor="white", metadata={"Software": None})
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


_LATENCY_NOTE = (
    "One value per run after the warm-up (quantiles of type 8), then the mean over the arm's runs, geometric for latencies "
    "and throughput; failed requests count. Values marked ~ rest on a handful of requests: p95 is stable from about 200 "
    "requests per run, p99 from about 1,000."
)
_RESOURCE_NOTE = "CPU is the mean number of busy cores, memory the highest RSS; medians over the arm's runs."
