"""The names of this package that are public, beside those in `perflab` itself."""

from .anytime import compare_anytime
from .change import Explanation
from .estimates import harrell_davis, summarize_checks
from .one_run import quantile_interval, within
from .ranks import mann_whitney
from .shift import Shift
from .trends_over_time import Growth, growth

__all__ = [
    "Explanation",
    "Growth",
    "Shift",
    "compare_anytime",
    "growth",
    "harrell_davis",
    "mann_whitney",
    "quantile_interval",
    "summarize_checks",
    "within",
]
