"""`draw_flamegraph`: a flame graph as one SVG or HTML file, to zoom into and search, that needs no network.

The boxes are in the file as SVG, so they show where scripts do not run; the script only zooms, searches and marks.
Names come from outside: they are escaped, and the script sets texts, never markup.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd

from perflab.errors import PerflabError
from perflab.profiles.flame_boxes import COLOURS, Boxes, boxes
from perflab.profiles.selected import Profile, amount
from perflab.rendering import visible
from perflab.units import format_fraction

_WIDTH, _ROW, _TOP, _LETTER = 1200, 18, 44, 6.6
_MAX_BOXES, _MAX_NAME = 20_000, 300


@dataclass(frozen=True, repr=False)
class FlameGraph:
    """A flame graph. ``svg`` is static; `save` writes it with the script that zooms and searches.

    A notebook shows it as an image, which exports, viewers and notebooks that are not trusted keep.
    """

    title: str
    svg: str
    boxes: Boxes = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write ``.svg`` (open it in a browser) or ``.html``; returns the path.

        >>> import perflab as lab
        >>> lab.draw_flamegraph(lab.read("tests/samples/collapsed/py-spy.txt")).save("flames.pdf")
        Traceback (most recent call last):
        ValueError: path must end in .svg or .html; got 'flames.pdf'
        """
        place = Path(path)
        if place.suffix not in (".svg", ".html"):
            raise ValueError(f"path must end in .svg or .html; got {str(path)!r}")
        live = self.svg.replace("</svg>", f"<script><![CDATA[{_SCRIPT}]]></script></svg>")
        page = live if place.suffix == ".svg" else _page(self.title, self.svg)
        try:
            place.write_text(page, encoding="utf-8")
        except OSError as problem:
            raise PerflabError(f"{place}: cannot be written: {problem.strerror}") from problem
        return place

    def __repr__(self) -> str:
        return f"flame graph: {self.title} (save it as .html or .svg to zoom and search)"

    def png(self) -> bytes:
        """The picture as PNG."""
        import matplotlib.pyplot as plt

        from perflab.plots.flame import draw_boxes

        figure = draw_boxes(self.boxes).get_figure(root=True)
        assert figure is not None
        written = io.BytesIO()
        figure.savefig(written, format="png", dpi=110, bbox_inches="tight")
        plt.close(figure)
        return written.getvalue()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/png": base64.b64encode(self.png()).decode("ascii"), "text/plain": repr(self)}


def draw_flamegraph(
    profile: Profile, *, unit: str | None = None, title: str = "", trim: bool = True, application: Sequence[str] = ()
) -> FlameGraph:
    """Draw a flame graph (callers on top) to save as a file that zooms on a click and searches.

    Parameters
    ----------
    profile : Measurements or DataFrame
        Runs and threads are merged.
    unit : str, optional
        Which unit, if there are several; the first by default.
    title : str
        The title of the page; the amount and the number of profiles by default.
    trim, application :
        As in `plot_flamegraph`.

    Returns
    -------
    FlameGraph
        Boxes narrower than 0.05 % are left out, and beyond 20,000 boxes the narrowest.

    >>> import perflab as lab
    >>> lab.draw_flamegraph(lab.read("tests/samples/pyinstrument/workload.json"))
    flame graph: 2.05 s in 1 profile (save it as .html or .svg to zoom and search)
    """
    found = boxes(profile, unit=unit, trim=trim, application=application)
    table = found.table
    if len(table) > _MAX_BOXES:
        table = table[table["width"] >= table["width"].nlargest(_MAX_BOXES).iloc[-1]].head(_MAX_BOXES)
    whole = amount(found.whole, found.unit)
    name = title or f"{whole} in {found.runs:,} profile{'' if found.runs == 1 else 's'}"
    return FlameGraph(name, _svg(table, name, found.whole, found.unit), found)


def _svg(table: pd.DataFrame, title: str, whole: float, unit: str) -> str:
    levels = int(table["level"].max()) + 1 if len(table) else 1
    height = _TOP + _ROW * levels + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="perflab-flames" viewBox="0 0 {_WIDTH} {height}" '
        f'width="100%" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">',
        f'<text x="8" y="18" font-size="14" font-weight="bold">{_text(title)}</text>',
        _legend(table),
    ]
    rows = zip(
        *(table[c].to_list() for c in ("left", "width", "level", "function", "file", "line", "self", "total", "kind")),
        strict=True,
    )
    for left, width, level, function, file, line, own, total, kind in rows:
        name = _text(_cut(function, _MAX_NAME))
        where = "" if not isinstance(file, str) else f"\n{file}" + ("" if line is pd.NA or line != line else f":{line}")
        said = (
            f"{_cut(function, _MAX_NAME)}\n{format_fraction(width)}, {amount(total, unit)}; "
            f"itself {format_fraction(own / whole if whole else 0.0)}{_cut(where, _MAX_NAME)}"
        )
        x, w, y = left * _WIDTH, width * _WIDTH, _TOP + level * _ROW
        letters = int((w - 6) / _LETTER)
        shown = _text(_cut(function, letters)) if letters >= 3 else ""
        parts.append(
            f'<g class="f" data-x="{left:.6f}" data-w="{width:.6f}" data-l="{level}" data-n="{name}">'
            f"<title>{_text(said)}</title>"
            f'<rect x="{x:.2f}" y="{y}" width="{max(w, 0.1):.2f}" height="{_ROW - 1}" fill="{COLOURS[kind]}" '
            'stroke="#FFFFFF" stroke-width="0.5"/>'
            f'<text x="{x + 3:.2f}" y="{y + 13}">{shown}</text></g>'
        )
    parts.append(f'<text class="said" x="8" y="{height - 8}" fill="#555555"></text></svg>')
    return "".join(parts)


def _legend(table: pd.DataFrame) -> str:
    parts, x = [], 8
    for kind in COLOURS:
        if (table["kind"] == kind).any():
            parts.append(
                f'<rect x="{x}" y="27" width="10" height="10" fill="{COLOURS[kind]}" stroke="#888888" stroke-width="0.5"/>'
                f'<text x="{x + 14}" y="36" fill="#555555">{kind}</text>'
            )
            x += 30 + int(_LETTER * len(kind))
    return "".join(parts)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(1, longest - 1)] + "…"


def _text(value: str) -> str:
    """Text for SVG: escaped, and without characters that XML has no place for."""
    return escape(visible(value), quote=True)


def _page(title: str, svg: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        # Nothing may be fetched, whatever the names in a profile say.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
        '<form><input type="search" placeholder="Search functions" aria-label="Search functions">'
        '<button type="button">Reset zoom</button> <span class="found"></span></form>'
        f"{svg}<script>{_SCRIPT}</script></body></html>"
    )


_STYLE = (
    "body{margin:8px;font-family:Verdana,DejaVu Sans,sans-serif}form{margin:4px 8px}input{width:22em;padding:3px}"
    ".f{cursor:pointer}.f:hover rect{stroke:#000;stroke-width:.6}.found{color:#555;font-size:12px}"
)

_SCRIPT = """
(function () {
  "use strict";
  var svg = document.querySelector("svg.perflab-flames") || document.documentElement;
  var boxes = Array.prototype.slice.call(svg.querySelectorAll("g.f"));
  var said = svg.querySelector("text.said");
  var input = document.querySelector("input"), found = document.querySelector(".found"), reset = document.querySelector("button");
  var WIDTH = 1200, LETTER = 6.6, low = 0, span = 1, wanted = "";
  var data = boxes.map(function (g) {
    return {g: g, rect: g.querySelector("rect"), text: g.querySelector("text"), x: +g.getAttribute("data-x"),
            w: +g.getAttribute("data-w"), level: +g.getAttribute("data-l"), name: g.getAttribute("data-n"),
            fill: g.querySelector("rect").getAttribute("fill")};
  });
  function draw(zoomed) {
    data.forEach(function (d) {
      var outside = d.x + d.w <= low + 1e-7 || d.x >= low + span - 1e-7;
      d.g.style.display = outside ? "none" : "";
      if (outside) { return; }
      var left = Math.max(0, (d.x - low) / span) * WIDTH, right = Math.min(1, (d.x + d.w - low) / span) * WIDTH;
      var letters = Math.floor((right - left - 6) / LETTER);
      d.rect.setAttribute("x", left); d.rect.setAttribute("width", Math.max(0.1, right - left));
      d.text.setAttribute("x", left + 3);
      d.text.textContent = letters < 3 ? "" : d.name.length <= letters ? d.name : d.name.slice(0, letters - 1) + "\\u2026";
      d.g.style.opacity = zoomed !== undefined && d.level < zoomed ? 0.55 : 1;
    });
  }
  function zoom(d) { low = d ? d.x : 0; span = d ? d.w : 1; draw(d ? d.level : undefined); }
  function search(text) {
    wanted = text.toLowerCase();
    var covered = 0, count = 0, end = -1;
    var hits = data.filter(function (d) {
      var hit = wanted !== "" && d.name.toLowerCase().indexOf(wanted) >= 0;
      d.rect.setAttribute("fill", hit ? "#E6007A" : d.fill);
      return hit;
    });
    hits.sort(function (a, b) { return a.x - b.x || b.w - a.w; }).forEach(function (d) {
      count += 1;
      if (d.x >= end - 1e-7) { covered += d.w; end = d.x + d.w; }
    });
    var line = wanted === "" ? "" : count + " boxes, " + (covered * 100).toFixed(1) + " % of all";
    if (found) { found.textContent = line; }
    said.textContent = line;
  }
  data.forEach(function (d) {
    d.g.addEventListener("click", function () { zoom(d); });
    d.g.addEventListener("mouseover", function () {
      said.textContent = d.g.querySelector("title").textContent.replace(/\\n/g, "   ");
    });
  });
  if (input) {
    input.addEventListener("input", function () { search(input.value); });
    input.form.addEventListener("submit", function (e) { e.preventDefault(); });
  }
  if (reset) { reset.addEventListener("click", function () { zoom(null); }); }
  document.addEventListener("keydown", function (e) {
    if (e.key === "Escape") { zoom(null); search(""); if (input) { input.value = ""; } }
    if ((e.ctrlKey || e.metaKey) && e.key === "f" && !input) {
      e.preventDefault();
      var text = window.prompt("Search functions", wanted);
      if (text !== null) { search(text); }
    }
  });
})();
"""
