"""Shared by all explorers: one observed state, and panels that are redrawn only when their inputs change.

An explorer computes nothing. A state has traits; a panel turns it into a `View` by calling public functions, and declares
the traits that it depends on. All texts reach the browser escaped, and figures as PNG with an alternative text.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import pandas as pd
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perflab.errors import PerflabError
from perflab.explorers.compact import compact
from perflab.explorers.save_buttons import Saving
from perflab.explorers.static_export import Keeping, keep_button, static
from perflab.notes import Note, written
from perflab.results import Shown

MAX_ROWS = 40
VIEW = "view"
_LINE = 80

_COPY = (
    '<button class="jupyter-button perflab-copy" title="Copy the code for this view, to paste it as a cell" '
    "onclick=\"navigator.clipboard.writeText(this.closest('.perflab-explorer')"
    ".querySelector('.perflab-code textarea').value)\">Copy code</button>"
)
"""The only script here: it is constant, and reads the text area next to it."""


@dataclass(frozen=True)
class View:
    """The content of a panel: a sentence, a figure, a table or both, and the code that makes them."""

    code: str = ""
    sentence: str = ""
    figure: Figure | None = None
    table: pd.DataFrame | None = None
    notes: Sequence[object] = ()
    shown: Shown | None = None
    """How a result shows itself, in place of sentence, table and notes."""
    listing: str = ""
    """Text below, such as formatted statements."""

    @classmethod
    def of(cls, result: Any, code: str, *more: Note) -> View:
        """The view of a result as a notebook shows it, with further notes; ``.table`` has all of its columns."""
        shown = result.show()
        shown = replace(shown, notes=(*shown.notes, *written(more)))
        return cls(code, shown.sentence, table=result.table, shown=shown)


@dataclass(frozen=True)
class Panel:
    """A part of an explorer: a function that draws it from the state, and the traits that it needs."""

    draw: Callable[[Any], View]
    needs: tuple[str, ...]


class Explorer(widgets.VBox):  # type: ignore[misc]
    """Controls above, the panels of the chosen view below; ``.code``, ``.figures`` and ``.tables`` hold what is shown.

    ``state`` is the only place for the choices: set one of its traits and the panels follow, as when a control is used. Its
    trait ``view`` names one of ``views``. ``controls`` maps traits to widgets, laid out in ``rows`` of traits; controls that
    the chosen view does not use are disabled.
    """

    def __init__(
        self,
        title: str,
        state: traitlets.HasTraits,
        controls: Mapping[str, widgets.Widget],
        views: Mapping[str, Sequence[Panel]],
        *,
        rows: Sequence[Sequence[str]] = (),
    ) -> None:
        self._title = title
        self.state, self._views, self._controls = state, views, controls
        self._places = {panel: _Place() for panels in views.values() for panel in panels}
        self._stage = widgets.VBox()
        self._code = widgets.Textarea(
            description="Code", layout=widgets.Layout(width="98%", height="4.5em"), tooltip="The code for this view"
        )
        self._code.add_class("perflab-code")
        self._saving = Saving(self)
        self.keeping = Keeping()
        heading = widgets.HTML(
            f'<div role="heading" aria-level="3" style="line-height:1.45"><strong>{escape(title)}</strong></div>'
        )
        self._rows = {tuple(traits): row([controls[t] for t in traits]) for traits in rows or [list(controls)]}
        below = row([widgets.HTML(_COPY), keep_button(lambda: self.keeping.keep(self.static)), self._saving.box])
        super().__init__([heading, *self._rows.values(), self._stage, self._code, below])
        self.add_class("perflab-explorer")
        for trait, control in controls.items():
            traitlets.link((state, trait), (control, "value"))
        state.observe(lambda change: self.redraw(), names=list(state.trait_names()))
        self.redraw()

    @property
    def code(self) -> str:
        """The code that makes the current view."""
        return str(self._code.value)

    @property
    def figures(self) -> list[Figure]:
        """The figures shown now, top to bottom."""
        return [v.figure for v in self._shown if v.figure is not None]

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The tables shown now, top to bottom, with all of their rows."""
        return [v.table for v in self._shown if v.table is not None]

    @property
    def sentences(self) -> list[str]:
        """The sentences shown now."""
        return [v.sentence for v in self._shown if v.sentence]

    @property
    def static(self) -> str:
        """The current view as HTML without widgets or scripts."""
        return static(self._title, [self._places[panel].widget.value for panel in self._panels], self.code)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget, and the current view for readers without a kernel."""
        return {**super()._repr_mimebundle_(**options), "text/html": self.static}

    def _ipython_display_(self) -> None:
        self.keeping.show(self._repr_mimebundle_())

    @property
    def _panels(self) -> Sequence[Panel]:
        return self._views[getattr(self.state, VIEW)]

    @property
    def _shown(self) -> list[View]:
        return [self._places[panel].view for panel in self._panels]

    def redraw(self) -> None:
        """Update the panels of the chosen view; those with unchanged traits stay as they are."""
        places = [self._places[panel] for panel in self._panels]
        for panel, place in zip(self._panels, places, strict=True):
            place.update(panel, self.state)
        widgets_now = tuple(place.widget for place in places)
        if self._stage.children != widgets_now:
            self._stage.children = widgets_now
        self._offer_controls({VIEW, *(trait for panel in self._panels for trait in panel.needs)})
        self._code.value = "\n".join(dict.fromkeys(v.code for v in self._shown if v.code))
        lines = sum(1 + len(line) // _LINE for line in self._code.value.splitlines())
        self._code.layout.height = f"{min(12, max(2, lines)) * 1.45 + 1:.1f}em"
        self._saving.offer(figure=bool(self.figures), table=bool(self.tables))

    def _offer_controls(self, needed: set[str]) -> None:
        """Hide the rows that the view does not use, and disable other unused controls."""
        for trait, control in self._controls.items():
            control.disabled = trait not in needed
        for traits, box in self._rows.items():
            box.layout.display = "flex" if needed.intersection(traits) else "none"

    def __repr__(self) -> str:
        return f"{self._title}: run this cell in JupyterLab to explore it"


class _Place:
    """The widget of a panel, and the values that it was drawn from."""

    def __init__(self) -> None:
        self.widget = widgets.HTML()
        self.widget.add_class("perflab-panel")
        self.view = View()
        self._drawn_from: tuple[object, ...] | None = None

    def update(self, panel: Panel, state: traitlets.HasTraits) -> None:
        now = tuple(getattr(state, trait) for trait in panel.needs)
        if now == self._drawn_from:
            return
        self.view = _view(panel, state)
        picture = _picture(self.view.figure) if self.view.figure is not None else ""
        view = self.view
        table = None if view.table is None else compact(view.table)
        words = view.shown or Shown(view.sentence, table, written(view.notes), ours=True, max_rows=MAX_ROWS)
        # Jupyter's widgets set a line height of 28 pixels, which suits one line, not tables.
        # Width zero with a minimum of 100 %: a wide table scrolls in its own box, and sentences are not cut.
        self.widget.value = (
            f'<div style="line-height:1.45;width:0;min-width:100%">{words.html()}{picture}{_listed(view.listing)}</div>'
        )
        self._drawn_from = now


def _listed(text: str) -> str:
    return f'<pre style="font-size:85%;white-space:pre-wrap">{escape(text)}</pre>' if text else ""


def _view(panel: Panel, state: traitlets.HasTraits) -> View:
    """The content of the panel, or why it cannot be shown."""
    try:
        return panel.draw(state)
    except (PerflabError, ValueError) as problem:
        return View(sentence=str(problem))


def of_axes(ax: Axes) -> Figure:
    """The figure of Axes made by pyplot, closed in pyplot so that no cell shows it again."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    plt.close(figure)
    return figure


def png(figure: Figure, *, dpi: int = 96) -> bytes:
    """The figure as PNG, with low compression: speed matters more than size here."""
    image = io.BytesIO()
    figure.savefig(
        image, format="png", dpi=dpi, facecolor="white", metadata={"Software": None}, pil_kwargs={"compress_level": 1}
    )
    return image.getvalue()


def _picture(figure: Figure) -> str:
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    axis = [ax.get_ylabel() for ax in figure.axes]
    alt = next((t for t in (*titles, *axis) if t), "figure").replace(r"\$", "$")
    data = base64.b64encode(png(figure)).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}" style="max-width:100%;background:#fff">'


def row(parts: Sequence[widgets.Widget]) -> widgets.HBox:
    """Widgets in a row, which wraps if there is no room."""
    return widgets.HBox(list(parts), layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def view_buttons(views: Iterable[str]) -> widgets.ToggleButtons:
    """A button for each view, as wide as its label."""
    return widgets.ToggleButtons(options=list(views), style={"button_width": "auto"}, tooltip="View")
