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
from .reading import read
from .store import load
from .tables import Measurements

__version__: str

__all__ = [
    "ComparisonError",
    "FormatError",
    "LoadPlan",
    "LoadTestError",
    "Measurements",
    "MissingExtraError",
    "MissingTableError",
    "PerflabError",
    "SchemaError",
    "Stage",
    "StoreError",
    "Target",
    "TargetError",
    "load",
    "read",
    "run",
    "run_pairs",
]
