"""p-values of the rows of a comparison, corrected for multiple testing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from perflab.stats import families, tests
from perflab.stats.judging import Judged
from perflab.stats.mix import AS_OFFERED
from perflab.stats.rows import Asked, Key


def corrected_p(judged: Mapping[Key, Judged], asked: Asked) -> dict[Key, tuple[float, str]]:
    """Corrected p-values with the name of the correction: Holm for the deciding rows, all others as one family."""
    testable = [key for key, one in judged.items() if one.testable]
    deciding = [key for key in testable if key in asked.deciding]
    family = [key for key in testable if key not in asked.deciding and key[1] != AS_OFFERED]
    result: dict[Key, tuple[float, str]] = dict.fromkeys(judged, (math.nan, ""))
    # A row without a verdict keeps its own p.
    result |= {k: (float(o.effect.p_value), "") for k, o in judged.items() if o.effect is not None}
    p_deciding = families.holm(np.array([result[key][0] for key in deciding]))
    name = f"Holm, {len(deciding)} declared endpoints" if len(deciding) > 1 else ""
    result |= {key: (float(p), name) for key, p in zip(deciding, p_deciding, strict=True)}
    if family:
        corrected, name = _of_family([judged[key] for key in family], asked)
        result |= {key: (float(p), name) for key, p in zip(family, corrected, strict=True)}
    return result


def _of_family(judged: Sequence[Judged], asked: Asked) -> tuple[tests.Floats, str]:
    effects = [one.effect for one in judged if one.effect is not None]
    effect = tests.Effect(*(np.array([getattr(e, c) for e in effects]) for c in ("difference", "error", "degrees")))
    if asked.adjust == "explore":
        return families.benjamini_hochberg(effect.p_value), f"Benjamini and Hochberg, {len(judged)} tests (exploring)"
    if len(judged) < 2:
        return effect.p_value, ""
    if asked.design.kind not in ("pairs", "unpaired") or asked.design.covariates:
        return families.holm(effect.p_value), f"Holm, {len(judged)} tests"
    sides = [np.stack([one.scaled[i] for one in judged]) for i in (0, 1)]
    floor = np.array([one.floor for one in judged])
    return families.adjusted(sides[0], sides[1], effect, pairs=asked.design.paired, floor=floor)
