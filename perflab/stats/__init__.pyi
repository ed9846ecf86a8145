"""The public names of this package that `perflab` itself does not export."""

from .anytime import compare_anytime
from .change import Explanation
from .check_shares import summarize_checks
from .common_changes import find_changes
from .estimates import harrell_davis
from .one_run import quantile_interval, within
from .ranks import mann_whitney
from .several_arms import ArmsCompared, compare_arms
from .shift import Shift
from .trends_over_time import Growth, growth

__all__ = [
    "ArmsCompared",
    "Explanation",
    "Growth",
    "Shift",
    "compare_anytime",
    "compare_arms",
    "find_changes",
    "growth",
    "harrell_davis",
    "mann_whitney",
    "quantile_interval",
    "summarize_checks",
    "within",
]
