"""False alarms of `diff_profiles` on repeated profiles of one program: any function with a verdict of change is one.

    python bench/calibrate_profiles.py        writes datasets/calibration/profiles.csv (about 2 minutes)

Each run's cost of a function is lognormal around the same mean; ``samples`` adds the counting noise of a sampling profiler
with so many samples in all.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from perflab.profiles.diff import _CHANGED, Side, _tested

SEED, DRAWS, FUNCTIONS = 20261129, 1_000, 20
RUNS = ((3, 20), (20, 3), (3, 3), (5, 5), (4, 12), (6, 18), (10, 30))
NOISE = ((0.1, 0.1), (0.3, 0.1), (0.1, 0.3))


def side(random: np.random.Generator, runs: int, noise: float, samples: int | None) -> Side:
    shares = np.geomspace(0.3, 0.01, FUNCTIONS)
    values = 1_000 * shares / shares.sum() * np.exp(random.normal(0, noise, (runs, FUNCTIONS)))
    if samples is not None:
        values = random.poisson(values * samples / 1_000) * 1_000.0 / samples
    wholes = values.sum(axis=1)
    return Side(values, values / wholes[:, None], [str(i) for i in range(runs)], wholes)


def false_alarms(runs: tuple[int, int], noise: tuple[float, float], samples: int | None, draws: int) -> float:
    """The share of comparisons of equal programs in which any function is called changed."""
    random = np.random.default_rng([SEED, *runs, *(round(100 * n) for n in noise), samples or 0])
    alarms = 0
    for _ in range(draws):
        sides = [side(random, n, sd, samples) for n, sd in zip(runs, noise, strict=True)]
        verdict = _tested(sides[0], sides[1], "absolute", 0.01, 0.01, 0.95, (None, None))["verdict"]
        alarms += any(word in _CHANGED for word in verdict if isinstance(word, str))
    return alarms / draws


def main() -> None:
    rows = []
    for runs, noise, samples in product(RUNS, NOISE, (None, 1_000)):
        found = false_alarms(runs, noise, samples, DRAWS)
        rows.append(
            {
                "runs_before": runs[0], "runs_after": runs[1], "noise_before": noise[0], "noise_after": noise[1],
                "samples": samples, "functions": FUNCTIONS, "draws": DRAWS, "false_alarms": found,
            }
        )  # fmt: skip
    table = pd.DataFrame(rows).astype({"samples": "Int64"})
    table.to_csv(Path(__file__).parent.parent / "datasets" / "calibration" / "profiles.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
