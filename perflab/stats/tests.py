"""The tests behind a verdict: an effect with its standard error and degrees of freedom, never on pooled requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

MAX_EXACT = 20_000
_DRAWS = 20_000


@dataclass(frozen=True)
class Effect:
    """A difference (candidate - baseline) with what is known of its precision.

    ``method`` names the test; ``randomisation_p`` is the exact (or sampled) p beside the t-test's, NaN where the
    design is too small for one.
    """

    difference: float
    error: float
    degrees: float
    method: str
    randomisation_p: float = math.nan

    @property
    def p_value(self) -> float:
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.difference) / self.error, self.degrees))

    def interval(self, confidence: float) -> tuple[float, float]:
        half = float(stats.t.ppf(0.5 + confidence / 2, self.degrees)) * self.error if self.error else 0.0
        return self.difference - half, self.difference + half


def paired(baseline: Floats, candidate: Floats) -> Effect:
    """Paired t-test; from six pairs with the sign-flip p beside it."""
    differences = candidate - baseline
    count = len(differences)
    error = float(differences.std(ddof=1) / math.sqrt(count))
    return Effect(
        float(differences.mean()), error, count - 1, f"paired t-test, {count} pairs", _sign_flips(differences)
    )


def few_pairs(baseline: Floats, candidate: Floats, slots_baseline: Floats, slots_candidate: Floats) -> Effect:
    """Least squares with the arm and a linear trend over the order of the runs, for three or four pairs."""
    count = len(baseline)
    slots = np.concatenate([slots_baseline, slots_candidate])
    design = np.column_stack([np.ones(2 * count), np.repeat([0.0, 1.0], count), slots - slots.mean()])
    values = np.concatenate([baseline, candidate])
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    degrees = 2 * count - int(rank)
    residual = values - design @ solution
    variance = float(residual @ residual) / degrees
    error = math.sqrt(max(0.0, variance * float(np.linalg.pinv(design.T @ design)[1, 1])))
    # Residues of rounding would make identical runs look different.
    error = 0.0 if error < 1e-12 else error
    return Effect(float(solution[1]), error, degrees, f"least squares with a trend, {count} pairs (few runs)")


def welch(baseline: Floats, candidate: Floats) -> Effect:
    """Welch's t-test on the runs; from four runs an arm with the label-permutation p beside it."""
    first, second = (float(values.var(ddof=1) / len(values)) for values in (baseline, candidate))
    total = first + second
    degrees = (
        total**2 / (first**2 / (len(baseline) - 1) + second**2 / (len(candidate) - 1))
        if total > 0
        else float(len(baseline) + len(candidate) - 2)
    )
    name = f"Welch's t-test, {len(baseline)} and {len(candidate)} runs"
    difference = float(candidate.mean() - baseline.mean())
    return Effect(difference, math.sqrt(total), degrees, name, _label_permutations(baseline, candidate))


def against_history(history: Floats, one: float) -> Effect:
    """One run against at least five earlier ones: a prediction interval."""
    count = len(history)
    error = float(history.std(ddof=1)) * math.sqrt(1 + 1 / count)
    return Effect(one - float(history.mean()), error, count - 1, f"one run against {count} earlier runs")


def _sign_flips(differences: Floats) -> float:
    count = len(differences)
    if count < 6:
        return math.nan
    observed = abs(differences.sum())
    if 2**count <= MAX_EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float((np.abs(signs @ differences) >= observed * (1 - 1e-12)).mean())
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(_DRAWS, count))
    return float((1 + (np.abs(signs @ differences) >= observed * (1 - 1e-12)).sum()) / (1 + _DRAWS))


def _label_permutations(baseline: Floats, candidate: Floats) -> float:
    size, values = len(baseline), np.concatenate([baseline, candidate])
    if min(size, len(candidate)) < 4:
        return math.nan
    observed = abs(candidate.mean() - baseline.mean()) * (1 - 1e-12)
    total = values.sum()
    if math.comb(len(values), size) <= MAX_EXACT:
        chosen = np.array(list(combinations(range(len(values)), size)))
        sums = values[chosen].sum(axis=1)
        return float((np.abs((total - sums) / (len(values) - size) - sums / size) >= observed).mean())
    draws = np.random.default_rng(0).permuted(np.tile(values, (_DRAWS, 1)), axis=1)[:, :size].sum(axis=1)
    extreme = np.abs((total - draws) / (len(values) - size) - draws / size) >= observed
    return float((1 + extreme.sum()) / (1 + _DRAWS))


def holm(p_values: Floats) -> Floats:
    """Holm's adjusted p-values: the chance of any false alarm in the family stays at the level.

    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate((count - np.arange(count)) * p_values[order])
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
