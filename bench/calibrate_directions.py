"""Directions that are wrong, or that nothing supports: against theory, under a stricter rule, and of one run against one.

With few noisy runs any test that keeps its 5 % errs in direction at times: at a true change of half a standard error the
noncentral t law says how often. What was simulated is held against that law, not against a limit of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import latencies
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from perflab.stats import tests
from perflab.stats.compare import compare

Floats = npt.NDArray[np.float64]
SEED = 20261125
TRUE = float(np.log(0.95))
START = pd.Timestamp("2026-01-01", tz="UTC")


def against_theory(power: pd.DataFrame, own: Mapping[str, float]) -> pd.DataFrame:
    """Cells with a true change of -5 %: how often the direction was wrong, and how often it is by theory.

    ``own`` is the sd of ln p95 that a generator's runs have without any luck of their own.
    """
    cells = power[power["true_change"] == "-5 %"]
    rows = []
    for cell in cells.itertuples():
        sd = float(np.hypot(cell.run_sd, own[str(cell.generator)]))
        rows.append(
            {
                "generator": cell.generator, "design": cell.design, "runs": cell.runs, "run_sd": cell.run_sd,
                "total_sd": sd, "wrong_direction": cell.wrong_direction,
                "by_theory": expected(int(cell.runs), sd, TRUE, paired=cell.design == "pairs"),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def expected(runs: int, sd: float, effect: float, *, paired: bool, alpha: float = 0.05) -> float:
    """How often a t-test of this level calls a negative effect positive, or the other way round."""
    if not paired:
        # Student's, which is exact here; Welch's is a little more careful with three runs an arm.
        return _beyond(abs(effect) / (sd * np.sqrt(2 / runs)), 2 * runs - 2, alpha)
    if runs >= 5:
        return _beyond(abs(effect) / (sd * np.sqrt(2 / runs)), runs - 1, alpha)
    return float(np.mean([_beyond(abs(effect) / (sd * w), 2 * runs - 3, alpha) for w in _with_trend(runs)]))


def _beyond(shift: float, degrees: int, alpha: float) -> float:
    return float(stats.nct.cdf(-stats.t.ppf(1 - alpha / 2, degrees), degrees, shift))


def _with_trend(runs: int) -> list[float]:
    """The standard error of the difference beside a trend, in sds of a run, for every order within the pairs."""
    found = []
    for flipped in product((0, 1), repeat=runs):
        first = 2 * np.arange(runs) + np.array(flipped)
        slots = np.concatenate([first, 4 * np.arange(runs) + 1 - first]) - (runs - 0.5)
        arm = np.repeat([-0.5, 0.5], runs)
        aa, ss, both = arm @ arm, slots @ slots, arm @ slots
        found.append(float(np.sqrt(ss / (aa * ss - both**2))))
    return found


def stricter(banks: Mapping[str, Floats], experiments: int) -> pd.DataFrame:
    """What a stricter rule (p <= .01) would cost with three runs an arm: wrong directions saved, and power lost."""
    rows = []
    for name, values in banks.items():
        for spread, paired, gain in product((0.05, 0.10), (True, False), (0.05, 0.10, 0.20)):
            random = np.random.default_rng(
                [SEED, 13, *name.encode(), round(100 * spread), int(paired), round(100 * gain)]
            )
            drawn = values[random.integers(0, len(values), (2, experiments, 3))]
            drawn = drawn + spread * random.standard_normal(drawn.shape)
            after = drawn[1] + np.log(1 - gain)
            first = 2.0 * np.arange(3) + (random.random((experiments, 3)) < 0.5)
            slots = first, 4.0 * np.arange(3) + 1 - first
            effect = tests.few_pairs(drawn[0], after, *slots) if paired else tests.welch(drawn[0], after)
            row: dict[str, object] = {"generator": name, "run_sd": spread, "design": "pairs" if paired else "unpaired",
                                      "runs": 3, "true_change": f"-{round(100 * gain)} %"}  # fmt: skip
            for level in (0.05, 0.01):
                sure = effect.p_value < level
                row[f"found_at_{level}"] = float((sure & (effect.difference < 0)).mean())
                row[f"wrong_at_{level}"] = float((sure & (effect.difference > 0)).mean())
            rows.append(row)
    return pd.DataFrame(rows)


def one_against_one(verdicts: int, whole: int, endpoints: int = 125) -> pd.DataFrame:
    """One run against one by `compare` itself, true ratios drawn widely, with and without order="ignore".

    ``verdicts`` in all from calls with many endpoints, each with a change of its own; ``whole`` calls with one.
    """
    rows = []
    cells = list(product((0.0, 0.05, 0.3, 1.0), ("auto", "ignore")))
    for spread, order in cells:
        random = np.random.default_rng([SEED, 17, round(100 * spread), len(order)])
        for many, calls in ((endpoints, verdicts / len(cells) / endpoints), (1, whole / len(cells))):
            tables = [_call(random, many, spread, order) for _ in range(max(1, round(calls)))]
            found = pd.concat(tables)
            rows.append(
                {
                    "true_change_sd": spread, "order": order, "endpoints": many, "verdicts": len(found),
                    "directional": int(found["verdict"].isin(["improved", "regressed"]).sum()),
                    "equivalent": int((found["verdict"] == "equivalent").sum()),
                    "interval_of_these_runs_excludes_0": float(((found["change_low"] > 0) | (found["change_high"] < 0)).mean()),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _call(random: np.random.Generator, endpoints: int, spread: float, order: str) -> pd.DataFrame:
    generators = (latencies.ar1, latencies.bimodal, latencies.stalls)
    drawn = generators[random.integers(len(generators))](random, 2 * endpoints, 250)
    drawn[endpoints:] *= np.exp(spread * random.standard_normal((endpoints, 1)))
    sides = [
        _requests(part, name, 0.0 if name == "b" else 50.0) for part, name in zip(np.split(drawn, 2), "bc", strict=True)
    ]
    table = compare(*sides, order=order).table
    return table[table["endpoint"] != "Aggregated"]


def _requests(drawn: Floats, run: str, first: float) -> pd.DataFrame:
    endpoints, count = drawn.shape
    at = pd.to_timedelta(np.tile(np.arange(count) * 0.1, endpoints) + first, unit="s")
    names = np.repeat([f"GET /{i}" for i in range(endpoints)], count)
    return pd.DataFrame({"run": run, "endpoint": names, "start": START + at, "latency_ms": drawn.ravel(), "ok": True})
