"""Evidence reduced for exploring a million rows: texts as categories, and only the columns in use."""

from __future__ import annotations

from types import MappingProxyType

import pandas as pd

from perflab.data.tables import Measurements

_FOR_STATISTICS = ("run", "endpoint", "start", "latency_ms", "ok", "due", "pair", "arm")

_CODED = ("run", "endpoint")


def with_categories(measurements: Measurements) -> Measurements:
    """The same rows with runs and endpoints as categories, so that selecting among a million takes milliseconds.

    Other texts stay as they are: ids of requests differ in every row, and views of causes count few rows.
    """
    requests = measurements.requests
    texts = [c for c in _CODED if c in requests.columns and isinstance(requests[c].dtype, pd.StringDtype)]
    coded = requests.assign(**{c: requests[c].astype("category") for c in texts})
    tables = {**measurements.tables, "requests": coded}
    for name in ("load", "resources"):
        if name in tables:
            frame = tables[name]
            tables[name] = frame.assign(**{c: frame[c].astype("category") for c in ("run", "process") if c in frame})
    return Measurements(MappingProxyType(tables), measurements.meta, measurements.warnings)


def for_statistics(measurements: Measurements) -> Measurements:
    """The same with only the columns that a verdict needs."""
    kept = [c for c in _FOR_STATISTICS if c in measurements.requests.columns]
    return with_categories(_with_requests(measurements, measurements.requests[kept]))


def _with_requests(measurements: Measurements, requests: pd.DataFrame) -> Measurements:
    return Measurements(
        MappingProxyType({**measurements.tables, "requests": requests}), measurements.meta, measurements.warnings
    )
