"""`Report`: evidence in order, as a document that colleagues read without a kernel."""

from __future__ import annotations

import os
import re
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perflab import rendering
from perflab.errors import StoreError, one_of
from perflab.notes import PYTHON
from perflab.reports import document, opening, sections
from perflab.reports.calls import calls
from perflab.reports.document import Block, Code, Heading, Paragraph
from perflab.reports.evidence_blocks import Writer
from perflab.reports.placing import (
    BASELINE,
    BOTTLENECKS,
    METHOD,
    OPTIMISATIONS,
    RESULTS,
    Evidence,
    measurements_of,
    placed,
    results_of,
)
from perflab.results import Result, Shown
from perflab.stats.change import Change
from perflab.stats.several_arms import ArmsCompared
from perflab.traces.account_result import Account

_EMPTY = {
    BASELINE: "No measurements were given.",
    BOTTLENECKS: "No findings were given.",
    OPTIMISATIONS: "None were named.",
    RESULTS: "Nothing was compared, so there is no verdict.",
    METHOD: "No measurements were given, so the method is unknown.",
}


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
        measured = measurements_of(self.evidence)
        proven: list[str] = []
        for result in results_of(self.evidence):
            proven += opening.bullets(result, measured) if isinstance(result, Change) else [result.show().sentence]
        parts = ["\n".join(_wrapped(line, "- ") for line in (*proven, *self.optimisations))]
        parts.append(_wrapped(f"Measured: {sections.design(measured)}") if measured is not None else "")
        parts.append(f"Task: {' '.join(rendering.visible(task).split())}" if task.strip() else "")
        title = " ".join(rendering.visible(self.title).split())
        if not re.match(r"[a-z]+(\([^)]*\))?!?: ", title):
            title = f"perf: {title if title[:2].isupper() else title[:1].lower() + title[1:]}"
        return "\n\n".join([textwrap.shorten(title, 72, placeholder="…"), *filter(None, parts)]) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write ``report.md`` (with its pictures in ``report_files/``) or ``report.html``; replaces what is there.

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
        sentences = [result.show(surface).sentence for result in results_of(self.evidence)]
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
    under = placed(report.evidence, report.optimisations)
    write = Writer(show_literals=report.show_literals)
    blocks: list[Block] = [Heading(report.title, 1)]
    if report.question:
        blocks.append(Paragraph(f"Question: {report.question}"))
    results = [r for r in results_of(report.evidence) if not isinstance(r, Account)]
    blocks += [Paragraph(r.show().sentence, strong=True) for r in results]
    measured = measurements_of(report.evidence)
    blocks += [write.opening(r, measured) for r in results if isinstance(r, (Change, ArmsCompared))]
    blocks += [Paragraph(str(item)) for item in under.pop("", [])]
    for title, items in under.items():
        written = [block for item in items for block in write(item, title)]
        blocks += [Heading(title), *(written or [Paragraph(_EMPTY.get(title, "Nothing was given."))])]
    if code := calls(results, measured):
        blocks += [Heading("The calls behind the tables", 3), Code(code, "python")]
    return blocks
