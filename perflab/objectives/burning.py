"""`error_budget`: how much of what an objective allows was used over a run, and how fast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import SHARE
from perflab.notes import PYTHON, Note, notes_of, written
from perflab.objectives import cautions
from perflab.objectives.cells import Evidence
from perflab.objectives.checking import objectives_of
from perflab.objectives.objective import Objective, Objectives
from perflab.results import Result, Shown
from perflab.stats import intervals, replications
from perflab.stats.estimates import Floats, after_warmup, requests_of
from perflab.units import format_fraction, format_ms, format_short, parse_duration

_WINDOWS = 12
_MOST_WINDOWS = 2_000
Flags = npt.NDArray[np.bool_]
_COLUMNS = (
    "objective", "endpoint", "requests", "bad", "allowed", "used_fraction", "worst_burn", "worst_burn_low", "worst_at",
    "exhausted_at",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class ErrorBudget(Result):
    """The result of `error_budget`.

    ``table`` has a row for each objective: requests, ``bad`` ones (failed, or slower than the limit of a quantile), how many
    were ``allowed``, ``used_fraction`` of the budget, the fastest burn of a window (1: as fast as the budget allows) with the
    lower end of its 95 % interval and its start, and when the budget was exhausted. ``windows`` has those numbers for each
    window.
    """

    table: pd.DataFrame
    windows: pd.DataFrame
    window_ms: float
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """The budget that was used most."""
        if not len(self.table):
            return "No objective has an error budget"
        worst = self.table.loc[self.table["used_fraction"].idxmax()]
        used = format_fraction(worst["used_fraction"])
        what = f"{worst['objective']}: {used} of the error budget is used ({worst['bad']:,} of {worst['allowed']:,.1f} allowed)"
        if worst["worst_burn"] != worst["worst_burn"] or not worst["bad"]:
            return what
        at = f"{worst['worst_at']:%H:%M:%S}"
        return (
            f"{what}; fastest burn {format_short(worst['worst_burn'])}x, in the {format_ms(self.window_ms)} from {at}"
        )

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a budget is, and the objectives without one."""
        return (cautions.BUDGET(window_ms=self.window_ms), *self.warnings)

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, a row for each objective, and the notes."""
        return Shown(self.sentence, self.table.drop(columns="endpoint"), written(self.notes, surface), ours=True)


def error_budget(
    measured: Measurements | pd.DataFrame,
    goals: Objectives | Iterable[Objectives | Objective | str] | Objective | str,
    *,
    window: str | float | None = None,
    warmup: float | str | None = None,
) -> ErrorBudget:
    """How much of each error budget was used, and how fast: for a soak, or any long run.

    "error rate < 0.1 %" allows one failure in 1,000 requests, "p95 < 200 ms" 5 % of the requests to take longer: that is the
    budget of the time measured. A burn of 1 uses it up at the end; one of 10 after a tenth of the time.

    Parameters
    ----------
    measured : Measurements or DataFrame
        The runs of one arm, taken together in the order of time.
    goals : objectives
        As `check` takes them. Limits of error rates, passed checks and quantiles of latency have a budget.
    window : str or float, optional
        The length of the windows in which the burn is measured ("5m"); a twelfth of the time, if not given.
    warmup : float or str, optional
        The share of each run to leave out; the plan's, or 10 %, if not given.

    Returns
    -------
    ErrorBudget

    Raises
    ------
    MissingTableError
        No requests.
    ValueError
        Bad arguments, or no objective.

    >>> runs = lab.load("datasets/shop_runs", arm="eager")
    >>> found = lab.objectives.error_budget(runs, ["p95 < 1s", "error rate < 1%"])
    >>> bool((found.table.used_fraction < 1).all()), len(found.table)
    (True, 2)
    """
    given = [goals] if isinstance(goals, (Objectives, Objective, str)) else list(goals)
    wanted, held = objectives_of(given), requests_of(measured)
    cut = replications.warmup_of(held.runs, warmup)
    data = Evidence(held, cut)
    judged, notes = [], list[object]()
    for goal in wanted:
        names = [goal.endpoint] if goal.endpoint == AGGREGATED else data.named(goal.endpoint)
        if _budget(goal) is None or len(names) != 1:
            notes.append(cautions.NO_BUDGET(objective=str(goal)))
        else:
            judged.append((goal, names[0]))
    # The times of all requests, and of each objective's, from which its windows count.
    whole = None if held.lazy else list(after_warmup(held, cut))
    ends = np.array([_ends(kept, judged) for kept in whole or after_warmup(held, cut)]).reshape(-1, 2, 1 + len(judged))
    first, last = ends[:, 0].min(axis=0, initial=math.inf), ends[:, 1].max(axis=0, initial=-math.inf)
    span = max(float(last[0] - first[0]), 0.0)
    length = span / _WINDOWS if window is None else parse_duration(window, parameter="window")
    if not length > 0 or span / length > _MOST_WINDOWS:
        raise ValueError(f"window must be a duration of which there are at most {_MOST_WINDOWS:,}; got {window!r}")
    counts = [np.zeros((2, int(span / length) + 2)) for _ in judged]
    for kept in whole or after_warmup(held, cut):
        at = _milliseconds(kept)
        for total, begun, (goal, endpoint) in zip(counts, first[1:], judged, strict=True):
            chosen = _chosen(kept, goal, endpoint)
            place = ((at[chosen] - begun) // length).astype("int64")
            for own, weights in zip(total, (None, _bad(goal, kept)[chosen]), strict=True):
                own += np.bincount(place, weights=weights, minlength=len(own))
    rows, windows = [], []
    for (goal, endpoint), begun, (total, bad) in zip(judged, first[1:], counts, strict=True):
        budget = _budget(goal) or math.nan
        each = _windows(begun, total, bad, length, budget)
        rows.append(_row(goal, endpoint, int(total.sum()), int(bad.sum()), each, budget))
        windows.append(each.assign(objective=str(goal)))
    joined = pd.concat(windows, ignore_index=True) if windows else pd.DataFrame(columns=["objective", "start"])
    return ErrorBudget(pd.DataFrame(rows, columns=list(_COLUMNS)), joined, length, notes_of(notes))


def _milliseconds(requests: pd.DataFrame) -> Floats:
    at: Floats = requests["start"].astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e3
    return at


def _chosen(requests: pd.DataFrame, goal: Objective, endpoint: str) -> Flags:
    """The requests that an objective is about."""
    own = np.ones(len(requests), bool) if endpoint == AGGREGATED else (requests["endpoint"] == endpoint).to_numpy(bool)
    return own & requests["ok"].to_numpy(dtype=bool) if goal.only_ok else own


def _ends(requests: pd.DataFrame, judged: Sequence[tuple[Objective, str]]) -> tuple[Floats, Floats]:
    """The first and last time of all requests, and of those of each objective."""
    at = _milliseconds(requests)
    each = [at, *(at[_chosen(requests, goal, endpoint)] for goal, endpoint in judged)]
    ends = [(own.min(initial=math.inf), own.max(initial=-math.inf)) for own in each]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def _budget(goal: Objective) -> float | None:
    """The share of requests that may be bad; None of an objective that has no such share."""
    below = goal.operator in ("<", "<=")
    if goal.measure.table != "requests":
        return None
    if goal.measure.kind == SHARE and below and 0 < goal.bound < 1:
        return goal.bound
    return 1 - goal.share if goal.share is not None and 0 < goal.share < 1 and below else None


def _bad(goal: Objective, requests: pd.DataFrame) -> Flags:
    ok: Flags = requests["ok"].to_numpy(dtype=bool)
    if goal.measure.kind == SHARE:
        return ~ok
    latency = requests["latency_ms"].to_numpy(dtype="float64")
    slow: Flags = latency >= goal.bound if goal.operator == "<" else latency > goal.bound
    return slow


def _windows(first: float, requests: Floats, bad: Floats, length: float, budget: float) -> pd.DataFrame:
    """Requests, bad ones and burn of each window, in order of time; those without requests are left out."""
    some = np.flatnonzero(requests)
    if not len(some):
        return pd.DataFrame(columns=["start", "requests", "bad", "burn", "burn_low", "used_fraction"])
    total, failed = requests[some].astype("int64"), bad[some]
    low = [intervals.share(np.array([f]), np.array([float(n)]))[1] for f, n in zip(failed, total, strict=True)]
    return pd.DataFrame(
        {
            "start": pd.to_datetime((first + some * length) * 1e6, unit="ns", utc=True),
            "requests": total,
            "bad": failed.astype("int64"),
            "burn": failed / total / budget,
            "burn_low": np.array(low) / budget,
            "used_fraction": np.cumsum(failed) / (budget * total.sum()),
        }
    )


def _row(
    goal: Objective, endpoint: str, requests: int, bad: int, windows: pd.DataFrame, budget: float
) -> dict[str, object]:
    allowed = budget * requests
    row: dict[str, object] = {"objective": str(goal), "endpoint": endpoint, "requests": requests, "bad": bad}
    row |= {"allowed": allowed, "used_fraction": bad / allowed if allowed else math.nan}
    if not len(windows):
        return row | {"worst_burn": math.nan, "worst_burn_low": math.nan, "worst_at": pd.NaT, "exhausted_at": pd.NaT}
    # By the lower end: of few requests a single bad one burns fast, and proves little.
    worst = windows.loc[windows["burn_low"].where(windows["bad"] > 0, -1.0).idxmax()]
    spent = windows.loc[windows["used_fraction"] > 1, "start"]
    return row | {
        "worst_burn": float(worst["burn"]),
        "worst_burn_low": float(worst["burn_low"]),
        "worst_at": worst["start"],
        "exhausted_at": spent.iloc[0] if len(spent) else pd.NaT,
    }
