"""The names of this package that are public; `check`, `Objective` and `read_objectives` are in `perflab` too."""

from .burning import ErrorBudget, error_budget
from .checking import Checked, check
from .documents import read_objectives
from .k6 import from_thresholds
from .limits import attainable
from .monitoring import MonitoringRules, monitoring_rules
from .objective import Objective, Objectives
from .shares import SharesCompared, compare_shares
from .writing import write_objectives

__all__ = [
    "Checked",
    "ErrorBudget",
    "MonitoringRules",
    "Objective",
    "Objectives",
    "SharesCompared",
    "attainable",
    "check",
    "compare_shares",
    "error_budget",
    "from_thresholds",
    "monitoring_rules",
    "read_objectives",
    "write_objectives",
]
