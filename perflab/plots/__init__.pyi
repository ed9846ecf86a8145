"""The public names of this package that `perflab` itself does not export."""

from .attainable_plots import plot_attainable
from .calibration_plots import plot_calibration
from .capacity_plots import plot_capacity
from .comparison_plots import plot_quantile_shift
from .decisions import plot_history, plot_power
from .heatmap import plot_heatmap
from .latency import plot_histogram
from .over_time import plot_resources, plot_users
from .query_plots import plot_scaling
from .trace_plots import plot_trace

__all__ = [
    "plot_attainable",
    "plot_calibration",
    "plot_capacity",
    "plot_heatmap",
    "plot_histogram",
    "plot_history",
    "plot_power",
    "plot_quantile_shift",
    "plot_resources",
    "plot_scaling",
    "plot_trace",
    "plot_users",
]
