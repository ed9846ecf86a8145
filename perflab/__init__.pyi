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
from .queries.fingerprint import fingerprint
from .queries.n_plus_one import find_n_plus_one
from .queries.summaries import summarize_queries
from .tables import Measurements

__version__: str

__all__ = [
    "ComparisonError",
    "FormatError",
    "LoadTestError",
    "Measurements",
    "MissingExtraError",
    "MissingTableError",
    "PerflabError",
    "SchemaError",
    "StoreError",
    "TargetError",
    "find_n_plus_one",
    "fingerprint",
    "summarize_queries",
]
