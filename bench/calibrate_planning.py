"""How well plans, looks and histories keep their promises: simulations with the functions that perflab decides by.

    python bench/calibrate_planning.py            the full set, into datasets/calibration/*.csv (some minutes on one core)
    python bench/calibrate_planning.py --quick    a reduced set, printed only

Runs come from the banks of bench/calibrate.py: the p95 of 10,000 requests of the generators in latencies.py, those that the
rules were chosen by (ar1, mg1) and others.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from calibrate import PLACE, SEED, Size, bank

from perflab.stats import divisive, pilots, planning, sequential, tests

Floats = npt.NDArray[np.float64]
GENERATORS = ("ar1", "mg1", "busy queue", "bimodal")
LOOKS = ((5, 10), (4, 8, 12), (4, 6, 8, 10), (5, 10, 15, 20))


def differences(values: Floats, pairs: int, spread: float, effect: float, count: int, seed: list[int]) -> Floats:
    """ln candidate - ln baseline of many experiments in pairs."""
    random = np.random.default_rng([SEED, *seed])
    ln = values[random.integers(0, len(values), (2, count, pairs))] + spread * random.standard_normal((2, count, pairs))
    return ln[1] - ln[0] + effect


def looking(banks: dict[str, Floats], count: int) -> Iterator[dict[str, object]]:
    """False alarms and power of registered looks, of naive ones, and of the test for any time."""
    for number, (name, values) in enumerate(banks.items()):
        for looks in LOOKS:
            levels = sequential.boundaries(looks)
            row: dict[str, object] = {"generator": name, "looks": " ".join(map(str, looks)), "experiments": count}
            for effect, words in ((0.0, "false_alarms"), (math.log(0.9), "power_10_percent")):
                held = differences(values, looks[-1], 0.05, effect, count, [1, number, looks[-1], int(effect < 0)])
                p = np.stack([tests.paired(np.zeros_like(held[:, :k]), held[:, :k]).p_value for k in looks])
                crossed = p < np.array(levels)[:, None]
                row[words] = float(crossed.any(axis=0).mean())
                row[f"naive_{words}"] = float((p < 0.05).any(axis=0).mean())
                few = held[: count // 10]
                row[f"anytime_{words}"] = float(np.mean([sequential.anytime(d)[-1].p_value < 0.05 for d in few]))
                ended = np.where(crossed.any(axis=0), np.array(looks)[crossed.argmax(axis=0)], looks[-1])
                row[f"pairs_{words}"] = float(ended.mean())
            yield row


def planned(count: int) -> Iterator[dict[str, object]]:
    """The power of a plan at a known sd, and from pilots of five pairs."""
    for effect in (0.05, 0.10, 0.20):
        for sd in (0.02, 0.05, 0.10):
            for power in (0.8, 0.9):
                random = np.random.default_rng([SEED, 2, int(100 * effect), int(100 * sd), int(10 * power)])
                gain = math.log1p(-effect)
                runs, pairs = planning.runs_for(effect, sd, power), planning.pairs_for(effect, sd * math.sqrt(2), power)
                sides = random.normal(0, sd, (2, count, runs))
                unpaired = float((tests.welch(sides[0], sides[1] + gain).p_value < 0.05).mean())
                pilot = random.normal(0, sd * math.sqrt(2), (count, 5)).std(axis=1, ddof=1) * pilots._upper(4)
                row = {
                    "effect": effect,
                    "sd": sd,
                    "power": power,
                    "runs": runs,
                    "realised_runs": unpaired,
                    "pairs": pairs,
                }
                row |= {"promised_runs": planning.power_unpaired(runs, effect, sd)}
                row |= {
                    "promised_pairs": planning.power_paired(pairs, effect, sd * math.sqrt(2)),
                    "realised_pairs": math.nan,
                }
                if pairs >= 5:
                    held = random.normal(gain, sd * math.sqrt(2), (count, pairs))
                    row["realised_pairs"] = float((tests.paired(np.zeros_like(held), held).p_value < 0.05).mean())
                chosen = [planning.pairs_for(effect, float(s), power) for s in pilot[:300]]
                row["pilots_with_enough_pairs"] = float(np.mean(np.array(chosen) >= pairs))
                yield row | {"experiments": count}


def changed(banks: dict[str, Floats], count: int) -> Iterator[dict[str, object]]:
    """Histories of 100 runs at a run-to-run sd of 5 %: stable, shifted for good, and shifted for twenty runs."""

    def found(logs: Floats) -> list[int]:
        return list(divisive.steps_in(logs, 0.03, relative=True).places)

    for number, (name, values) in enumerate(banks.items()):
        random = np.random.default_rng([SEED, 3, number])
        # The shape of the generator's own spread, at a total sd of 5 %.
        own = (values - values.mean()) * min(1.0, 0.05 / float(values.std()))
        scale = math.sqrt(max(0.0, 0.05**2 - float(own.var())))
        series = own[random.integers(0, len(own), (3, count, 100))] + scale * random.standard_normal((3, count, 100))
        places = random.integers(15, 86, count)
        hits = once = undone = 0
        for shifted, bumped, place in zip(series[1], series[2], places, strict=True):
            shifted[place:] += math.log(1.1)
            bumped[40:60] += math.log(1.1)
            at = found(shifted)
            hits += any(abs(a - place) <= 5 for a in at)
            once += len(at) == 1
            both = found(bumped)
            undone += all(any(abs(a - edge) <= 5 for a in both) for edge in (40, 60))
        stable = float(np.mean([bool(found(row)) for row in series[0]]))
        alike = float(np.mean([bool(found(resembling(row, 0.4))) for row in series[0]]))
        yield {"generator": name, "histories": count, "stable_flagged": stable, "resembling_flagged": alike,
               "shift_10_percent_found": hits / count, "only_that_one": once / count, "undone_shift_found": undone / count,
               "sd": float(series[0].std())}  # fmt: skip


def resembling(logs: Floats, phi: float) -> Floats:
    """A history of the same spread whose runs resemble their neighbours: an AR(1) of these innovations."""
    found = logs * math.sqrt(1 - phi**2)
    found[0] = logs[0]
    for place in range(1, len(found)):
        found[place] += phi * found[place - 1]
    return found


def goals(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What statistics promises, and whether it held."""
    plans = tables["plans"]
    missed = np.r_[plans["realised_runs"] - plans["promised_runs"], plans["realised_pairs"] - plans["promised_pairs"]]
    rows = [
        ("false alarms at registered looks", float(tables["looks"]["false_alarms"].max()), "<= 0.06"),
        ("false alarms of the test for any time", float(tables["looks"]["anytime_false_alarms"].max()), "<= 0.06"),
        ("power against promise (largest miss)", float(np.nanmax(np.abs(missed))), "<= 0.03"),
        ("stable histories flagged, worst generator", float(tables["histories"]["stable_flagged"].max()), "<= 0.005"),
        (
            "stable histories with an autocorrelation of 0.4 flagged",
            float(tables["histories"]["resembling_flagged"].max()),
            "<= 0.06",
        ),
        (
            "10 % shifts found at sd 5 %, worst generator",
            float(tables["histories"]["shift_10_percent_found"].min()),
            ">= 0.94",
        ),
    ]
    table = pd.DataFrame(rows, columns=["goal", "found", "wanted"])
    table["holds"] = [
        f <= float(w[3:]) if w[0] == "<" else f >= float(w[3:])
        for f, w in zip(table["found"], table["wanted"], strict=True)
    ]
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a reduced set, printed and not kept")
    quick = parser.parse_args().quick
    began = time.perf_counter()
    size = Size(bank=300, requests=2_000) if quick else Size(bank=2_000)
    count = 2_000 if quick else 20_000
    banks = {name: bank(name, size) for name in (GENERATORS[:2] if quick else GENERATORS)}
    tables = {
        "looks": pd.DataFrame(looking(banks, count)),
        "plans": pd.DataFrame(planned(count)),
        "histories": pd.DataFrame(changed(banks, count // 4)),
    }
    reached = goals(tables)
    print(reached.to_string(index=False))
    if not quick:
        PLACE.mkdir(parents=True, exist_ok=True)
        for name, table in {**tables, "planning_goals": reached}.items():
            table.to_csv(PLACE / f"{name}.csv", index=False, float_format="%.4f")
        took = time.perf_counter() - began
        (PLACE / "planning_made.txt").write_text(
            f"bench/calibrate_planning.py on {datetime.now(UTC):%Y-%m-%d}, seed {SEED}, {took / 60:.0f} minutes; banks of "
            f"{size.bank} runs, {count} experiments, {count // 4} histories; numpy {np.__version__}\n"
        )
    return 0 if bool(reached["holds"].all()) else 1


if __name__ == "__main__":
    sys.exit(main())
