"""The public vocabulary: one line for each home, sorted by home."""

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
from .loadtest.plan import LoadPlan, Stage
from .loadtest.run import run, run_pairs
from .loadtest.target import Target
from .plots import plot_ecdf, plot_pairs, plot_resources, plot_timeline
from .queries.fingerprint import fingerprint
from .queries.n_plus_one import find_n_plus_one
from .queries.summaries import summarize_queries
from .reading import read
from .report import Report, Section
from .stats.compare import Change, compare
from .stats.estimates import summarize
from .store import load
from .tables import Measurements

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
    "PerflabError",
    "Report",
    "SchemaError",
    "Section",
    "Stage",
    "StoreError",
    "Target",
    "TargetError",
    "compare",
    "find_n_plus_one",
    "fingerprint",
    "load",
    "plot_ecdf",
    "plot_pairs",
    "plot_resources",
    "plot_timeline",
    "read",
    "run",
    "run_pairs",
    "summarize",
    "summarize_queries",
]
