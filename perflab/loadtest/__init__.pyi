"""The public names of this package that `perflab` itself does not export."""

from .background import BackgroundRun
from .cache_probe import RedisProbe, probe_redis
from .capacity import Capacity
from .merging import merge
from .rounds import run_arms

__all__ = [
    "BackgroundRun",
    "Capacity",
    "RedisProbe",
    "merge",
    "probe_redis",
    "run_arms",
]
