"""How often the intervals of an account hold the truth, and how often it raises a false alarm.

    python bench/calibrate_accounts.py        writes datasets/calibration/accounts.csv (about 2 minutes)

Requests have a queue, a database, a downstream and a CPU component, each with a skewed distribution, correlated by a common
size of the request, and each run has its own level of every component. The truth is what 1,500 runs of 5,000 requests give.
An experiment has 6 pairs of runs of 1,000 requests; what decides is the library's own code.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from perflab.metrics import Metric
from perflab.stats import families, tests
from perflab.stats.verdicts import decide_all
from perflab.traces.account_result import DIRECTIONS
from perflab.traces.components import weighted

SEED, REPETITIONS, PAIRS, REQUESTS = 20261129, 2_000, 6, 1_000
TRUTH = (1_500, 5_000)
NAMES = ("queue", "database", "downstream", "cpu")
MEDIAN_MS = np.array([2.0, 12.0, 8.0, 6.0])
SPREAD = np.array([0.9, 0.5, 0.6, 0.3])
SIZE, RUN = 0.25, 0.06
SCENARIOS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # What is added to each component (ms), and what it is multiplied by.
    "A/A": ((0, 0, 0, 0), (1, 1, 1, 1)),
    "database +8 ms": ((0, 8, 0, 0), (1, 1, 1, 1)),
    "cpu +6 ms, queue x2": ((0, 0, 0, 6), (2, 1, 1, 1)),
    "N+1 fixed": ((0, 0, 0, 0), (0.8, 0.3, 1, 0.6)),
}


def runs(random: np.random.Generator, scenario: str, count: int, requests: int) -> np.ndarray:
    """Components x runs: the account of the p95 of each run."""
    added, factor = (np.array(v, dtype=float)[:, None] for v in SCENARIOS[scenario])
    found = np.empty((len(NAMES), count))
    for run in range(count):
        size = random.normal(0, SIZE, requests)
        noise = random.standard_normal((len(NAMES), requests)) * SPREAD[:, None]
        level = random.normal(0, RUN, (len(NAMES), 1))
        parts = MEDIAN_MS[:, None] * np.exp(noise + size + level) * factor + added
        order, weights = weighted(parts.sum(0), Metric.of("p95"))
        found[:, run] = parts[:, order] @ weights
    return found


def of_scenario(scenario: str, repetitions: int, truth: tuple[int, int] = TRUTH) -> pd.DataFrame:
    """Coverage of each component's interval, and how often its change was called one."""
    random = np.random.default_rng([SEED, list(SCENARIOS).index(scenario)])
    true = runs(random, scenario, *truth).mean(1) - runs(random, "A/A", *truth).mean(1)
    true = true if scenario != "A/A" else np.zeros(len(NAMES))
    covered, called, any_called = np.zeros(len(NAMES)), np.zeros(len(NAMES)), 0
    for _ in range(repetitions):
        before, after = runs(random, "A/A", PAIRS, REQUESTS), runs(random, scenario, PAIRS, REQUESTS)
        effect = tests.paired(before, after)
        decided = decide_all(effect, 0.05 * before.sum(0).mean(), adjust=families.FAMILYWISE)
        changed = np.isin(decided.verdict, DIRECTIONS)
        covered += (decided.low <= true) & (true <= decided.high)
        called += changed
        any_called += changed.any()
    return pd.DataFrame(
        {
            "scenario": scenario, "component": NAMES, "truth_ms": true.round(2), "coverage": covered / repetitions,
            "called_changed": called / repetitions, "any_called_changed": any_called / repetitions,
            "pairs": PAIRS, "requests": REQUESTS, "repetitions": repetitions,
        }
    )  # fmt: skip


def main() -> None:
    made = []
    for name in SCENARIOS:
        made.append(of_scenario(name, REPETITIONS))
        table = pd.concat(made, ignore_index=True)
        table.to_csv(Path(__file__).parent.parent / "datasets" / "calibration" / "accounts.csv", index=False)
        sys.stdout.write(made[-1].to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
