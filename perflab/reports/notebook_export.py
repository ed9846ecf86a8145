"""`export`: a notebook as one HTML page that needs no kernel, script or network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from perflab.errors import MissingExtraError, PerflabError, StoreError
from perflab.reports import document
from perflab.reports.investigations import existing

_PRIORITY = (*("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex", "text/plain"),)
"""What is shown of an output. Widgets are not among it: without a kernel only their plain text is left."""

_TAGS = (
    "a abbr b blockquote br caption cite code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i "
    "img ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var"
)
_ATTRIBUTES: dict[str, set[str]] = {
    "*": {"class", "alt", "title", "colspan", "rowspan", "scope", "width", "height", "open", "style"},
    **{f"h{level}": {"id"} for level in range(1, 7)},
    "img": {"src"},
    "a": {"href"},
}
_STYLES = (
    "color background background-color font-weight font-style font-size font-family text-align vertical-align white-space "
    "margin margin-top margin-bottom margin-left margin-right padding padding-left padding-right width max-width min-width "
    "height max-height border border-collapse border-bottom border-top border-left border-radius display overflow-wrap "
    "overflow-x line-height opacity list-style"
)


def export_notebook(notebook: str | Path, path: str | Path) -> Path:
    """One HTML file with all of a notebook's text, tables and pictures, that needs no kernel, script or network.

    Parameters
    ----------
    notebook : str or Path
        An executed notebook.
    path : str or Path
        The HTML file to write.

    Returns
    -------
    Path
        The file. Scripts, forms, remote pictures and whatever else could act in a reader's browser are removed; a widget
        is reduced to its plain text, because it would need a kernel.

    Raises
    ------
    PerflabError
        No such notebook, or not a notebook.
    StoreError
        The file can't be written.
    MissingExtraError
        A package of the extra "lab" is missing.

    >>> import perflab as lab, tempfile, pathlib
    >>> page = pathlib.Path(tempfile.mkdtemp()) / "record.html"
    >>> "<script" in lab.export_notebook("notebooks/01_is_it_faster.ipynb", page).read_text()
    False
    """
    try:
        import bs4  # noqa: F401 - known before the notebook is converted
        import nbformat
        import nh3  # noqa: F401
        from nbconvert import HTMLExporter
        from pygments.formatters import HtmlFormatter
        from traitlets.config import Config
    except ImportError as problem:
        raise MissingExtraError.of(problem, "lab") from problem
    source, place = existing(notebook), Path(path)
    try:
        book = nbformat.read(source, as_version=4)
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as problem:
        raise PerflabError(f"{source}: expected a Jupyter notebook: {problem}") from problem
    config = Config({"NbConvertBase": {"display_data_priority": list(_PRIORITY)}})
    exporter = HTMLExporter(template_name="basic", embed_images=True, config=config)
    body, _ = exporter.from_notebook_node(book, resources={"metadata": {"path": str(source.parent)}})
    style = HtmlFormatter(style="default").get_style_defs(".highlight") + _STYLE
    page = document.page(_fitting(_harmless(body)), _title(book) or source.stem, style=style)
    try:
        place.write_text(page, encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"{place}: cannot be written: {problem.strerror}") from problem
    return place


_LONG = 32
_STYLE = """
.prompt, .anchor-link { display: none; }
.cell { margin: .9rem 0; }
.highlight { background: var(--band); border-radius: 6px; padding: .5rem .75rem; overflow-x: auto; }
.highlight pre, .output_area pre { margin: 0; font-size: .85rem; line-height: 1.45; white-space: pre-wrap; }
.output_area { margin: .5rem 0; overflow-x: auto; } .output_stderr pre { color: var(--soft); }
img { max-width: 100%; height: auto; } code { overflow-wrap: anywhere; }
table.dense { font-size: .75rem !important; } table.many { font-size: .7rem !important; }
th, td { white-space: normal !important; padding: .25em .4em !important; } td.long { min-width: 6rem; overflow-wrap: anywhere; }
@media (max-width: 960px) { td, th { max-width: none; } td.long { min-width: 0 !important; } }
@media print {
  .output_area, .output_area div, .highlight { overflow: visible !important; } td.long { min-width: 0 !important; }
  table, table.dense { font-size: 7pt !important; } table.many { font-size: 6pt !important; }
}
@media (prefers-color-scheme: dark) { .highlight { background: #f5f5f7; color: #1d1d1f; } }
"""


def _harmless(body: str) -> str:
    """The page's body without anything that acts or loads; outputs come from outside."""
    import nh3

    return nh3.clean(
        body,
        tags=set(_TAGS.split()),
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        attribute_filter=_allowed,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel=None,
        filter_style_properties=set(_STYLES.split()),
    )


def _fitting(body: str) -> str:
    """The body with what the page's style needs to show whole tables on any screen: the heading of each cell, and how many
    columns and how long a text there are."""
    from bs4 import BeautifulSoup

    soup: Any = BeautifulSoup(body, "html.parser")
    for table in soup.find_all("table"):
        head = table.select("thead tr")
        headings = [each.get_text(" ", strip=True) for each in head[-1].find_all(["th", "td"])] if head else []
        classes = [name for name, least in (("dense", 7), ("many", 10)) if len(headings) >= least]
        table["class"] = [*table.get("class", []), *classes]
        for row in table.select("tbody tr"):
            cells = row.find_all(["th", "td"], recursive=False)
            labels = headings if len(cells) == len(headings) else [""] * len(cells)
            for cell, heading in zip(cells, labels, strict=True):
                cell.name, cell["data-label"] = "td", heading
                if len(cell.contents) > 1:  # as a card a cell is a row of its parts
                    cell.append(whole := soup.new_tag("span"))
                    whole.extend(cell.contents[:-1])
                if len(cell.get_text()) > _LONG:
                    cell["class"] = [*cell.get("class", []), "long"]
    return str(soup)


def _allowed(tag: str, name: str, value: str) -> str | None:
    """The attribute's value, or None where the attribute must go."""
    if name == "src":
        return value if value.startswith("data:image/") else None
    if name == "style":
        return None if re.search(r"(?i)url|image|@|\\", value) else value
    if name == "href":
        return value if value.startswith(("http://", "https://", "#", "mailto:")) else None
    return value


def _title(book: Any) -> str:
    for cell in book.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"(?m)^#\s+(.+)$", cell.source)):
            return found[1].strip()
    return ""
