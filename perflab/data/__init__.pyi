"""The public names of this package that `perflab` itself does not export."""

from .exports import write_jtl, write_k6_csv
from .selection import latency_band, slowest_requests, summarize_errors, time_window

__all__ = [
    "latency_band",
    "slowest_requests",
    "summarize_errors",
    "time_window",
    "write_jtl",
    "write_k6_csv",
]
