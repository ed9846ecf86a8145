"""The names of this package that are public, beside those in `perflab` itself."""

from .assigning import assign_units, summarize_units
from .repetitions import find_write_loops

__all__ = [
    "assign_units",
    "find_write_loops",
    "summarize_units",
]
