"""A load test compared with production: the mix of its requests, and its results against production's peak."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from perflab.data.selection import count_by_endpoint
from perflab.data.tables import Measurements
from perflab.formats._routes import fold, path_of
from perflab.loadtest.capacity import Capacity
from perflab.loadtest.traffic import Traffic, read_traffic
from perflab.notes import DESIGN, PYTHON, Kind, Note, Remedy, written
from perflab.results import Result, Shown
from perflab.stats.trends_over_time import Growth
from perflab.units import format_fraction, format_number, format_p, format_rate

OTHER_METHODS = Kind(
    "other-methods",
    DESIGN,
    "{share:raw} of production's requests use methods that the run does not send ({methods:raw}); the shares are of the others",
)
NOT_SENT = Kind("not-sent", DESIGN, "the run sends nothing to {endpoints} ({share:raw} of production's requests)")
NOT_IN_PRODUCTION = Kind(
    "not-in-production", DESIGN, "production has no requests to {endpoints} ({share:raw} of the run's)"
)
SHORT_PEAK = Kind(
    "peak-of-minutes",
    DESIGN,
    "the peak is the mean of {period:second}; arrivals vary {bursts:raw} times as much as those of independent clients, so "
    "short bursts are higher",
)
OTHER_MIX = Kind(
    "capacity-depends-on-mix",
    DESIGN,
    "a capacity is that of the mix it was measured with: {remedy} shows whether the plan's is production's",
)
NO_CAPACITY = Kind(
    "capacity-not-bracketed",
    DESIGN,
    "the search ended before the limit was known, so the capacity is a bound; raise {remedy}",
)
_PLACE = re.compile(r"\{[^}]*\}|<[^>]*>|\[[^\]]*\]|(?<=/):\w+")
_BURSTY = 2.0


@dataclass(frozen=True, repr=False)
class MixCompared(Result):
    """The result of `compare_mix`.

    ``table`` has a row for each endpoint: endpoint, production_fraction, run_fraction and difference_fraction (run less
    production). ``p_value`` is that of a chi-square test of the run's counts against production's shares.
    """

    table: pd.DataFrame
    p_value: float
    warnings: tuple[Note, ...] = ()

    @property
    def largest(self) -> float:
        """The largest difference between the shares of an endpoint."""
        return float(self.table["difference_fraction"].abs().max())

    @property
    def sentence(self) -> str:
        """The largest difference."""
        row = self.table.loc[self.table["difference_fraction"].abs().idxmax()]
        return (
            f"The run's mix is within {format_number(float(f'{100 * self.largest:.2g}'))} points of production's; the largest "
            f"difference is {row['endpoint']} ({format_fraction(row['production_fraction'])} in production, "
            f"{format_fraction(row['run_fraction'])} in the run; chi-square test: p = {format_p(self.p_value)})"
        )

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the shares and the notes."""
        return Shown(self.sentence, self.table, written(self.warnings, surface), ours=True)


@dataclass(frozen=True, repr=False)
class PeakCompared(Result):
    """The result of `compare_with_peak`: ``fraction`` is the peak as a share of the rate that was tested (``rate_per_s``)."""

    sentence: str
    peak_per_s: float
    rate_per_s: float
    warnings: tuple[Note, ...] = ()

    @property
    def fraction(self) -> float:
        """Production's peak as a share of the tested rate."""
        return self.peak_per_s / self.rate_per_s if self.rate_per_s else math.inf

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence and the notes."""
        return Shown(self.sentence, notes=written(self.warnings, surface))


def compare_mix(measured: Measurements, production: Traffic | str | Path | Iterable[str | Path]) -> MixCompared:
    """Compare the mix of requests in runs with production's.

    Parameters
    ----------
    measured : Measurements
        The runs.
    production : Traffic | str | Path | Iterable[str | Path]
        What `read_traffic` returned, or access logs.

    Returns
    -------
    MixCompared
        Endpoints are the same if they differ in the spelling of their parameters only (``/orders/{}``, ``/orders/[id]``).
        Methods that the run never sends are left out.

    >>> lab.loadtest.compare_mix(lab.load("runs"), "access.log")                   # doctest: +SKIP
    """
    traffic = production if isinstance(production, Traffic) else read_traffic(production)
    counts = count_by_endpoint(measured)
    ran = counts.groupby(counts.index.map(_plain), sort=False).sum()
    sent = set(ran.index.str.partition(" ").get_level_values(0) if len(ran) else ())
    table = traffic.table.assign(plain=traffic.table["endpoint"].map(_plain))
    table = table.assign(method=table["endpoint"].str.partition(" ")[0])
    kept = table[table["method"].isin(sent)]
    notes = []
    if len(kept) < len(table):
        left = table[~table["method"].isin(sent)]
        share = format_fraction(float(left["share_fraction"].sum()))
        notes.append(OTHER_METHODS(share=share, methods=", ".join(sorted(set(left["method"])))))
    asked = kept.groupby("plain")["requests"].sum()
    both = pd.DataFrame({"production": asked, "run": ran}).fillna(0.0)
    if not asked.sum() or not ran.sum():
        raise ValueError("compare_mix needs requests of the same methods in the runs and in production")
    shares = both / both.sum()
    for kind, lacking, having in ((NOT_SENT, "run", "production"), (NOT_IN_PRODUCTION, "production", "run")):
        if len(names := shares.index[(shares[lacking] == 0) & (shares[having] > 0)]):
            share = format_fraction(float(shares.loc[names, having].sum()))
            notes.append(kind(endpoints=list(names), share=share))
    found = pd.DataFrame({
        "endpoint": shares.index,
        "production_fraction": shares["production"].to_numpy(),
        "run_fraction": shares["run"].to_numpy(),
        "difference_fraction": (shares["run"] - shares["production"]).to_numpy(),
    }).sort_values("production_fraction", ascending=False, ignore_index=True)  # fmt: skip
    return MixCompared(found, _chi_square(both), tuple(notes))


def _chi_square(both: pd.DataFrame) -> float:
    """The p-value of homogeneity; endpoints with few requests are taken together, so that the approximation holds."""
    from scipy.stats import chi2_contingency

    counts = both.to_numpy()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    rare = expected.min(axis=1) < 5
    cells = np.vstack([counts[~rare], counts[rare].sum(axis=0)]) if rare.any() else counts
    cells = cells[cells.sum(axis=1) > 0]
    return float(chi2_contingency(cells).pvalue) if len(cells) > 1 else 1.0


def _plain(endpoint: str) -> str:
    """An endpoint as production's are named: ids folded, without the query that Locust takes into names."""
    verb, space, path = _PLACE.sub("{}", endpoint).partition(" ")
    return f"{verb} {fold(path_of(path))}" if space and path.startswith(("/", "http")) else endpoint


def compare_with_peak(
    result: Capacity | Growth, production: Traffic | str | Path | Iterable[str | Path]
) -> PeakCompared:
    """Compare a capacity, or the rate of a soak test, with production's peak.

    Parameters
    ----------
    result : Capacity | Growth
        What `find_capacity` or `perflab.stats.growth` returned.
    production : Traffic | str | Path | Iterable[str | Path]
        What `read_traffic` returned, or access logs.

    Returns
    -------
    PeakCompared

    >>> lab.loadtest.compare_with_peak(capacity, "access.log").sentence            # doctest: +SKIP
    'Production peaks at 41 % of capacity (32.8/s of 80/s)'
    """
    traffic = production if isinstance(production, Traffic) else read_traffic(production)
    peak = traffic.peak_per_s
    notes = []
    if traffic.bursts >= _BURSTY:
        notes.append(SHORT_PEAK(period=traffic.period_s, bursts=f"{traffic.bursts:.2g}"))
    if isinstance(result, Growth):
        tested = result.rate_per_s
        times = format_number(float(f"{tested / peak:.2g}"))
        sentence = (
            f"{result.sentence}, at {times} times production's peak ({format_rate(tested)} of {format_rate(peak)})"
        )
        return PeakCompared(sentence, peak, tested, tuple(notes))
    notes.append(OTHER_MIX(Remedy("compare_mix", given="runs, traffic")))
    low = result.low
    if low == 0:
        held = f"{' and '.join(map(str, result.goals))} does not hold at any rate that was tried"
        return PeakCompared(f"Production peaks at {format_rate(peak)}, but {held}", peak, low, tuple(notes))
    bound = " or less" if math.isinf(result.high) else ""
    if bound:
        notes.append(NO_CAPACITY(Remedy("find_capacity", {"limit": ...})))
    share = format_fraction(float(f"{peak / low:.2g}"))
    return PeakCompared(
        f"Production peaks at {share} of capacity{bound} ({format_rate(peak)} of {format_rate(low)})",
        peak,
        low,
        tuple(notes),
    )
