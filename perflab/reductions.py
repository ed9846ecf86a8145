"""From many values to one: quantiles of latencies, and what samples of resources say of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def quantile(values: Floats, shares: Sequence[float]) -> Floats:
    """Quantiles of type 8 (median-unbiased), by selection instead of a full sort.

    Hyndman and Fan (1996), Sample quantiles in statistical packages, The American Statistician 50.
    """
    below, above, part = ranks_of(len(values), shares)
    picked = np.partition(values, np.unique(np.concatenate([below, above])))
    return between_ranks(picked[below], picked[above], part)


def ranks_of(count: Any, shares: Sequence[float]) -> tuple[Any, Any, Floats]:
    """The ranks (from 0) on both sides of each quantile, and how far it is from the first to the second.

    ``count`` is the number of values, or with one quantile the numbers of several groups.
    """
    ranks = np.clip((count + 1 / 3) * np.asarray(shares, dtype="float64") + 1 / 3, 1, count) - 1
    below = np.floor(ranks).astype("int64")
    return below, np.minimum(below + 1, count - 1), ranks - below


def between_ranks(low: Floats, high: Floats, part: Floats) -> Floats:
    """Quantiles from the values at both ranks."""
    with np.errstate(invalid="ignore"):
        between = low + part * (high - low)
    # Failed requests may count as infinitely slow.
    result: Floats = np.where((part == 0) | (low == high), low, between)
    return result


def _per_request(resources: Any, requests: int, seconds: float, column: str) -> float:
    if not requests or column not in resources:
        return math.nan
    values = resources[column].to_numpy(dtype="float64")
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan
    # Cores are a rate; bytes are counts between two samples.
    total = known.mean() * seconds * 1e3 if column == "cpu_cores" else known.sum()
    return float(total / requests)


def _io_per_s(resources: Any, seconds: float) -> float:
    known = [resources[c] for c in ("read_bytes", "written_bytes") if c in resources and resources[c].notna().any()]
    return float(sum(c.sum() for c in known)) / seconds if known and seconds > 0 else math.nan


FROM_RESOURCES: Mapping[str, Callable[[Any, int, float], float]] = MappingProxyType(
    {
        "cpu_ms_per_request": lambda r, n, s: _per_request(r, n, s, "cpu_cores"),
        "read_bytes": lambda r, n, s: _per_request(r, n, s, "read_bytes"),
        "written_bytes": lambda r, n, s: _per_request(r, n, s, "written_bytes"),
        "cpu_cores": lambda r, _n, _s: float(r["cpu_cores"].mean()),
        "rss_bytes": lambda r, _n, _s: float(r["rss_bytes"].max()),
        "io_bytes_per_s": lambda r, _n, s: _io_per_s(r, s),
    }
)
