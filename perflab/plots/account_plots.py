"""An account as a waterfall: from before to after, a bar for each component."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from perflab.plots.drawing import GREY, axes, of_endpoint, plain, titled
from perflab.plots.palette import BLUE, INK, VERMILION
from perflab.traces.account_result import DIRECTIONS, Account, label_of
from perflab.traces.components import REST
from perflab.units import format_ms

_TOTAL, _LESS, _MORE, _NONE = INK, BLUE, VERMILION, "#A0A0A0"


def plot_account(account: Account, *, ax: Axes | None = None) -> Axes:
    """Draw the components of a latency, or of its change, as a waterfall.

    Parameters
    ----------
    account : Account
        The result of `account`.
    ax : Axes
        A new figure if not given.

    Returns
    -------
    Axes
        x: milliseconds; a bar for each component, starting at the end of the one above, with its 95 % interval. For a change
        the first and last bars are the metric before and after; components whose change is not certain are grey.

    >>> import pandas as pd
    >>> at = pd.to_datetime(["2026-01-01T00:00:00Z"])
    >>> requests = pd.DataFrame({"run": "r", "endpoint": "GET /", "start": at, "latency_ms": [20.0], "ok": True,
    ...                          "request": ["a"]})
    >>> parts = pd.DataFrame({"run": "r", "request": ["a"], "component": "database", "duration_ms": [15.0]})
    >>> one = lab.account(lab.Measurements.of(requests=requests, components=parts), metric="mean")
    >>> lab.plot_account(one).get_xlabel()
    'Mean latency, ms'
    """
    table = account.table
    change = len(account.arms) > 1
    column = "change_ms" if change else "baseline_ms"
    table = table[(table[column].abs() >= 0.005 * table[column].abs().max()) | (table["component"] == REST)]
    sizes = table[column].to_numpy(dtype="float64")
    start = account.baseline_ms if change else 0.0
    begins = start + np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    labels = [plain(label_of(name)) for name in table["component"]]
    given = ax
    ax = axes(ax, height=1.6 + 0.36 * (len(table) + 1 + change))
    if given is None:
        ax.figure.subplots_adjust(left=0.2)
    offset = 1 if change else 0
    places = np.arange(len(table)) + offset
    low, high = (table[f"{column.removesuffix('_ms')}_{end}_ms"].to_numpy(dtype="float64") for end in ("low", "high"))
    ax.barh(places, sizes, left=begins, color=_colours(account, table), height=0.62, zorder=2)
    ends = begins + sizes
    known = ~np.isnan(low)
    if known.any():
        reach = np.abs(np.vstack([sizes - low, high - sizes]))[:, known]
        ax.errorbar(ends[known], places[known], xerr=reach, fmt="none", ecolor=INK, elinewidth=1, capsize=2.5, zorder=3)
    after = account.candidate_ms if change else account.baseline_ms
    if change:
        ax.barh([0], [account.baseline_ms], color=_TOTAL, height=0.62, zorder=2)
        labels = [plain(account.arms[0]), *labels]
    ax.barh([len(labels)], [after], color=_TOTAL, height=0.62, zorder=2)
    labels.append(plain(account.arms[1] if change else account.metric.label))
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.margins(x=0.12)
    ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    reach = float(np.max(np.maximum(ends, begins)))
    for place, size, edge in zip(
        places, sizes, np.fmax(np.fmax(begins, ends), np.where(known, begins + high, ends)), strict=True
    ):
        text = account.signed(size, unit="") if change else account.plain(size)
        ax.annotate(
            text, (edge, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5, color=GREY
        )
    ax.set_xlabel(account.metric.axis_label, loc="left")
    ax.set_xlim(right=max(reach, account.baseline_ms, after) * 1.12)
    _title(ax, account)
    return ax


def _colours(account: Account, table: object) -> list[str]:
    rows = table.to_dict("records")  # type: ignore[attr-defined]
    if len(account.arms) < 2:
        return [_LESS] * len(rows)
    return [(_LESS if row["change_ms"] < 0 else _MORE) if row["verdict"] in DIRECTIONS else _NONE for row in rows]


def _title(ax: Axes, account: Account) -> None:
    what = f"{account.metric.label} of {of_endpoint(account.endpoint)}"
    if len(account.arms) < 2:
        titled(
            ax,
            f"{what}: {format_ms(account.baseline_ms)}",
            f"recorded runs: {account.counted}; 95 % intervals over runs",
        )
        return
    before, after = account.plain(account.baseline_ms), account.plain(account.candidate_ms)
    moved = f"{before} → {after} ms, {account.signed(account.change_ms)}"
    titled(
        ax,
        f"{what}: {moved}",
        f"recorded runs: {account.counted}; 95 % intervals; grey: within tolerance or not certain",
    )
