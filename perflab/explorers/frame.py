"""Shared by all explorers: one observed state, and panels that are redrawn only when their inputs change.

An explorer computes nothing. A state has traits; a panel turns it into a `View` by calling public functions, and declares
the traits that it depends on. All texts reach the browser escaped, figures as PNG with an alternative text and charts as SVG, in
whose values a reader can point and select.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import pandas as pd
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perflab.errors import PerflabError
from perflab.explorers.code import prelude
from perflab.explorers.compact import compact
from perflab.explorers.save_buttons import Saving
from perflab.explorers.static_export import Keeping, keep_button, static
from perflab.explorers.surface import Surface, arranged
from perflab.notes import Note, written
from perflab.plots.svg_charts import Chart, picture, pointed, svg, values_of
from perflab.results import Shown

MAX_ROWS = 40
VIEW = "view"
_LINE = 80

_COPY = (
    '<button class="jupyter-button perflab-copy" title="Copy the code for this view, to paste it as a cell" '
    "onclick=\"const area = this.closest('.perflab-explorer').querySelector('.perflab-code textarea'); area.select(); "
    "navigator.clipboard ? navigator.clipboard.writeText(area.value) : document.execCommand('copy')\">Copy code</button>"
)
"""The only script here: it is constant, and reads the text area next to it. Browsers have no clipboard for scripts where
JupyterLab is on another machine without HTTPS; there the selected text is copied, as by a key."""


@dataclass(frozen=True)
class View:
    """The content of a panel: a sentence, a figure or chart, a table, and the code that makes them."""

    code: str = ""
    sentence: str = ""
    figure: Figure | None = None
    table: pd.DataFrame | None = None
    notes: Sequence[object] = ()
    shown: Shown | None = None
    """How a result shows itself, in place of sentence, table and notes."""
    listing: str = ""
    """Text below, such as formatted statements."""
    chart: Chart | None = None
    """A chart to point at, in place of a figure."""
    plot: Callable[[], Axes] | None = None
    """Draws what the chart shows as a figure, when it is saved."""

    @classmethod
    def of(cls, result: Any, code: str, *more: Note, brief: bool = False) -> View:
        """The view of a result as a notebook shows it, with further notes; ``.table`` has all of its columns.

        A brief one displays the sentence alone: its table is in another view of the explorer.
        """
        shown = result.show()
        shown = replace(shown, notes=(*shown.notes, *written(more)))
        if brief:
            shown = replace(shown, table=None, notes=())
        return cls(code, shown.sentence, table=result.table, shown=shown)


@dataclass(frozen=True)
class Selected:
    """A part of a chart: a span of its horizontal axis, and of the values of a pane (None: all of them)."""

    begin: float
    end: float
    values: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """A part of an explorer: a function that draws it from the state, and the traits that it needs.

    ``select`` receives the state and what a reader selected in its chart: from, to, lowest and highest value, and the pane.
    """

    draw: Callable[[Any], View]
    needs: tuple[str, ...]
    select: Callable[[Any, Selected | None], None] | None = None


class Explorer(widgets.VBox):  # type: ignore[misc]
    """Controls above, the panels of the chosen view below; ``.code``, ``.figures`` and ``.tables`` hold what is shown.

    ``state`` is the only place for the choices: set one of its traits and the panels follow, as when a control is used. Its
    trait ``view`` names one of ``views``. ``controls`` maps traits to widgets, laid out in ``rows`` of traits; controls that
    the chosen view does not use are hidden.
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
        self._places = {panel: _Place(panel, state) for panels in views.values() for panel in panels}
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
        assert len({control.layout for control in controls.values()}) == len(controls), "controls that share a layout"
        self._rows = {tuple(traits): row([controls[t] for t in traits]) for traits in rows or [list(controls)]}
        below = row([widgets.HTML(_COPY), keep_button(lambda: self.keeping.keep(self.static)), self._saving.box])
        super().__init__([heading, *self._rows.values(), self._stage, self._code, below])
        self.add_class("perflab-explorer")
        for trait, control in controls.items():
            control.layout.max_width = "100%"  # on a narrow page
            traitlets.link((state, trait), (control, "value"))
        state.observe(lambda change: self.redraw(), names=list(state.trait_names()))
        self.redraw()

    @property
    def code(self) -> str:
        """The code that makes the current view."""
        return str(self._code.value)

    @property
    def figures(self) -> list[Figure]:
        """The figures shown now, top to bottom; those of charts are drawn when they are asked for."""
        drawn = [v.figure or (of_axes(v.plot()) if v.plot else None) for v in self._shown]
        return [figure for figure in drawn if figure is not None]

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
        return static(self._title, [self._places[panel].static for panel in self._panels], self.code)

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
        for place in places:
            place.update()
        widgets_now = tuple(place.widget for place in places)
        if self._stage.children != widgets_now:
            self._stage.children = widgets_now
        self._offer_controls({VIEW, *(trait for panel in self._panels for trait in panel.needs)})
        lines = [line for v in self._shown for line in v.code.splitlines()]
        self._code.value = "\n".join(dict.fromkeys(filter(None, [prelude(), *lines])))
        height = sum(1 + len(line) // _LINE for line in self._code.value.splitlines())
        self._code.layout.height = f"{min(12, max(2, height)) * 1.45 + 1:.1f}em"
        figure = any(v.figure is not None or v.plot is not None for v in self._shown)
        self._saving.offer(figure=figure, table=bool(self.tables))

    def _offer_controls(self, needed: set[str]) -> None:
        """Hide the controls that the view does not use, and rows of them."""
        for trait, control in self._controls.items():
            control.disabled = trait not in needed
            control.layout.display = "none" if control.disabled else None
        for traits, box in self._rows.items():
            box.layout.display = "flex" if needed.intersection(traits) else "none"

    def __repr__(self) -> str:
        return f"{self._title}: run this cell in JupyterLab to explore it"


class _Place:
    """The widget of a panel, and the values that it was drawn from."""

    def __init__(self, panel: Panel, state: traitlets.HasTraits) -> None:
        self._panel, self._state = panel, state
        self.view = View()
        self._table: pd.DataFrame | None = None
        self._drawn_from: tuple[object, ...] | None = None
        self._picture = ""

    @cached_property
    def widget(self) -> Surface:
        """Made when the panel is first shown: most views are never opened."""
        made = Surface(brushable=self._panel.select is not None)
        made.add_class("perflab-panel")
        made.observe(lambda change: self._render(), names=["order", "only"])
        made.observe(self._resized, names="width")
        made.observe(self._brushed, names="brush")
        return made

    def update(self) -> None:
        """Draw the panel again if one of its traits has changed."""
        now = tuple(getattr(self._state, trait) for trait in self._panel.needs)
        if now == self._drawn_from:
            return
        columns = list(self._table.columns) if self._table is not None else []
        self.view = _view(self._panel, self._state)
        self._picture = _picture(self.view.figure) if self.view.figure is not None else ""
        self._drawn_from = now
        table = self._table = _shown_table(self.view)
        if self.widget.order[0] >= 0 and (table is None or list(table.columns) != columns):
            self.widget.order = [-1, False]
        self._render()

    @property
    def static(self) -> str:
        """The panel without anything that needs a kernel."""
        chart = self.view.chart
        return self._html(picture(chart) if chart is not None else "")

    def _resized(self, _: Any) -> None:
        if self.view.chart is not None:
            self._render()

    def _brushed(self, change: Any) -> None:
        chart, select = self.view.chart, self._panel.select
        if chart is None or select is None:
            return
        if not change.new:
            select(self._state, None)
            return
        number, left, right, low, high = change.new[:5]
        begin, end = (chart.x[0] + share * (chart.x[1] - chart.x[0]) for share in (left, right))
        part = chart.panes[number].banded and (low, high) != (0, 1)
        select(self._state, Selected(begin, end, values_of(chart, number, low, high) if part else None))

    def _render(self) -> None:
        chart, width = self.view.chart, max(320, self.widget.width)
        self.widget.sortable = self._table is not None and len(self._table) > 1
        if chart is None:
            self.widget.show(self._html(""), {})
        else:
            self.widget.show(self._html(svg(chart, width)), pointed(chart, width))

    def _html(self, chart: str) -> str:
        view, table = self.view, self._table
        words = view.shown or Shown(view.sentence, table, written(view.notes), ours=True, max_rows=MAX_ROWS)
        if words.table is not None and (self.widget.only or self.widget.order[0] >= 0):
            rows = arranged(words.table, self.widget.order, self.widget.only)
            marks = {c: [m[i] for i in rows.index if i < len(m)] for c, m in words.doubtful.items()}
            words = replace(words, table=rows, doubtful=marks)
        # Width zero with a minimum of 100 %: a wide table scrolls in its own box, and sentences are not cut.
        drawn = chart or self._picture
        if drawn and (chart or words.table is not None):  # the picture above the fold, table and notes below it
            drawn = replace(words, table=None, notes=()).html() + drawn
            words = replace(words, sentence="")
            return f'<div style="width:0;min-width:100%">{drawn}{words.html()}{_listed(view.listing)}</div>'
        return f'<div style="width:0;min-width:100%">{words.html()}{drawn}{_listed(view.listing)}</div>'


def _shown_table(view: View) -> pd.DataFrame | None:
    if view.shown is not None:
        return view.shown.table
    return None if view.table is None else compact(view.table)


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


def png(figure: Figure, *, dpi: int = 100) -> bytes:
    """The figure as PNG on the page's own background, with low compression: speed matters more than size here."""
    image = io.BytesIO()
    figure.savefig(
        image, format="png", dpi=dpi, facecolor="none", metadata={"Software": None}, pil_kwargs={"compress_level": 1}
    )
    return image.getvalue()


def _picture(figure: Figure) -> str:
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    axis = [ax.get_ylabel() for ax in figure.axes]
    alt = next((t for t in (*titles, *axis) if t), "figure").replace(r"\$", "$")
    data = base64.b64encode(png(figure)).decode()
    image = f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}" style="width:100%;min-width:38em;max-width:1200px">'
    return f'<div style="overflow-x:auto">{image}</div>'  # on a phone its text would be too small to read


def row(parts: Sequence[widgets.Widget]) -> widgets.HBox:
    """Widgets in a row, which wraps if there is no room."""
    return widgets.HBox(list(parts), layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def view_buttons(views: Iterable[str]) -> widgets.ToggleButtons:
    """A button for each view, as wide as its label."""
    return widgets.ToggleButtons(options=list(views), style={"button_width": "auto"}, tooltip="View")
