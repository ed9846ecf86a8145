"""The public vocabulary: one line for each home, sorted by home."""

from .data.exports import write_jtl, write_k6_csv
from .data.selection import slowest_requests, summarize_errors, time_window
from .data.store import load
from .data.tables import Measurements
from .errors import (
    ComparisonError,
    FormatError,
    LoadTestError,
    MissingExtraError,
    MissingTableError,
    PerflabError,
    SchemaError,
    StoreError,
    TargetError,
)
from .explorers.dispatch import explore
from .formats.reading import ingest, read
from .loadtest.background import BackgroundRun, start_pairs, start_run
from .loadtest.calibration import calibrate
from .loadtest.capacity import Capacity, find_capacity
from .loadtest.merging import merge
from .loadtest.plan import LoadPlan
from .loadtest.recovery import recover
from .loadtest.run import run, run_pairs
from .loadtest.shapes import shape
from .loadtest.stages import Stage
from .loadtest.target import Target
from .loadtest.urls import Url
from .objectives import Objective, attainable, check, read_objectives
from .plots.attainable_plots import plot_attainable
from .plots.calibration_plots import plot_calibration
from .plots.capacity_plots import plot_capacity
from .plots.comparison_plots import plot_comparison, plot_quantile_shift
from .plots.decisions import plot_history, plot_power
from .plots.flame import plot_diff_flamegraph, plot_flamegraph, plot_icicle
from .plots.heatmap import plot_heatmap
from .plots.latency import plot_ecdf, plot_histogram
from .plots.load_plots import plot_plan
from .plots.over_time import plot_resources, plot_timeline, plot_users
from .plots.pairs import plot_pairs
from .plots.query_plots import plot_scaling, plot_waterfall
from .profiles.diff import diff_profiles
from .profiles.flat import flat_profile
from .profiles.modules import by_module, by_package
from .profiles.paths import callers_of, focus, hot_paths
from .profiles.waiting import summarize_time
from .queries.assigning import assign_units, summarize_units
from .queries.differences import compare_queries
from .queries.fingerprint import fingerprint
from .queries.gates import assert_no_n_plus_one
from .queries.n_plus_one import find_n_plus_one
from .queries.plans import Plan, explain
from .queries.repetitions import find_duplicates, find_write_loops
from .queries.slow import find_slow
from .queries.summaries import summarize_queries
from .reports.flamegraph_page import FlameGraph, draw_flamegraph
from .reports.investigations import Record, execute_notebook, new_notebook, record
from .reports.notebook_export import export
from .reports.report import Report, Section
from .stats.anytime import compare_anytime
from .stats.change import Change
from .stats.compare import compare
from .stats.estimates import harrell_davis, summarize, summarize_checks
from .stats.explanation import Explanation
from .stats.history import change_points
from .stats.one_run import quantile_interval, within
from .stats.planning import plan_runs
from .stats.ranks import mann_whitney
from .stats.shift import Shift, quantile_shift
from .stats.trends_over_time import Growth, growth

__version__: str

__all__ = [
    "BackgroundRun",
    "Capacity",
    "Change",
    "ComparisonError",
    "Explanation",
    "FlameGraph",
    "FormatError",
    "Growth",
    "LoadPlan",
    "LoadTestError",
    "Measurements",
    "MissingExtraError",
    "MissingTableError",
    "Objective",
    "PerflabError",
    "Plan",
    "Record",
    "Report",
    "SchemaError",
    "Section",
    "Shift",
    "Stage",
    "StoreError",
    "Target",
    "TargetError",
    "Url",
    "assert_no_n_plus_one",
    "assign_units",
    "attainable",
    "by_module",
    "by_package",
    "calibrate",
    "callers_of",
    "change_points",
    "check",
    "compare",
    "compare_anytime",
    "compare_queries",
    "diff_profiles",
    "draw_flamegraph",
    "execute_notebook",
    "explain",
    "explore",
    "export",
    "find_capacity",
    "find_duplicates",
    "find_n_plus_one",
    "find_slow",
    "find_write_loops",
    "fingerprint",
    "flat_profile",
    "focus",
    "growth",
    "harrell_davis",
    "hot_paths",
    "ingest",
    "load",
    "mann_whitney",
    "merge",
    "new_notebook",
    "plan_runs",
    "plot_attainable",
    "plot_calibration",
    "plot_capacity",
    "plot_comparison",
    "plot_diff_flamegraph",
    "plot_ecdf",
    "plot_flamegraph",
    "plot_heatmap",
    "plot_histogram",
    "plot_history",
    "plot_icicle",
    "plot_pairs",
    "plot_plan",
    "plot_power",
    "plot_quantile_shift",
    "plot_resources",
    "plot_scaling",
    "plot_timeline",
    "plot_users",
    "plot_waterfall",
    "quantile_interval",
    "quantile_shift",
    "read",
    "read_objectives",
    "record",
    "recover",
    "run",
    "run_pairs",
    "shape",
    "slowest_requests",
    "start_pairs",
    "start_run",
    "summarize",
    "summarize_checks",
    "summarize_errors",
    "summarize_queries",
    "summarize_time",
    "summarize_units",
    "time_window",
    "within",
    "write_jtl",
    "write_k6_csv",
]
