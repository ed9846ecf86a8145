"""The live view: what a listener of `run`, `run_pairs` and the others draws while load is made, and the picture that stays.

It draws at most once a second, from facts that the load published, in milliseconds; the generator is another process. When
the work is over the widget gives way to a picture, which needs neither kernel nor script.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from types import TracebackType
from typing import Any, Self

import ipywidgets as widgets

from perflab.explorers.surface import Surface
from perflab.metrics import Metric
from perflab.plots.palette import BLUE, GREEN, NEUTRAL, PURPLE, STYLES, VERMILION
from perflab.plots.svg_charts import Chart, Pane, Series, picture, pointed, svg
from perflab.progress import LOOK, RUN, clock
from perflab.units import format_value

_EVERY_S = 1.0
_SHARE = 0.01
"""Of the time, at most this is spent drawing: on a slow machine it draws less often."""
_MOST_POINTS = 300
_PANES: tuple[tuple[str, tuple[tuple[str, str, str, str], ...], bool], ...] = (
    ("Throughput, /s", (("", "throughput_per_s", BLUE, ""),), False),
    ("Latency, ms", (("p50", "recent_p50_ms", GREEN, "5 3"), ("p95", "recent_p95_ms", VERMILION, "")), True),
    ("Errors, %", (("", "recent_error_fraction", VERMILION, ""),), False),
    ("Users", (("", "users", PURPLE, ""),), False),
    ("Arrivals in progress", (("", "in_progress", PURPLE, ""),), False),
    ("Visits", (("", "visits", PURPLE, ""),), False),
    ("LCP, ms (median so far)", (("", "lcp_ms", VERMILION, ""),), False),
    (
        "CPU, cores",
        (("generator", "generator_cores", NEUTRAL, "1 3"), ("machine", "machine_cores", BLUE, "5 3"),
         ("target", "target_cores", VERMILION, "")),
        False,
    ),
)  # fmt: skip
"""A label, the lines (name, fact, colour, dashes), and whether the axis is logarithmic; shown if the work reports the fact."""
INTERRUPT = "To stop, interrupt the kernel (■ in the toolbar, or I twice in command mode); what was captured is kept."
RECOVER = "If its kernel ended before the run did, lab.recover(store) makes a run of what was captured."


@dataclass
class _Track:
    """The values of one fact over time, with their texts."""

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(self, x: float, name: str, value: object) -> None:
        number = float(value) if isinstance(value, (int, float)) else math.nan
        self.x.append(x)
        self.y.append(number * 100 if name.endswith("_fraction") else number)
        self.texts.append(format_value(name, value))

    def thin(self) -> None:
        """Keep every second value, and the gaps between runs."""
        kept = [i for i in range(len(self.x)) if i % 2 == 0 or self.y[i] != self.y[i]]
        self.x, self.y, self.texts = ([values[i] for i in kept] for values in (self.x, self.y, self.texts))  # type: ignore[assignment]


@dataclass
class _Mark:
    """A finished run, or the interval at a look."""

    x: float
    value: float
    text: str
    arm: str = ""
    low: float = math.nan
    high: float = math.nan
    valid: bool = True


class LiveView:
    """A `perflab.progress.Listener` that draws; use it in a ``with`` block.

    ``box`` is the widget. With ``own`` it is displayed at once and replaced by a picture at the end; else the caller shows it.
    """

    def __init__(
        self,
        total: float,
        label: str,
        *,
        write: Callable[[str, object], str],
        stop: Callable[[], None] | None = None,
        own: bool = True,
    ) -> None:
        self.total, self.label, self._write, self._stop = max(total, 1e-9), label, write, stop
        self._whole = label
        self._began, self._drawn, self._done = time.monotonic(), -math.inf, 0.0
        self._every_s = _EVERY_S
        self._facts: dict[str, object] = {}
        self._tracks = {name: _Track() for _, lines, _ in _PANES for _, name, _, _ in lines}
        self._runs: list[_Mark] = []
        self._looks: list[_Mark] = []
        self._metric = "p95"
        self._notes: list[str] = []
        self._outcome = ""
        self._lock = threading.Lock()
        self._words = widgets.HTML()
        self._surface = Surface()
        self._button = widgets.Button(
            description="Stop", icon="stop", tooltip="End the load now; what was captured is kept"
        )
        self._button.on_click(self._clicked)
        self.box = widgets.VBox([widgets.HBox([self._button, self._words] if stop else [self._words]), self._surface])
        self.box.add_class("perflab-running")
        self._surface.observe(lambda change: self._draw(), names="width")
        self._handle: Any = None
        self._draw()
        if own:
            from IPython.display import display

            bundle = {**self.box._repr_mimebundle_(), "text/html": self._unfinished()}
            self._handle = display(bundle, raw=True, display_id=True)

    def update(self, done: float, *, label: str | None = None, **facts: object) -> None:
        """Note how much is done and the facts so far, and draw them if the last picture is a second old."""
        self._done = done
        if label and label != self.label:
            self.label = label
            self._gap()
        if not facts:
            return
        self._facts = facts
        now = time.monotonic()
        if now - self._drawn >= self._every_s:
            self._drawn = now
            with self._lock:
                for name, track in self._tracks.items():
                    track.add(now - self._began, name, facts.get(name, math.nan))
                    if len(track.x) > _MOST_POINTS:
                        track.thin()
            self._draw()

    def event(self, kind: str, text: str, **facts: Any) -> None:
        """Mark a finished run, or the interval at a registered look."""
        at = time.monotonic() - self._began
        metric = Metric.of(str(facts.get("metric", self._metric)))
        with self._lock:
            if kind == RUN:
                self._metric = metric.name
                self._runs.append(_Mark(at, _scaled(metric, facts["value"]), text, facts["arm"], valid=facts["valid"]))
            elif kind == LOOK:
                change, low, high = (100.0 * facts[name] for name in ("change", "low", "high"))
                self._looks.append(_Mark(at, change, text, low=low, high=high))
        self._draw()

    def finish(self, outcome: str) -> None:
        """Set the word at the end of the sentence that stays."""
        self._outcome = outcome

    def notify(self, text: str) -> None:
        """Show a note below the picture."""
        with self._lock:
            self._notes.append(text)
        self._draw()

    @property
    def static(self) -> str:
        """What stays in the notebook: the sentence, the picture and the notes, without widget or script."""
        chart = self._chart()
        return (
            f'<div class="perflab-progress tex2jax_ignore mathjax_ignore">{self._sentence(ended=True)}'
            f"{picture(chart) if self.measured else ''}{self._listed()}</div>"
        )

    @property
    def measured(self) -> bool:
        """Whether there is a latency or a run to show."""
        return bool(self._runs) or any(self._known(name) for name in ("recent_p95_ms", "lcp_ms"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            stopped = kind is KeyboardInterrupt or self._button.disabled
            self._outcome = "stopped" if stopped else f"failed: {kind.__name__}"
        with contextlib.suppress(Exception):  # as in `_draw`: the result counts
            self._leave_picture()

    def _leave_picture(self) -> None:
        self._button.layout.display = "none"
        self._draw(ended=True)
        if self._handle is not None:
            from IPython.display import HTML

            self._handle.update(HTML(self.static))
            # A tab that was opened in the meantime does not know the handle: there the widget becomes the picture.
            self._words.value, self.box.children = self.static, (self._words,)
            self.box.remove_class("perflab-running")
            for widget in (self._button, self._surface):
                widget.close()

    def _unfinished(self) -> str:
        """What a notebook shows that was saved in the middle, and whose kernel is gone."""
        words = f"{self.label}: in progress when this output was written. {RECOVER}"
        return f'<div class="perflab-progress tex2jax_ignore mathjax_ignore">{escape(words)}</div>'

    def _clicked(self, _: Any) -> None:
        self._button.disabled, self._button.description = True, "Stopping …"
        if self._stop is not None:
            self._stop()

    def _gap(self) -> None:
        """End the lines: what follows is another run."""
        with self._lock:
            for name, track in self._tracks.items():
                if track.x:
                    track.add(track.x[-1], name, math.nan)

    def _draw(self, *, ended: bool = False) -> None:
        with self._lock:
            used = time.thread_time()
            try:
                chart, width = self._chart(), max(320, self._surface.width)
                self._words.value = self._sentence(ended=ended)
                drawn = (svg(chart, width), pointed(chart, width)) if chart.panes else ("", {})
                self._surface.show(drawn[0] + self._listed(), drawn[1])
            except Exception as problem:  # noqa: BLE001 - a picture that cannot be drawn must not end the load
                with contextlib.suppress(Exception):  # nor one that cannot be sent, to a browser that is gone
                    self._words.value = escape(f"{self.label}: cannot be drawn: {problem}")
            self._every_s = max(_EVERY_S, (time.thread_time() - used) / _SHARE)

    def _sentence(self, *, ended: bool) -> str:
        took = time.monotonic() - self._began
        share = min(1.0, self._done / self.total)
        facts = ", ".join(filter(None, (self._write(name, value) for name, value in self._facts.items())))
        complete = ended and not self._outcome
        if complete or not math.isfinite(self.total):
            words = f"{self._whole if complete else self.label}: {'took ' if ended else ''}{clock(took)}"
        else:
            words = f"{self.label}: {100 * share:.0f} % after {clock(took)}"
            words += "" if ended else f", about {clock(max(0.0, self.total - self._done))} left"
        # What ended has a result with all of its requests; these are the last values before the end.
        words += f" ({'last update: ' if complete else ''}{facts})" if facts else ""
        words += f"; {self._outcome}" if self._outcome else ""
        how = "" if ended or self._stop is not None else f'<div style="opacity:.8;font-size:90%">{INTERRUPT}</div>'
        return f'<div class="perflab-sentence" style="line-height:1.45">{escape(words)}{how}</div>'

    def _listed(self) -> str:
        if not self._notes:
            return ""
        items = "".join(f"<li>{escape(note)}</li>" for note in dict.fromkeys(self._notes))
        return f'<ul style="margin:.4em 0;padding-left:1.2em">{items}</ul>'

    def _chart(self) -> Chart:
        panes = [
            Pane(label, [self._line(*line) for line in lines if self._known(line[1])], height=58.0, log=log)
            for label, lines, log in _PANES
            if any(name in self._facts for _, name, _, _ in lines)
        ]
        metric = Metric.of(self._metric)
        if self._runs:
            panes.append(Pane(f"{metric.axis_label}: each run", self._marks(), height=66.0))
        if self._looks:
            panes.append(Pane("Change at registered looks, %", [self._intervals()], height=66.0))
        end = max(10.0, time.monotonic() - self._began)
        return Chart(f"{self.label}: load so far", panes, (0.0, end), "Time, s")

    def _known(self, name: str) -> bool:
        return any(y == y for y in self._tracks[name].y)

    def _line(self, label: str, name: str, colour: str, dashes: str) -> Series:
        track = self._tracks[name]
        return Series(label, track.x, track.y, colour, dashes, texts=track.texts)

    def _marks(self) -> list[Series]:
        arms = list(dict.fromkeys(mark.arm for mark in self._runs))
        found = []
        for position, arm in enumerate(arms):
            colour, _, marker = STYLES[position % len(STYLES)]
            for valid in (True, False):
                own = [m for m in self._runs if m.arm == arm and m.valid is valid]
                if own:
                    label = arm if valid else f"{arm}, not valid"
                    texts = [mark.text for mark in own]
                    shape = marker if valid else "x"
                    found.append(
                        Series(label, [m.x for m in own], [m.value for m in own], colour, "", shape, texts=texts)
                    )
        return found

    def _intervals(self) -> Series:
        marks = self._looks
        return Series(
            "", [m.x for m in marks], [m.value for m in marks], GREEN, marker="D", low=[m.low for m in marks],
            high=[m.high for m in marks], texts=[m.text for m in marks],
        )  # fmt: skip


def _scaled(metric: Metric, value: float) -> float:
    return value * 100 if metric.unit == "fraction" else value
