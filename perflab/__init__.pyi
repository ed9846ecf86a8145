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
]
