"""A document as a list of blocks, written as GitHub Markdown or as one HTML file.

The HTML needs nothing else (pictures inside, no script, a content policy that forbids the network), can be
printed, and follows the reader's dark or light setting. All text is escaped: it may come from outside.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from perflab import rendering

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    text: str
    strong: bool = False


@dataclass(frozen=True)
class Items:
    """A list; with ``title`` a line above it."""

    texts: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True)
class Code:
    """A listing, such as a statement laid out."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Table:
    grid: rendering.Grid


@dataclass(frozen=True)
class Picture:
    """A PNG and its alternative text."""

    name: str
    alt: str
    png: bytes = field(repr=False)


Block = Heading | Paragraph | Items | Code | Table | Picture


def pictures(blocks: Sequence[Block]) -> list[Picture]:
    return [block for block in blocks if isinstance(block, Picture)]


def to_markdown(blocks: Sequence[Block], folder: str = "") -> str:
    """GitHub Markdown; pictures are looked for in ``folder``, relative to the document."""
    return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _markdown(block: Block, folder: str) -> str:
    text = rendering.markdown_text
    match block:
        case Heading():
            return f"{'#' * block.level} {text(block.text)}"
        case Paragraph():
            return f"**{text(block.text)}**" if block.strong and block.text.strip() else text(block.text)
        case Items():
            listed = "\n".join(f"- {text(item)}" for item in block.texts)
            return f"{text(block.title)}\n\n{listed}" if block.title else listed
        case Code():
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block.text)), default=0))
            return f"{fence}{block.language}\n{rendering.visible(block.text)}\n{fence}"
        case Table():
            return rendering.markdown_grid(block.grid)
        case Picture():
            return f"![{text(block.alt)}]({quote(f'{folder}/{block.name}' if folder else block.name)})"


def to_html(blocks: Sequence[Block], title: str) -> str:
    """A whole page."""
    return page(_body(blocks), title)


def page(body: str, title: str, *, style: str = "") -> str:
    """A page around a body that is safe HTML already, with further rules of style."""
    return _environment().get_template("page").render(title=rendering.visible(title), body=body, style=style)


def to_fragment(blocks: Sequence[Block]) -> str:
    """The page's body alone, for a notebook."""
    return f'<div class="perflab tex2jax_ignore mathjax_ignore">{_body(blocks)}</div>'


def _body(blocks: Sequence[Block]) -> str:
    return _environment().get_template("body").render(blocks=[(type(b).__name__, b) for b in blocks])


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=jinja2.DictLoader({"page": _PAGE, "body": _BODY})
    )
    environment.filters["data"] = lambda png: base64.b64encode(png).decode()
    environment.filters["visible"] = rendering.visible
    return environment


_BODY = """\
{% for kind, block in blocks %}
{% if kind == "Heading" %}
<h{{ block.level }}>{{ block.text|visible }}</h{{ block.level }}>
{% elif kind == "Paragraph" %}
<p>{% if block.strong %}<strong>{{ block.text|visible }}</strong>{% else %}{{ block.text|visible }}{% endif %}</p>
{% elif kind == "Items" %}
{% if block.title %}<p>{{ block.title|visible }}</p>{% endif %}
<ul>
{% for text in block.texts %}<li>{{ text|visible }}</li>
{% endfor %}
</ul>
{% elif kind == "Code" %}
<pre>{{ block.text|visible }}</pre>
{% elif kind == "Table" %}
{% set columns = block.grid.headings|length %}
<div class="wide"><table{% if columns > 6 %} class="dense{{ " many" if columns > 9 }}"{% endif %}>
<thead><tr>{% for h in block.grid.headings %}<th{% if block.grid.numeric[loop.index0] %} class="number" \
style="text-align:right"{% endif %} scope="col">{{ h }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in block.grid.rows %}
<tr>{% for cell in row %}<td data-label="{{ block.grid.headings[loop.index0] }}"\
{% if block.grid.numeric[loop.index0] %} class="number" \
style="text-align:right"{% elif cell|length > 32 %} class="long"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% if block.grid.left_out %}<p>… and {{ "{:,}".format(block.grid.left_out) }} more rows.</p>{% endif %}
{% elif kind == "Picture" %}
<figure><img src="data:image/png;base64,{{ block.png|data }}" alt="{{ block.alt|visible }}" \
style="max-width:100%"></figure>
{% endif %}
{% endfor %}
"""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --text: #1d1d1f; --soft: #5b5b60; --line: #d5d5da; --back: #fff; --band: #f5f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8ea; --soft: #a5a5ab; --line: #46464c; --back: #18181b; --band: #222226; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; color: var(--text); background: var(--back);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p, ul { margin: .5rem 0; } li { margin: .15rem 0; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  max-width: 28rem; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
td { white-space: nowrap; } td.long { white-space: normal; min-width: 9rem; overflow-wrap: anywhere; }
.dense th, .dense td { padding: .3rem .5rem; white-space: normal; } .dense td.number { white-space: nowrap; }
pre { margin: .5rem 0; padding: .6rem .8rem; background: var(--band); font-size: .8rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
figure { margin: 1rem 0; padding: .5rem; border: 1px solid var(--line); border-radius: 6px; }
figure img { display: block; margin: 0 auto; max-width: 100%; height: auto; }
@media screen and (max-width: 960px) {
  table { font-size: .75rem; } th, td { padding: .25rem .4rem; } th { white-space: normal; }
  .dense th, .dense td { padding: .2rem .3rem; } .dense td.number { white-space: normal; } .dense td.long { min-width: 6rem; }
}
{% for width, which in ((640, "table"), (960, "table.many")) %}
@media screen and (max-width: {{ width }}px) {
  {{ which }} thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  {{ which }}, {{ which }} tbody, {{ which }} tr { display: block; width: 100%; }
  {{ which }} tr { border: 1px solid var(--line); border-radius: 6px; padding: .3rem .7rem; margin: .5rem 0; }
  {{ which }} td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; max-width: none;
    min-width: 0; white-space: normal; text-align: right !important; overflow-wrap: anywhere; }
  {{ which }} td::before { content: attr(data-label); color: var(--soft); text-align: left; flex: none; }
  {{ which }} td:first-child { font-weight: 600; }
  {{ which }} td:first-child::before { content: none; }
}
{% endfor %}
@media print {
  table { font-size: 7.5pt; } th, td, .dense td.number { padding: .15rem .3rem; white-space: normal; }
  td.long { min-width: 0; }
  :root { --text: #000; --soft: #444; --line: #bbb; --back: #fff; --band: #f5f5f7; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, h3 { break-after: avoid; } figure, tr { break-inside: avoid; } .wide { overflow: visible; }
}
{{ style|safe }}
</style>
</head>
<body>
<main>
{{ body|safe }}
</main>
</body>
</html>
"""
