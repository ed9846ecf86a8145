"""The names of this package that are public, beside those in `perflab` itself."""

from .flamegraph_page import FlameGraph
from .investigations import Record
from .placing import Section

__all__ = [
    "FlameGraph",
    "Record",
    "Section",
]
