"""The names of this package that are public, beside those in `perflab` itself."""

from .assigning import assign_units, summarize_units
from .connections import find_connections
from .consecutive import find_consecutive
from .multiplying_joins import find_multiplying_joins
from .repetitions import find_write_loops

__all__ = [
    "assign_units",
    "find_connections",
    "find_consecutive",
    "find_multiplying_joins",
    "find_write_loops",
    "summarize_units",
]
