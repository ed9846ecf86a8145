"""How the conditions of an experiment affect a verdict: order, carry-over, load, a busy machine, a broken run, failures.

Each check reports the condition with its figure, and caps a verdict only where the condition could explain it. The
checks are stricter than 5 %, so that all of them together rarely raise a false alarm.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from perflab.data.tables import AGGREGATED
from perflab.metrics import QUANTILE, RATE, Floats, Metric
from perflab.notes import Note, Remedy, listed
from perflab.stats import circumstances, doubts, tests
from perflab.stats.coded_requests import Requests, Streamed
from perflab.stats.design import ARMS, Design
from perflab.stats.judging import Judged
from perflab.stats.mix import AS_OFFERED, Mix
from perflab.stats.rows import DIRECTIONS, ERRORS, Row, capped, size_words
from perflab.stats.tests import Effect
from perflab.stats.verdicts import decide

if TYPE_CHECKING:
    from perflab.data.tables import Measurements

_SKEWED, _TREND, _RARE = 0.15, 0.05, 0.05
CARRIED = 0.015
"""A carry-over is reported where p is below this."""
_LOAD, _LEVEL = 0.02, 0.01
_OTHER_LOAD = 0.1
"""Where the load differs by more than this, more runs do not settle what is undecided."""
_BUSY_CORES = 0.1
_ALIKE, _LEANS = 0.05, 0.2
_LONE = 0.05
"""A total without more than this share of the requests of an arm decides nothing good."""


# Order


def order_notes(row: Row) -> list[Note]:
    """Notes where run order could explain a part of the change, or runs carry over into the next one."""
    design = row.asked.design
    if not design.timed or row.judged.effect is None or design.capped or design.kind not in ("pairs", "unpaired"):
        return []
    found = _skewed_pairs(row, design) if design.paired else _skewed_runs(row, design)
    return [note for note in (found, _carried(row, design)) if note]


def _skewed_pairs(row: Row, design: Design) -> Note | None:
    """A note where one arm ran first in most pairs, by chance or because the order was not randomised."""
    second = np.sign(design.slots[1] - design.slots[0])
    count, leads = len(second), int((second > 0).sum())
    rare = 2 * float(special.bdtr(min(leads, count - leads), count, 0.5)) <= _RARE
    if abs(leads / count - 0.5) < 0.25 or leads in (0, count):
        return None
    fit = fitted(row.judged.scaled[1] - row.judged.scaled[0], np.column_stack([np.ones(count), second]))
    # A single pair in the other order can hardly show a position effect: then report the order alone.
    if fit is None or not (rare or fit[1][1] < _TREND):
        return None
    return circumstances.SKEWED_PAIRS(
        arm=ARMS[0 if 2 * leads > count else 1],
        first=max(leads, count - leads),
        pairs=count,
        position=row.metric.format_change(row.metric.unscaled(2 * fit[0][1])),
        corrected=row.metric.format_change(row.metric.unscaled(fit[0][0])),
    )


def _skewed_runs(row: Row, design: Design) -> Note | None:
    """A note where most runs of one arm came before those of the other, and the runs drift."""
    overlap = _earlier(design.slots)
    if abs(overlap - 0.5) <= _SKEWED:
        return None
    slots = np.concatenate(design.slots)
    arm = np.repeat([0.0, 1.0], [len(design.baseline), len(design.candidate)])
    fit = fitted(np.concatenate(row.judged.scaled), np.column_stack([np.ones(len(arm)), arm, slots - slots.mean()]))
    if fit is None or fit[1][2] >= _TREND:
        return None
    return circumstances.SKEWED_RUNS(
        overlap_fraction=max(overlap, 1 - overlap),
        drift=row.metric.format_change(row.metric.unscaled(float(fit[0][2]) * (len(slots) - 1))),
        corrected=row.metric.format_change(row.metric.unscaled(fit[0][1])),
    )


def _earlier(slots: tuple[Floats, Floats]) -> float:
    """The share of comparisons in which the baseline's run came before the candidate's."""
    return float((slots[0][:, None] < slots[1][None, :]).mean())


def _carried(row: Row, design: Design) -> Note | None:
    """A note where a run depends on the arm of the run before it."""
    slots, values = np.concatenate(design.slots), np.concatenate(row.judged.scaled)
    order = np.argsort(slots, kind="stable")
    arm = np.repeat([0.0, 1.0], [len(design.baseline), len(design.candidate)])[order]
    own, before = arm[1:], arm[:-1]
    if own.std() == 0 or before.std() == 0 or abs(np.corrcoef(own, before)[0, 1]) > 0.9:
        return None
    fit = fitted(values[order][1:], np.column_stack([np.ones(len(own)), own, before]))
    if fit is None or fit[1][2] >= CARRIED:
        return None
    return circumstances.CARRY_OVER(
        arm=row.asked.arms[1],
        carried=row.metric.format_change(row.metric.unscaled(fit[0][2])),
        corrected=row.metric.format_change(row.metric.unscaled(fit[0][1])),
    )


def fitted(values: Floats, columns: Floats) -> tuple[Floats, Floats] | None:
    """Least squares: the coefficients and their p-values against zero; None where they are not identifiable."""
    degrees = len(values) - columns.shape[1]
    if degrees < 3 or np.linalg.matrix_rank(columns) < columns.shape[1]:
        return None
    inverse = np.linalg.inv(columns.T @ columns)
    coefficients = inverse @ columns.T @ values
    left = values - columns @ coefficients
    error = np.sqrt(np.diag(inverse) * float(left @ left) / degrees)
    found = Effect(coefficients, error, np.full(len(error), float(degrees)))
    return coefficients, found.p_value


# Load and machine


def under_load(row: Row, requests: tuple[Requests | Streamed, Requests | Streamed]) -> Row:
    """The row, undecided where the load of the arms differed; as fast under more load is no less "not worse"."""
    note = load_note(row, requests)
    if note is None:
        return row
    return replace(
        capped(row, note), failing=row.failing or note.facts["candidate_per_s"] < note.facts["baseline_per_s"]
    )


def load_note(row: Row, requests: tuple[Requests | Streamed, Requests | Streamed]) -> Note | None:
    """A note on the load, where the arm with less of it is the faster one and the load could explain that."""
    design, effect = row.asked.design, row.judged.effect
    if not row.metric.is_latency or effect is None or design.obstacle or design.capped:
        return None
    rates = [rates_of(side, runs) for side, runs in zip(requests, design.sides, strict=True)]
    if not all(np.isfinite(r).all() and (r > 0).all() for r in rates):
        return None
    load = effect_of(np.log(rates[0]), np.log(rates[1]), design)
    if load is None or abs(float(load.difference)) < math.log1p(_LOAD) or not float(load.p_value) < _LEVEL:
        return None
    less = float(load.difference) < 0
    explained: tuple[str, ...] = ("improved", "equivalent") if less else ("regressed", "equivalent")
    # Users who wait for a slower answer ask less: such a load is a consequence.
    caused = (float(effect.difference) < 0) != less and 2 * abs(float(effect.difference)) > abs(float(load.difference))
    if row.reason_code == doubts.WIDE.code and abs(float(load.difference)) > _OTHER_LOAD and not caused:
        explained = (row.verdict,)
    if row.verdict not in explained or (row.verdict in DIRECTIONS and (float(effect.difference) < 0) != less):
        return None
    return circumstances.LOAD_DIFFERS(
        verdict=row.verdict, baseline_per_s=float(rates[0].mean()), candidate_per_s=float(rates[1].mean())
    )


def as_offered(
    row: Row, sides: tuple[Measurements, Measurements], requests: tuple[Requests | Streamed, Requests | Streamed]
) -> Row:
    """A throughput that the plans bound is no property of the target's: said, and no direction.

    The arm with less of it decides: where it served all that it was offered, more offered to the other explains the change.
    """
    columns, design, effect = ["offered_per_s", "achieved_per_s"], row.asked.design, row.judged.effect
    if row.metric.kind != RATE or not all(c in side.runs.columns for side in sides for c in columns):
        return row
    used = [
        side.runs.set_index("run").reindex(list(runs))[columns].to_numpy("float64")
        for side, runs in zip(sides, design.sides, strict=True)
    ]
    if not all(len(u) and np.isfinite(u).all() and (u[:, 0] > 0).all() for u in used):
        return row
    # Arrivals at random times are as many as planned but for chance.
    counted = [
        int(side.counts[np.isin(side.runs, runs)].sum()) for side, runs in zip(requests, design.sides, strict=True)
    ]
    short = [_LOAD + 1 / math.sqrt(max(n, 1)) for n in counted]
    served = [float(u[:, 1].sum()) > (1 - s) * float(u[:, 0].sum()) for u, s in zip(used, short, strict=True)]
    before, after = (float(u[:, 0].mean()) for u in used)
    more = math.log(after / before)
    if row.verdict not in DIRECTIONS or effect is None:
        if not all(served) or (row.metric.name, row.endpoint) not in {
            *row.asked.deciding,
            (row.metric.name, AGGREGATED),
        }:
            return row
        offered = [before, after] if abs(more) > math.log1p(_LOAD) else min(before, after)
        return replace(row, remarks=(*row.remarks, circumstances.AS_OFFERED_ONLY(offered_per_s=offered)))
    change = float(effect.difference)
    if not served[int(change < 0)] or more * math.copysign(1, change) < abs(change) / 2:
        return row
    arm = "both arms" if all(served) else f"the {ARMS[int(change < 0)]}"
    return capped(
        row, circumstances.OFFERED_DIFFERS(verdict=row.verdict, arm=arm, baseline_per_s=before, candidate_per_s=after)
    )


def rates_of(side: Requests | Streamed, runs: tuple[str, ...]) -> Floats:
    """Requests per second of each run."""
    # Until the last start: a late response does not lower the load.
    seconds = side.seconds if side.sending is None else side.sending
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = dict(zip(side.runs, side.counts / seconds, strict=True))
    return np.array([rate.get(run, math.nan) for run in runs])


def machine_notes(sides: tuple[Measurements, Measurements], design: Design) -> list[Note]:
    """Notes on other users of the machine, where these differed between the arms."""
    if not all("resources" in side.tables for side in sides) or design.obstacle:
        return []
    found = []
    for process, column, what in (
        ("other", "cpu_cores", "other processes used"),
        ("machine", "steal_cores", "the hypervisor took"),
    ):
        values = [_used(side, runs, process, column) for side, runs in zip(sides, design.sides, strict=True)]
        if not all(np.isfinite(v).all() for v in values):
            continue
        effect = effect_of(values[0], values[1], design)
        if effect is None or not float(effect.p_value) < _LEVEL or abs(float(effect.difference)) < _BUSY_CORES:
            continue
        cores = {f"{arm}_cores": float(v.mean()) for arm, v in zip(ARMS, values, strict=True)}
        found.append(circumstances.MACHINE_BUSY(what=what, **cores))
    return found


def _used(side: Measurements, runs: tuple[str, ...], process: str, column: str) -> Floats:
    table = side.resources
    if column not in table.columns:
        return np.full(len(runs), math.nan)
    mean: pd.Series = table[table["process"] == process].groupby("run")[column].mean()
    return np.asarray(mean.reindex(list(runs)), dtype="float64")


def effect_of(first: Floats, second: Floats, design: Design) -> Effect | None:
    """The effect on another number of the runs, by the design's test."""
    if design.paired:
        return tests.paired(first, second)
    if design.kind == "history":
        return tests.against_history(first, second[0])
    return tests.welch(first, second) if design.kind == "unpaired" else None


def covariate_notes(design: Design) -> list[Note]:
    """Notes on covariates that differ between the arms: adjusting for them removes what the change does through them."""
    if design.covariates is None or design.obstacle:
        return []
    found = []
    for name, first, second in zip(design.covariates.names, *design.covariates.values, strict=True):
        effect = effect_of(first, second, design)
        if effect is not None and float(effect.p_value) < _LEVEL:
            values = {"baseline": f"{first.mean():.3g}", "candidate": f"{second.mean():.3g}"}
            found.append(circumstances.COVARIATE_MOVED(name=name, **values))
    return found


# Failures as infinitely slow requests


def infinitely_slow(requests: Requests) -> Requests:
    """The requests with failed ones slower than all others."""
    return replace(requests, latency=np.where(requests.failed, math.inf, requests.latency))


def with_failures(row: Row, slow: Judged, errors: Judged) -> Row:
    """The row, capped where failures as infinitely slow requests change it: a direction must hold both ways."""
    if not row.metric.is_latency or row.judged.effect is None:
        return row
    shares = [ERRORS.typical(values) for values in errors.values]
    if failed := [arm for arm, values in zip(ARMS, errors.values, strict=True) if (values == 1).all()]:
        return capped(replace(row, failing=True), circumstances.ALL_FAILED(arm=" and the ".join(failed)))
    if (
        row.reason_code == circumstances.FAILING_FAST.code
        or row.metric.kind != QUANTILE
        or all(np.array_equal(a, b) for a, b in zip(slow.values, row.judged.values, strict=True))
    ):
        return row
    endless = [bool((~np.isfinite(values)).any()) for values in slow.values]
    if any(endless):
        arm = int(not endless[0]) if sum(endless) == 1 else int(shares[1] > shares[0])
        ended = ~np.isfinite(slow.values[arm])
        note = circumstances.TAIL_FAILS(
            Remedy("compare", {"metric": ERRORS.name}),
            metric=row.metric.label,
            arm=ARMS[arm],
            failed=ERRORS.format(shares[arm]),
            among=int(ended.sum()),
            runs=len(ended),
        )
        if all(endless) and row.verdict == "equivalent":
            return capped(replace(row, failing=True), note)
        row = replace(row, remarks=(*row.remarks, note), failing=row.failing or endless[1])
        word = "inconclusive" if all(endless) else ("improved" if endless[0] else "regressed")
    elif slow.effect is None:
        return row
    else:
        alpha = row.asked.level.alpha
        word = str(decide(slow.effect, slow.margin, slow.effect.p_value, row.metric.better, alpha))
        low, high = slow.effect.interval(1 - 2 * alpha)
        worse = float(high if row.metric.better < 0 else -low) >= slow.margin
        row = replace(row, failing=row.failing or worse)
    if word == "inconclusive" and slow.effect is not None and _alike(errors) and _leans(slow, row):
        word = row.verdict
    differs = row.verdict in DIRECTIONS and word != row.verdict
    if differs or (row.verdict == "equivalent" and word in DIRECTIONS):
        return capped(row, circumstances.FAILURES_DECIDE(measured=row.verdict, slow=word))
    return row


def _alike(errors: Judged) -> bool:
    """Whether the arms fail equally often: failures then add noise and favour neither."""
    return errors.effect is None or float(errors.effect.p_value) >= _ALIKE


def _leans(slow: Judged, row: Row) -> bool:
    """Whether failures as infinitely slow requests point the same way as the verdict, if not significantly."""
    if slow.effect is None or row.judged.effect is None or not float(slow.effect.p_value) < _LEANS:
        return False
    return float(slow.effect.difference) * float(row.judged.effect.difference) > 0


def mixed_total(row: Row, offered: Row | None, mix: Mix) -> Row:
    """A total on the common mix, with a remark on what moved and its value as offered."""
    if not len(mix.share):
        return capped(row, circumstances.NO_COMMON())
    if offered is None:  # the mix does not weigh on a throughput
        return row
    if not mix.moved:
        without = f" (which leaves out {listed(mix.lone, 3)})" if mix.lone else ""
        given = circumstances.GIVEN_MIX(offered=size_words(offered), without=without)
        return replace(row, remarks=(given, *row.remarks))
    endpoint, (before, after) = next(iter(mix.moved.items()))
    note = circumstances.MIX_MOVED(
        endpoint=endpoint, before_fraction=before, after_fraction=after, offered=size_words(offered)
    )
    row = replace(row, remarks=(note, *row.remarks))
    lone, tail = sum(mix.lone.values()), 1 - row.metric.share if row.metric.share is not None else _LONE
    if lone <= min(tail, _LONE):
        return row
    row = replace(row, failing=True)
    if row.verdict not in ("improved", "equivalent"):
        return row
    return capped(
        row,
        circumstances.LONE_ENDPOINTS(
            doubts.declaring(...), lone_fraction=lone, endpoints=list(mix.lone), verdict=row.verdict
        ),
    )


def regressed_endpoints(row: Row, rows: list[Row]) -> Row:
    """A total with a remark on the endpoints that regressed, whatever its own verdict."""
    names = [
        r.endpoint
        for r in rows
        if r.verdict == "regressed" and r.metric == row.metric and r.endpoint not in (row.endpoint, AS_OFFERED)
    ]
    if not names or row.verdict == "regressed":
        return row
    return replace(row, remarks=(*row.remarks, circumstances.ENDPOINT_REGRESSED(endpoints=names)))


def against_reference(row: Row, old: Row) -> Row:
    """The row with a remark on the candidate against a fixed reference (the row ``old``)."""
    note = doubts.AGAINST_REFERENCE(
        found=size_words(old),
        interval=old.metric.interval(*old.limits),
        why=f"; {old.reason}" if old.verdict == "inconclusive" else "",
    )
    worse = old.verdict == "regressed" or (old.verdict == "inconclusive" and not old.worst < old.judged.margin)
    return replace(row, remarks=(*row.remarks, note), failing=row.failing or worse)


def few_requests(row: Row, fewest: int) -> list[Note]:
    """A warning for a verdict that rests on few requests per run."""
    metric: Metric = row.metric
    if not row.judged.testable or fewest >= metric.rows_needed:
        return []
    return [doubts.FEW_REQUESTS(metric=metric.label, found=fewest, needed=metric.rows_needed)]


def disagreement(row: Row) -> list[Note]:
    """A warning where the t-test decides and the exact test of the same runs would not."""
    exact = row.randomisation_p
    # .04 and .055 agree; only a factor of two is a disagreement.
    if row.verdict not in DIRECTIONS or row.p_value >= 0.05 or not exact >= max(0.05, 2 * row.p_value):
        return []
    return [doubts.TESTS_DISAGREE(p=f"{row.p_value:.2g}", exact=f"{exact:.2g}")]
