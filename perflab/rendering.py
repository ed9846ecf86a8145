"""How results show themselves: a sentence, then a table, then notes; as HTML, text or Markdown.

Static HTML with inline style and no script, so that it shows on GitHub and in exports. Everything is
escaped: SQL, URLs and error texts come from outside.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from perflab.units import format_value

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

MAX_ROWS = 60
MAX_CELL = 300
_NUMBER = re.compile(
    r"[-+]?[\d.,]+(?: to [-+]?[\d.,]+)?(?: ?(?:%|ns|µs|ms|s|min|h|B|kB|MB|GB|/s|cores?|x|×))?", re.ASCII
)
Doubtful: TypeAlias = Mapping[str, Sequence[bool]]
"""By column which values are to be marked, in the order of the rows."""
_CERTAIN: Doubtful = MappingProxyType({})


@dataclass(frozen=True)
class Grid:
    """A table ready to be written: headings, rows of texts, which columns are right-aligned."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    left_out: int = 0


def grid(frame: pd.DataFrame, *, max_rows: int = MAX_ROWS, doubtful: Doubtful = _CERTAIN) -> Grid:
    """The first ``max_rows`` rows as texts, units taken from the column names, long cells cut, doubtful ones marked ~."""
    import pandas as pd

    shown = frame.head(max_rows)
    columns = [[_cell(str(name), value) for value in shown[name].array] for name in shown.columns]
    numeric = tuple(
        (bool(pd.api.types.is_numeric_dtype(shown[c].dtype)) and not pd.api.types.is_bool_dtype(shown[c].dtype))
        or _all_numbers(cells)
        for c, cells in zip(shown.columns, columns, strict=True)
    )
    for place, name in enumerate(shown.columns):
        if marks := doubtful.get(str(name)):
            both = zip(columns[place], marks, strict=False)
            columns[place] = [f"~{cell}" if mark and cell != "–" else cell for cell, mark in both]
    rows = tuple(zip(*columns, strict=True)) if columns else ()
    return Grid(tuple(map(str, shown.columns)), rows, numeric, len(frame) - len(shown))


def html(
    sentence: str,
    frame: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    *,
    max_rows: int = MAX_ROWS,
    doubtful: Doubtful = _CERTAIN,
) -> str:
    """A fragment: the sentence in bold, the table, the notes as a list."""
    table = None if frame is None else grid(frame, max_rows=max_rows, doubtful=doubtful)
    return _template().render(sentence=sentence, grid=table, notes=tuple(notes))


def text(
    sentence: str,
    frame: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    *,
    max_rows: int = MAX_ROWS,
    doubtful: Doubtful = _CERTAIN,
) -> str:
    """The same for a terminal: aligned columns."""
    parts = [sentence] if sentence else []
    if frame is not None and len(frame.columns):
        parts.append(_aligned(grid(frame, max_rows=max_rows, doubtful=doubtful)))
    parts += [f"! {note}" for note in notes]
    return "\n".join(parts)


def markdown_table(frame: pd.DataFrame, *, max_rows: int = MAX_ROWS) -> str:
    """A GitHub table; pipes, line breaks and HTML in cells are made harmless."""
    return markdown_grid(grid(frame, max_rows=max_rows))


def markdown_grid(table: Grid) -> str:
    """A GitHub table of texts that are there already."""
    lines = ["| " + " | ".join(map(markdown_text, table.headings)) + " |"]
    lines.append("|" + "|".join(" ---: " if right else " --- " for right in table.numeric) + "|")
    lines += ["| " + " | ".join(map(markdown_text, row)) + " |" for row in table.rows]
    if table.left_out:
        lines.append(f"\n… and {table.left_out:,} more rows.")
    return "\n".join(lines)


_MARKDOWN = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\"} | {character: "\\" + character for character in "|*_`[]!#~$"}
)
_BLOCK_START = re.compile(r"^(?:[-+](?=\s|$)|[-=](?=[-=])|\d{1,9}(?=[.)](?:\s|$)))")


def markdown_text(value: str) -> str:
    """Text from outside as inert Markdown: no HTML, no links, no mathematics, no table breaks, no lists."""
    flat = " ".join(visible(value).split()).translate(_MARKDOWN)
    return _BLOCK_START.sub(lambda m: m[0] + "\\" if m[0].isdigit() else "\\" + m[0], flat)


def visible(value: str) -> str:
    """The text with what can't be seen (control characters, changes of direction, half characters) as "�"."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "�" for c in value)


def _all_numbers(cells: Sequence[str]) -> bool:
    """Whether a column of texts holds numbers with their units, or intervals of them, and nothing else."""
    return any(cell != "–" for cell in cells) and all(cell == "–" or _NUMBER.fullmatch(cell) for cell in cells)


def _cell(name: str, value: object) -> str:
    return shortened(visible(format_value(name, value)), MAX_CELL)


_COLUMNS = re.compile(r"(?<=^select )((?:distinct )?.{12}).{13,}?(?= from )", re.IGNORECASE)


def shortened(value: str, width: int) -> str:
    """The text in at most ``width`` characters: of a SELECT its list of columns goes first, then the middle.

    What tells the statements of an ORM apart is their end.
    """
    if len(value) > width:
        value = _COLUMNS.sub(r"\1…", value, count=1)
    tail = width // 3
    return value if len(value) <= width else value[: width - tail - 1] + "…" + value[len(value) - tail :]


def _cells(text: str) -> int:
    """Columns of a terminal: Chinese, Japanese and Korean characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _aligned(table: Grid) -> str:
    # The last column is the one that explains; it may run on.
    limits = [72] * (len(table.headings) - 1) + [MAX_CELL]
    lines = [
        [shortened(" ".join(cell.split()), limit) for cell, limit in zip(row, limits, strict=True)]
        for row in (table.headings, *table.rows)
    ]
    widths = [max(map(_cells, column)) for column in zip(*lines, strict=True)]
    written = []
    for line in lines:
        gaps = [" " * (width - _cells(cell)) for cell, width in zip(line, widths, strict=True)]
        padded = [
            gap + cell if right else cell + gap for cell, gap, right in zip(line, gaps, table.numeric, strict=True)
        ]
        written.append("  ".join(padded).rstrip())
    if table.left_out:
        written.append(f"… and {table.left_out:,} more rows")
    return "\n".join(written)


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    import jinja2

    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_HTML)


_HTML = """\
<div class="perflab">
{% if sentence %}
<p style="margin:0 0 .4em"><strong>{{ sentence }}</strong></p>
{% endif %}
{% if grid and grid.headings %}
<div style="overflow-x:auto"><table style="border-collapse:collapse;font-size:90%">
<thead><tr>{% for h in grid.headings %}<th style="text-align:{{ 'right' if grid.numeric[loop.index0] else 'left' }};\
padding:.2em .6em;border-bottom:1px solid #888;vertical-align:bottom">\
{% for part in h.split('_') %}{% if not loop.first %}_<wbr>{% endif %}{{ part }}{% endfor %}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in grid.rows %}
<tr>{% for cell in row %}{% set number = grid.numeric[loop.index0] %}{% set wide = 18 if cell|length > 100 else 11 %}
<td style="text-align:{{ 'right' if number else 'left' }};padding:.15em .6em;border-bottom:1px solid #ddd\
{{ ';white-space:nowrap' if number and cell|length < 24 }}\
{{ ';white-space:normal;min-width:%dem' % wide if cell|length > 32 }}\
{{ ';overflow-wrap:anywhere' if ('x ' ~ cell).split()|map('length')|max > 40 }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% if grid.left_out %}<p style="margin:.3em 0">… and {{ '{:,}'.format(grid.left_out) }} more rows</p>{% endif %}
{% endif %}
{% if notes %}
<ul style="margin:.4em 0;padding-left:1.2em">
{% for note in notes %}<li>{{ note }}</li>
{% endfor %}
</ul>
{% endif %}
</div>"""
