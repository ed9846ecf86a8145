"""A name and two buttons that write the current view to the notebook's folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol

import ipywidgets as widgets
import pandas as pd
from matplotlib.figure import Figure


class Shows(Protocol):
    """Anything with figures and tables, top to bottom."""

    @property
    def figures(self) -> list[Figure]: ...

    @property
    def tables(self) -> list[pd.DataFrame]: ...


class Saving:
    """Saves figures as PNG and tables as CSV with all of their rows; several of a kind are numbered."""

    def __init__(self, explorer: Shows) -> None:
        self._explorer = explorer
        self._name = widgets.Text("view", description="Save as", continuous_update=False)
        self._figure = widgets.Button(description="Save figure (.png)", layout=widgets.Layout(width="auto"))
        self._table = widgets.Button(description="Save table (.csv)", layout=widgets.Layout(width="auto"))
        self._said = widgets.HTML()
        self._said.add_class("perflab-saved")
        self._figure.on_click(lambda _: self._save(".png", self._explorer.figures, _write_figure))
        self._table.on_click(lambda _: self._save(".csv", self._explorer.tables, _write_table))
        self.box = widgets.HBox(
            [self._name, self._figure, self._table, self._said], layout=widgets.Layout(flex_flow="row wrap")
        )

    def offer(self, *, figure: bool, table: bool) -> None:
        """Show the buttons for what can be saved now."""
        for button, there in ((self._figure, figure), (self._table, table)):
            button.disabled, button.layout.display = not there, None if there else "none"
        self._said.value = ""

    def _save(self, suffix: str, things: Sequence[Any], write: Callable[[Any, Path], None]) -> None:
        stem = re.sub(r"[^\w.\- ]+", "-", self._name.value).strip(". ").removesuffix(suffix) or "view"
        places = [Path(f"{stem}{f'-{i}' if i > 1 else ''}{suffix}") for i in range(1, len(things) + 1)]
        try:
            for thing, place in zip(things, places, strict=True):
                write(thing, place)
        except OSError as problem:
            self._said.value = f"{escape(stem + suffix)} can't be written: {escape(str(problem.strerror))}"
            return
        self._said.value = f"wrote {escape(', '.join(map(str, places)))}"


def _write_figure(figure: Figure, place: Path) -> None:
    figure.savefig(place, dpi=150, facecolor="none", metadata={"Software": None})


def _write_table(table: pd.DataFrame, place: Path) -> None:
    table.to_csv(place, index=False)
