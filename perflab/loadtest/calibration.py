"""`calibrate`: one system against itself (A/A): run-to-run noise, and the false-alarm rate of common tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from perflab.data.tables import AGGREGATED, Measurements
from perflab.errors import ComparisonError
from perflab.loadtest import reasons
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.run import run_pairs
from perflab.loadtest.serving import serving
from perflab.loadtest.target import Target
from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, Remedy, written
from perflab.progress import Listener
from perflab.results import Result, Shown
from perflab.stats import relabelling, replications
from perflab.stats.distributions import chi2_ppf
from perflab.stats.estimates import Floats, by_run, of_endpoint, requests_of, without_warmup
from perflab.stats.planning import smallest_effect
from perflab.units import format_fraction, format_p

LEAST_RUNS = 6
SIMULATIONS = 4_000
BY_RELABELLING, BY_SIMULATION, BY_COUNT = "this data, relabelled", "simulation", "single runs"
_BASES = {
    BY_RELABELLING: "this data, relabelled {:,} times",
    BY_SIMULATION: "simulation of {:,} experiments",
    BY_COUNT: "all {:,} pairings of these runs",
}
_NAMES = {
    "Mann-Whitney": "Mann-Whitney on pooled requests",
    "Kolmogorov-Smirnov": "Kolmogorov-Smirnov on pooled requests",
    "bootstrap": "bootstrap of the pooled quantile",
}
_PAIRED = "perflab: randomised pairs, paired t-test on the runs"
_BLOCKED = "Welch on the runs, all of one arm before the other"


@dataclass(frozen=True, repr=False)
class Calibration(Result):
    """The result of `calibrate`.

    ``sd`` is the run-to-run standard deviation of one system (a fraction of the metric, without the drift) with its 95 %
    interval ``sd_low`` to ``sd_high``; ``drift`` the relative change from the first run to the last, with ``drift_p``;
    ``autocorrelation`` that of successive runs. ``table`` has a row for each procedure: procedure, false_alarms (a fraction;
    0.05 is nominal), experiments, basis. ``by_endpoint`` has sd, drift and autocorrelation of each endpoint, ``values`` the
    metric of each run, ``runs`` the measurements. ``smallest_effect`` is what as many pairs detect with power .8.
    """

    metric: str
    endpoint: str
    sd: float
    sd_low: float
    sd_high: float
    drift: float
    drift_p: float
    autocorrelation: float
    pairs: int
    smallest_effect: float
    table: pd.DataFrame
    by_endpoint: pd.DataFrame
    values: pd.DataFrame
    runs: Measurements
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        what = "all requests" if self.endpoint == AGGREGATED else self.endpoint
        rates = self.table.set_index("procedure")["false_alarms"]
        pooled = rates[[n for n in _NAMES.values() if n in rates.index]]
        worst = (
            f"; a test of pooled requests reports a change in {format_fraction(pooled.max())} of cases"
            if len(pooled)
            else ""
        )
        return (
            f"Runs of the same system differ by {format_fraction(self.sd)} in {self.metric} of {what} (standard "
            f"deviation, {len(self.values)} runs){worst}, perflab in {format_fraction(float(rates[_PAIRED]))}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """The sd, drift and autocorrelation with their precision, and the smallest detectable change."""
        drift = Metric.of(self.metric).format_change(self.drift)
        return (
            f"sd {format_fraction(self.sd)} (95 % interval {format_fraction(self.sd_low)} to {format_fraction(self.sd_high)}); "
            f"drift {drift} from the first run to the last (p {format_p(self.drift_p)}); autocorrelation of "
            f"neighbouring runs {self.autocorrelation:.2f} (within ±{1.96 / math.sqrt(len(self.values)):.2f} is chance)",
            f"{self.pairs} pairs detect a change of {format_fraction(self.smallest_effect)} with power 0.8",
            "the runs are relabelled as two arms at random for the tests of pooled requests; the tests of runs are simulated "
            "at the measured sd, drift and autocorrelation, since relabelling one experiment would give them 5 % by "
            "construction; the nominal rate of each is 5 %",
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the false alarms of each procedure, and the notes."""
        table = pd.DataFrame(
            {
                "procedure": self.table["procedure"],
                "false alarms": [format_fraction(v) for v in self.table["false_alarms"]],
                "basis": [_BASES[r.basis].format(r.experiments) for r in self.table.itertuples()],
            }
        )
        return Shown(self.sentence, table, (*self.notes, *written(self.warnings, surface)))


def calibrate(
    target: Target | Measurements | pd.DataFrame | Sequence[Measurements],
    plan: LoadPlan | None = None,
    pairs: int = 10,
    *,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    warmup: float | str | None = None,
    relabellings: int = 200,
    seed: int | None = None,
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> Calibration:
    """Run an A/A calibration: run-to-run noise of one system, and the false-alarm rate of common tests on it.

    Parameters
    ----------
    target : Target | Measurements | pd.DataFrame | Sequence[Measurements]
        The system; its arms are called "<arm> A" and "<arm> B". Or measurements of existing runs of one system: six or
        more, of one arm or both sides of an A/A experiment.
    plan, pairs
        The load, and how many pairs of runs to make; for a target only.
    metric : str
        "p95", any ``"p<q>"`` or "mean".
    endpoint, warmup
        As in `compare`.
    relabellings : int
        The number of random labellings of the runs on which tests of pooled requests are tried.
    seed : int | None
        The seed for the order of the runs, the labellings and the simulation.
    store, progress
        As in `run_pairs`.

    Returns
    -------
    Calibration
        The false alarms of tests on pooled requests (Mann-Whitney, Kolmogorov-Smirnov, bootstrap) are counted on these
        data: however they are labelled, there is no difference. Those of perflab's procedure come from a simulation at the
        measured sd, drift and autocorrelation, along with what it avoids: all runs of one arm before all of the other.

    Raises
    ------
    ComparisonError
        Fewer than six runs, invalid runs, or several plans or generators. Also what `run_pairs` raises.

    >>> runs = lab.load("datasets/shop_runs", arm="eager")
    >>> lab.calibrate(runs, endpoint="GET /orders", seed=1).table.procedure[0]
    'Mann-Whitney on pooled requests'
    """
    what = Metric.of(metric)
    if not (what.is_latency and what.decided):
        raise ValueError(f'metric must be a latency ("p95", any "p<q>" or "mean"); got {metric!r}')
    if not isinstance(relabellings, int) or not 20 <= relabellings <= 100_000:
        raise ValueError(f"relabellings must be a number from 20 to 100,000; got {relabellings!r}")
    held = _measured(target, plan, pairs, seed, store, progress)
    replications.refusals(held.runs, ("arms",))
    cut = replications.warmup_of(held.runs, warmup)
    values = _values(held, metric, endpoint, cut)
    random = np.random.default_rng(0 if seed is None else seed)
    sd, drift, p_value, lag_one = _course(np.log(values["value"].to_numpy(dtype="float64")))
    count = len(values)
    ends = [math.sqrt((count - 2) / float(chi2_ppf(q, count - 2))) for q in (0.975, 0.025)]
    rows = [
        *_relabelled(held, values, endpoint, cut, what.share, relabellings, random),
        *_simulated(sd, drift, lag_one, count, random),
    ]
    return Calibration(
        metric=metric,
        endpoint=endpoint,
        sd=sd,
        sd_low=sd * ends[0],
        sd_high=sd * ends[1],
        drift=math.expm1(drift),
        drift_p=p_value,
        autocorrelation=lag_one,
        pairs=count // 2,
        smallest_effect=smallest_effect(count // 2, sd * math.sqrt(2 * max(0.05, 1 - lag_one)), 0.8),
        table=pd.DataFrame(rows, columns=["procedure", "false_alarms", "experiments", "basis"]),
        by_endpoint=_by_endpoint(held, metric, cut),
        values=values,
        runs=held,
        warnings=_doubts(values, p_value, drift, what),
    )


def _measured(
    given: Any, plan: LoadPlan | None, pairs: int, seed: int | None, store: str | Path, progress: bool | Listener
) -> Measurements:
    if isinstance(given, Target):
        if plan is None:
            raise ValueError("calibrate: a target needs a plan of the load; got none")
        if not isinstance(pairs, int) or pairs < LEAST_RUNS // 2:
            raise ValueError(f"calibrate: pairs must be {LEAST_RUNS // 2} or more; got {pairs!r}")
        return _driven(given, plan, pairs, seed, store, progress)
    if isinstance(given, (Measurements, pd.DataFrame)):
        return requests_of(given)
    first, *rest = [requests_of(side) for side in given]
    for side in rest:
        first = first + side
    return first


def _driven(
    target: Target, plan: LoadPlan, pairs: int, seed: int | None, store: str | Path, progress: bool | Listener
) -> Measurements:
    if not target.restart and (target.managed or target.deploy):
        # Both arms are the same service: a second copy would need the same port.
        with TemporaryDirectory(prefix="perflab-target-") as place:
            (Path(place) / "logs").mkdir()
            with serving(target, Path(place)) as service:
                up = replace(target, command=(), deploy=None, restart=True, pid=service.pid)
                return _driven(up, plan, pairs, seed, store, progress)
    sides = [replace(target, arm=f"{target.arm} {letter}") for letter in "AB"]
    first, second = run_pairs(plan, *sides, pairs=pairs, seed=seed, store=store, progress=progress)
    return first + second


def _values(held: Measurements, metric: str, endpoint: str, warmup: float) -> pd.DataFrame:
    """The metric of each run in start order: run, arm, start, count, value."""
    found = by_run(held, [metric], warmup=warmup)
    chosen = of_endpoint(found, endpoint).set_index("run")
    runs = held.runs.set_index("run").reindex(chosen.index)
    values = pd.DataFrame(
        {"arm": runs["arm"], "start": runs["start"], "count": chosen["count"], "value": chosen[metric]}
    )
    values = values[values["value"] > 0].sort_values("start", kind="stable", na_position="last").reset_index()
    if len(values) < LEAST_RUNS:
        raise ComparisonError(f"a calibration needs {LEAST_RUNS} runs or more with this endpoint; got {len(values)}")
    return values


def _course(logs: Floats) -> tuple[float, float, float, float]:
    """The sd around a linear drift, the drift from first to last, its p-value, and the residual autocorrelation."""
    from scipy.stats import linregress

    fitted = linregress(np.arange(len(logs)), logs)
    left = logs - (fitted.intercept + fitted.slope * np.arange(len(logs)))
    power = float(left @ left)
    if power < 1e-20:
        raise ComparisonError("the runs agree to the last digit: copies of one run are not repetitions")
    lag_one = float(left[1:] @ left[:-1]) / power
    return math.sqrt(power / (len(logs) - 2)), float(fitted.slope) * (len(logs) - 1), float(fitted.pvalue), lag_one


def _by_endpoint(held: Measurements, metric: str, warmup: float) -> pd.DataFrame:
    found = by_run(held, [metric], warmup=warmup)
    start = held.runs.set_index("run")["start"]
    rows = []
    for endpoint, part in found.groupby("endpoint", sort=False):
        ordered = part.assign(start=part["run"].map(start)).sort_values("start", kind="stable", na_position="last")
        values = ordered[metric].to_numpy(dtype="float64")
        if len(values) < LEAST_RUNS or not (values > 0).all() or len(np.unique(values)) == 1:
            continue
        sd, drift, _, lag_one = _course(np.log(values))
        rows.append((endpoint, len(values), float(np.exp(np.log(values).mean())), sd, math.expm1(drift), lag_one))
    columns = ["endpoint", "runs", f"{metric}_ms", "sd_fraction", "drift_fraction", "autocorrelation"]
    return pd.DataFrame(rows, columns=columns)


def _relabelled(
    held: Measurements, values: pd.DataFrame, endpoint: str, warmup: float, share: float | None, count: int,
    random: np.random.Generator,
) -> list[tuple[str, float, int, str]]:  # fmt: skip
    parts = held.pieces()
    by_name = {run: values for one in parts for run, values in _latencies(one, endpoint, warmup)}
    candidate = relabelling.labels(len(values), count, random)
    alarms = relabelling.naive_alarms([by_name[r] for r in values["run"]], candidate, 0.5 if share is None else share)
    logs = np.log(values["value"].to_numpy(dtype="float64"))
    apart = np.abs(logs[:, None] - logs[None, :])[np.triu_indices(len(logs), 1)] > math.log1p(0.05)
    rows = [(_NAMES[name], float(found.mean()), count, BY_RELABELLING) for name, found in alarms.items()]
    return [*rows, ("two single runs more than 5 % apart", float(apart.mean()), len(apart), BY_COUNT)]


def _latencies(held: Measurements, endpoint: str, warmup: float) -> list[tuple[str, Floats]]:
    """The latencies of each run after the warm-up."""
    requests = without_warmup(held, warmup)
    chosen = requests if endpoint == AGGREGATED else requests[requests["endpoint"] == endpoint]
    return [(str(run), part["latency_ms"].to_numpy(dtype="float64")) for run, part in chosen.groupby("run")]


def _simulated(
    sd: float, drift: float, lag_one: float, runs: int, random: np.random.Generator
) -> list[tuple[str, float, int, str]]:
    # Three and four pairs are decided by another test, so simulate five or more.
    length = max(10, runs - runs % 2)
    drift *= (length - 1) / (runs - 1)
    series = relabelling.simulated_series(sd, drift, min(0.95, max(0.0, lag_one)), length, SIMULATIONS, random)
    blocked, paired = relabelling.blocked_alarms(series), relabelling.paired_alarms(series, random)
    return [
        (_BLOCKED, float(blocked.mean()), SIMULATIONS, BY_SIMULATION),
        (_PAIRED, float(paired.mean()), SIMULATIONS, BY_SIMULATION),
    ]


def _doubts(values: pd.DataFrame, p_value: float, drift: float, metric: Metric) -> tuple[Note, ...]:
    found = []
    smallest = int(values["count"].min())
    if smallest < metric.rows_needed:
        found.append(reasons.TOO_FEW_FOR_VERDICT(metric=metric.name, needed=metric.rows_needed, requests=smallest))
    if values["start"].isna().any():
        found.append(reasons.START_UNKNOWN())
    if p_value < 0.05 and abs(drift) > 0.02:
        found.append(reasons.DRIFT(Remedy("run_pairs")))
    if len(values) < 12:
        found.append(reasons.FEW_RUNS(runs=len(values)))
    return tuple(found)
