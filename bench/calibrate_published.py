"""Which ar1 the design's figures came from: its persistence and spread, fitted to what was published, not to a goal.

The design publishes, for its generator "ar1" (AR(1) lognormal latencies with Pareto spikes, 10,000 requests a run, run-to-run
sd 5 %), the power and coverage of Welch's test on the runs and the false alarms of three tests on pooled requests, but
neither the autocorrelation phi nor the sd of ln latency. Both are found here by least squares over those figures, and the
generator in latencies.py uses what is found. The power that the goals ask for is then what it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from latencies import ar1

from perflab.stats import relabelling, tests
from perflab.stats.estimates import quantile

Floats = npt.NDArray[np.float64]
SEED = 20261125
PHI, SIGMA = (0.5, 0.6, 0.7, 0.8), (0.4, 0.5, 0.6)
SIZES = (3, 5, 10)
PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "power_5": (0.11, 0.25, 0.52),
    "power_10": (0.37, 0.76, 0.99),
    "power_20": (0.90, 1.0, 1.0),
    "coverage": (0.967, 0.957, 0.951),
    "Mann-Whitney": (0.82, 0.86, 0.83),
    "bootstrap": (0.67, 0.68, 0.68),
    "Kolmogorov-Smirnov": (0.80, 0.84, 0.82),
}
"""By 3, 5 and 10 runs an arm; run-to-run sd 5 %."""


def fitted(experiments: int, pooled: int) -> pd.DataFrame:
    """Every published figure under each phi and sigma, its distance, and the sum of squares: a row for each figure."""
    rows = []
    for phi in PHI:
        for sigma in SIGMA:
            found = _figures(phi, sigma, experiments, pooled)
            squares = sum((found[name, k] - PUBLISHED[name][i]) ** 2 for name in PUBLISHED for i, k in enumerate(SIZES))
            rows += [
                {"phi": phi, "sigma": sigma, "sum_of_squares": squares, "figure": name, "runs": k,
                 "published": PUBLISHED[name][i], "found": found[name, k]}
                for name in PUBLISHED for i, k in enumerate(SIZES)
            ]  # fmt: skip
    return pd.DataFrame(rows)


def best(table: pd.DataFrame) -> tuple[float, float]:
    """phi and sigma with the least sum of squares."""
    row = table.loc[table["sum_of_squares"].idxmin()]
    return float(row["phi"]), float(row["sigma"])


def _figures(phi: float, sigma: float, experiments: int, pooled: int) -> dict[tuple[str, int], float]:
    random = np.random.default_rng([SEED, round(100 * phi), round(100 * sigma)])
    values = bank_of(phi, sigma, random)
    found = {}
    for runs in SIZES:
        drawn = values[random.integers(0, len(values), (2, experiments, runs))]
        drawn = drawn + 0.05 * random.standard_normal(drawn.shape)
        low, high = tests.welch(drawn[0], drawn[1]).interval(0.95)
        found["coverage", runs] = float(((low <= 0) & (high >= 0)).mean())
        for gain in (0.05, 0.10, 0.20):
            p = tests.welch(drawn[0], drawn[1] + np.log(1 - gain)).p_value
            found[f"power_{round(100 * gain)}", runs] = float((p < 0.05).mean())
        alarms = dict.fromkeys(("Mann-Whitney", "bootstrap", "Kolmogorov-Smirnov"), 0)
        candidate = np.repeat([False, True], runs)[None, :]
        for i in range(pooled):
            requests = ar1(random, 2 * runs, 10_000, phi=phi, sigma=sigma)
            requests = requests * np.exp(0.05 * random.standard_normal((2 * runs, 1)))
            flags = relabelling.naive_alarms(list(requests), candidate, 0.95, seed=i)
            for name in alarms:
                alarms[name] += bool(flags[name][0])
        found |= {(name, runs): count / pooled for name, count in alarms.items()}
    return found


def bank_of(phi: float, sigma: float, random: np.random.Generator, size: int = 2_000) -> Floats:
    """ln p95 of many runs of ar1."""
    found: list[float] = []
    while len(found) < size:
        found += [float(quantile(run, [0.95])[0]) for run in ar1(random, min(100, size), 10_000, phi=phi, sigma=sigma)]
    return np.log(np.array(found[:size]))
