"""The public names of this package that `perflab` itself does not export."""

from .access_logs import access_log
from .forecast import Forecast
from .measured_hits import CacheCheck, cache_hits, check_cache
from .miss_ratios import MissRatioCurve
from .strategies import Strategy, write_strategy

__all__ = [
    "CacheCheck",
    "Forecast",
    "MissRatioCurve",
    "Strategy",
    "access_log",
    "cache_hits",
    "check_cache",
    "write_strategy",
]
