"""The false-alarm rate of each test on a system compared with itself."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from perflab.loadtest.calibration import BY_SIMULATION, Calibration
from perflab.metrics import Metric
from perflab.plots.drawing import GREY, STYLES, axes, of_endpoint, plain, titled
from perflab.units import format_fraction

_PROMISED = 0.05


def plot_calibration(calibration: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw the false-alarm rate of each procedure on a system compared with itself.

    Parameters
    ----------
    calibration : Calibration
        The result of `calibrate`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        A bar for each procedure: the share of experiments without any difference in which it reports a change. Hatched:
        simulated with the measured noise; line: the nominal 5 %.

    >>> runs = lab.load("datasets/shop_runs", arm="eager")
    >>> lab.plots.plot_calibration(lab.calibrate(runs, seed=1)).get_xlabel()
    'False-alarm rate (A/A)'
    """
    ax = axes(ax, height=4.0)
    table = calibration.table.iloc[::-1]
    names = [textwrap.fill(plain(name, 80), 32) for name in table["procedure"]]
    kept = table["false_alarms"] <= 0.07
    bars = ax.barh(names, table["false_alarms"], color=[STYLES[1 if k else 0][0] for k in kept], height=0.62, zorder=2)
    for bar, row in zip(bars, table.itertuples(), strict=True):
        if row.basis == BY_SIMULATION:
            bar.set_hatch("///")
            bar.set_edgecolor("white")
        # Next to the line of the nominal rate, never on it.
        ax.annotate(
            format_fraction(row.false_alarms), (max(row.false_alarms, _PROMISED), bar.get_y() + bar.get_height() / 2),
            xytext=(5, 0),
            textcoords="offset points", va="center", fontsize=9,
        )  # fmt: skip
    ax.axvline(_PROMISED, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, zorder=3)
    ax.set_xlim(0, max(0.2, min(1.0, 1.15 * float(table["false_alarms"].max()))))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel("False-alarm rate (A/A)")
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", labelsize=8.5, length=0)
    ax.figure.subplots_adjust(left=0.3)
    titled(
        ax,
        f"{Metric.of(calibration.metric).label} of {of_endpoint(calibration.endpoint)}: run-to-run sd "
        f"{format_fraction(calibration.sd)}",
        f"{len(calibration.values)} runs; solid: relabelled runs; hatched: simulated with their sd and drift",
    )
    return ax
