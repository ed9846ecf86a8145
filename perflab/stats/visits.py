"""The visits of pages as rows that runs are compared by, and their summary.

The value of a run is the median of its visits to a page; that of all pages is the mean of the pages' medians (geometric for
a ratio), so that no page counts for more because it is slower.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import pairwise
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements, of_run
from perflab.errors import ComparisonError
from perflab.metrics import RATINGS, VITAL_NAMES, VITALS, Floats, Metric
from perflab.notes import Note
from perflab.results import Findings, findings
from perflab.stats import doubts

_EPOCH = pd.Timestamp(0, tz="UTC")
SUMMARIZED = ("lcp", "inp", "cls", "fcp", "ttfb", "tbt")


def of_pages(metrics: Collection[Metric]) -> bool:
    """Whether these are metrics of pages; ValueError where some are and others are not."""
    kinds = {metric.table == VITALS for metric in metrics}
    if len(kinds) > 1:
        names = ", ".join(metric.name for metric in metrics)
        raise ValueError(f"metric must not combine metrics of pages with those of requests; got {names}")
    return True in kinds


def as_requests(measured: Measurements | pd.DataFrame) -> Measurements:
    """The measurements with a row of ``requests`` for each visit: its page as the endpoint, and a column for each metric.

    MissingTableError if there are no vitals, ComparisonError if they are empty.
    """
    held = measured if isinstance(measured, Measurements) else Measurements.of(vitals=measured)
    if not len(held.vitals):
        raise ComparisonError(doubts.NO_VISITS())
    key = ["run", "page", "visit"]
    wide = held.vitals.groupby([*key, "metric"], sort=False, observed=True)["value"].median().unstack("metric")
    visits = wide.reset_index()
    begun = of_run(visits, held.runs.set_index("run")["start"]).fillna(_EPOCH)
    rows = pd.DataFrame(
        {
            "run": visits["run"],
            "endpoint": visits["page"],
            "start": begun + pd.to_timedelta(visits["visit"].astype("int64"), unit="ms"),
            "latency_ms": wide.bfill(axis=1).iloc[:, 0].to_numpy(dtype="float64"),
            "ok": True,
            **{name: wide[name].to_numpy(dtype="float64") for name in wide.columns if name not in ("run", "start")},
        }
    )
    others = {name: held.tables[name] for name in ("runs", "resources", "load", "checks") if name in held.tables}
    return Measurements(MappingProxyType({**others, "requests": rows}), held.meta, held.warnings)


def columns_of(requests: pd.DataFrame) -> dict[str, Floats]:
    """The metrics of pages among the columns of a table, as `as_requests` makes them."""
    return {name: requests[name].to_numpy(dtype="float64") for name in VITAL_NAMES if name in requests.columns}


def medians(
    metric: Metric, values: Floats | None, page: npt.NDArray[np.intp], edges: npt.NDArray[np.int64]
) -> list[float]:
    """The metric of each group of visits (rows between two edges): the median by page, and the mean of the pages.

    Visits without the metric do not count: a page without interactions has no INP.
    """
    if values is None:
        return [math.nan] * (len(edges) - 1)
    return [_typical(metric, values[low:high], page[low:high]) for low, high in pairwise(edges)]


def _typical(metric: Metric, values: Floats, page: npt.NDArray[np.intp]) -> float:
    known = ~np.isnan(values)
    own = [float(np.median(values[known & (page == each)])) for each in np.unique(page[known])]
    return metric.typical(np.array(own)) if own else math.nan


Tables = TypeVar("Tables", bound=tuple[pd.DataFrame, ...])


def on_common_pages(tables: Tables, metrics: Collection[Metric]) -> Tables:
    """The values of one or more arms, those of all pages over the pages that have the metric in every run of each.

    A slow page whose metric is missing in some runs (nothing was painted, no interaction) would make those look faster.
    """
    for metric in metrics:
        some, every = _pages_with(pd.concat(tables), metric)
        for table in tables if some else ():
            common = table[table["endpoint"].isin(every)].groupby("run")[metric.name]
            typical = {run: metric.typical(own.to_numpy(dtype="float64")) for run, own in common}
            together = table["endpoint"] == AGGREGATED
            table.loc[together, metric.name] = table.loc[together, "run"].map(typical).astype("float64")
    return tables


def left_out(values: pd.DataFrame, metrics: Collection[Metric]) -> list[Note]:
    """Which pages `on_common_pages` left out, by metric."""
    found = [(metric, _pages_with(values, metric)[0]) for metric in metrics]
    return [doubts.PAGES_LEFT_OUT(metric=metric.label, pages=pages) for metric, pages in found if pages]


def _pages_with(values: pd.DataFrame, metric: Metric) -> tuple[list[str], list[str]]:
    """The pages that have the metric in some runs only, and those that have it in every run."""
    if metric.table != VITALS:
        return [], []
    own = values[values["endpoint"] != AGGREGATED]
    runs, known = len(values) - len(own), own.groupby("endpoint")[metric.name].count()
    return sorted(known.index[known.between(1, runs - 1)]), sorted(known.index[known == runs])


def summary_of(table: pd.DataFrame) -> Findings:
    """A `by_run` table of pages with columns for people, and the worst rating of each row."""
    metrics = [metric for metric in map(Metric.of, SUMMARIZED) if table[metric.name].notna().any()]
    named = table[["run", "endpoint", "count", *(metric.name for metric in metrics)]]
    ratings = [{metric.rating(row[metric.name]) for metric in metrics} for row in named.to_dict("records")]
    worst = [next((word for word in RATINGS[::-1] if word in own), "") for own in ratings]
    columns = {metric.name: metric.column for metric in metrics}
    return findings(named.rename(columns=columns).assign(rating=worst), doubts.MEDIAN_OF_VISITS())
