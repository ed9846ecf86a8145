"""The public names of this package that `perflab` itself does not export."""

from .background import BackgroundRun
from .cache_probe import RedisProbe, probe_redis
from .capacity import Capacity
from .merging import merge
from .production import MixCompared, PeakCompared, compare_mix, compare_with_peak
from .rounds import run_arms
from .traffic import Traffic, read_traffic

__all__ = [
    "BackgroundRun",
    "Capacity",
    "MixCompared",
    "PeakCompared",
    "RedisProbe",
    "Traffic",
    "compare_mix",
    "compare_with_peak",
    "merge",
    "probe_redis",
    "read_traffic",
    "run_arms",
]
