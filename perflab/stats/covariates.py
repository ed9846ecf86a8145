"""Covariates: numbers of the runs, declared before them, that a comparison adjusts for: load, CPU, steal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perflab.data.tables import Measurements
from perflab.stats import tests
from perflab.stats.tests import Effect, Floats

LEAST_DEGREES = 3


@dataclass(frozen=True)
class Covariates:
    """``names`` of the covariates, and their ``values`` in both arms: covariates x runs."""

    names: tuple[str, ...]
    values: tuple[Floats, Floats]

    def effect(self, baseline: Floats, candidate: Floats, floors: Floats, *, pairs: bool) -> Effect:
        """The effect on every endpoint at equal covariates."""
        first, second = self.values
        if pairs:
            return tests.paired_given(baseline, candidate, second - first, floors)
        return tests.unpaired_given(baseline, candidate, np.concatenate(self.values, axis=1), floors)

    def degrees(self, *, pairs: bool) -> int:
        """Degrees of freedom left to estimate the variance."""
        runs = [side.shape[1] for side in self.values]
        return int(runs[0] - 1 if pairs else sum(runs) - 2) - len(self.names)


def covariates(
    sides: tuple[Measurements, Measurements], names: Sequence[str], runs: tuple[tuple[str, ...], tuple[str, ...]]
) -> Covariates:
    """The covariates of these runs; ValueError for an unknown name, or one that a run lacks."""
    values = [np.array([_column(side, name, own) for name in names]) for side, own in zip(sides, runs, strict=True)]
    for place, name in enumerate(names):
        known = np.concatenate([side[place] for side in values])
        if not np.isfinite(known).all():
            raise ValueError(f"covariates: {int((~np.isfinite(known)).sum())} of {len(known)} runs have no {name}")
        if known.std() == 0:
            raise ValueError(f"covariates: {name} is the same in all runs")
    return Covariates(tuple(names), (values[0], values[1]))


def _column(side: Measurements, name: str, runs: tuple[str, ...]) -> Floats:
    """One number per run: a column of ``runs``, or the mean of one of ``resources`` ("machine.steal_cores")."""
    process, _, column = name.partition(".")
    if column and "resources" in side.tables and column in side.resources.columns:
        samples = side.resources[side.resources["process"] == process]
        numbers = samples.groupby("run")[column].mean()
    elif name in side.runs.columns and pd.api.types.is_numeric_dtype(side.runs[name].dtype):
        numbers = side.runs.set_index("run")[name]
    else:
        there = [c for c in side.runs.columns if pd.api.types.is_float_dtype(side.runs[c].dtype)]
        raise ValueError(
            f'covariates must be numbers in runs ({", ".join(there)}) or means of resources ("machine.steal_cores"); got {name!r}'
        )
    return np.array([float(numbers.get(run, math.nan)) for run in runs])
