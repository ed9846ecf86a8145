"""Renders results: a sentence, then a table, then notes; as HTML, text or Markdown.

Static HTML with inline style and no script, which works on GitHub and in exports. Everything is escaped: SQL, URLs and
error texts come from outside.
"""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from perflab.units import format_short, format_value

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

MAX_ROWS = 60
MAX_CELL = 300
_NUMBER = re.compile(
    r"[-+]?[\d.,]+(?: to [-+]?[\d.,]+)?(?: ?(?:%|ns|µs|ms|s|min|h|B|kB|MB|GB|/s|cores?|x|×))?", re.ASCII
)
Doubtful: TypeAlias = Mapping[str, Sequence[bool]]
"""Maps columns to the values to mark, in row order."""
_CERTAIN: Doubtful = MappingProxyType({})


@dataclass(frozen=True)
class Grid:
    """A table ready to be written: headings, rows of texts, and which columns are right-aligned."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    left_out: int = 0


def grid(frame: pd.DataFrame, *, max_rows: int = MAX_ROWS, doubtful: Doubtful = _CERTAIN, ours: bool = False) -> Grid:
    """The first ``max_rows`` rows as texts, with long cells cut and doubtful ones marked ~.

    In a table with perflab's columns (``ours``) each column has one unit, in its heading ("p95, ms"); in others the headings
    are unchanged, and each cell has its unit, taken from the column's name.
    """
    import pandas as pd

    shown = frame.head(max_rows)
    written = [_column(str(name), shown[name].array, ours) for name in shown.columns]
    columns = [cells for _, cells in written]
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
    return Grid(tuple(heading for heading, _ in written), rows, numeric, len(frame) - len(shown))


_UNITS: Mapping[str, tuple[tuple[float, float, str], ...]] = MappingProxyType(
    {
        "_ms": ((1.0, 1e-3, "µs"), (1e4, 1.0, "ms"), (6e5, 1e3, "s"), (math.inf, 6e4, "min")),
        "_bytes": ((1e3, 1.0, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (math.inf, 1e9, "GB")),
        "_fraction": ((math.inf, 0.01, "%"),),
        "_cores": ((math.inf, 1.0, "cores"),),
        "_bytes_per_s": ((1e3, 1.0, "B/s"), (1e6, 1e3, "kB/s"), (math.inf, 1e6, "MB/s")),
        "_per_s": ((math.inf, 1.0, "/s"),),
        "_s": ((1e4, 1.0, "s"), (6e5, 60.0, "min"), (math.inf, 3600.0, "h")),
    }
)
"""By suffix of a column: the largest value must be below the first number; divide by the second, in this unit."""
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "sql": "SQL", "p_value": "p", "p_adjusted": "p, adjusted", "p": "p", "ok": "OK", "cpu": "CPU", "id": "ID", "url": "URL",
        "ttl": "TTL", "throughput_per_s": "Throughput, /s", "error_fraction": "Error rate, %",
        **{name: name.upper() for name in ("lcp", "inp", "cls", "fcp", "tbt", "ttfb")},
    }
)  # fmt: skip


def heading(name: str, unit: str = "") -> str:
    """A readable heading for a perflab column.

    >>> heading("runs_baseline"), heading("p95_ms", "ms")
    ('Runs baseline', 'p95, ms')
    """
    if name in _WORDS:
        return _WORDS[name]
    suffix = next((s for s in _UNITS if name.endswith(s)), "") if unit else ""
    words = name.removesuffix(suffix).replace("_", " ").strip() or name
    words = words if re.match(r"p\d", words) else words[:1].upper() + words[1:]
    words = " ".join(_WORDS.get(word.lower(), word) if len(word) < 5 else word for word in words.split(" "))
    return f"{words}, {unit}" if unit else words


def _column(name: str, values: Any, ours: bool) -> tuple[str, list[str]]:
    """The heading of a column and its cells."""
    if not ours:
        return name, [_cell(name, value) for value in values]
    suffix = next((s for s in _UNITS if name.endswith(s)), "")
    found = [float(v) for v in values if _is_number(v)] if suffix else []
    if not found:
        usual = {"_ms": "ms", "_bytes": "B", "_fraction": "%", "_per_s": "/s", "_s": "s"}.get(suffix, "")
        return heading(name, usual), [_cell(name, value) for value in values]
    largest = max((abs(n) for n in found if math.isfinite(n)), default=0.0)
    largest = largest if largest else 1.0
    _, scale, unit = next(u for u in _UNITS[suffix] if largest < u[0])
    cells = [format_short(float(v) / scale) if _is_number(v) else _cell(name, v) for v in values]
    return heading(name, unit), cells


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and value == value


def html(
    sentence: str,
    table: pd.DataFrame | Grid | None = None,
    notes: Sequence[object] = (),
    *,
    max_rows: int = MAX_ROWS,
    doubtful: Doubtful = _CERTAIN,
) -> str:
    """An HTML fragment: the sentence in bold, the table, the notes as a list."""
    return _template().render(sentence=sentence, grid=_as_grid(table, max_rows, doubtful), notes=tuple(notes))


def text(
    sentence: str,
    table: pd.DataFrame | Grid | None = None,
    notes: Sequence[object] = (),
    *,
    max_rows: int = MAX_ROWS,
    doubtful: Doubtful = _CERTAIN,
) -> str:
    """The same for a terminal, with aligned columns."""
    parts = [sentence] if sentence else []
    found = _as_grid(table, max_rows, doubtful)
    if found is not None and found.headings:
        parts.append(_aligned(found))
    parts += [f"! {note}" for note in notes]
    return "\n".join(parts)


def _as_grid(table: pd.DataFrame | Grid | None, max_rows: int, doubtful: Doubtful) -> Grid | None:
    return table if table is None or isinstance(table, Grid) else grid(table, max_rows=max_rows, doubtful=doubtful)


def markdown_table(frame: pd.DataFrame, *, max_rows: int = MAX_ROWS) -> str:
    """A GitHub table, with pipes, line breaks and HTML in cells escaped."""
    return markdown_grid(grid(frame, max_rows=max_rows))


def markdown_grid(table: Grid) -> str:
    """A GitHub table from a finished grid."""
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
    """Foreign text as inert Markdown: no HTML, links, mathematics, table breaks or lists."""
    flat = " ".join(visible(value).split()).translate(_MARKDOWN)
    return _BLOCK_START.sub(lambda m: m[0] + "\\" if m[0].isdigit() else "\\" + m[0], flat)


def visible(value: str) -> str:
    """The text with invisible characters (controls, direction changes, surrogates) as "�"."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "�" for c in value)


def _all_numbers(cells: Sequence[str]) -> bool:
    """Whether a column of texts contains only numbers with units, or intervals of them."""
    return any(cell != "–" for cell in cells) and all(cell == "–" or _NUMBER.fullmatch(cell) for cell in cells)


def _cell(name: str, value: object) -> str:
    return shortened(visible(format_value(name, value)), MAX_CELL)


_COLUMNS = re.compile(r"(?<=^select )((?:distinct )?.{12}).{13,}?(?= from )", re.IGNORECASE)


def shortened(value: str, width: int) -> str:
    """The text in at most ``width`` characters: first the columns of a SELECT are cut, then the middle.

    Statements of an ORM differ mostly at their end.
    """
    if len(value) > width:
        value = _COLUMNS.sub(r"\1…", value, count=1)
    tail = width // 3
    return value if len(value) <= width else value[: width - tail - 1] + "…" + value[len(value) - tail :]


def _cells(text: str) -> int:
    """The width in a terminal: Chinese, Japanese and Korean characters take two columns, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _aligned(table: Grid) -> str:
    # The last column explains the row, and may be long.
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
<div class="perflab tex2jax_ignore mathjax_ignore">
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
