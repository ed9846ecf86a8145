"""Flame graphs: where the time goes, with a box for each call path, as wide as its share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba_array
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from perflab.plots.drawing import Floats, axes, counted, plain, titled
from perflab.plots.palette import BLUE, VERMILION
from perflab.profiles.flame_boxes import COLOURS, Boxes, difference_boxes
from perflab.profiles.flame_boxes import boxes as laid_out
from perflab.profiles.selected import Profile, amount
from perflab.units import format_fraction, parse_fraction

_FOUND = "#B3246B"
_CHANGE = LinearSegmentedColormap.from_list("change", [BLUE, "#F7F7F7", VERMILION])
_LEVEL_IN, _MAX_LEVELS, _LETTER = 0.2, 60, 0.0072
_WIDE_LEVEL = 0.05
_FEWEST_LETTERS, _MOST_LABELS = 6, 60
"""Fewer letters of a truncated name say nothing. Each label takes a millisecond: only the widest boxes get one."""


def plot_flamegraph(
    profile: Profile,
    *,
    against: Profile | None = None,
    invert: bool = False,
    unit: str | None = None,
    trim: bool = True,
    application: Sequence[str] = (),
    search: str = "",
    narrowest: str | float = "0.2%",
    ax: Axes | None = None,
) -> Axes:
    """Draw a flame graph: a box for each call path, as wide as its share of the whole.

    Parameters
    ----------
    profile : Measurements or DataFrame
        Runs and threads are merged. `focus` extracts a part.
    against : Measurements or DataFrame, optional
        A baseline. Boxes are then as wide as the mean of both, normalised as in `diff_profiles`; blue ones shrank, orange
        ones grew.
    invert : bool
        Put callers at the top (an icicle graph, which reads like a stack trace) instead of the bottom.
    unit : str, optional
        The unit, if there are several; by default the first.
    trim : bool
        Leave out the outermost levels that hold everything, except the last of them.
    application : sequence of str
        As in `by_package`; colours distinguish the application from frameworks, drivers and the standard library.
    search : str
        Highlight functions with this text in their name or file; the title states their share.
    narrowest : share
        Boxes with a smaller share are left out.
    ax : Axes, optional
        A new figure, as high as the graph is deep, by default.

    Returns
    -------
    Axes
        x: share of the whole; y: depth of the call.

    Raises
    ------
    MissingTableError
        There is no profile with stacks.
    ValueError
        The unit is unknown, or the profile is a difference of two.

    >>> import perflab as lab
    >>> profile = lab.read("tests/samples/pyinstrument/workload.json")
    >>> lab.plot_flamegraph(profile).get_xlabel(), lab.plot_flamegraph(profile, against=profile).get_ylabel()
    ('Share of 2.05 s', 'Depth of the call')
    """
    least = parse_fraction(narrowest, parameter="narrowest")
    if against is not None:
        return _difference(against, profile, unit, trim, application, search, least, ax, invert=invert)
    found = laid_out(profile, unit=unit, narrowest=least, trim=trim, application=application)
    return draw_boxes(found, ax, invert=invert, search=search)


def draw_boxes(found: Boxes, ax: Axes | None = None, *, invert: bool = True, search: str = "") -> Axes:
    """Draw boxes with a legend and a title that says where the time goes."""
    table, deeper = _shown(found.table)
    hits = _hits(table, search)
    colours = _marked([COLOURS[str(kind)] for kind in table["kind"]], hits, search)
    ax = _draw(table, colours, ax, invert=invert, free=1.6)
    present = [kind for kind in COLOURS if (table["kind"] == kind).any()]
    handles = [Patch(facecolor=COLOURS[kind], edgecolor="#888888", linewidth=0.5, label=kind) for kind in present]
    ax.legend(
        handles=handles, frameon=False, fontsize=8, ncols=len(handles), handlelength=1.0, columnspacing=1.2,
        loc="lower left" if invert else "upper left", borderaxespad=0.1,
    )  # fmt: skip
    outer = f"; {counted(found.outer, 'outer level')} left out" if found.outer else ""
    ax_title = _searched(search, table[hits]) or where_it_goes(found)
    titled(ax, ax_title, f"{counted(found.runs, 'profile')}; width: share of the whole{outer}{deeper}")
    ax.set_xlabel(f"Share of {amount(found.whole, found.unit)}")
    return ax


def where_it_goes(found: Boxes) -> str:
    """A title: ``Where 2.05 s go: 71 % database, 15 % own code``."""
    most = sorted(found.shares.items(), key=lambda pair: -pair[1])[:3]
    parts = [f"{format_fraction(share)} {kind}" for kind, share in most if share >= 0.05]
    return f"Where {amount(found.whole, found.unit)} go: {', '.join(parts)}"


def _difference(
    before: Profile, after: Profile, unit: str | None, trim: bool, application: Sequence[str], search: str, least: float,
    ax: Axes | None, *, invert: bool,
) -> Axes:  # fmt: skip
    found = difference_boxes(before, after, unit=unit, narrowest=least, trim=trim, application=application)
    table, deeper = _shown(found.table)
    sums = (table["after"] + table["before"]).to_numpy()
    change = np.divide((table["after"] - table["before"]).to_numpy(), sums, out=np.zeros(len(table)), where=sums > 0)
    table = table.assign(note=_notes(table["before"].to_numpy(), table["after"].to_numpy()))
    hits = _hits(table, search)
    ax = _draw(table, _marked(_CHANGE((change + 1) / 2), hits, search), ax, invert=invert, free=3.0)
    levels = abs(float(np.diff(ax.get_ylim())[0]))
    scale = ax.inset_axes((0.05, 1.5 / levels if invert else 1 - 1.5 / levels, 0.3, 0.7 / levels))
    bar = ax.figure.colorbar(
        ScalarMappable(Normalize(-1, 1), _CHANGE), cax=scale, orientation="horizontal", ticks=[-1, 0, 1]
    )
    bar.ax.set_xticklabels(["only before", "the same", "only after"], fontsize=8)
    bar.outline.set_visible(False)
    outermost = table[table["level"] == 0]
    old, new = float(outermost["before"].sum()), float(outermost["after"].sum())
    ratio = f" ({(new / old - 1) * 100:+.0f} %)" if old > 0 else ""
    finding = f"{amount(old, found.unit)} before, {amount(new, found.unit)} after{ratio}"
    titled(
        ax,
        _searched(search, table[hits]) or finding,
        f"{counted(found.runs, 'profile')}; width: mean of both sides; colour: change{deeper}",
    )
    ax.set_xlabel(f"Share of the mean, {amount(found.whole, found.unit)}")
    return ax


def _marked(colours: Any, hits: pd.Series, search: str) -> Any:
    """Highlight the boxes found by the search."""
    if not search:
        return colours
    rgba = to_rgba_array(colours)
    rgba[:, 3] = 0.33
    rgba[hits.to_numpy()] = to_rgba_array(_FOUND)[0]
    return rgba


def _searched(search: str, hits: pd.DataFrame) -> str:
    return f"“{plain(search, 40)}” is in {format_fraction(_covered(hits))} of it" if search else ""


def _notes(before: Floats, after: Floats) -> list[str]:
    """The change of each box as text, for readers who cannot distinguish the colours; empty below 5 %."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = after / before - 1
    return [
        " new" if old <= 0 < new else " gone" if new <= 0 < old else f" {r * 100:+.0f} %" if abs(r) >= 0.05 else ""
        for old, new, r in zip(before, after, ratio, strict=True)
    ]


def _shown(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The levels that are wide enough to be worth their height, and text on the ones left out."""
    wide = table.groupby("level")["width"].sum()
    last = min(int(wide.index[wide >= _WIDE_LEVEL].max()) if len(wide) else 0, _MAX_LEVELS - 1)
    left_out = int(table["level"].max()) - last if len(table) else 0
    return table[table["level"] <= last], f"; {counted(left_out, 'narrow level')} deeper" if left_out else ""


def _hits(table: pd.DataFrame, search: str) -> pd.Series:
    """The boxes whose function's name or file contains the search text."""
    if not search:
        return pd.Series(False, index=table.index)
    names = table["function"].astype("str"), table["file"].astype("str")
    by_name, by_file = (column.str.contains(search, case=False, regex=False) for column in names)
    return by_name | by_file


def _covered(hits: pd.DataFrame) -> float:
    """The share of the whole that boxes cover, counting nested ones once."""
    covered, reached = 0.0, 0.0
    for left, width in hits.sort_values(["left", "level"])[["left", "width"]].to_numpy():
        covered += max(0.0, left + width - max(left, reached))
        reached = max(reached, left + width)
    return covered


def _draw(table: pd.DataFrame, colours: Any, ax: Axes | None, *, invert: bool, free: float) -> Axes:
    """Draw the boxes, with ``free`` levels of space at the far end for a legend."""
    levels = int(table["level"].max()) + 1 if len(table) else 1
    ax = axes(ax, height=1.3 + _LEVEL_IN * max(levels + free, 5))
    left, right = table["left"].to_numpy(), (table["left"] + table["width"]).to_numpy()
    low = table["level"].to_numpy(dtype="float64")
    corners = np.stack(
        [np.column_stack(pair) for pair in ((left, low), (right, low), (right, low + 1), (left, low + 1))], axis=1
    )
    # matplotlib takes an array as it is, but a list box by box.
    boxes: Any = corners
    ax.add_collection(PolyCollection(boxes, facecolors=colours, edgecolors="white", linewidths=0.6))
    ax.set_xlim(0, 1)
    ax.set_ylim((levels + free, 0) if invert else (0, levels + free))
    ax.grid(False)
    ax.set_ylabel("Depth of the call")
    ax.set_yticks([])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.0f} %"))
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.get_xticklabels()[-1].set_horizontalalignment("right")
    _label(table, np.asarray(to_rgba_array(colours)), ax)
    return ax


def _label(table: pd.DataFrame, colours: Floats, ax: Axes) -> None:
    """Write names where they fit: without their class if too long, and truncated if most of them fits."""
    inches = ax.get_window_extent().width / ax.figure.dpi
    high = ax.get_window_extent().height / ax.figure.dpi / abs(float(np.diff(ax.get_ylim())[0]))
    size = min(8.5, 58 * high)
    dark = colours[:, :3] @ np.array([0.299, 0.587, 0.114]) < 0.5
    left, width, level = (table[c].to_numpy() for c in ("left", "width", "level"))
    names = table["function"].astype("object").to_numpy()
    notes = table["note"].to_list() if "note" in table.columns else [""] * len(table)
    wide = np.argsort(-width, kind="stable")
    for place in wide[width[wide] * inches > 0.2]:
        name = str(names[place])
        short, note = name.rsplit(".", 1)[-1], notes[place]
        # `plain` puts a space before a leading underscore.
        letters = int((width[place] * inches - 0.06) / (_LETTER * size * 1.12)) - short.startswith("_") - len(note)
        name = name if len(name) <= letters else short
        if len(ax.texts) >= _MOST_LABELS:
            return
        if letters >= min(_FEWEST_LETTERS, max(3, len(name))):
            ax.text(
                left[place] + 0.04 / inches, level[place] + 0.5, plain(name, letters) + note, fontsize=size,
                va="center", ha="left", clip_on=False, color="white" if dark[place] else "#111111",
            )  # fmt: skip
