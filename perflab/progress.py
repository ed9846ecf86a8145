"""Progress of long work: the work publishes facts to a `Listener`; `Progress` is a listener that displays them.

It is a bar in a terminal, one self-updating line in a notebook, and nothing elsewhere. The notebook's line is plain
HTML, updated in place, so that a saved notebook keeps its last state without a widget or a script.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

_LONGEST_LABEL = 24


class Listener(Protocol):
    """Receives the progress of work: a display, a live chart, a test."""

    def update(self, done: float, *, label: str | None = None, **facts: object) -> None:
        """Report how much is done, and facts so far, as values with their units (``requests=120, p95_ms=31.2``)."""

    def finish(self, outcome: str) -> None:
        """Report that the work ended in an unusual way ("stopped")."""

    def notify(self, text: str) -> None:
        """Report something that must be known before the work is over."""


def _plainly(name: str, value: object) -> str:
    return f"{name} {value}"


class Progress:
    """Shows the progress of work of a known size; use it in a ``with`` block.

    Parameters
    ----------
    total : float
        The size of the work, in seconds or in items.
    label : str
        The name of the work.
    shown : bool
        False shows nothing (for tests and scripts).
    stop : Callable[[], None] | None
        The callback of a Stop button; only for work in the background, since a cell that waits receives no clicks. In a
        notebook the line and the button are a widget until the work is over, and plain HTML afterwards.
    write : Callable[[str, object], str]
        Formats a fact, from its name and value.
    """

    def __init__(
        self, total: float, label: str, *, shown: bool = True, stop: Callable[[], None] | None = None,
        write: Callable[[str, object], str] = _plainly,
    ) -> None:  # fmt: skip
        self.total, self.label, self._facts, self._write = max(total, 1e-9), label, "", write
        self._began, self._done = time.monotonic(), 0.0
        self._outcome = ""
        self._bar: Any = None
        self._handle: Any = None
        self._panel: Any = None
        self._log = False
        if not shown:
            return
        if _in_notebook():
            from IPython.display import HTML, display

            self._html: Any = HTML
            if stop is not None:
                self._panel = _Panel(self._line(0.0), stop)
            self._handle = display(self._panel.box if self._panel else HTML(self._line(0.0)), display_id=True)
        elif sys.stderr.isatty():
            self._bar = self._terminal()
        else:
            self._log = True

    def _terminal(self) -> Any:
        """A bar followed by facts; a label too long for the line goes above it."""
        from tqdm import tqdm

        bar = tqdm(
            total=self.total,
            leave=False,
            file=sys.stderr,
            # A terminal that does not know its width reports 0, in which no bar fits.
            ncols=shutil.get_terminal_size((100, 24)).columns,
            bar_format="{desc}{percentage:3.0f}%|{bar:10}| {elapsed}<{remaining} {postfix}",
        )
        if len(self.label) > _LONGEST_LABEL:
            tqdm.write(self.label, file=sys.stderr)
        return bar

    def update(self, done: float, *, label: str | None = None, **facts: object) -> None:
        """Show how much is done, and the facts so far."""
        self._done = done
        self._facts = ", ".join(self._write(name, value) for name, value in facts.items())
        if label and label != self.label and self._log:
            # Not in a terminal: a log can only show a line for each step.
            sys.stderr.write(f"{label}\n")
            sys.stderr.flush()
        self.label = label or self.label
        if self._bar is not None:
            short = f"{self.label} " if len(self.label) <= _LONGEST_LABEL else ""
            self._bar.set_description_str(short, refresh=False)
            self._bar.set_postfix_str(self._facts, refresh=False)
            self._bar.update(min(done, self.total) - self._bar.n)
        if self._panel is not None:
            self._panel.line.value = self._line(done)
        elif self._handle is not None:
            self._handle.update(self._html(self._line(done)))

    def finish(self, outcome: str) -> None:
        """Set the word at the end of the line that stays."""
        self._outcome = outcome

    def notify(self, text: str) -> None:
        """Show a separate line."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif self._handle is not None:
            from html import escape

            from IPython.display import display

            display(self._html(f'<div class="perflab-progress">{escape(text)}</div>'))
        elif self._log:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def _line(self, done: float, ended: str = "") -> str:
        from html import escape

        share = min(1.0, max(0.0, done / self.total))
        took = time.monotonic() - self._began
        left = f", about {_clock(took * (1 - share) / share)} left" if 0.02 < share < 1 else ""
        words = (
            f"{self.label}: {share:.0%} after {_clock(took)}{left}"
            + (f" ({self._facts})" if self._facts else "")
            + ended
        )
        bar = (
            '<span style="display:inline-block;width:12em;height:.7em;border:1px solid #888;margin-right:.6em">'
            f'<span style="display:block;width:{share * 100:.0f}%;height:100%;background:#4477aa"></span></span>'
        )
        return f'<div class="perflab-progress tex2jax_ignore mathjax_ignore" style="font-size:90%">{bar}{escape(words)}</div>'

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._handle is not None and (kind is None or self._panel is not None):
            ended = self._outcome
            if kind is not None:
                ended = "stopped" if kind is KeyboardInterrupt else f"failed: {kind.__name__}"
            ended = f"; {ended}" if ended else ""
            self._handle.update(self._html(self._line(self._done if self._panel else self.total, ended)))
        if self._panel is not None:
            self._panel.close()


class _Panel:
    """The progress line and a Stop button."""

    def __init__(self, line: str, stop: Callable[[], None]) -> None:
        import ipywidgets

        self.line = ipywidgets.HTML(line)
        self.button = ipywidgets.Button(
            description="Stop", icon="stop", tooltip="End the load now; what was captured is kept"
        )
        self.box = ipywidgets.HBox([self.button, self.line])
        self.box.add_class("perflab-running")
        self._stop = stop
        self.button.on_click(self._clicked)

    def _clicked(self, _: Any) -> None:
        self.button.disabled, self.button.description = True, "Stopping …"
        self._stop()

    def close(self) -> None:
        for widget in (self.button, self.line, self.box):
            widget.close()


def _clock(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def _in_notebook() -> bool:
    """Whether this process is a Jupyter kernel (which has already imported IPython)."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
