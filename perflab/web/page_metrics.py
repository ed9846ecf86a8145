"""The metrics of pages over several runs: how far they differ on the same code."""

from __future__ import annotations

import pandas as pd

from perflab.data.tables import Measurements
from perflab.metrics import Metric
from perflab.results import Findings, count, findings


def summarize_vitals(measured: Measurements | pd.DataFrame) -> Findings:
    """Summarize the metrics of each page over its runs: the median, and the smallest and largest run.

    Parameters
    ----------
    measured : Measurements or DataFrame
        Measurements with vitals, or a vitals table: of `run_pages`, `run_lighthouse`, or Lighthouse's files.

    Returns
    -------
    Findings
        page, metric, runs, median, low, high, unit, rating (of the median). A run counts as the median of its visits.

    Raises
    ------
    MissingTableError
        The measurements hold no vitals.

    Examples
    --------
    >>> import perflab as lab, pandas as pd
    >>> vitals = pd.DataFrame({"run": list("abc"), "page": "/", "visit": 1, "metric": "lcp", "value": [2100.0, 1900.0, 2600.0],
    ...                        "unit": "ms"})
    >>> lab.web.summarize_vitals(vitals)[["metric", "runs", "median", "low", "high", "rating"]].values.tolist()
    [['lcp', 3, 2100.0, 1900.0, 2600.0, 'good']]
    """
    table = measured.vitals if isinstance(measured, Measurements) else measured
    runs = table.groupby(["page", "metric", "run"], sort=False)["value"].median().reset_index()
    grouped = runs.groupby(["page", "metric"], sort=False)["value"]
    found = grouped.agg(runs="count", median="median", low="min", high="max").reset_index()
    metrics = [Metric.of(name) for name in found["metric"]]
    found["unit"] = [metric.unit for metric in metrics]
    found["rating"] = [metric.rating(value) for metric, value in zip(metrics, found["median"], strict=True)]
    poor = count(int((found["rating"] == "poor").sum()), "median")
    pages, number = count(found["page"].nunique(), "page"), count(runs["run"].nunique(), "run")
    return findings(found, f"{pages} in {number}; {poor} rated poor")
