"""The public names of this package that `perflab` itself does not export."""

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
