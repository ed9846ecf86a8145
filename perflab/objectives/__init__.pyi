"""The names of this package that are public; `check`, `Objective` and `read_objectives` are in `perflab` too."""

from .burning import ErrorBudget, error_budget
from .checking import Checked, check
from .documents import read_objectives
from .k6 import from_thresholds
from .limits import attainable
from .objective import Objective, Objectives
from .writing import write_objectives

__all__ = [
    "Checked",
    "ErrorBudget",
    "Objective",
    "Objectives",
    "attainable",
    "check",
    "error_budget",
    "from_thresholds",
    "read_objectives",
    "write_objectives",
]
