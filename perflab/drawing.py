"""What every plot shares: arms with their styles, log axes in milliseconds, titles, and the Axes to draw on.

Colours are Okabe and Ito's (2008), which the colour-blind can tell apart; line style and marker say the same
again, for black and white. matplotlib is imported here and in `plots` only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from perflab.tables import AGGREGATED, Measurements
from perflab.units import format_number

STYLES = (
    ("#D55E00", "-", "o"),
    ("#0072B2", (0, (5, 2)), "s"),
    ("#009E73", (0, (1, 1.2)), "^"),
    ("#CC79A7", (0, (6, 2, 1, 2)), "D"),
    ("#000000", (0, (3, 1, 1, 1, 1, 1)), "v"),
    ("#E69F00", (0, (8, 3)), "P"),
    ("#56B4E9", (0, (2, 2)), "X"),
)
GREY = "#595959"


@dataclass(frozen=True)
class Arm:
    """The runs of one arm and how they are drawn."""

    label: str
    data: Measurements
    colour: str
    dashes: Any
    marker: str

    @property
    def runs(self) -> int:
        return len(self.data.runs)


def arms_of(measurements: Iterable[Measurements]) -> list[Arm]:
    """Each arm of each of the measurements, in the order given; equal names are numbered."""
    found: list[tuple[str, Measurements]] = []
    for position, given in enumerate(measurements, 1):
        if not isinstance(given, Measurements):
            raise ValueError(f"measurements must be Measurements (from run, load or read); got {type(given).__name__}")
        names = given.runs["arm"].fillna("")
        for name in names.unique():
            part = given if (names == name).all() else _runs_where(given, names == name)
            found.append((name or f"measurements {position}", part))
    if not found:
        raise ValueError("measurements must hold at least one run; got none")
    labels = [name for name, _ in found]
    numbered = [f"{n} ({labels[:i].count(n) + 1})" if labels.count(n) > 1 else n for i, n in enumerate(labels)]
    return [
        Arm(plain(label, 40), data, *STYLES[i % len(STYLES)])
        for i, (label, (_, data)) in enumerate(zip(numbered, found, strict=True))
    ]


def _runs_where(measurements: Measurements, chosen: pd.Series[Any]) -> Measurements:
    return measurements.where(run=list(measurements.runs.loc[chosen, "run"]))


def requests_of(arm: Arm, endpoint: str) -> pd.DataFrame:
    """The arm's requests to the endpoint; ValueError with the endpoints there are when there are none."""
    requests = arm.data.requests
    if endpoint != AGGREGATED:
        requests = requests[requests["endpoint"] == endpoint]
    if len(requests) == 0:
        known = ", ".join(map(repr, [AGGREGATED, *sorted(arm.data.requests["endpoint"].unique())][:30]))
        raise ValueError(f"endpoint must be one of {known} in arm {arm.label!r}; got {endpoint!r}")
    return requests


def seconds_since_start(frame: pd.DataFrame, instants: str, runs: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Seconds between the start of each row's run (its first row where the run's is unknown) and the row."""
    start = frame["run"].map(runs.set_index("run")["start"])
    if start.isna().any():
        start = start.fillna(frame.groupby("run")[instants].transform("min"))
    return np.asarray((frame[instants] - start).dt.total_seconds(), dtype="float64")


def by_run(frame: pd.DataFrame, column: str) -> dict[str, np.ndarray[Any, Any]]:
    """The column's values of each run."""
    codes, names = pd.factorize(frame["run"])
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    values = frame[column].to_numpy()[order]
    return dict(zip(map(str, names), np.split(values, ends), strict=True))


def plain(text: object, longest: int = 60) -> str:
    """Outside text for matplotlib: one line, bounded, no mathematics between dollars, never an ignored label."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    cut = flat if len(flat) <= longest else flat[: longest - 1] + "…"
    return (" " if cut.startswith("_") else "") + cut.replace("$", r"\$")


def axes(ax: Axes | None, *, height: float = 4.2) -> Axes:
    """The Axes given, or those of a new figure of the usual size."""
    if ax is None:
        _, ax = plt.subplots(figsize=(8.4, height), layout="constrained")
    tidy(ax)
    return ax


def panels(heights: list[float]) -> list[Axes]:
    """Axes above one another that share the time axis."""
    figure, grid = plt.subplots(
        len(heights), 1, sharex=True, squeeze=False, layout="constrained",
        figsize=(8.4, 1.0 + 1.15 * sum(heights)), gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    column = [grid[row, 0] for row in range(len(heights))]
    for ax in column:
        tidy(ax)
    figure.align_ylabels(column)
    return column


def tidy(ax: Axes) -> None:
    """No box, a light grid behind the data."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(True, which="major", color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)


def titled(ax: Axes, finding: str, detail: str) -> None:
    """The finding in bold, how to read it below in grey, both at the left."""
    ax.set_title(finding, loc="left", fontweight="bold", fontsize=11, pad=21, wrap=True)
    ax.annotate(
        detail, (0, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", fontsize=8.5, color=GREY,
        annotation_clip=False,
    )  # fmt: skip


def log_axis(axis: Any, label: str) -> None:
    """A log axis with its ticks at 1, 2 and 5, written as plain numbers."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_number(float(f"{value:.6g}"))))
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(label)


def counted(count: int, noun: str) -> str:
    """``1 run``, ``6 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
