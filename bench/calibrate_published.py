"""Which ar1 the goals were set for: its persistence and spread, fitted to the figures that came with them, not to a goal.

With the goals came, for a generator "ar1" (AR(1) lognormal latencies with Pareto spikes, 10,000 requests a run, run-to-run
sd 5 %), the power and coverage of Welch's test on the runs and the false alarms of three tests on pooled requests, but
neither the autocorrelation phi nor the sd of ln latency. Both are found here by weighted least squares over those
figures, and the generator in latencies.py uses what is found. The power is then what it is.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from latencies import CHOSEN_BY, NOT_CHOSEN_BY, ar1

from perflab.stats import relabelling, tests
from perflab.stats.estimates import harrell_davis, quantile

Floats = npt.NDArray[np.float64]
SEED = 20261125
PHI, SIGMA = (0.5, 0.6, 0.7, 0.8), (0.4, 0.5, 0.6)
SIZES = (3, 5, 10)
REPETITIONS = 2_000
"""Behind a published figure: "1,000 to 4,000"."""
POOLED = ("Mann-Whitney", "bootstrap", "Kolmogorov-Smirnov")
PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "power_5": (0.11, 0.25, 0.52),
    "power_10": (0.37, 0.76, 0.99),
    "power_20": (0.90, 1.0, 1.0),
    "coverage": (0.967, 0.957, 0.951),
    "Mann-Whitney": (0.82, 0.86),
    "bootstrap": (0.67, 0.68),
    "Kolmogorov-Smirnov": (0.80, 0.84),
}
"""By 3, 5 and 10 runs an arm, run-to-run sd 5 %; of the tests on pooled requests, which take long, by 3 and 5."""


def fitted(experiments: int, pooled: int) -> pd.DataFrame:
    """Every published figure under each phi and sigma, and their distance: a row for each figure."""
    rows = []
    for phi in PHI:
        for sigma in SIGMA:
            found = _figures(phi, sigma, experiments, pooled)
            published = {(name, k): v for name, row in PUBLISHED.items() for k, v in zip(SIZES, row, strict=False)}
            errors = {
                key: _error(value, pooled if key[0] in POOLED else experiments) for key, value in published.items()
            }
            distance = sum(((found[key] - value) / errors[key]) ** 2 for key, value in published.items())
            rows += [
                {"phi": phi, "sigma": sigma, "chi_square": distance, "figure": key[0], "runs": key[1],
                 "published": value, "found": found[key], "error": errors[key]}
                for key, value in published.items()
            ]  # fmt: skip
    return pd.DataFrame(rows)


def _error(share: float, repetitions: int) -> float:
    """The standard error of the difference of two shares, ours and the published one, which is rounded."""
    usual = min(0.99, max(0.01, share))
    return math.sqrt(usual * (1 - usual) * (1 / REPETITIONS + 1 / repetitions) + 0.01**2 / 12)


def best(table: pd.DataFrame) -> tuple[float, float]:
    """phi and sigma with the least distance."""
    row = table.loc[table["chi_square"].idxmin()]
    return float(row["phi"]), float(row["sigma"])


def default(parameter: str) -> float:
    """What latencies.ar1 uses."""
    return float(inspect.signature(ar1).parameters[parameter].default)


def _figures(phi: float, sigma: float, experiments: int, pooled: int) -> dict[tuple[str, int], float]:
    # The same random numbers for every phi and sigma: what differs is the generator.
    values = bank_of(phi, sigma, np.random.default_rng(SEED))
    found = {}
    for runs in SIZES:
        random = np.random.default_rng([SEED, runs])
        drawn = values[random.integers(0, len(values), (2, experiments, runs))]
        drawn = drawn + 0.05 * random.standard_normal(drawn.shape)
        low, high = tests.welch(drawn[0], drawn[1]).interval(0.95)
        found["coverage", runs] = float(((low <= 0) & (high >= 0)).mean())
        for gain in (0.05, 0.10, 0.20):
            p = tests.welch(drawn[0], drawn[1] + np.log(1 - gain)).p_value
            found[f"power_{round(100 * gain)}", runs] = float((p < 0.05).mean())
        if runs <= 5:
            found |= {(name, runs): rate for name, rate in _pooled(random, phi, sigma, runs, pooled).items()}
    return found


def _pooled(random: np.random.Generator, phi: float, sigma: float, runs: int, count: int) -> dict[str, float]:
    """False alarms of the tests on pooled requests."""
    candidate = np.repeat([False, True], runs)[None, :]
    alarms: dict[str, list[bool]] = {}
    for i in range(count):
        requests = ar1(random, 2 * runs, 10_000, phi=phi, sigma=sigma)
        requests = requests * np.exp(0.05 * random.standard_normal((2 * runs, 1)))
        for name, flags in relabelling.naive_alarms(list(requests), candidate, 0.95, seed=i).items():
            alarms.setdefault(name, []).append(bool(flags[0]))
    return {name: float(np.mean(flags)) for name, flags in alarms.items()}


def bank_of(phi: float, sigma: float, random: np.random.Generator, size: int = 2_000) -> Floats:
    """ln p95 of many runs of ar1."""
    found: list[float] = []
    while len(found) < size:
        found += [float(quantile(run, [0.95])[0]) for run in ar1(random, min(100, size), 10_000, phi=phi, sigma=sigma)]
    return np.log(np.array(found[:size]))


def estimators(runs: int) -> pd.DataFrame:
    """Harrell and Davis beside type 8: how much ln p95 varies from run to run, alone and where runs differ by 5 % besides."""
    rows = []
    for name, generator in {**CHOSEN_BY, **NOT_CHOSEN_BY}.items():
        for count in (200, 500, 2_000, 10_000):
            random = np.random.default_rng([SEED, 23, count, *name.encode()])
            drawn = [row for _ in range(max(1, runs // 100)) for row in generator(random, 100, count)]
            sds = [
                float(np.log([estimate(row) for row in drawn]).std())
                for estimate in (lambda row: quantile(row, [0.95])[0], harrell_davis)
            ]
            lucky = [float(np.hypot(sd, 0.05)) for sd in sds]
            rows.append(
                {
                    "generator": name, "requests": count, "runs": len(drawn), "sd_type_8": sds[0], "sd_harrell_davis": sds[1],
                    "ratio": sds[1] / sds[0], "ratio_at_run_sd_5_percent": lucky[1] / lucky[0],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
