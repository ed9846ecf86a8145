"""Progress of long work: the work publishes facts to a `Listener`; `Progress` is a listener that displays them.

It is a bar in a terminal, one self-updating line in a notebook, and nothing elsewhere. The notebook's line is plain
HTML, updated in place, so that a saved notebook keeps its last state without a widget or a script. For load in a notebook
`display` uses the live view, which perflab sets as `notebook_display`: what draws lies above what runs.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

_LONGEST_LABEL = 24
_BLOCKS = "▁▂▃▄▅▆▇█"
RUN, LOOK = "run", "look"
"""Events: a run has finished; an experiment was looked at."""


class Listener(Protocol):
    """Receives the progress of work: a display, a live chart, a test."""

    def event(self, kind: str, text: str, **facts: object) -> None:
        """Report a step of the work, in words and as facts.

        `RUN`: a run has finished (``arm``, ``metric``, ``value``, ``valid``). `LOOK`: an experiment was looked at
        (``pairs``, ``metric``, ``change``, ``low``, ``high``, ``verdict``).
        """

    def update(self, done: float, *, label: str | None = None, **facts: object) -> None:
        """Report how much is done, and facts so far, as values with their units (``requests=120, p95_ms=31.2``)."""

    def finish(self, outcome: str) -> None:
        """Report that the work ended in an unusual way ("stopped")."""

    def notify(self, text: str) -> None:
        """Report something that must be known before the work is over."""


def _plainly(name: str, value: object) -> str:
    return f"{name} {value}"


@dataclass(frozen=True)
class Part:
    """A listener for one part of longer work: what is done counts from the end of the parts before it."""

    whole: Listener
    before: float
    label: str

    def update(self, done: float, *, label: str | None = None, **facts: object) -> None:
        """Report how much of the part is done."""
        self.whole.update(self.before + done, label=label or self.label, **facts)

    def event(self, kind: str, text: str, **facts: object) -> None:
        """Report a step."""
        self.whole.event(kind, text, **facts)

    def finish(self, outcome: str) -> None:
        """Report that the work ended in an unusual way."""
        self.whole.finish(outcome)

    def notify(self, text: str) -> None:
        """Report something at once."""
        self.whole.notify(text)


class Progress:
    """Shows the progress of work of a known size; use it in a ``with`` block.

    Parameters
    ----------
    total : float
        The size of the work, in seconds or in items; infinite if unknown.
    label : str
        The name of the work.
    shown : bool
        False shows nothing (for tests and scripts).
    write : Callable[[str, object], str]
        Formats a fact, from its name and value; an empty text hides it.
    trend : str
        The fact whose last values a terminal also shows as small bars.
    """

    def __init__(
        self, total: float, label: str, *, shown: bool = True, write: Callable[[str, object], str] = _plainly,
        trend: str = "",
    ) -> None:  # fmt: skip
        self.total, self.label, self._facts, self._write = max(total, 1e-9), label, "", write
        self._began, self._done = time.monotonic(), 0.0
        self._outcome = ""
        self._bar: Any = None
        self._handle: Any = None
        self._log = False
        self._trend: deque[float] = deque(maxlen=10)
        self._trending = trend
        if not shown:
            return
        if in_notebook():
            from IPython.display import HTML, display

            self._html: Any = HTML
            self._handle = display(HTML(self._line(0.0)), display_id=True)
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
        self._facts = ", ".join(filter(None, (self._write(name, value) for name, value in facts.items())))
        if label and label != self.label and self._log:
            # Not in a terminal: a log can only show a line for each step.
            sys.stderr.write(f"{label}\n")
            sys.stderr.flush()
        self.label = label or self.label
        if self._bar is not None:
            short = f"{self.label} " if len(self.label) <= _LONGEST_LABEL else ""
            self._bar.set_description_str(short, refresh=False)
            self._bar.set_postfix_str(f"{self._bars(facts)}{self._facts}", refresh=False)
            self._bar.update(min(done, self.total) - self._bar.n)
        if self._handle is not None:
            self._handle.update(self._html(self._line(done)))

    def event(self, kind: str, text: str, **facts: object) -> None:
        """Show a step as a line of its own."""
        if self._bar is not None or self._log:
            self.notify(text)

    def _bars(self, facts: dict[str, object]) -> str:
        """The last values of a fact as small bars, where the terminal can show them."""
        value = facts.get(self._trending)
        if not isinstance(value, (int, float)) or "utf" not in (getattr(sys.stderr, "encoding", "") or "").lower():
            return ""
        if value == value:
            self._trend.append(float(value))
        most = max(self._trend, default=0.0) or 1.0
        return "".join(_BLOCKS[int(v / most * (len(_BLOCKS) - 1))] for v in self._trend) + " " if self._trend else ""

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
        left = f", about {clock(took * (1 - share) / share)} left" if 0.02 < share < 1 else ""
        words = (
            f"{self.label}: {share:.0%} after {clock(took)}{left}"
            + (f" ({self._facts})" if self._facts else "")
            + ended
        )
        bar = (
            '<span style="display:inline-block;width:12em;height:.7em;border:1px solid #888;margin-right:.6em">'
            f'<span style="display:block;width:{share * 100:.0f}%;height:100%;background:#0072B2"></span></span>'
        )
        return f'<div class="perflab-progress tex2jax_ignore mathjax_ignore" style="font-size:90%">{bar}{escape(words)}</div>'

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._handle is not None and kind is None:
            ended = f"; {self._outcome}" if self._outcome else ""
            self._handle.update(self._html(self._line(self.total, ended)))


notebook_display: Callable[..., AbstractContextManager[Listener]] | None = None
"""Makes the live view of load in a notebook; takes what `display` takes."""


def display(
    total: float,
    label: str,
    *,
    shown: bool,
    write: Callable[[str, object], str],
    stop: Callable[[], None] | None = None,
    trend: str = "",
) -> AbstractContextManager[Listener]:
    """The display of load: the live view in a notebook, else `Progress`.

    ``stop`` is the callback of a Stop button; only for work in the background, since a cell that waits receives no clicks.
    """
    if shown and notebook_display is not None and in_notebook():
        return notebook_display(total, label, write=write, stop=stop)
    return Progress(total, label, shown=shown, write=write, trend=trend)


def clock(seconds: float) -> str:
    """Minutes and seconds, from an hour on with hours.

    >>> clock(65), clock(119.7), clock(3725)
    ('1:05', '2:00', '1:02:05')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel (which has already imported IPython)."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
