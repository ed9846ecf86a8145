"""A trace as a waterfall: who called what, when, and what the request waited for."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from perflab.data.tables import Measurements
from perflab.plots.drawing import GREY, axes, counted, plain, titled
from perflab.plots.palette import AMBER, BLUE, GREEN, INK, PURPLE, SKY, VERMILION
from perflab.traces.one_trace import Line, OneTrace, one_trace
from perflab.units import format_fraction, format_ms

_MARGIN, _LABEL = 0.36, 44
_COLOURS = (BLUE, AMBER, GREEN, PURPLE, SKY, VERMILION)
_OWN, _WAITED = "#A0A0A0", INK
_OF_KINDS = {
    "database": AMBER, "downstream": GREEN, "call": GREEN, "in the service": SKY, "pool": PURPLE,
    "lock": VERMILION, "gc": GREY,
}  # fmt: skip
"""The same in every figure."""


def plot_trace(spans: pd.DataFrame | Measurements, trace: str | None = None, *, ax: Axes | None = None) -> Axes:
    """One trace over time: a bar for each span below the span that started it, with the critical path marked.

    Calls in a row show as a staircase. Three or more calls of one name share a line.

    Parameters
    ----------
    spans : DataFrame or Measurements
        A ``spans`` table, or measurements that hold one.
    trace : str
        Its id, as in ``example_trace`` of `find_sequential`; if not given, the median of the route that takes most time.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: milliseconds since the request began; y: spans from top to bottom. Black below a bar: the root waited for it then.

    Raises
    ------
    ValueError
        No such trace, or no root.

    Examples
    --------
    >>> import perflab as lab
    >>> spans = lab.read("tests/samples/jaeger/ui.json")
    >>> lab.plots.plot_trace(spans).get_xlabel()
    'Time since the start of the request, ms'
    """
    shown = one_trace(spans, trace)
    own = ax is None
    ax = axes(ax, height=1.55 + 0.27 * (len(shown.lines) + bool(shown.left_out)))
    figure = ax.get_figure(root=True)
    if own and figure is not None:
        figure.subplots_adjust(left=_MARGIN)
    named = [_named(line, shown.lines) for line in shown.lines]
    colours = _colours(named)
    for row, (line, name) in enumerate(zip(shown.lines, named, strict=True)):
        _bar(ax, row, line, colours[name], shown.duration_ms)
    labels = [_label(line) for line in shown.lines]
    ax.set_yticks(range(len(labels)), labels, fontsize=7.5)
    # From the left, so that what is below a span stands further in.
    for text in ax.get_yticklabels():
        text.set_horizontalalignment("left")
    ax.tick_params(axis="y", length=0, pad=_MARGIN * 8.4 * 72 - 14 if own else 150)
    ax.set_ylim(len(shown.lines) - 0.4, -0.6)
    ax.set_xlim(-0.01 * shown.duration_ms, shown.duration_ms * 1.08 or 1.0)
    ax.grid(False, axis="y")
    ax.set_xlabel("Time since the start of the request, ms")
    if len(colours) > 1:
        handles = [Patch(color=colour, label=plain(name, 24)) for name, colour in colours.items()]
        handles.append(Patch(color=_WAITED, label="critical path"))
        ax.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.36 / (0.27 * len(shown.lines) + 0.5)),
            ncols=min(len(handles), 5), frameon=False, fontsize=7.5, handlelength=1.0,
        )  # fmt: skip
        if own and figure is not None:
            height = figure.get_size_inches()[1] + 0.3
            figure.set_size_inches(figure.get_size_inches()[0], height)
            figure.subplots_adjust(bottom=0.82 / height, top=1 - 0.62 / height)
    more = f"; {counted(shown.left_out, 'further line')} left out" if shown.left_out else ""
    titled(ax, f"{plain(shown.route, 40)}: {format_ms(shown.duration_ms)}{_longest(shown)}",
           f"trace {plain(shown.trace, 36)}; {counted(shown.spans, 'span')}; line: what the request waited for{more}",
           left=-(_MARGIN - 0.02) / (0.98 - _MARGIN) if own else 0.0)  # fmt: skip
    return ax


def _named(line: Line, lines: Sequence[Line]) -> str:
    """What the colour of a line stands for: its service; where all are of one, its kind of call."""
    if len({each.service for each in lines}) > 1:
        return line.service or "unknown service"
    if line is lines[0]:
        return "request"
    return {"internal": "in the service", "": "call", "client": "call"}.get(line.kind, line.kind)


def _colours(named: Sequence[str]) -> dict[str, str]:
    """A colour for each name, grey for that of the request itself."""
    first, *names = dict.fromkeys(named)
    others = iter(_COLOURS * (1 + len(names) // len(_COLOURS)))
    return {first: _OWN, **{name: _OF_KINDS.get(name) or next(others) for name in names}}


def _bar(ax: Axes, row: int, line: Line, colour: str, whole_ms: float) -> None:
    least = whole_ms / 500
    bars, waited = ([(begin, max(took, least)) for begin, took in part] for part in (line.bars, line.waited))
    ax.broken_barh(bars, (row - 0.36, 0.58), facecolors=colour, linewidth=0)
    ax.broken_barh(waited, (row + 0.22, 0.14), facecolors=_WAITED, linewidth=0)
    took = sum(took for _, took in line.bars)
    end = max(begin + took for begin, took in line.bars)
    right = end < 0.9 * whole_ms or row == 0
    ax.annotate(
        format_ms(took), (end if right else line.bars[0][0], row - 0.07), xytext=(3 if right else -3, 0),
        textcoords="offset points", ha="left" if right else "right", va="center", fontsize=7, color=GREY,
    )  # fmt: skip


def _label(line: Line) -> str:
    many = f" × {len(line.bars):,}" if len(line.bars) > 1 else ""
    indent = "   " * min(line.depth, 8)
    return f"{indent}{plain(line.label, max(_LABEL - 2 * min(line.depth, 8) - len(many), 12))}{many}"


def _longest(shown: OneTrace) -> str:
    """``, 61 % of it price`` for the line that the root waited longest for."""
    if not shown.duration_ms:
        return ""
    line = max(shown.lines, key=lambda line: sum(took for _, took in line.waited))
    share = sum(took for _, took in line.waited) / shown.duration_ms
    return f", {format_fraction(share)} of it {plain(line.label, 30)}" if line is not shown.lines[0] else ""
