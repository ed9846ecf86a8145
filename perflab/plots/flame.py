"""Flame graphs: where the time goes, a box for each path of calls, as wide as its share."""

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
from perflab.profiles.layout import boxes as laid_out
from perflab.profiles.layout import difference_boxes
from perflab.profiles.origins import APPLICATION, DRIVER, FRAMEWORK, KINDS, LIBRARY, NATIVE, NETWORK, STANDARD
from perflab.profiles.selected import Profile
from perflab.units import format_fraction, format_ms, format_number, parse_fraction

COLOURS = {
    APPLICATION: "#F2A07B", FRAMEWORK: "#9CCBEA", DRIVER: "#7FCBB0", NETWORK: "#DDB3CE", LIBRARY: "#F3CE85",
    STANDARD: "#D9D9D9", NATIVE: "#EDEDED",
}  # fmt: skip
"""Light tints of Okabe and Ito's colours, so that black text can be read on them."""
_FOUND = "#B3246B"
_CHANGE = LinearSegmentedColormap.from_list("change", ["#0072B2", "#F7F7F7", "#D55E00"])
_LEVEL_IN, _MAX_LEVELS, _LETTER = 0.2, 60, 0.0072
_WIDE_LEVEL = 0.05
_FEWEST_LETTERS, _MOST_LABELS = 6, 60
"""Of a name that is cut, fewer letters say nothing; and each label takes a millisecond: the widest boxes have one."""


def plot_flamegraph(
    profile: Profile,
    *,
    unit: str | None = None,
    trim: bool = True,
    application: Sequence[str] = (),
    search: str = "",
    narrowest: str | float = "0.2%",
    ax: Axes | None = None,
) -> Axes:
    """A flame graph: the callers below, what they call above them, each as wide as its share of all.

    Parameters
    ----------
    profile : Measurements with a profile, or the table; runs and threads are merged. `focus` makes a part of one.
    unit : which unit, where there are several; the first if not given.
    trim : leave out the outermost levels that are as wide as everything, up to the last.
    application : as in `by_package`; colours tell the application from frameworks, drivers and the language.
    search : boxes of functions whose name or file has this in it stand out, and the title says how much they are of all.
    narrowest : boxes with a smaller share are left out.
    ax : Axes to draw on; a new figure, as high as the graph is deep, if not given.

    Returns
    -------
    Axes. x: share of all; y: depth of the call.

    >>> import perflab as lab
    >>> lab.plot_flamegraph(lab.read("tests/samples/pyinstrument/workload.json")).get_xlabel()
    'Share of 2.05 s'
    """
    return _flames(profile, unit, trim, application, search, narrowest, ax, upside_down=False)


def plot_icicle(
    profile: Profile,
    *,
    unit: str | None = None,
    trim: bool = True,
    application: Sequence[str] = (),
    search: str = "",
    narrowest: str | float = "0.2%",
    ax: Axes | None = None,
) -> Axes:
    """The same as `plot_flamegraph` with the callers above: the way that people read stacks. Arguments as there.

    >>> import perflab as lab
    >>> lab.plots.plot_icicle(lab.read("tests/samples/collapsed/py-spy.txt")).get_ylabel()
    'Depth of the call'
    """
    return _flames(profile, unit, trim, application, search, narrowest, ax, upside_down=True)


def plot_diff_flamegraph(
    before: Profile,
    after: Profile,
    *,
    unit: str | None = None,
    application: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Two profiles in one flame graph: a box is as wide as the mean of both; blue boxes shrank, orange ones grew.

    Parameters
    ----------
    before, after : as in `diff_profiles`, and normalised in the same way (by requests, seconds, or not at all).
    unit, application, ax : as in `plot_flamegraph`.

    Returns
    -------
    Axes. x: share of the mean of both sides; the colour is (after - before) / (after + before) of each box.

    >>> import perflab as lab
    >>> profile = lab.read("tests/samples/collapsed/py-spy.txt")
    >>> lab.plots.plot_diff_flamegraph(profile, profile).get_ylabel()
    'Depth of the call'
    """
    found = difference_boxes(before, after, unit=unit, narrowest=0.002, application=application)
    table, deeper = _shown(found.table)
    sums = (table["after"] + table["before"]).to_numpy()
    change = np.divide((table["after"] - table["before"]).to_numpy(), sums, out=np.zeros(len(table)), where=sums > 0)
    table = table.assign(note=_notes(table["before"].to_numpy(), table["after"].to_numpy()))
    ax = _draw(table, _CHANGE((change + 1) / 2), ax, upside_down=True, free=3.0)
    levels = abs(float(np.diff(ax.get_ylim())[0]))
    scale = ax.inset_axes((0.05, 1.5 / levels, 0.3, 0.7 / levels))
    bar = ax.figure.colorbar(
        ScalarMappable(Normalize(-1, 1), _CHANGE), cax=scale, orientation="horizontal", ticks=[-1, 0, 1]
    )
    bar.ax.set_xticklabels(["only before", "the same", "only after"], fontsize=8)
    bar.outline.set_visible(False)
    outermost = table[table["level"] == 0]
    old, new = float(outermost["before"].sum()), float(outermost["after"].sum())
    ratio = f" ({(new / old - 1) * 100:+.0f} %)" if old > 0 else ""
    finding = f"{_amount(old, found.unit)} before, {_amount(new, found.unit)} after{ratio}"
    titled(
        ax,
        finding,
        f"{counted(found.runs, 'profile')}; width: the mean of both sides; colour and ±: who has more of it{deeper}",
    )
    ax.set_xlabel(f"Share of the mean, {_amount(found.whole, found.unit)}")
    return ax


def _notes(before: Floats, after: Floats) -> list[str]:
    """The change of each box in words, for those who see no colours; nothing below 5 %."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = after / before - 1
    return [
        " new" if old <= 0 < new else " gone" if new <= 0 < old else f" {r * 100:+.0f} %" if abs(r) >= 0.05 else ""
        for old, new, r in zip(before, after, ratio, strict=True)
    ]


def _flames(
    profile: Profile, unit: str | None, trim: bool, application: Sequence[str], search: str, narrowest: str | float,
    ax: Axes | None, *, upside_down: bool,
) -> Axes:  # fmt: skip
    least = parse_fraction(narrowest, parameter="narrowest")
    found = laid_out(profile, unit=unit, narrowest=least, trim=trim, application=application)
    table, deeper = _shown(found.table)
    colours = [COLOURS[str(kind)] for kind in table["kind"]]
    hits = _hits(table, search)
    if search:
        colours = [_FOUND if hit else colour + "55" for hit, colour in zip(hits, colours, strict=True)]
    ax = _draw(table, colours, ax, upside_down=upside_down, free=1.6)
    present = [kind for kind in KINDS if (table["kind"] == kind).any()]
    handles = [Patch(facecolor=COLOURS[kind], edgecolor="#888888", linewidth=0.5, label=kind) for kind in present]
    ax.legend(
        handles=handles, frameon=False, fontsize=8, ncols=len(handles), handlelength=1.0, columnspacing=1.2,
        loc="lower left" if upside_down else "upper left", borderaxespad=0.1,
    )  # fmt: skip
    own = found.table.groupby("function", sort=False)["self"].sum()
    top = str(own.idxmax()) if len(own) else "nothing"
    share = float(own.max()) / found.whole if found.whole else 0.0
    outer = f"; {counted(found.outer, 'outer level')} left out" if found.outer else ""
    said = f"{plain(top, 50)} itself takes {format_fraction(share)}"
    titled(
        ax,
        f"“{plain(search, 40)}” is in {format_fraction(_covered(table[hits]))} of it" if search else said,
        f"{counted(found.runs, 'profile')}; a box is as wide as its share{outer}{deeper}",
    )
    ax.set_xlabel(f"Share of {_amount(found.whole, found.unit)}")
    return ax


def _shown(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Down to the last level that is wide enough to be worth its height, and words for what lies beyond."""
    wide = table.groupby("level")["width"].sum()
    last = min(int(wide.index[wide >= _WIDE_LEVEL].max()) if len(wide) else 0, _MAX_LEVELS - 1)
    left_out = int(table["level"].max()) - last if len(table) else 0
    return table[table["level"] <= last], f"; {counted(left_out, 'narrow level')} deeper" if left_out else ""


def _hits(table: pd.DataFrame, search: str) -> pd.Series:
    """Which boxes are of a function that is searched for, by its name or file."""
    if not search:
        return pd.Series(False, index=table.index)
    names = table["function"].astype("str"), table["file"].astype("str")
    by_name, by_file = (column.str.contains(search, case=False, regex=False) for column in names)
    return by_name | by_file


def _covered(hits: pd.DataFrame) -> float:
    """The share of all that boxes cover: one below another counts once."""
    covered, reached = 0.0, 0.0
    for left, width in hits.sort_values(["left", "level"])[["left", "width"]].to_numpy():
        covered += max(0.0, left + width - max(left, reached))
        reached = max(reached, left + width)
    return covered


def _draw(table: pd.DataFrame, colours: Any, ax: Axes | None, *, upside_down: bool, free: float) -> Axes:
    """The boxes, with ``free`` levels of room at the far end for a legend."""
    levels = int(table["level"].max()) + 1 if len(table) else 1
    ax = axes(ax, height=1.3 + _LEVEL_IN * max(levels + free, 5))
    left, right = table["left"].to_numpy(), (table["left"] + table["width"]).to_numpy()
    low = table["level"].to_numpy(dtype="float64")
    corners = np.stack(
        [np.column_stack(pair) for pair in ((left, low), (right, low), (right, low + 1), (left, low + 1))], axis=1
    )
    # An array is taken as it is, a list box by box.
    boxes: Any = corners
    ax.add_collection(PolyCollection(boxes, facecolors=colours, edgecolors="white", linewidths=0.6))
    ax.set_xlim(0, 1)
    ax.set_ylim((levels + free, 0) if upside_down else (0, levels + free))
    ax.grid(False)
    ax.set_ylabel("Depth of the call")
    ax.set_yticks([])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.0f} %"))
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.get_xticklabels()[-1].set_horizontalalignment("right")
    _label(table, np.asarray(to_rgba_array(colours)), ax)
    return ax


def _label(table: pd.DataFrame, colours: Floats, ax: Axes) -> None:
    """Names where they fit, without their class where that is too long, and cut where most of them fits."""
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


def _amount(value: float, unit: str) -> str:
    if unit == "ms" or unit.startswith("ms/"):
        return format_ms(value) + unit.removeprefix("ms")
    return f"{format_number(float(f'{value:.3g}'))} {unit}"
