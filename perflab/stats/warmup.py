"""How much of the start of every run to leave out: one cut for all runs, checked by MSER."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from perflab.data.kept_statistics import Arrays
from perflab.data.tables import AGGREGATED, Measurements
from perflab.notes import Note, Remedy
from perflab.stats import doubts
from perflab.stats.coded_requests import BINS as BINS
from perflab.stats.coded_requests import Requests, Streamed
from perflab.stats.estimates import warmup_of
from perflab.stats.tests import Floats

LONGEST = 0.5
_GAIN = 0.75
_SHIFT = 0.02
_STANDARD_ERRORS = 5.0


@dataclass(frozen=True)
class Warmup:
    """``share`` is left out of every run; ``longer`` maps endpoints that need more, by MSER, to their share.

    ``unsettled`` are those that need more than their runs can spare.
    """

    share: float
    longer: Mapping[str, float] = field(default_factory=dict)
    unsettled: tuple[str, ...] = ()

    def of(self, endpoint: str) -> float:
        """The share of each run that is left out for this endpoint."""
        return self.longer.get(endpoint, self.share)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was raised, or should have been."""
        found = [
            doubts.RAISED(
                Remedy("compare", {"warmup": ...}),
                endpoint=_named(name),
                share_fraction=self.share,
                raised_fraction=share,
            )
            for name, share in self.longer.items()
        ]
        if self.unsettled:
            found.append(doubts.UNSETTLED(endpoints=list(map(_named, self.unsettled)), share_fraction=self.share))
        return tuple(found)


def declared(sides: Sequence[Measurements], given: float | str | None) -> float:
    """The warm-up for all sides: the argument, the largest of the plans', or the default."""
    return warmup_of(pd.concat([side.runs for side in sides], ignore_index=True), given)


def settled(sides: Sequence[Requests | Streamed], share: float, needed: int) -> Warmup:
    """The declared warm-up, raised for an endpoint that had not settled in the runs taken together.

    MSER uses the runs of both arms, and the cut is the same for all of them, so it cannot favour an arm; each endpoint
    is examined separately, so none affects the numbers of another. Every run must keep ``needed`` requests.
    """
    series = [_series(side) for side in sides]
    longer, unsettled = {}, []
    for name in dict.fromkeys(n for one in series for n in one):
        curves = np.concatenate([one[name] for one in series if name in one])
        cut = mser(_typical(curves), share)
        if cut > share and all(_fewest(side, name, cut) >= needed for side in sides):
            longer[name] = cut
        elif cut > share and all(_fewest(side, name, share) >= needed for side in sides):
            unsettled.append(name)
    return Warmup(share, longer, tuple(unsettled))


def _named(endpoint: str) -> str:
    return "all requests together" if endpoint == AGGREGATED else endpoint


def _fewest(side: Requests | Streamed, endpoint: str, share: float) -> int:
    """The number of requests left in the run with the fewest."""
    return min(int(piece.found["left"].min()) for piece in side.each(left_of, endpoint, share))


def left_of(side: Requests, endpoint: str, share: float) -> Arrays:
    """How many requests to an endpoint each run has after a share of it."""
    mask = side.age >= share
    if endpoint != AGGREGATED:
        mask &= side.endpoint == (side.endpoints.index(endpoint) if endpoint in side.endpoints else -1)
    return {"left": np.bincount(side.run[mask], minlength=len(side.runs))}


def mser(series: Floats, share: float) -> float:
    """Where to cut a series of bins: ``share``, or later (up to half of the series) where MSER finds a clear transient.

    White (1997), An effective truncation heuristic for bias reduction in simulation output, Simulation 69: the cut that
    minimises the standard error of the rest. It also varies by chance, so it is taken only where it lowers the squared
    standard error by a quarter and what it removes differs from the rest by five standard errors and 2 %.
    """
    count, least = len(series), round(share * len(series))
    if np.isnan(series).mean() > 0.2 or least >= LONGEST * count:
        return share
    error = _errors(series)[least : int(LONGEST * count) + 1]
    best = least + int(np.argmin(error))
    if best == least or error[best - least] > _GAIN * error[0]:
        return share
    removed, rest = series[least:best], series[best:]
    rest = rest[~np.isnan(rest)]
    lag = float(np.corrcoef(rest[:-1], rest[1:])[0, 1]) if rest.std() > 0 else 0.0
    inflation = (1 + max(0.0, lag)) / (1 - min(0.9, max(0.0, lag)))
    off = abs(float(np.nanmean(removed)) - float(rest.mean()))
    noise = float(rest.std()) * np.sqrt(inflation * (1 / len(removed) + 1 / len(rest)))
    return best / count if off > max(_SHIFT, _STANDARD_ERRORS * noise) else share


def _errors(series: Floats) -> Floats:
    """The variance of the rest after each cut divided by the number of bins left, in one pass from the end."""
    known = ~np.isnan(series)
    centred = np.where(known, series - np.nanmean(series), 0.0)
    left = np.maximum(np.cumsum(known[::-1])[::-1], 1)
    sums, squares = (np.cumsum(v[::-1])[::-1] for v in (centred, centred**2))
    found: Floats = (squares / left - (sums / left) ** 2) / np.arange(len(series), 0, -1)
    return found


def _typical(curves: Floats) -> Floats:
    """The median over the runs of each bin: one run's stall is not a warm-up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        centred = curves - np.nanmedian(curves, axis=1, keepdims=True)
        typical: Floats = np.nanmedian(centred, axis=0)
    return typical


def _series(side: Requests | Streamed) -> dict[str, Floats]:
    """Mean ln latency in 100 bins of each run's time: runs x bins, for each endpoint and for all together."""
    sums, counts = side.binned
    with np.errstate(invalid="ignore"):
        found = dict(zip(side.endpoints, sums / counts, strict=True))
        return {AGGREGATED: sums.sum(0) / counts.sum(0), **found}
