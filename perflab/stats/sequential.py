"""Interim looks: registered ones with O'Brien-Fleming spending, and a test that is valid at any look.

A false-alarm rate of 5 % holds for one look at the end. Each further look at 5 % adds its own: four looks raise the
rate to about 13 %, twenty to 25 %. Looks registered beforehand share the 5 %; any others need a test that pays for
every possible look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from perflab.errors import ComparisonError
from perflab.notes import Note
from perflab.stats import doubts
from perflab.stats.design import ONE_EXPERIMENT, Design
from perflab.stats.distributions import crossing, normal_cdf, normal_isf, normal_pdf, normal_sf, t_sf

Floats = npt.NDArray[np.float64]

ALPHA = 0.05
_GRID = 401


@dataclass(frozen=True)
class Look:
    """One look at an experiment with registered looks.

    ``level`` is the p-value below which the look decides, ``spent`` how much of ``alpha`` it and the earlier looks have
    used; it is look ``number`` of ``of`` registered ones, at ``pairs`` pairs.
    """

    number: int
    of: int
    pairs: int
    level: float
    spent: float
    alpha: float

    @property
    def note(self) -> Note:
        """Which look this is, and the p-value it needs."""
        if self.level == 0:
            return doubts.BEYOND_LOOKS(pairs=self.pairs, alpha=f"{self.alpha:g}")
        return doubts.LOOK(
            number=self.number,
            of=self.of,
            pairs=self.pairs,
            level=f"{self.level:.2g}",
            spent=f"{self.spent:.2g}",
            alpha=f"{self.alpha:g}",
        )


@dataclass(frozen=True)
class Level:
    """The significance level: 5 %, or what registered looks leave of it; ``note`` says why."""

    alpha: float = ALPHA
    note: Note | None = None


def spending(fraction: float, alpha: float = ALPHA) -> float:
    """How much of ``alpha`` may be spent at this fraction of the runs, by an O'Brien-Fleming spending function.

    Lan and DeMets (1983), Discrete sequential boundaries for clinical trials, Biometrika 70.

    >>> round(spending(0.5), 5), spending(1.0)
    (0.00305, 0.05)
    """
    if fraction >= 1:
        return alpha
    return float(4 * normal_sf(normal_isf(alpha / 4) / math.sqrt(fraction)))


@lru_cache(maxsize=256)
def boundaries(looks: tuple[int, ...], planned: int | None = None, alpha: float = ALPHA) -> tuple[float, ...]:
    """The nominal two-sided p-value below which each look decides, so that all together spend ``alpha``.

    ``planned`` is the final number of runs, where the looks stop short of it or go beyond. By the recursion of Armitage,
    McPherson and Rowe (1969) over the density of what has not crossed yet.

    >>> [round(p, 4) for p in boundaries((5, 10))]
    [0.0031, 0.049]
    """
    end = planned or looks[-1]
    times = [k / end for k in looks]
    budgets = np.diff([0.0, *(spending(t, alpha) for t in times)])
    levels: list[float] = []
    points, density, before = np.zeros(1), np.ones(1), 0.0
    for time, budget in zip(times, budgets, strict=True):
        step = math.sqrt(time - before)
        limit = _limit(points, density, step, float(budget))
        levels.append(float(2 * normal_sf(limit / math.sqrt(time))))
        grid = np.linspace(-limit, limit, _GRID)
        kernel = normal_pdf((grid[:, None] - points[None, :]) / step) / step
        points, density, before = grid, (kernel @ density) * _simpson(limit), time
    return tuple(levels)


def _simpson(limit: float) -> Floats:
    weights = np.ones(_GRID)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    return weights * (2 * limit / (_GRID - 1)) / 3


def _limit(points: Floats, density: Floats, step: float, budget: float) -> float:
    """The bound that the process first crosses at this look with probability ``budget``."""

    def excess(limit: float) -> float:
        out = normal_sf((limit - points) / step) + normal_cdf((-limit - points) / step)
        return float(out @ density) - budget

    high = 12.0
    return high if excess(high) >= 0 else crossing(excess, 1e-6, high)


def checked_looks(looks: Iterable[int], pairs: int | None = None) -> tuple[int, ...]:
    """Looks as an increasing tuple of integers; ValueError if they are not, or go beyond ``pairs``.

    The number of pairs is itself a look: the end of the experiment.

    >>> checked_looks((5, 10), pairs=12)
    (5, 10, 12)
    """
    found = tuple(looks)
    if any(isinstance(k, bool) or not isinstance(k, (int, np.integer)) for k in found):
        raise ValueError(f"looks must be numbers of pairs like (5, 10, 15, 20); got {found!r}")
    if pairs is not None and found and found[-1] < pairs:
        found = (*found, pairs)
    if not found or found[0] < 3 or any(b <= a for a, b in zip(found, found[1:], strict=False)):
        raise ValueError(f"looks must increase, the first at 3 pairs or more; got {found!r}")
    if pairs is not None and found[-1] > pairs:
        raise ValueError(f"looks must not go beyond the {pairs} pairs of the experiment; got {found!r}")
    return tuple(int(k) for k in found)


def look(looks: Sequence[int], pairs: int, alpha: float = ALPHA) -> Look:
    """The look at ``pairs`` complete pairs of an experiment with registered looks, with its level.

    Between two looks (an interrupted experiment, a lost pair) the level is what the spending function allows at that
    point, after the earlier looks. Beyond the last look nothing is left to spend, and the level is 0.

    >>> look((5, 10, 15, 20), 10).number, round(look((5, 10, 15, 20), 10).level, 4)
    (2, 0.003)
    """
    registered = checked_looks(looks)
    if pairs > registered[-1]:
        return Look(len(registered), len(registered), pairs, 0.0, alpha, alpha)
    done = (*(k for k in registered if k < pairs), pairs)
    # The end is the planned one: fewer pairs have not spent everything yet.
    level = boundaries(done, registered[-1], alpha)[-1]
    number = sum(k <= pairs for k in registered)
    return Look(number, len(registered), pairs, level, spending(pairs / registered[-1], alpha), alpha)


def registered(*runs: pd.DataFrame) -> tuple[int, ...]:
    """The looks registered with these runs (in their ``environment``); () if there are none.

    ComparisonError for runs with different registrations.
    """
    found = _looks(*runs)
    if len(found) > 1:
        raise ComparisonError(doubts.MIXED_LOOKS(ONE_EXPERIMENT, looks=sorted(found)))
    return checked_looks(found.pop()) if found and found != {()} else ()


def _looks(*runs: pd.DataFrame) -> set[tuple[int, ...]]:
    environments = [e for table in runs if "environment" in table.columns for e in table["environment"]]
    return {tuple(e.get("looks") or ()) for e in environments if isinstance(e, Mapping)}


def level(baseline: pd.DataFrame, candidate: pd.DataFrame, design: Design) -> Level:
    """The level for an experiment with these complete pairs, by the looks registered with its ``runs``.

    An experiment that could have stopped earlier has already spent part of its 5 %.
    """
    if design.kind == "unpaired" and any(_looks(baseline, candidate)):
        return Level(note=doubts.LOOKS_NEED_PAIRS())
    looks, pairs = registered(baseline, candidate) if design.paired else (), len(design.baseline)
    if not looks or not pairs:
        return Level()
    found = look(looks, pairs)
    return Level(found.level, found.note)


@dataclass(frozen=True)
class Anytime:
    """The always valid p-value and interval of the mean difference after some pairs."""

    pairs: int
    difference: float
    low: float
    high: float
    p_value: float


def anytime(differences: Floats, *, scale: float = 1.0, alpha: float = ALPHA) -> list[Anytime]:
    """The mixture sequential t-test after each of the paired differences, from the second on.

    The Bayes factor of a normal mixture over the standardised effect (of sd ``scale``) against none is a martingale
    without an effect, so it ever exceeds 1 / alpha with probability at most alpha (Ville).
    Lai (1976), On confidence sequences, Annals of Statistics 4; Wang and Ramdas (2025), Anytime-valid t-tests and
    confidence sequences for Gaussian means with unknown variance, Sequential Analysis 44. Intervals are
    intersected and p-values only fall, so no earlier result is withdrawn.

    >>> looked = anytime(np.array([-0.10, -0.12, -0.09, -0.11, -0.10]))
    >>> [round(one.p_value, 4) for one in looked]
    [0.5868, 0.2663, 0.0976, 0.0312]
    """
    values = np.asarray(differences, dtype="float64")
    found: list[Anytime] = []
    low, high, p_value = -math.inf, math.inf, 1.0
    for count in range(2, len(values) + 1):
        part = values[:count]
        middle, error = float(part.mean()), float(part.std(ddof=1)) / math.sqrt(count)
        half = _reach(count, scale, alpha) * error
        low, high = max(low, middle - half), min(high, middle + half)
        p_value = min(p_value, 1 / _bayes_factor(middle / error if error else 0.0, count, scale))
        found.append(Anytime(count, middle, low, high, p_value))
    return found


def _bayes_factor(t: float, count: int, scale: float) -> float:
    grown, degrees = 1 + count * scale**2, count - 1
    logarithm = -0.5 * math.log(grown) + 0.5 * count * (
        math.log1p(t * t / degrees) - math.log1p(t * t / (grown * degrees))
    )
    return math.exp(min(700.0, logarithm))


def _reach(count: int, scale: float, alpha: float) -> float:
    """The largest |t| not yet rejected after ``count`` pairs; infinite where nothing can be."""
    grown, degrees = 1 + count * scale**2, count - 1
    ratio = (math.sqrt(grown) / alpha) ** (2 / count)
    return math.sqrt((ratio - 1) / (1 - ratio / grown) * degrees) if ratio < grown else math.inf


def false_alarms(looks: tuple[int, ...], differences: npt.NDArray[np.float64], *, alpha: float = ALPHA) -> float:
    """The share of experiments (rows of paired differences without an effect) that any of the looks calls a change."""
    levels = boundaries(looks, None, alpha)
    hit = np.zeros(len(differences), dtype=bool)
    for count, nominal in zip(looks, levels, strict=True):
        part = differences[:, :count]
        t = part.mean(axis=1) / (part.std(axis=1, ddof=1) / math.sqrt(count))
        hit |= np.asarray(2 * t_sf(np.abs(t), count - 1)) < nominal
    return float(hit.mean())


def environment(looks: Sequence[int]) -> dict[str, Any]:
    """The registered looks as stored with each run of an experiment."""
    return {"looks": list(looks)} if looks else {}
