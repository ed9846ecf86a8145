"""`plan_runs`: how many runs an effect needs, how long they should be, and what a budget can detect."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from scipy import special

from perflab.data.tables import AGGREGATED, Measurements
from perflab.metrics import Floats, Metric
from perflab.notes import PYTHON, Note, written
from perflab.results import Result, Shown
from perflab.stats import doubts, pilots
from perflab.stats.distributions import chi2_ppf, crossing, t_isf
from perflab.stats.estimates import whose
from perflab.stats.pilots import Pilot
from perflab.units import format_fraction, format_ms, parse_duration, parse_fraction

ALPHA = 0.05
SURE = 0.8
"""Confidence of the upper limit of the standard deviation that a plan is based on."""
MOST = 2_000
_NODES, _RAW = np.polynomial.legendre.leggauss(64)
_SHARES, _WEIGHTS = (_NODES + 1) / 2, _RAW / 2
"""Gauss-Legendre nodes on (0, 1), for averages over a variance by its quantiles."""
_SHOWN = (3, 4, 5, 6, 8, 10, 15, 20, 30)
_NOTABLE = 1.25
"""A run length that lowers the cost by less is not recommended."""


@dataclass(frozen=True, repr=False)
class RunPlan(Result):
    """The result of `plan_runs`.

    ``pairs`` (randomised, interleaved) and ``runs`` (per arm, unpaired) reach ``power`` for ``effect``, at the upper
    80 % limits of the pilot's standard deviations; ``minutes`` is what the pairs cost. ``table`` has a row for each
    number of pairs: minutes, the smallest effect detected with this power, and the power for ``effect``. ``seconds`` is
    the cheapest length of a run (None where unknown), with ``pairs_then`` and ``minutes_then``. ``smallest_effect`` is
    what ``budget_minutes`` can detect: NaN without a budget, 1 where it does not pay for three pairs.
    """

    effect: float
    power: float
    pairs: int
    runs: int
    minutes: float
    table: pd.DataFrame
    pilot: Pilot
    seconds: float | None
    pairs_then: int | None
    minutes_then: float | None
    budget_minutes: float | None
    smallest_effect: float
    warnings: tuple[Note, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        what = f"{self.pilot.metric} of {whose(self.pilot.endpoint, Metric.of(self.pilot.metric))}"
        size = f"To detect a {format_fraction(self.effect)} decrease of {what} with power {self.power:g}: "
        if self.pairs >= MOST:
            return f"{size}more than {self.pairs:,} pairs ({2 * self.pairs:,} runs, {_minutes(self.minutes)})"
        return (
            f"{size}{self.pairs:,} pairs ({2 * self.pairs:,} runs, {_minutes(self.minutes)}); unpaired, {self.runs:,} runs of "
            "each arm"
        )

    @property
    def notes(self) -> tuple[object, ...]:
        """The basis of the numbers, what would be cheaper, and the warnings."""
        p = self.pilot
        length = format_ms(p.seconds * 1e3) if p.seconds else "unknown length"
        found = [
            f"from {p.count} runs of {length}: they differ by {format_fraction(p.sd)} (standard "
            f"deviation; planned for its upper 80 % limit, {format_fraction(p.sd_upper)}), the two of a pair by "
            f"{format_fraction(p.sd_pairs)} ({format_fraction(p.sd_pairs_upper)})"
        ]
        if p.within == p.within:
            found.append(
                f"of that, {format_fraction(p.within)} comes from within a run (design effect "
                f"{p.design_effect:.2g}) and {format_fraction(p.between)} from what differs between runs"
            )
        return (*found, *self._cheaper(), *self.warnings)

    def _cheaper(self) -> list[str]:
        found = []
        if self.seconds is not None and self.pairs_then is not None and self.minutes_then is not None:
            found.append(
                f"cheapest are runs of {format_ms(self.seconds * 1e3)}: {self.pairs_then} pairs, "
                f"{_minutes(self.minutes_then)}"
            )
        elif min(self.pilot.overhead, self.pilot.within, self.pilot.seconds) > 0:
            found.append(f"runs of {format_ms(self.pilot.seconds * 1e3)} are close to the cheapest length")
        if self.budget_minutes is not None:
            seen = (
                format_fraction(self.smallest_effect)
                if self.smallest_effect < 1
                else "no effect: the budget is too small"
            )
            found.append(f"{_minutes(self.budget_minutes)} can detect {seen}")
        return found

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the table and the notes for a surface."""
        shown = pd.DataFrame(
            {
                "Pairs": self.table["pairs"],
                "Cost": list(map(_minutes, self.table["minutes"])),
                f"Smallest change detected (power {self.power:g})": [
                    format_fraction(v) if v == v else "–" for v in self.table["smallest_effect"]
                ],
                f"Power for {format_fraction(self.effect)}": [f"{v:.2f}" for v in self.table["power"]],
            }
        )
        return Shown(self.sentence, shown, written(self.notes, surface))


def _minutes(value: float) -> str:
    return format_ms(value * 6e4)


def plan_runs(
    pilot: Measurements | pd.DataFrame | Sequence[Measurements | pd.DataFrame],
    effect: float | str = 0.10,
    power: float | str = 0.8,
    *,
    metric: str = "p95",
    endpoint: str = AGGREGATED,
    budget: str | float | None = None,
    overhead: str | float | None = None,
    warmup: float | str | None = None,
) -> RunPlan:
    """Plan how many runs it takes to detect an effect, before running them.

    Parameters
    ----------
    pilot : Measurements, DataFrame, or two of them
        Three or more runs of one arm, or (before, after) as `run_pairs` returns them.
    effect : float or str
        The gain to detect, a share of the metric ("10%": from 100 ms to 90 ms).
    power : float or str
        The probability of detecting the effect if it exists.
    metric, endpoint : str
        As in `compare`; not error_fraction.
    budget : str or float, optional
        Time available ("1h", or minutes as a number): the plan then reports which effect it can detect.
    overhead : str or float, optional
        Time between runs ("20s"); by default the pilot's median gap.
    warmup : float or str, optional
        Share of each run to leave out; by default the plan's, or 10 %.

    Returns
    -------
    RunPlan
        ``.pairs`` and ``.runs`` are for tests at 5 % (noncentral t), at the upper 80 % limit of the pilot's standard
        deviation: a small pilot estimates it badly, and a plan at the estimate itself is underpowered half of the time.
        The cheapest run length balances the variance within and between runs against the cost of starting a run:
        sqrt(overhead x within / between), Kalibera and Jones (2013), Rigorous benchmarking in reasonable time, ISMM.

    Raises
    ------
    ComparisonError
        Fewer than three runs, invalid runs, several arms, or duplicate runs.
    ValueError
        An argument is invalid.

    >>> runs = lab.load("datasets/shop_runs")
    >>> plan = lab.plan_runs((runs.where(arm="n+1"), runs.where(arm="eager")), effect="20%", endpoint="GET /orders")
    >>> plan.pairs <= plan.runs + 2, plan.pairs >= 3
    (True, True)
    """
    size, wanted = parse_fraction(effect, parameter="effect"), parse_fraction(power, parameter="power")
    if not 0 < size < 1:
        raise ValueError(f"effect must be between 0 and 1 (10% or 0.1); got {effect!r}")
    if not ALPHA < wanted < 1:
        raise ValueError(f"power must be between 0.05 and 1; got {power!r}")
    minutes = None if budget is None else parse_duration(budget, parameter="budget", bare="min") / 6e4
    gap = None if overhead is None else parse_duration(overhead, parameter="overhead") / 1e3
    found = pilots.read(pilot, metric=metric, endpoint=endpoint, warmup=warmup, overhead=gap)
    pairs = pairs_for(size, found.sd_pairs_upper, wanted)
    runs = runs_for(size, found.sd_upper, wanted)
    best = _best_length(found, size, wanted, pairs)
    return RunPlan(
        effect=size,
        power=wanted,
        pairs=pairs,
        runs=runs,
        minutes=_cost(pairs, found.seconds, found.overhead),
        table=_table(found, size, wanted, pairs),
        pilot=found,
        seconds=best[0],
        pairs_then=best[1],
        minutes_then=best[2],
        budget_minutes=minutes,
        smallest_effect=_seen(found, minutes, wanted),
        warnings=found.warnings + _doubts(found, pairs),
    )


def _doubts(pilot: Pilot, pairs: int) -> tuple[Note, ...]:
    found = []
    if pilot.degrees < 5:
        factor = pilot.sd_pairs_upper / pilot.sd_pairs
        found.append(doubts.SMALL_PILOT(runs=pilot.count, factor=f"{factor:.1f}"))
    if pairs >= MOST:
        found.append(doubts.TOO_NOISY(most=MOST))
    return tuple(found)


def power_unpaired(runs: float, effect: float, sd: float) -> float:
    """The power of Welch's test for a gain of ``effect`` with this many runs per arm.

    >>> round(power_unpaired(10, 0.05, 0.05), 2)
    0.58
    """
    # Welch's degrees of freedom depend on the ratio of the two sample variances: average over both.
    variance = chi2_ppf(_SHARES, runs - 1) / (runs - 1)
    first, second = variance[:, None], variance[None, :]
    degrees = (runs - 1) * (first + second) ** 2 / (first**2 + second**2)
    size = -math.log1p(-effect) / (sd * math.sqrt(2 / runs))
    return _seen_when(size, t_isf(ALPHA / 2, degrees) * np.sqrt((first + second) / 2), _WEIGHTS[:, None] * _WEIGHTS)


def power_paired(pairs: int, effect: float, sd_pairs: float) -> float:
    """The power of `compare` for a gain of ``effect`` with this many pairs, whose differences have this sd.

    From five pairs the paired t-test; for three and four, least squares with a trend over the order of the runs.

    >>> round(power_paired(10, 0.05, 0.05 * 2**0.5), 2)
    0.53
    """
    gain = -math.log1p(-effect)
    if pairs >= 5:
        return _power(gain / (sd_pairs / math.sqrt(pairs)), pairs - 1)
    sd = sd_pairs / math.sqrt(2)
    return float(np.mean([_power(gain / (sd * error), 2 * pairs - 3) for error in _trend_errors(pairs)]))


def _trend_errors(pairs: int) -> list[float]:
    """The standard error of the arm's coefficient, in run sds, for each order that may be drawn within pairs."""
    found = []
    for first in product((0, 1), repeat=pairs):
        if abs(2 * sum(first) - pairs) > pairs % 2:
            continue
        arm = np.array([value for f in first for value in (f, 1 - f)], dtype="float64")
        slot = np.arange(2.0 * pairs)
        design = np.column_stack([np.ones(2 * pairs), arm, slot - slot.mean()])
        found.append(math.sqrt(float(np.linalg.inv(design.T @ design)[1, 1])))
    return found


def _power(size: float, degrees: float) -> float:
    """Power of a t-test whose difference is ``size`` standard errors: the noncentral t, by quadrature over the variance.

    scipy's own gives NaN for large differences.
    """
    limits = t_isf(ALPHA / 2, degrees) * np.sqrt(chi2_ppf(_SHARES, degrees) / degrees)
    return _seen_when(size, limits, _WEIGHTS)


def _seen_when(size: float, limits: Floats, weights: Floats) -> float:
    return float(((special.ndtr(size - limits) + special.ndtr(-size - limits)) * weights).sum())


def pairs_for(effect: float, sd_pairs: float, power: float) -> int:
    """The fewest pairs that reach the power; at least 3, at most 2,000.

    >>> pairs_for(0.10, 0.05 * 2**0.5, 0.8), pairs_for(0.05, 0.05 * 2**0.5, 0.9)
    (6, 22)
    """
    return _fewest(lambda k: power_paired(k, effect, sd_pairs), power)


def runs_for(effect: float, sd: float, power: float) -> int:
    """The fewest runs per arm that reach the power, unpaired.

    >>> runs_for(0.10, 0.05, 0.8), runs_for(0.05, 0.05, 0.9)
    (5, 22)
    """
    return _fewest(lambda n: power_unpaired(n, effect, sd), power)


def smallest_effect(pairs: int, sd_pairs: float, power: float) -> float:
    """The smallest gain that this many pairs detect with this power; 1 where there is none below 100 %.

    >>> round(smallest_effect(10, 0.05 * 2**0.5, 0.8), 3)
    0.068
    """
    if power_paired(pairs, 1 - 1e-9, sd_pairs) < power:
        return 1.0
    return crossing(lambda e: power_paired(pairs, e, sd_pairs) - power, 1e-9, 1 - 1e-9, within=1e-6)


def optimal_repetitions(costs: Sequence[float], variances: Sequence[float]) -> list[int]:
    """The number of repetitions at each level below the highest that is most precise for its cost.

    From the lowest level up: ``costs`` of one repetition (requests, then runs, then builds...) and ``variances`` that
    each level contributes. Kalibera and Jones (2013), Rigorous benchmarking in reasonable time, section 6.2:
    r_i = ceil(sqrt(c_(i+1) / c_i x T2_i / T2_(i+1))).

    >>> optimal_repetitions([1, 20], [0.04, 0.01])
    [9]
    """
    if len(costs) != len(variances) or min([*costs, *variances], default=0) <= 0:
        raise ValueError(
            f"costs and variances must have equal lengths and be above zero; got {costs!r} and {variances!r}"
        )
    levels = zip(costs, costs[1:], variances, variances[1:], strict=False)
    return [max(1, math.ceil(math.sqrt(above / cost * low / high) - 1e-9)) for cost, above, low, high in levels]


def _fewest(reached: Callable[[int], float], power: float) -> int:
    low, high = 2, 4
    while high < MOST and reached(high) < power:
        low, high = high, min(MOST, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle, high)
    return max(3, high)


def _cost(pairs: int, seconds: float, overhead: float) -> float:
    return 2 * pairs * (seconds + overhead) / 60


def _table(pilot: Pilot, effect: float, power: float, pairs: int) -> pd.DataFrame:
    rows = [
        {
            "pairs": k,
            "minutes": _cost(k, pilot.seconds, pilot.overhead),
            "smallest_effect": smallest_effect(k, pilot.sd_pairs_upper, power),
            "power": power_paired(k, effect, pilot.sd_pairs_upper),
        }
        for k in sorted({*_SHOWN, pairs})
    ]
    return pd.DataFrame(rows)


def _seen(pilot: Pilot, minutes: float | None, power: float) -> float:
    if minutes is None:
        return math.nan
    pairs = min(MOST, math.floor(minutes * 60 / (2 * (pilot.seconds + pilot.overhead))))
    return smallest_effect(pairs, pilot.sd_pairs_upper, power) if pairs >= 3 else 1.0


def _best_length(
    pilot: Pilot, effect: float, power: float, pairs: int
) -> tuple[float | None, int | None, float | None]:
    """The cheapest length of a run with its pairs and minutes; None where it saves little or is unknown."""
    nothing = (None, None, None)
    if pilot.overhead <= 0 or not pilot.within > 0 or not pilot.seconds > 0:
        return nothing
    within = pilot.within**2 * pilot.seconds
    longest = 10 * pilot.seconds
    ideal = math.sqrt(pilot.overhead * within / pilot.between**2) if pilot.between > 0 else longest
    seconds = float(f"{min(longest, max(ideal, pilot.least_seconds)):.2g}")
    # Longer runs shrink the variance within runs only, for pairs as for single runs.
    kept = (pilot.between**2 + within / seconds) / (pilot.between**2 + pilot.within**2)
    then = pairs_for(effect, pilot.sd_pairs_upper * math.sqrt(kept), power)
    minutes = _cost(then, seconds, pilot.overhead)
    return (seconds, then, minutes) if minutes * _NOTABLE <= _cost(pairs, pilot.seconds, pilot.overhead) else nothing
