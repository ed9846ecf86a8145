"""A quantile between two modes: cache hits and misses, fast and slow paths, with hardly anything in between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from perflab.data.tables import AGGREGATED
from perflab.metrics import QUANTILE
from perflab.stats import circumstances, doubts
from perflab.stats.coded_requests import Requests, Streamed
from perflab.stats.design import ARMS
from perflab.stats.pooled import Pooled, PooledRuns, pooled
from perflab.stats.rows import DIRECTIONS, Row

_MIXED = (circumstances.MIX_MOVED.code, circumstances.GIVEN_MIX.code)
_UNDECIDED = (doubts.WIDE.code, circumstances.BROKEN_RUN.code)
_APART, _EMPTY, _ERRORS = 2.0, 0.1, 3.0
"""Three standard errors of a run's quantile span a factor of two, and the middle half holds under a tenth of the requests."""


def between_modes(row: Row, requests: tuple[Requests | Streamed, Requests | Streamed], cut: float) -> Row:
    """The row, with the modes on both sides of its quantile, and the share of slow requests to compare instead."""
    share = row.metric.share
    if any(note.code in _MIXED for note in row.remarks):
        return row
    if row.metric.kind != QUANTILE or share is None or row.judged.effect is None or row.asked.design.obstacle:
        return row
    if (limited := below_ceiling(row, requests, cut)) is not row:
        return limited
    kept = _kept(row)
    sides = [pooled(side, runs, row.endpoint, cut) for side, runs in zip(requests, kept, strict=True)]
    found = [_valley(values, values.count / max(len(runs), 1), share) for values, runs in zip(sides, kept, strict=True)]
    modes = [each for each in found if each is not None]
    if not modes:
        return row
    fast, slow = min(low for low, _ in modes), max(high for _, high in modes)
    limit = float(f"{math.sqrt(fast * slow):.2g}")
    slower = [values.above(limit) for values in sides]
    note = circumstances.TWO_MODES(
        circumstances.by_share(limit), metric=row.metric.label, fast_ms=fast, slow_ms=slow, limit_ms=limit,
        baseline_fraction=slower[0], candidate_fraction=slower[1],
    )  # fmt: skip
    if row.verdict in DIRECTIONS or row.reason_code not in _UNDECIDED:
        return replace(row, remarks=(*row.remarks, note))
    return replace(row, reasons=(note,))


def _kept(row: Row) -> list[tuple[str, ...]]:
    """The runs of both arms that are not broken: on either side of a valley runs look so, and must not look like a mode."""
    broken = {note.facts["run"] for note in row.reasons if note.code == circumstances.BROKEN_RUN.code}
    return [tuple(run for run in runs if run not in broken) for runs in row.asked.design.sides]


def below_ceiling(row: Row, requests: tuple[Requests | Streamed, Requests | Streamed], cut: float) -> Row:
    """The row, undecided where a quantile is a limit of the measurement: a direction needs that of the faster arm only."""
    share, effect = row.metric.share, row.judged.effect
    if row.metric.kind != QUANTILE or share is None or effect is None or row.asked.design.obstacle:
        return row
    # Runs that a limit cuts off agree exactly.
    alike = any(len(v) > 1 and (v == v.max()).sum() > 1 for v in row.judged.values)
    if not alike or row.reason_code in (doubts.TICK.code, doubts.TOO_FEW.code):
        return row
    kept = _kept(row)
    sides = [pooled(side, runs, row.endpoint, cut) for side, runs in zip(requests, kept, strict=True)]
    tops = [_ceiling(values, share) for values in sides]
    arms = [arm for arm, top in enumerate(tops) if top and _cut_off(requests[arm], kept[arm], row.endpoint, cut)]
    faster = int(float(effect.difference) < 0)
    if not arms or (row.verdict in DIRECTIONS and (faster not in arms or tops[0] == tops[1])):
        return row
    limits = sorted({top for arm in arms if (top := tops[arm])})
    note = circumstances.AT_CEILING(
        circumstances.by_share(float(f"{0.99 * limits[0]:.3g}")),
        metric=row.metric.label,
        arm="both arms" if len(arms) > 1 else f"the {ARMS[arms[0]]}",
        limit_ms=limits,
    )
    if row.verdict == "inconclusive" and row.reason_code not in (*_UNDECIDED, doubts.NO_VARIANCE.code):
        return replace(row, remarks=(*row.remarks, note), failing=True)
    return replace(row, verdict="inconclusive", reasons=(note,), failing=True)


def _ceiling(values: Pooled | PooledRuns, share: float) -> float | None:
    """The largest latency, where it is the quantile too and far from the others."""
    top = values.ceiling(share)
    return top if _APART * values.quantiles([share / 2])[0] < top else None


def _cut_off(side: Requests | Streamed, runs: Sequence[str], endpoint: str, cut: float) -> bool:
    """Whether the slowest requests look cut off by a limit: those of a fixed latency, or of two, do not."""
    own = [pooled(side, runs, each, cut) for each in (side.endpoints if endpoint == AGGREGATED else (endpoint,))]
    spans = [(values, values.quantiles([0.0, 1.0])) for values in own if values.count]
    limit = max(high for _, (_, high) in spans)
    return any(values.inside(low, high, ends=False) for values, (low, high) in spans if high == limit)


def _valley(values: Pooled | PooledRuns, each: float, share: float) -> tuple[float, float] | None:
    """The modes on both sides of the quantile, where a run of this size may land on either."""
    if each < 2:
        return None
    reach = _ERRORS * math.sqrt(share * (1 - share) / each)
    shares = (max(share - reach, 0.0), min(share + reach, 1.0))
    if not values.apart(shares, _APART):
        return None
    low, high = values.quantiles(shares)
    if not 0 < low * _APART < high < math.inf:
        return None
    step = (high / low) ** 0.25
    around = values.inside(low, high, ends=True)
    between = values.inside(low * step, high / step, ends=False)
    return (low, high) if between < _EMPTY * around else None
