"""The public names, one line per module, sorted by module."""

from . import browsing as browsing
from . import caching as caching
from . import data as data
from . import gates as gates
from . import loadtest as loadtest
from . import objectives as objectives
from . import plots as plots
from . import profiles as profiles
from . import queries as queries
from . import reports as reports
from . import stats as stats
from . import web as web
from .browsing.lighthouse_runs import run_lighthouse
from .browsing.page_recovery import recover
from .browsing.page_runs import PagePlan, run_pages
from .caching.forecasting import what_if_cache
from .caching.miss_ratios import miss_ratio_curve
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
from .loadtest.background import start_pairs, start_run
from .loadtest.calibration import calibrate
from .loadtest.capacity import find_capacity
from .loadtest.plan import LoadPlan
from .loadtest.run import run, run_pairs
from .loadtest.shapes import shape
from .loadtest.stages import Stage
from .loadtest.target import Target
from .loadtest.urls import Url
from .objectives.checking import check
from .objectives.documents import read_objectives
from .objectives.monitoring import monitoring_rules
from .objectives.objective import Objective
from .plots.account_plots import plot_account
from .plots.cache_plots import plot_miss_ratio
from .plots.comparison_plots import plot_comparison
from .plots.flame import plot_flamegraph
from .plots.latency import plot_ecdf
from .plots.load_plots import plot_load
from .plots.over_time import plot_timeline
from .plots.page_plots import plot_vitals
from .plots.pairs import plot_pairs
from .plots.query_plots import plot_waterfall
from .profiles.diff import diff_profiles
from .profiles.flat import flat_profile
from .profiles.paths import hot_paths
from .profiles.waiting import summarize_time
from .queries.differences import compare_queries
from .queries.gates import assert_no_n_plus_one
from .queries.n_plus_one import find_n_plus_one
from .queries.plans import QueryPlan, explain
from .queries.repetitions import find_duplicates
from .queries.slow import find_slow
from .queries.summaries import summarize_queries
from .queries.vectorised import fingerprint
from .reports.flamegraph_page import draw_flamegraph
from .reports.investigations import execute_notebook, new_notebook, record
from .reports.notebook_export import export_notebook
from .reports.report import Report
from .stats.change import Change
from .stats.compare import compare
from .stats.estimates import summarize
from .stats.history import change_points
from .stats.planning import plan_runs
from .stats.shift import quantile_shift
from .traces.accounts import account
from .traces.calls_in_a_row import find_sequential
from .traces.critical_path import critical_path
from .traces.what_if import what_if
from .web.bundles import find_large_modules
from .web.exchange_audit import audit_exchanges

__version__: str

__all__ = [
    "Change",
    "ComparisonError",
    "FormatError",
    "LoadPlan",
    "LoadTestError",
    "Measurements",
    "MissingExtraError",
    "MissingTableError",
    "Objective",
    "PagePlan",
    "PerflabError",
    "QueryPlan",
    "Report",
    "SchemaError",
    "Stage",
    "StoreError",
    "Target",
    "TargetError",
    "Url",
    "account",
    "assert_no_n_plus_one",
    "audit_exchanges",
    "calibrate",
    "change_points",
    "check",
    "compare",
    "compare_queries",
    "critical_path",
    "diff_profiles",
    "draw_flamegraph",
    "execute_notebook",
    "explain",
    "explore",
    "export_notebook",
    "find_capacity",
    "find_duplicates",
    "find_large_modules",
    "find_n_plus_one",
    "find_sequential",
    "find_slow",
    "fingerprint",
    "flat_profile",
    "hot_paths",
    "ingest",
    "load",
    "miss_ratio_curve",
    "monitoring_rules",
    "new_notebook",
    "plan_runs",
    "plot_account",
    "plot_comparison",
    "plot_ecdf",
    "plot_flamegraph",
    "plot_load",
    "plot_miss_ratio",
    "plot_pairs",
    "plot_timeline",
    "plot_vitals",
    "plot_waterfall",
    "quantile_shift",
    "read",
    "read_objectives",
    "record",
    "recover",
    "run",
    "run_lighthouse",
    "run_pages",
    "run_pairs",
    "shape",
    "start_pairs",
    "start_run",
    "summarize",
    "summarize_queries",
    "summarize_time",
    "what_if",
    "what_if_cache",
]
