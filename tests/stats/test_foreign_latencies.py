"""Whole comparisons, from frames to verdicts, on latencies unlike those that the rules were chosen by.

Few of each kind, so the limits are on all of them together; the seeds are fixed. bench/calibrate.py counts by the thousand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import perflab as lab

START = pd.Timestamp("2026-03-01T10:00:00Z")
REPEATS = 6
Latencies = Callable[[np.random.Generator, int, float], np.ndarray]
Luck = Callable[[np.random.Generator, int], np.ndarray]


def two_servers(random: np.random.Generator, count: int, passed: float) -> np.ndarray:
    """A queue before two servers at load .8, lognormal service."""
    arrival = np.cumsum(random.exponential(7.5, count))
    service = random.lognormal(2.2, 0.7, count)
    free, waited = [0.0, 0.0], np.empty(count)
    for i in range(count):
        begin = max(free[0], arrival[i])
        waited[i] = begin + service[i] - arrival[i]
        free = sorted([free[1], begin + service[i]])
    return waited


def cooling_cache(random: np.random.Generator, count: int, passed: float) -> np.ndarray:
    """Hits and misses, with a hit ratio that drifts while the experiment runs."""
    miss = random.random(count) < 0.10 - 0.05 * passed
    return np.where(miss, random.lognormal(4.4, 0.25, count), random.lognormal(1.1, 0.4, count))


def endless(random: np.random.Generator, count: int, passed: float) -> np.ndarray:
    """Pareto without a variance."""
    return np.asarray(5 * (1 + random.pareto(1.5, count)))


def cron(random: np.random.Generator, count: int, passed: float) -> np.ndarray:
    """A job that slows a stretch of each run, about as long as what p95 leaves out."""
    values = random.gamma(2.0, 10.0, count)
    begin = int(random.integers(count))
    values[begin : begin + round(0.07 * count)] *= 8
    return values


def whole_ms(random: np.random.Generator, count: int, passed: float) -> np.ndarray:
    """Rounded to 10 ms by the tool's clock."""
    return np.round(random.weibull(0.6, count) * 3 + 2) * 10


def alike(random: np.random.Generator, runs: int) -> np.ndarray:
    return 0.03 * random.standard_normal((2, runs))


def one_noisier(random: np.random.Generator, runs: int) -> np.ndarray:
    return np.array([[0.02], [0.08]]) * random.standard_normal((2, runs))


def neighbours(random: np.random.Generator, runs: int) -> np.ndarray:
    """A run in ten is slowed by a quarter."""
    return 0.03 * random.standard_normal((2, runs)) + 0.25 * (random.random((2, runs)) < 0.1)


def related(random: np.random.Generator, runs: int) -> np.ndarray:
    """Runs that resemble the run before them (0.7), whichever arm that was of."""
    path = [0.05 * random.standard_normal()]
    for _ in range(2 * runs - 1):
        path.append(0.7 * path[-1] + 0.036 * random.standard_normal())
    return np.array(path)


def arms(
    random: np.random.Generator, draw: Latencies, luck: Luck, runs: int, effect: float, *, paired: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs of unequal size, in randomised order, with two endpoints."""
    lucks = luck(random, runs)
    if paired:
        first = 2 * np.arange(runs) + (random.random(runs) < 0.5)
        slots = np.stack([first, 4 * np.arange(runs) + 1 - first])
    else:
        slots = random.permutation(2 * runs).reshape(2, runs)
    frames: list[list[pd.DataFrame]] = [[], []]
    for arm in (0, 1):
        for run in range(runs):
            count, slot = int(random.integers(420, 520)), int(slots[arm, run])
            level = lucks[slot] if lucks.ndim == 1 else lucks[arm, run]
            latency = draw(random, count, slot / (2 * runs)) * np.exp(level + effect * arm)
            at = np.sort(random.random(count)) * 30 + 100 * slot
            frames[arm].append(
                pd.DataFrame(
                    {
                        "run": f"{'bc'[arm]}{run}", "endpoint": random.choice(["GET /a", "GET /b"], count), "pair": run,
                        "start": START + pd.to_timedelta(at, unit="s"), "latency_ms": latency, "ok": True,
                    }
                )
            )  # fmt: skip
    both = [pd.concat(parts, ignore_index=True) for parts in frames]
    return (both[0], both[1]) if paired else (both[0].drop(columns="pair"), both[1].drop(columns="pair"))


CASES = [
    (two_servers, alike, 6, True),
    (two_servers, related, 6, False),
    (cooling_cache, alike, 8, False),
    (endless, one_noisier, 5, False),
    (cron, alike, 3, True),
    (cron, neighbours, 8, True),
    (endless, neighbours, 4, True),
    (whole_ms, alike, 6, True),
]


@pytest.mark.parametrize("effect", [0.0, float(np.log(0.8))])
def test_foreign_latencies_get_verdicts_as_good_as_promised(effect: float) -> None:
    directional = wrong = covered = count = 0
    for number, (draw, luck, runs, paired) in enumerate(CASES):
        random = np.random.default_rng([7, number, int(effect < 0)])
        for repeat in range(REPEATS):
            change = lab.compare(*arms(random, draw, luck, runs, effect, paired=paired), metric="p90")
            if not repeat:
                assert not re.search(r"\bnan\b|\binf\b|None", f"{change.sentence} {change!r} {change.explain()!r}")
            directional += change.verdict in ("improved", "regressed")
            wrong += change.verdict == "regressed"
            covered += bool(change.row["change_low"] <= np.expm1(effect) <= change.row["change_high"])
            count += 1
    # Of 48 experiments 5 % are 2 or 3; more than 7 come up by chance less than once in a hundred times.
    if effect:
        assert directional - wrong >= 20 and wrong <= 1
    else:
        assert directional <= 7
    assert covered >= count - 7
