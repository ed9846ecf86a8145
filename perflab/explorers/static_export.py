"""Views of an explorer as plain HTML, which stay in the notebook for readers without a kernel."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets


def static(title: str, panels: list[str], code: str) -> str:
    """A view as HTML that needs neither kernel nor script: the panels' HTML, and the code that makes them."""
    shown = "\n".join(panels)
    source = f'<pre style="font-size:85%;white-space:pre-wrap">{escape(code)}</pre>' if code else ""
    head = f"<p><strong>{escape(title)}</strong></p>"
    return f'<div class="perflab-kept tex2jax_ignore mathjax_ignore">{head}\n{shown}\n{source}</div>'


class Keeping:
    """The output below an explorer that keeps views, for the button that keeps the current one.

    A widget is gone with its kernel; a kept view is an ordinary output of the cell.
    """

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._place: Any = None

    def show(self, bundle: dict[str, Any]) -> None:
        """Display the widget, and an empty output below it."""
        from IPython.display import HTML, display, publish_display_data

        publish_display_data(bundle)
        self._kept = []
        self._place = display(HTML(""), display_id=True)

    def keep(self, view: str) -> bool:
        """Add the view to those kept; False if there is no notebook to keep it in."""
        if self._place is None:
            return False
        from IPython.display import HTML

        self._kept.append(view)
        self._place.update(HTML("\n<hr>\n".join(self._kept)))
        return True


def keep_button(keep: Callable[[], bool]) -> widgets.HBox:
    """The button, and its message after a click."""
    button = widgets.Button(
        description="Keep below",
        tooltip="Keep this view in the notebook, below the explorer, for readers without a kernel",
    )
    said = widgets.HTML()
    said.add_class("perflab-kept-said")

    def pressed(_: Any) -> None:
        said.value = "kept" if keep() else "not shown in a notebook"

    button.on_click(pressed)
    return widgets.HBox([button, said])
