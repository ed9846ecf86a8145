"""How few requests a run may have for a verdict on p95: false alarms and power of the paired t on ln p95, by requests a run.

    python bench/calibrate_floor.py       writes datasets/calibration/few_requests.csv (a minute on one core)

Latencies are lognormal (spread .3 and 1.0), also with an autocorrelation of .5 between requests, and with two modes of which
the slow one holds 10 %; the sd between runs is 5 %. The type-8 quantile and the test are those that `compare` decides by.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from calibrate import PLACE, SEED

from perflab.metrics import Metric, quantile
from perflab.stats import tests

EXPERIMENTS = 2_000
REQUESTS = (20, 40, 60, 80, 100, 200)
Floats = npt.NDArray[np.float64]


def lognormal(random: np.random.Generator, shape: tuple[int, int], spread: float, alike: float = 0.0) -> Floats:
    noise = random.standard_normal(shape)
    for place in range(1, shape[1]) if alike else ():
        noise[:, place] = alike * noise[:, place - 1] + math.sqrt(1 - alike**2) * noise[:, place]
    return np.exp(spread * noise)


GENERATORS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "lognormal .3": lambda r, s: lognormal(r, s, 0.3),
    "lognormal 1.0": lambda r, s: lognormal(r, s, 1.0),
    "lognormal .3, autocorrelation .5": lambda r, s: lognormal(r, s, 0.3, 0.5),
    "two modes, 10 % slow": lambda r, s: lognormal(r, s, 0.2) * np.where(r.random(s) < 0.1, 5.0, 1.0),
}


def p95_of_rows(latency: Floats) -> Floats:
    """`metrics.quantile` of many runs of one length at once."""
    count = latency.shape[1]
    rank = min(max((count + 1 / 3) * 0.95 + 1 / 3, 1.0), float(count)) - 1
    low = math.floor(rank)
    high = min(low + 1, count - 1)
    ordered = np.partition(latency, [low, high], axis=1)
    return np.asarray(ordered[:, low] + (rank - low) * (ordered[:, high] - ordered[:, low]))


def runs(name: str, number: int, count: int) -> Floats:
    """ln p95 of the runs of many experiments of one arm: one after another."""
    random = np.random.default_rng([SEED, 77, number, count])
    latency = GENERATORS[name](random, (EXPERIMENTS * 2 * 8, count))
    found = p95_of_rows(latency)
    assert np.allclose(found[:20], [quantile(row, [0.95])[0] for row in latency[:20]])
    return np.log(found) + 0.05 * random.standard_normal(len(found))


def main() -> None:
    rows = []
    for number, name in enumerate(GENERATORS):
        for count in REQUESTS:
            held = runs(name, number, count).reshape(2, EXPERIMENTS, 8)
            for pairs in (5, 6, 8):
                arms = held[:, :, :pairs]
                row: dict[str, object] = {
                    "generator": name,
                    "requests": count,
                    "pairs": pairs,
                    "experiments": EXPERIMENTS,
                }
                for effect, words in ((0.0, "false_alarms"), (-0.2, "power_20"), (-0.4, "power_40")):
                    found = tests.paired(arms[0], arms[1] + math.log1p(effect))
                    right = (found.p_value < 0.05) & ((found.difference < 0) | (effect == 0))
                    row[words] = round(float(right.mean()), 4)
                low, high = tests.paired(arms[0], arms[1]).interval(0.95)
                rows.append(row | {"coverage": round(float(((low < 0) & (high > 0)).mean()), 4)})
    table = pd.DataFrame(rows)
    table.to_csv(PLACE / "few_requests.csv", index=False)
    print(table.to_string(index=False))
    floor = Metric.of("p95").rows_floor
    print(f"floor {floor}: at most {table.loc[table['requests'] >= floor, 'false_alarms'].max():.3f} false alarms")


if __name__ == "__main__":
    main()
