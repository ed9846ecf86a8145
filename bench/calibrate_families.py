"""Many endpoints at once: any false verdict among them, and what is found of true changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from perflab.stats import families, tests
from perflab.stats.verdicts import decide

Floats = npt.NDArray[np.float64]
SEED = 20261125
MARGIN = float(np.log1p(0.05))


def families_of_endpoints(count: int, endpoints: int = 50) -> pd.DataFrame:
    """Many endpoints that share part of their run's luck: any false verdict, and the power for five with a true change."""
    rows = []
    for paired in (True, False):
        for runs in (6, 7, 8, 10, 12) if paired else (4, 5, 6):
            for shared in (0.2, 0.8):
                for gain in (0.0, 0.10, 0.20):
                    rows += family(count, endpoints, runs, shared, gain, paired=paired)
    return pd.DataFrame(rows)


def family(
    count: int, endpoints: int, runs: int, shared: float, gain: float, *, paired: bool
) -> list[dict[str, object]]:
    random = np.random.default_rng([SEED, int(paired), runs, round(10 * shared), round(100 * gain)])
    names = ("uncorrected", "Holm", "max-T", "perflab")
    changed = 5 if gain else 0
    any_false, found = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    for _ in range(count):
        common, own = random.standard_normal((2, 1, runs)), random.standard_normal((2, endpoints, runs))
        before, after = 0.05 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
        after[:changed] += np.log(1 - gain)
        effect = tests.paired(before, after) if paired else tests.welch(before, after)
        corrected = {
            "uncorrected": effect.p_value,
            "Holm": families.holm(effect.p_value),
            "max-T": families.max_t(before, after, effect, pairs=paired),
        }
        enough = runs >= (families.LEAST_PAIRS if paired else families.LEAST_RUNS)
        corrected["perflab"] = corrected["max-T" if enough else "Holm"]
        for name, p in corrected.items():
            directional = np.isin(decide(effect, MARGIN, p), ["improved", "regressed"])
            any_false[name] += bool(directional[changed:].any())
            found[name] += float(directional[:changed].mean()) if changed else 0.0
    return [
        {
            "design": "pairs" if paired else "unpaired", "runs": runs, "endpoints": endpoints, "shared_luck": shared,
            "true_change": f"-{round(100 * gain)} %", "correction": name, "any_false": any_false[name] / count,
            "power": found[name] / count if changed else np.nan,
        }
        for name in names
    ]  # fmt: skip


def noisier_arm(experiments: int, endpoints: int = 20) -> pd.DataFrame:
    """No true change, and the runs of one arm vary more than the other's: any false verdict among many endpoints, unpaired.

    Beside what perflab does: Holm, and the exchange of whole runs' labels, which is exact only where the arms vary alike.
    """
    rows = []
    for runs in (4, 5, 6):
        for shared in (0.2, 0.8):
            for factor in (1, 2, 4):
                random = np.random.default_rng([SEED, 29, runs, round(10 * shared), factor])
                false = dict.fromkeys(("perflab", "Holm", "labels exchanged"), 0)
                for _ in range(experiments):
                    common, own = random.standard_normal((2, 1, runs)), random.standard_normal((2, endpoints, runs))
                    before, after = 0.02 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
                    after = factor * after
                    effect = tests.welch(before, after)
                    for name, p in (
                        ("perflab", families.adjusted(before, after, effect, pairs=False)[0]),
                        ("Holm", families.holm(effect.p_value)),
                        ("labels exchanged", _exchanged(before, after, effect)),
                    ):
                        false[name] += bool(np.isin(decide(effect, MARGIN, p), ["improved", "regressed"]).any())
                rows += [
                    {"runs": runs, "endpoints": endpoints, "shared_luck": shared, "noise_factor": factor, "correction": name,
                     "any_false": count / experiments}
                    for name, count in false.items()
                ]  # fmt: skip
    return pd.DataFrame(rows)


def uneven_families(experiments: int, endpoints: int = 20) -> pd.DataFrame:
    """No true change, arms of unlike size, either the noisier: any false verdict among many endpoints.

    Beside what perflab does: Holm on Welch's p-values, and the signs of residues (max-T).
    """
    rows = []
    for first, second in ((3, 4), (3, 5), (3, 20), (4, 8), (4, 20), (5, 8), (5, 20)):
        for small, large in ((1, 1), (4, 1), (1, 4)):
            random = np.random.default_rng([SEED, 37, first, second, small, large])
            false = dict.fromkeys(("perflab", "Holm", "max-T"), 0)
            for _ in range(experiments):
                before, after = (
                    0.02 * factor * (np.sqrt(0.2) * random.standard_normal((1, runs))
                                     + np.sqrt(0.8) * random.standard_normal((endpoints, runs)))
                    for runs, factor in ((first, small), (second, large))
                )  # fmt: skip
                effect = tests.welch(before, after)
                for name, p in (
                    ("perflab", families.adjusted(before, after, effect, pairs=False)[0]),
                    ("Holm", families.holm(effect.p_value)),
                    ("max-T", families.max_t(before, after, effect, pairs=False)),
                ):
                    false[name] += bool(np.isin(decide(effect, MARGIN, p), ["improved", "regressed"]).any())
            rows += [
                {"runs_baseline": first, "runs_candidate": second, "noise_baseline": small, "noise_candidate": large,
                 "endpoints": endpoints, "correction": name, "any_false": count / experiments}
                for name, count in false.items()
            ]  # fmt: skip
    return pd.DataFrame(rows)


def uneven_arms(experiments: int) -> pd.DataFrame:
    """No true change, few runs against many, either the noisier: false alarms of perflab, and of Welch as published."""
    rows = []
    for first, second in ((3, 5), (3, 8), (3, 20), (4, 12), (5, 20), (8, 12)):
        for noise in ((0.05, 0.05), (0.05, 0.10), (0.10, 0.05), (0.20, 0.05)):
            random = np.random.default_rng([SEED, 31, first, second, *(round(100 * n) for n in noise)])
            before = noise[0] * random.standard_normal((experiments, first))
            after = noise[1] * random.standard_normal((experiments, second))
            effect = tests.welch(before, after)
            published = stats.ttest_ind(after, before, axis=1, equal_var=False).pvalue
            rows.append(
                {"runs_baseline": first, "runs_candidate": second, "sd_baseline": noise[0], "sd_candidate": noise[1],
                 "perflab": float(np.isin(decide(effect, MARGIN, effect.p_value), ["improved", "regressed"]).mean()),
                 "welch": float(np.isin(decide(effect, MARGIN, published), ["improved", "regressed"]).mean())}
            )  # fmt: skip
    return pd.DataFrame(rows)


def _exchanged(before: Floats, after: Floats, effect: tests.Effect) -> Floats:
    """p-values by the largest |t| of all endpoints under every exchange of whole runs' labels."""
    runs = before.shape[-1]
    values = np.concatenate([before, after], axis=-1)
    order = np.argsort(-tests.label_permutations(runs, runs), axis=1, kind="stable")
    drawn = values[:, order]
    largest = np.abs(tests.welch(drawn[..., :runs], drawn[..., runs:]).t).max(0)
    return np.maximum((largest[:, None] >= np.abs(effect.t) * (1 - 1e-9)).mean(0), effect.p_value)
