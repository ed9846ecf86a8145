"""The one widget with a script: HTML drawn by the kernel, with values to point at, a brush, and tables to sort and filter.

The script is surface.js, which the package brings along; it draws nothing but the pointer's line and the brush, and asks
no network for anything.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import anywidget
import pandas as pd
import traitlets

from perflab.plots.svg_charts import WIDTH

_CSS = """
.perflab-surface { width: 100%; line-height: 1.45; }
.perflab-stage { position: relative; }
.perflab-chart { display: block; outline-offset: 2px; touch-action: pan-y; user-select: none; cursor: crosshair; }
.perflab-chart .perflab-ink { fill: var(--jp-ui-font-color1, currentColor); }
.perflab-cursor { display: none; position: absolute; border-left: 1px solid var(--jp-ui-font-color2, #888);
  pointer-events: none; }
.perflab-brush { display: none; position: absolute; background: #88888840; border: 1px dashed #888;
  box-sizing: border-box; pointer-events: none; }
.perflab-tip { display: none; position: absolute; pointer-events: none; z-index: 2; padding: .3em .6em;
  font-size: 12px; white-space: nowrap; border: 1px solid #8888; border-radius: 3px;
  color: var(--jp-ui-font-color1, CanvasText); background: var(--jp-layout-color1, Canvas); }
.perflab-swatch { display: inline-block; width: .7em; height: .7em; margin-right: .4em; }
.perflab-filter { margin: .2em 0; padding: .2em .5em; font: inherit; font-size: 90%; min-width: 16em;
  color: inherit; background: transparent; border: 1px solid #8888; border-radius: 3px; }
.perflab-sortable { cursor: pointer; }
.perflab-sortable[aria-sort="ascending"]::after { content: " ▲"; font-size: 80%; }
.perflab-sortable[aria-sort="descending"]::after { content: " ▼"; font-size: 80%; }
"""
_UNITS = {"µs": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_AMOUNT = r"[-+−]?[\d,]*\.?\d+(?:e[-+]?\d+)?"
_NUMBER = re.compile(rf"[<>≥≤~ ]*({_AMOUNT})(?: to {_AMOUNT})?(?![\w.:,-])(?: ({'|'.join(_UNITS)})(?![\w/]))?")
"""A number, or an interval, and its unit; not the digits that a name or a date begins with."""


class Surface(anywidget.AnyWidget):
    """``value`` is the HTML. A reader sets ``brush`` ([pane, from, to, low, high] as shares of the pane), ``order``
    ([column, descending]) and ``only`` (a text that rows must contain); ``width`` is that of the page."""

    _esm = Path(__file__).with_suffix(".js")
    _css = _CSS
    value = traitlets.Unicode().tag(sync=True)
    points = traitlets.Dict().tag(sync=True)
    width = traitlets.Int(WIDTH).tag(sync=True)
    brushable = traitlets.Bool(False).tag(sync=True)
    brush: Any = traitlets.List().tag(sync=True)
    sortable = traitlets.Bool(False).tag(sync=True)
    order = traitlets.List([-1, False]).tag(sync=True)
    only = traitlets.Unicode().tag(sync=True)

    def show(self, html: str, points: dict[str, Any]) -> None:
        """Show HTML and what can be pointed at in it, in one message."""
        with self.hold_sync():
            self.points, self.value = points, html


def arranged(table: pd.DataFrame, order: list[Any], only: str) -> pd.DataFrame:
    """The rows that contain the text, sorted by a column; the index says where each row was."""
    numbered = pd.DataFrame(table).reset_index(drop=True)
    if only:
        words = only.casefold()
        texts = [" ".join(map(str, row)).casefold() for row in numbered.itertuples(index=False)]
        numbered = numbered[[words in text for text in texts]]
    column, descending = order
    if not 0 <= column < len(numbered.columns):
        return numbered
    keys = numbered.iloc[:, column]
    if not pd.api.types.is_numeric_dtype(keys.dtype) and not pd.api.types.is_datetime64_any_dtype(keys.dtype):
        keys = _sortable(keys)
    return numbered.loc[keys.sort_values(ascending=not descending, kind="stable", na_position="last").index]


def _sortable(values: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers where all texts begin with one ("950 ms" before "1.2 s"), else the texts without regard to case."""
    texts = values.astype("object")
    missing = values.isna() | (texts == "–")
    texts = texts.where(~missing, "").astype("str")
    matches = [_NUMBER.match(text) for text in texts]
    if all(match or gone for match, gone in zip(matches, missing, strict=True)) and not missing.all():
        found = [
            float(m[1].replace(",", "").replace("−", "-")) * _UNITS.get(m[2], 1.0) if m else math.nan for m in matches
        ]
        return pd.Series(found, index=values.index)
    return texts.str.casefold().where(~missing)
