"""`change_points` beside apache-otava and MongoDB's signal-processing-algorithms, on histories whose changes are known.

    python -m pip install apache-otava signal-processing-algorithms      (in an environment of their own)
    python bench/history_peers.py [--histories 30]

Each at its defaults; otava with the smallest change of 3 % that perflab has, too. A change is found within two runs of its
place. A peer that is not installed is left out. `recall` is of the true changes, `precision` of what was reported, `false` the
share of histories with a change that is none.
"""

from __future__ import annotations

import argparse
import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import perflab as lab

SEED = 20261129
Floats = npt.NDArray[np.float64]
Tool = Callable[[Floats], Sequence[int]]


def steps(
    count: int, sd: float, changes: dict[int, float], *, alike: float = 0.0, outliers: float = 0.0
) -> Callable[..., Floats]:
    """A history of so many runs with changes (ln) from these places on."""

    def made(random: np.random.Generator) -> Floats:
        noise = random.standard_normal(count)
        for place in range(1, count):
            noise[place] = alike * noise[place - 1] + np.sqrt(1 - alike**2) * noise[place]
        level = sd * noise + sum(size * (np.arange(count) >= place) for place, size in changes.items())
        return np.asarray(100 * np.exp(level + 0.5 * (random.random(count) < outliers)))

    return made


def drift(count: int, whole: float) -> Callable[..., Floats]:
    """A steady change of this size in all."""
    return lambda random: 100 * np.exp(0.03 * random.standard_normal(count) + whole * np.arange(count) / count)


THREE = {30: 0.1, 55: -0.15, 80: 0.18}
HISTORIES: tuple[tuple[str, tuple[int, ...], Callable[..., Floats]], ...] = (
    ("stable, 100 runs, sd 5 %", (), steps(100, 0.05, {})),
    ("three steps of 10 to 20 %, sd 3 %", tuple(THREE), steps(100, 0.03, THREE)),
    ("the same, 4 % of the runs 65 % slower", tuple(THREE), steps(100, 0.03, THREE, outliers=0.04)),
    ("the same, autocorrelation .4", tuple(THREE), steps(100, 0.03, THREE, alike=0.4)),
    ("20 runs, +40 % in the last 6, sd 5 %", (14,), steps(20, 0.05, {14: 0.336})),
    ("14 runs, twice as slow in the last 5, sd 5 %", (9,), steps(14, 0.05, {9: 0.693})),
    ("12 runs, +40 % in the last 5, sd 5 %", (7,), steps(12, 0.05, {7: 0.336})),
    ("undone after 8 runs, 15 %, sd 3 %", (50, 58), steps(100, 0.03, {50: 0.14, 58: -0.14})),
    ("drift of 20 % in 100 runs", (), drift(100, 0.182)),
)


def ours(values: Floats) -> Sequence[int]:
    start = pd.date_range("2026-01-01", periods=len(values), freq="D", tz="UTC")
    return list(
        map(
            int,
            lab.change_points(pd.DataFrame({"run": range(len(values)), "start": start, "value": values})).table["run"],
        )
    )


def tools() -> dict[str, Tool]:
    """perflab, and the peers that are installed."""
    found: dict[str, Tool] = {"perflab": ours}
    if (otava := _imported("otava.series")) is not None:

        def by_otava(values: Floats, least: float) -> Sequence[int]:
            series = otava.Series(
                "t", None, list(range(len(values))), {"v": otava.Metric(1, 1.0)}, {"v": values.tolist()}, {}
            )
            options = otava.AnalysisOptions()
            options.min_magnitude = least
            return [point.index for point in series.analyze(options).change_points.get("v", [])]

        found |= {"otava": lambda v: by_otava(v, 0.0), "otava, 3 %": lambda v: by_otava(v, 0.03)}
    if (mongo := _imported("signal_processing_algorithms.energy_statistics.energy_statistics")) is not None:
        found["MongoDB"] = lambda values: [
            int(place) for place in mongo.e_divisive(values, pvalue=0.05, permutations=100)
        ]
    return found


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=30, help="of each kind (%(default)s)")
    many = parser.parse_args().histories
    warnings.simplefilter("ignore")
    rows = []
    for number, (name, places, made) in enumerate(HISTORIES):
        histories = [made(np.random.default_rng([SEED, number, i])) for i in range(many)]
        for tool, find in tools().items():
            reported = [list(find(values)) for values in histories]
            hits = sum(any(abs(p - place) <= 2 for p in found) for found in reported for place in places)
            true = sum(any(abs(p - place) <= 2 for place in places) for found in reported for p in found)
            claims = sum(map(len, reported))
            false = np.mean([any(all(abs(p - place) > 2 for place in places) for p in found) for found in reported])
            recall = hits / (many * len(places)) if places else np.nan
            rows.append((name, tool, recall, true / claims if claims else np.nan, float(false)))
    table = pd.DataFrame(rows, columns=["history", "tool", "recall", "precision", "false"])
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
