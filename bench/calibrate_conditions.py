"""What the checks of an experiment's conditions do: false verdicts, doubts, and what they cost.

Every cell goes through `perflab.compare` on requests. A verdict is wrong when it has a direction that the truth has not; it is
doubted when the sentence, a warning or the reason names the condition. `python bench/calibrate_conditions.py --replicates 2000`
writes datasets/calibration/conditions.csv (about two hours on one core); a handful of replicates shows that it runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from perflab.stats.compare import Change, compare

SEED = 20261129
SECONDS = 30.0
START = pd.Timestamp("2026-01-01", tz="UTC")
DIRECTIONS = ("improved", "regressed")
Runs = list[tuple[str, float, float, int]]
"""Arm, ln of the level, start in seconds, pair of each run."""


def requests(random: np.random.Generator, runs: Runs, count: int, **more: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The requests of both arms: lognormal around each run's level; ``slow_b`` and ``slow_c`` are shares of a slow endpoint,
    ``times_b`` and ``times_c`` how slow it is, ``shed`` the share of slowest requests of the candidate that fail at once."""
    sides: dict[str, list[pd.DataFrame]] = {"b": [], "c": []}
    for i, (arm, level, begin, pair) in enumerate(runs):
        size = round(count * (more.get("load", 1.0) if arm == "c" else 1.0))
        latency = 50 * np.exp(level + 0.3 * random.standard_normal(size))
        slow = random.random(size) < more.get(f"slow_{arm}", 0.0)
        latency = np.where(slow, latency * more.get(f"times_{arm}", 1.0), latency)
        ok = np.ones(size, dtype=bool)
        if arm == "c" and more.get("shed"):
            ok = latency <= np.quantile(latency, 1 - more["shed"])
            latency = np.where(ok, latency, 1.0)
        at = pd.to_timedelta((np.arange(size) + 0.5) / size * SECONDS + begin, unit="s")
        names = np.where(slow, "GET /report", "GET /a")
        sides[arm].append(
            pd.DataFrame(
                {"run": f"{arm}{i}", "endpoint": names, "start": START + at, "latency_ms": latency, "ok": ok}
                | ({"pair": pair} if pair >= 0 else {})
            )
        )
    return pd.concat(sides["b"], ignore_index=True), pd.concat(sides["c"], ignore_index=True)


def pairs(random: np.random.Generator, count: int, sd: float, effect: float = 0.0, **more: float) -> Runs:
    """Pairs in random, balanced order. ``second``: what the second run of a pair gains; ``ordered``: the share of pairs with
    the baseline first; ``carried``: what a run after one of the candidate loses; ``broken``: ln of what one run is off."""
    share = more.get("ordered", 0.5)
    first = random.permutation(np.arange(count) < round(share * count))
    runs, before = [], "b"
    for pair in range(count):
        for place, arm in enumerate("bc" if first[pair] else "cb"):
            level = sd * random.standard_normal() + (effect if arm == "c" else 0.0) + more.get("second", 0.0) * place
            level += more.get("carried", 0.0) * (before == "c")
            level += more.get("broken", 0.0) * (pair == 0 and arm == "c")
            runs.append((arm, level, 100.0 * (2 * pair + place), pair))
            before = arm
    return runs


def blocks(random: np.random.Generator, order: str, sd: float, drift: float) -> Runs:
    """Unpaired runs in this order, on a linear drift."""
    slope = drift / (len(order) - 1)
    return [(arm, sd * random.standard_normal() + slope * i, 100.0 * i, -1) for i, arm in enumerate(order)]


Cell = tuple[str, float, str, Callable[[np.random.Generator], tuple[pd.DataFrame, pd.DataFrame]], str]
"""Name, true change of the deciding metric, metric, experiment, and the code of the doubt that names the condition."""
CELLS: tuple[Cell, ...] = (
    ("nothing wrong, sd 5 %, 8 pairs", 0.0, "p95", lambda r: requests(r, pairs(r, 8, 0.05), 300), ""),
    ("nothing wrong, sd 5 %, 8 pairs, -10 %", -0.1, "p95", lambda r: requests(r, pairs(r, 8, 0.05, -0.105), 300), ""),
    ("nothing wrong, two endpoints", 0.0, "p95", lambda r: requests(r, pairs(r, 8, 0.05), 600, slow_b=0.2, slow_c=0.2,
     times_b=3.0, times_c=3.0), ""),
    ("mix: one endpoint 10 x slower, asked less", 1.0, "p95", lambda r: requests(r, pairs(r, 8, 0.05), 600, slow_b=0.175,
     slow_c=0.035, times_b=10.0, times_c=100.0), "mix-moved"),
    ("mix: one endpoint 10 x faster, asked more", -1.0, "p95", lambda r: requests(r, pairs(r, 8, 0.05), 600, slow_b=0.03,
     slow_c=0.12, times_b=100.0, times_c=10.0), "mix-moved"),
    ("mix moves, nothing else", 0.0, "p95", lambda r: requests(r, pairs(r, 8, 0.05), 600, slow_b=0.2, slow_c=0.1,
     times_b=10.0, times_c=10.0), "mix-moved"),
    ("slowest 0.8 % fail at once", 0.0, "p99", lambda r: requests(r, pairs(r, 8, 0.02), 1200, shed=0.008), "failures-decide"),
    ("9 of 10 pairs in one order, second run 5 % faster", 0.0, "p95", lambda r: requests(r, pairs(r, 10, 0.02, ordered=0.9,
     second=-0.05), 300), "order-skewed"),
    ("A x9, B x10, A, drift 10 %", 0.0, "p95", lambda r: requests(r, blocks(r, "b" * 9 + "c" * 10 + "b", 0.02, 0.1), 300),
     "order-confounded"),
    ("A x5, B x5, A x5, B x5, drift 10 %", 0.0, "p95", lambda r: requests(r, blocks(r, "bbbbbccccc" * 2, 0.02, 0.1), 300),
     "order-skewed"),
    ("a run after the candidate is 15 % slower", 0.0, "p95", lambda r: requests(r, pairs(r, 10, 0.03, carried=0.14), 300),
     "carry-over"),
    ("one run 3 x as slow, truth -20 %", -0.2, "p95", lambda r: requests(r, pairs(r, 8, 0.05, -0.223, broken=1.1), 300),
     "broken-run"),
    ("10 % less load makes it 20 % faster", 0.0, "p95", lambda r: requests(r, pairs(r, 8, 0.05, -0.223), 300, load=0.9),
     "load-differs"),
    ("60 requests a run", 0.0, "p95", lambda r: requests(r, pairs(r, 8, 0.05), 67), ""),
    ("100 requests a run, -40 %", -0.4, "p95", lambda r: requests(r, pairs(r, 6, 0.05, -0.511), 111), ""),
)  # fmt: skip


def codes(change: Change) -> set[str]:
    """All that a change says about conditions."""
    row = change.find()
    return {note.code for note in (*row.reasons, *row.remarks, *change.warnings)}


def cell(random: np.random.Generator, given: Cell, replicates: int) -> dict[str, object]:
    """How often a verdict was right, wrong, and wrong without a word on the condition."""
    name, truth, metric, experiment, doubt = given
    right = wrong = silent = doubted = capped = 0
    conditions = {each[4] for each in CELLS} - {""} | {"machine-busy", "tests-disagree"}
    for _ in range(replicates):
        change = compare(*experiment(random), metric=metric, warmup=0)
        said = codes(change)
        expected = "equivalent" if truth == 0 else DIRECTIONS[truth > 0]
        false = change.verdict in DIRECTIONS and change.verdict != expected
        named = doubt in said if doubt else bool(said & conditions)
        right += change.verdict == expected
        wrong += false
        silent += false and not named
        doubted += named
        capped += change.verdict == "inconclusive" and named
    found = {"right": right, "false": wrong, "false_unsaid": silent, "doubted": doubted, "capped": capped}
    return {"condition": name, "true_change": truth, "replicates": replicates} | {
        key: round(value / replicates, 4) for key, value in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--write", type=Path, help="a CSV to write")
    given = parser.parse_args()
    chosen = [(i, each) for i, each in enumerate(CELLS) if given.only in each[0]]
    rows = []
    for i, each in chosen:
        rows.append(cell(np.random.default_rng([SEED, i]), each, given.replicates))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    if given.write:
        table.to_csv(given.write, index=False)


if __name__ == "__main__":
    main()
