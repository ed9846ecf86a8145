"""`find_capacity`: the highest arrival rate at which the objectives hold, and the scalability model behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.loadtest import milestones, reasons
from perflab.loadtest.drive import expected_s, listening
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.run import loading, run
from perflab.loadtest.stages import Stage
from perflab.loadtest.target import Target
from perflab.notes import DESIGN, PYTHON, TARGET, Kind, Note, Remedy, written
from perflab.objectives import Objective, check
from perflab.objectives.checking import objectives_of
from perflab.progress import Listener, Part
from perflab.results import Result, Shown
from perflab.stats.estimates import by_run
from perflab.stats.scalability import ScalabilityLaw, fit_scalability
from perflab.units import format_fraction, format_rate, parse_duration, parse_fraction

_WARMUP = 0.1
_TRIES = 2
_SEEN = 2.0
_COLUMNS = (
    *("run", "rate", "throughput_per_s", "mean_ms", "p50_ms", "p95_ms", "error_fraction", "concurrency"),
    *("holds", "verdict", "reason"),
)
_HEADINGS = {"rate": "rate_per_s", "holds": "met_as_measured", "verdict": "by 95 % interval"}
AS_MEASURED = Kind(
    "capacity-as-measured", DESIGN,
    "The search goes by the measured values. By their 95 % intervals the objectives are inconclusive at {rates:raw}: longer "
    "steps narrow the intervals ({remedy})",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Capacity(Result):
    """The result of `find_capacity`.

    ``low`` is the highest rate (arrivals a second) at which the objectives held, ``high`` the lowest at which they did
    not (infinite if they always held). ``table`` has a row for each step, in run order: run, rate (offered),
    throughput_per_s (answered), mean_ms, p50_ms, p95_ms, error_fraction, concurrency (Little's law), holds (whether the
    measured values met the objectives, by which the search goes), verdict (of `check`, by their 95 % intervals), reason.
    ``model`` is the Universal Scalability Law where it fits, else None with the reason in ``model_problem``.
    """

    low: float
    high: float
    table: pd.DataFrame
    goals: tuple[Objective, ...]
    model: ScalabilityLaw | None
    model_problem: str
    stopped: str

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        goals = " and ".join(map(str, self.goals))
        if math.isinf(self.high):
            tried = f"{goals} held up to {format_rate(self.low)}" if self.low else f"{goals} is inconclusive"
            return f"{tried}: {self.stopped}"
        if self.low == 0:
            return f"{goals} does not hold even at {format_rate(self.high)}"
        return f"{goals} holds up to {format_rate(self.low)} and no longer at {format_rate(self.high)}"

    @property
    def notes(self) -> tuple[str | Note, ...]:
        """The scalability model, why the search ended, and whether the intervals agree with the measured values."""
        if self.model is None:
            model = f"no Universal Scalability Law: {self.model_problem}"
        else:
            contention, coherency = self.model.contention, self.model.coherency
            # A peak far beyond the steps is extrapolation: small errors in the parameters move it by orders of magnitude.
            seen = self.model.peak_concurrency <= _SEEN * float(self.table["concurrency"].max())
            peak = format_rate(self.model.peak_per_s) if seen else "beyond the range of these steps"
            model = (
                f"Universal Scalability Law: contention {format_fraction(contention[0])} "
                f"({format_fraction(contention[1])} to {format_fraction(contention[2])}), coherency "
                f"{coherency[0]:.2g} ({coherency[1]:.2g} to {coherency[2]:.2g}); highest throughput {peak}"
            )
        ended = () if math.isinf(self.high) else (f"the search ended because {self.stopped}",)
        return (model, *ended, *self._as_measured())

    def _as_measured(self) -> tuple[Note, ...]:
        """That the intervals leave open what the bracket says."""
        open_rates = self.table.loc[self.table["verdict"] == "inconclusive", "rate"]
        rates = sorted({rate for rate in open_rates if rate in (self.low, self.high)})
        if not rates:
            return ()
        return (AS_MEASURED(Remedy("find_capacity", {"step": ...}), rates=" and ".join(map(format_rate, rates))),)

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the steps and the notes."""
        table = self.table.drop(columns=["run", "mean_ms"], errors="ignore").rename(columns=_HEADINGS)
        return Shown(self.sentence, table, written(self.notes, surface), ours=True)


def find_capacity(
    plan: LoadPlan,
    target: Target,
    objective: Objective | str | Sequence[Objective | str],
    *,
    start: float = 10.0,
    factor: float = 2.0,
    limit: float = 2000.0,
    resolution: float | str = "10%",
    step: str | float = "15s",
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> Capacity:
    """Raise the arrival rate until an objective fails, then bracket the limit.

    Parameters
    ----------
    plan : LoadPlan
        The users; its stages are replaced by a constant rate for each step.
    target : Target
        The system under test; a command is restarted for each step.
    objective : Objective | str | Sequence[Objective | str]
        What must hold, such as ``"p95 < 200ms"`` or ``Objective("error_fraction", "<", "1%")``; or several.
    start, factor, limit : float
        The first rate (arrivals a second), the growth factor, and the highest rate to try.
    resolution : float | str
        Width of the final bracket as a fraction of the rate.
    step : str | float
        How long each step lasts.
    store, progress
        As in `run`.

    Returns
    -------
    Capacity
        The load is open (latency counts from the due time of an arrival), because a closed model slows down with its
        target and never shows what lies beyond the limit. A step that fails the objective, or is invalid for a reason other
        than the target, is repeated once, so that one stall is not mistaken for the limit. A second invalid run ends the
        search: it says nothing about the target.

    Raises
    ------
    As `run`; ValueError for invalid arguments.

    >>> plan = lab.LoadPlan("locustfile.py", stages=lab.Stage("15s", rate=10))       # doctest: +SKIP
    >>> lab.find_capacity(plan, target, "p95 < 200ms")                               # doctest: +SKIP
    """
    goals = objectives_of(objective)
    closeness = parse_fraction(resolution, parameter="resolution")
    if not (start > 0 and factor > 1 and limit >= start and 0 < closeness < 1):
        raise ValueError(
            f"find_capacity needs start > 0, factor > 1, limit >= start and 0 < resolution < 1; got start={start!r}, "
            f"factor={factor!r}, limit={limit!r}, resolution={resolution!r}"
        )
    length = parse_duration(step, parameter="step") / 1e3
    rows: list[dict[str, Any]] = []

    def holds(rate: float) -> bool | None:
        """Whether the objectives hold at this rate, in one of two tries; None if the last run was not valid."""
        for _ in range(_TRIES):
            changed = replace(plan, stages=[Stage(length, rate=rate)])
            part = Part(listener, len(rows) * expected_s(changed), f"step {len(rows) + 1}: {format_rate(rate)}")
            try:
                measured = run(changed, target, store=store, progress=part)
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(_left(stop, rows, store)) from None
            rows.append(_step(measured, rate, length, goals))
            milestones.run_finished(listener, measured, part.label, "p95", _WARMUP)
            if rows[-1]["holds"]:
                break
        found: bool | None = rows[-1]["holds"]
        return found

    with listening(progress, math.inf, f"capacity of {target.arm}") as listener:
        low, high, stopped = _search(holds, start, factor, limit, closeness)
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    usable = table[table["holds"].notna()]
    model, problem = fit_scalability(
        usable["concurrency"].to_numpy("float64"), usable["throughput_per_s"].to_numpy("float64")
    )
    return Capacity(low, high, table, goals, model, problem, stopped)


def _left(stop: KeyboardInterrupt, rows: Sequence[dict[str, Any]], store: str | Path) -> str:
    """What an interrupted search leaves: the runs of its finished steps."""
    if not rows:
        return str(stop)
    finished = ", ".join(f"{format_rate(row['rate'])} {row['verdict']}" for row in rows)
    kept = loading(store, run=[row["run"] for row in rows])
    return f"stopped in step {len(rows) + 1}; the steps before ({finished}) are kept: {kept}"


def _search(holds: Any, start: float, factor: float, limit: float, closeness: float) -> tuple[float, float, str]:
    """(highest rate that held, lowest that did not, why it ended)."""
    low, high, rate = 0.0, math.inf, start
    while True:
        answer = holds(rate)
        if answer is None:
            return (
                low,
                high,
                f"no valid run at {format_rate(rate)} (see reason); use more workers, or a quieter machine",
            )
        low, high = (rate, high) if answer else (low, rate)
        if math.isinf(high):
            if rate >= limit:
                return low, high, f"nothing higher was tried (limit={limit:g})"
            rate = min(limit, rate * factor)
        elif high - low <= closeness * high or (low == 0 and rate <= start / 64):
            return low, high, f"the bracket reached the resolution ({format_fraction(closeness)})"
        else:
            rate = math.sqrt(low * high) if low else rate / factor


def _step(measured: Measurements, rate: float, length_s: float, goals: tuple[Objective, ...]) -> dict[str, Any]:
    run_row = measured.runs.iloc[0]
    found = by_run(measured, ["throughput_per_s", "mean", "p50", "p95", "error_fraction"], warmup=_WARMUP)
    total = found[found["endpoint"] == AGGREGATED].iloc[0]
    answered = _answered_per_s(measured.requests, run_row["start"], length_s)
    row = {
        "run": run_row["run"],
        "rate": rate,
        "throughput_per_s": answered,
        **{f"{name}_ms": total[name] for name in ("mean", "p50", "p95")},
        "error_fraction": total["error_fraction"],
        "concurrency": answered * total["mean"] / 1e3,
    }
    against = dict(zip(run_row["reason_codes"], run_row["reasons"], strict=True)) if not run_row["valid"] else {}
    if beside := [text for code, text in against.items() if reasons.about(code) != TARGET]:
        return row | {"holds": None, "verdict": "invalid", "reason": beside[0]}
    checked = check(measured, goals, warmup=_WARMUP, allow=("invalid",))
    reason = "; ".join(against.values()) or (checked.sentence if checked.verdict != "holds" else "")
    met = all(goal.met_by(value) for goal, value in zip(goals, checked.table["measured"], strict=True))
    return row | {"holds": bool(met and not against), "verdict": checked.verdict, "reason": reason}


def _answered_per_s(requests: pd.DataFrame, start: pd.Timestamp, length_s: float) -> float:
    """Successful responses a second during the load; later ones were not answered at that rate."""
    due = requests["due"].fillna(requests["start"]) if "due" in requests.columns else requests["start"]
    ended = (due - start).dt.total_seconds() + requests["latency_ms"] / 1e3
    inside = requests["ok"].astype(bool) & (ended >= _WARMUP * length_s) & (ended <= length_s)
    return float(inside.sum()) / ((1 - _WARMUP) * length_s)
