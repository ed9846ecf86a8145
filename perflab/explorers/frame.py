"""What every explorer shares: one observed state, one panel that is redrawn, the code for the view, saving.

An explorer computes nothing. A state has traits; a function turns it into a `View` by calling public functions; the
same call is shown as code. All texts reach the browser escaped, pictures as PNG with their words beside them.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import pandas as pd
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perflab import rendering
from perflab.errors import PerflabError

MAX_ROWS = 40


@dataclass(frozen=True)
class View:
    """What a state shows: a sentence, a figure or a table or both, and the code that makes them again."""

    code: str
    sentence: str = ""
    figure: Figure | None = None
    table: pd.DataFrame | None = None
    notes: Sequence[str] = ()


class Explorer(widgets.VBox):  # type: ignore[misc]
    """Controls above, one panel below; ``.code``, ``.figure`` and ``.table`` hold what is shown now.

    ``state`` is the one place where the choices are: set one of its traits and the panel follows, as it does when a
    control is used.
    """

    def __init__(
        self,
        title: str,
        state: traitlets.HasTraits,
        controls: Sequence[widgets.Widget],
        draw: Callable[[Any], View],
    ) -> None:
        self.state, self._draw = state, draw
        self.figure: Figure | None = None
        self.table: pd.DataFrame | None = None
        self._panel = widgets.HTML()
        self._panel.add_class("perflab-panel")
        self._code = widgets.Textarea(
            description="Code", layout=widgets.Layout(width="100%", height="5.5em"), tooltip="The code for this view"
        )
        self._code.add_class("perflab-code")
        self._saving = _Saving(self)
        heading = widgets.HTML(f'<div role="heading" aria-level="3"><strong>{escape(title)}</strong></div>')
        rows = [_row(control) for control in controls]
        super().__init__([heading, *rows, self._panel, self._code, self._saving.box])
        self.add_class("perflab-explorer")
        state.observe(lambda change: self.redraw(), names=list(state.trait_names()))
        self.redraw()

    @property
    def code(self) -> str:
        """The code that makes what is shown now."""
        return str(self._code.value)

    def redraw(self) -> None:
        """Draw the state again; what can't be shown is said in the panel."""
        try:
            view = self._draw(self.state)
        except (PerflabError, ValueError) as problem:
            view = View(code="", sentence=str(problem))
        self.figure, self.table = view.figure, view.table
        picture = _picture(view.figure) if view.figure is not None else ""
        self._panel.value = picture + rendering.html(view.sentence, view.table, view.notes, max_rows=MAX_ROWS)
        self._code.value = view.code
        self._saving.offer(view)


class _Saving:
    """A name and two buttons that write the figure and the table into the notebook's folder."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._name = widgets.Text("view", description="Save as", continuous_update=False)
        self._figure = widgets.Button(description="Save figure (.png)")
        self._table = widgets.Button(description="Save table (.csv)")
        self._said = widgets.HTML()
        self._said.add_class("perflab-saved")
        self._figure.on_click(lambda _: self._save(".png"))
        self._table.on_click(lambda _: self._save(".csv"))
        self.box = _row(widgets.HBox([self._name, self._figure, self._table, self._said]))

    def offer(self, view: View) -> None:
        self._figure.disabled, self._table.disabled = view.figure is None, view.table is None
        self._said.value = ""

    def _save(self, suffix: str) -> None:
        stem = re.sub(r"[^\w.\- ]+", "-", self._name.value).strip(". ") or "view"
        place = Path(f"{stem.removesuffix(suffix)}{suffix}")
        try:
            if suffix == ".png" and self._explorer.figure is not None:
                place.write_bytes(png(self._explorer.figure, dpi=150))
            elif self._explorer.table is not None:
                self._explorer.table.to_csv(place, index=False)
            self._said.value = f"wrote {escape(str(place))}"
        except OSError as problem:
            self._said.value = f"{escape(str(place))} can't be written: {escape(str(problem.strerror))}"


def of_axes(ax: Axes) -> Figure:
    """The Figure of Axes that pyplot made, taken out of pyplot so that no cell shows it a second time."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    plt.close(figure)
    return figure


def png(figure: Figure, *, dpi: int = 96) -> bytes:
    """The figure as PNG."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return image.getvalue()


def _picture(figure: Figure) -> str:
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    alt = next((t for t in titles if t), "figure").replace(r"\$", "$")
    data = base64.b64encode(png(figure)).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}" style="max-width:100%;background:#fff">'


def _row(widget: widgets.Widget) -> widgets.Widget:
    if isinstance(widget, widgets.HBox):
        widget.layout = widgets.Layout(flex_flow="row wrap", align_items="center")
    return widget


def linked(state: traitlets.HasTraits, controls: Mapping[str, widgets.Widget]) -> None:
    """Each trait and its control follow one another."""
    for trait, control in controls.items():
        traitlets.link((control, "value"), (state, trait))


def name_of(thing: object, otherwise: str) -> str:
    """The name that the user gave it in the notebook, for code that can be pasted; ``otherwise`` where there is none."""
    import sys

    if "IPython" not in sys.modules:
        return otherwise
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    names = shell.user_ns.items() if shell is not None else ()
    return next((n for n, value in names if value is thing and not n.startswith("_") and n.isidentifier()), otherwise)


def literal(value: object) -> str:
    """A value as Python source: numbers without needless zeros, texts quoted."""
    return f"{value:g}" if isinstance(value, float) else repr(value)
