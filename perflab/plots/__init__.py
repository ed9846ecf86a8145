"""Pictures of evidence: `plot_*` functions that draw on, and return, matplotlib Axes.

They aggregate before they draw, so a million requests make as many artists as a thousand; the slowest request
is always inside the picture. Every run of an arm is shown: the run is the unit of replication.
"""

from perflab.plots.attainable_plots import plot_attainable
from perflab.plots.calibration_plots import plot_calibration
from perflab.plots.decisions import plot_history, plot_power
from perflab.plots.flame import plot_flamegraph
from perflab.plots.heatmap import plot_heatmap
from perflab.plots.latency import plot_ecdf, plot_histogram
from perflab.plots.over_time import plot_resources, plot_timeline, plot_users
from perflab.plots.pairs import plot_pairs
from perflab.plots.query_plots import plot_scaling, plot_waterfall

__all__ = [
    "plot_attainable",
    "plot_calibration",
    "plot_ecdf",
    "plot_flamegraph",
    "plot_heatmap",
    "plot_histogram",
    "plot_history",
    "plot_pairs",
    "plot_power",
    "plot_resources",
    "plot_scaling",
    "plot_timeline",
    "plot_users",
    "plot_waterfall",
]
