"""The names of this package that are public, beside those in `perflab` itself."""

from .background import BackgroundRun
from .capacity import Capacity
from .merging import merge
from .rounds import run_arms

__all__ = [
    "BackgroundRun",
    "Capacity",
    "merge",
    "run_arms",
]
