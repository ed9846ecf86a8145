"""How many of the named assertions of a load test passed."""

from __future__ import annotations

import pandas as pd

from perflab.data.tables import Measurements


def summarize_checks(measured: Measurements) -> pd.DataFrame:
    """How many of the named checks passed, by run, endpoint and name.

    Parameters
    ----------
    measured : Measurements
        With a ``checks`` table; MissingTableError otherwise.

    Returns
    -------
    DataFrame
        run, endpoint, name, count, passed, passed_fraction. The endpoint is missing where none was recorded.

    >>> import pandas as pd
    >>> at = pd.date_range("2026-01-01", periods=4, freq="s", tz="UTC")
    >>> checks = pd.DataFrame({"run": "a", "start": at, "name": "status is 200", "ok": [True, True, True, False]})
    >>> summarize_checks(Measurements.of(checks=checks)).passed_fraction.item()
    0.75
    """
    checks = measured.checks
    if "endpoint" not in checks.columns:
        checks = checks.assign(endpoint=pd.Series(None, index=checks.index, dtype="str"))
    grouped = checks.groupby(["run", "endpoint", "name"], sort=False, dropna=False)["ok"]
    table = grouped.agg(["size", "sum"]).reset_index().rename(columns={"size": "count", "sum": "passed"})
    table = table.astype({"count": "int64", "passed": "int64"})
    return table.assign(passed_fraction=table["passed"] / table["count"]).sort_values(
        ["run", "endpoint", "name"], ignore_index=True
    )
