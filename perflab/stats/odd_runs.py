"""Runs at odds with the rest: outlying ones, one under another load, a level or an effect that moves from run to run."""

from __future__ import annotations

import math

import numpy as np

from perflab.metrics import SHARE, SLOW
from perflab.notes import Note
from perflab.stats import circumstances, doubts, tests
from perflab.stats.coded_requests import Requests, Streamed
from perflab.stats.design import ARMS
from perflab.stats.divisive import LEAST_CHANGE, steps_in
from perflab.stats.experiment_checks import fitted, rates_of
from perflab.stats.rows import DIRECTIONS, Row, capped
from perflab.stats.tests import Effect, Floats
from perflab.stats.verdicts import decide, runs_to_decide

_SDS, _TIMES, _POINTS = 6.0, 1.3, 0.1
_OTHER_LOAD = 1.5
_MOVES, _LEAST_PAIRS, _DRIFTS = 0.005, 6, 0.01


def broken_run(row: Row) -> Row:
    """The row; where outlying runs hide what the others show, with those named in place of advice on more runs."""
    note = outlying(row) if row.reason_code == doubts.WIDE.code else None
    return capped(row, note) if note else row


def outlying(row: Row) -> Note | None:
    """The runs, at most a quarter, far off their arm (and in pairs off its differences too), and what the others show."""
    design, scaled, metric = row.asked.design, row.judged.scaled, row.metric
    share = metric.kind in (SHARE, SLOW)
    if row.judged.effect is None or design.kind not in ("pairs", "unpaired") or not (metric.relative or share):
        return None
    off = [side - np.median(side) for side in scaled]
    strange = [*off]
    if design.paired:
        between = scaled[1] - scaled[0]
        strange = [between - np.median(between)] * 2
    least = _POINTS if share else math.log(_TIMES)
    found: list[tuple[float, int, int]] = []
    for side, distance in enumerate(map(np.abs, strange)):
        far = (distance > _SDS * 1.4826 * np.median(distance)) & (np.abs(off[side]) > least)
        found += [(abs(float(off[side][place])), side, int(place)) for place in np.flatnonzero(far)]
    # Of a pair only the run that is further off.
    furthest = {place if design.paired else (side, place): (own, side, place) for own, side, place in sorted(found)}
    found = sorted(furthest.values(), reverse=True)[: max(1, min(map(len, scaled)) // 4)]
    gone = [{place for _, side, place in found if design.paired or side == arm} for arm in (0, 1)]
    left = [np.delete(side, list(places)) for side, places in zip(scaled, gone, strict=True)]
    if not found or min(map(len, left)) < 3:
        return None
    test = tests.paired if design.paired else tests.welch
    effect = test(left[0], left[1], row.judged.floor)
    word = str(decide(effect, row.judged.margin, effect.p_value, metric.better, row.asked.level.alpha))
    change = metric.format_change(metric.unscaled(float(effect.difference)))
    sizes = [_size(row, side, float(off[side][place])) for _, side, place in found]
    named = [design.sides[side][place] for _, side, place in found]
    others = [f", {run} {size}" for run, size in zip(named[1:], sizes[1:], strict=True)]
    return circumstances.BROKEN_RUN(
        run=named[0],
        size=sizes[0] + "".join(others),
        arm=ARMS[found[0][1]],
        them="them" if others else "it",
        without=f"{change}, {word}",
    )


def _size(row: Row, side: int, off: float) -> str:
    """How far a run is off a typical one of its arm."""
    if row.metric.relative:
        return f"is {math.exp(off):.2g} times a typical run of the {ARMS[side]}"
    usual = float(np.median(row.judged.values[side]))
    return f"has {row.metric.format(usual + off)}, a typical run of the {ARMS[side]} {row.metric.format(usual)}"


def odd_notes(row: Row, requests: tuple[Requests | Streamed, Requests | Streamed]) -> list[Note]:
    """Notes on odd runs where they did not decide the verdict."""
    design = row.asked.design
    if design.kind == "history" and row.judged.testable:
        return _of_history(row)
    if design.obstacle or design.capped or design.kind not in ("pairs", "unpaired"):
        return []
    broken = outlying(row) if row.verdict != "inconclusive" else None
    moved = _moved(row) if row.verdict in DIRECTIONS else None
    return [note for note in (broken, moved, _other_load(row, requests)) if note]


def _of_history(row: Row) -> list[Note]:
    """A note on the last change within the earlier runs that one run is compared with."""
    order = np.argsort(row.asked.design.slots[0], kind="stable")
    values = row.judged.scaled[0][order]
    places = steps_in(values, LEAST_CHANGE, relative=row.metric.relative).places
    if not places:
        return []
    place = places[-1]
    begin = places[-2] if len(places) > 1 else 0
    change = row.metric.unscaled(float(values[place:].mean() - values[begin:place].mean()))
    run = row.asked.design.baseline[int(order[place])]
    return [circumstances.HISTORY_MOVED(run=run, change=row.metric.format_change(change))]


def _other_load(row: Row, requests: tuple[Requests | Streamed, Requests | Streamed]) -> Note | None:
    """The run whose load was furthest off the usual one of its arm, unless many are."""
    found: list[tuple[float, Note]] = []
    for side, runs, arm in zip(requests, row.asked.design.sides, ARMS, strict=True):
        rates = rates_of(side, runs)
        usual = float(np.median(rates))
        if not np.isfinite(rates).all() or not rates.min() > 0:
            continue
        off = np.abs(np.log(rates / usual))
        odd = np.flatnonzero(off > math.log(_OTHER_LOAD))
        if 0 < len(odd) <= max(1, len(runs) // 4):
            place = int(off.argmax())
            note = circumstances.OTHER_LOAD(run=runs[place], arm=arm, run_per_s=float(rates[place]), usual_per_s=usual)
            found.append((float(off[place]), note))
    return max(found, key=lambda each: each[0])[1] if found else None


def moving(row: Row) -> Row:
    """The row, undecided because the effect or the runs moved over time rather than for want of runs."""
    if row.reason_code != doubts.WIDE.code:
        return row
    note = _moved(row) or _drifts(row)
    return capped(row, note) if note else row


def _moved(row: Row) -> Note | None:
    """A note where the difference of the pairs changes steadily over the experiment, by more than the tolerance."""
    design = row.asked.design
    if design.kind != "pairs" or len(design.baseline) < _LEAST_PAIRS or not design.timed or design.covariates:
        return None
    order = np.argsort(np.maximum(*design.slots), kind="stable")
    values = (row.judged.scaled[1] - row.judged.scaled[0])[order]
    fit = fitted(values, np.column_stack([np.ones(len(values)), np.arange(len(values), dtype="float64")]))
    if fit is None or fit[1][1] >= _MOVES or abs(fit[0][1]) * (len(values) - 1) <= row.judged.margin:
        return None
    ends = fit[0][0], fit[0][0] + fit[0][1] * (len(values) - 1)
    first, last = (row.metric.format_change(row.metric.unscaled(float(end))) for end in ends)
    return circumstances.EFFECT_MOVED(first=first, last=last)


def _drifts(row: Row) -> Note | None:
    """A note where unpaired runs drift so much that pairs, which cancel it, would need far fewer runs."""
    design, scaled = row.asked.design, row.judged.scaled
    if design.kind != "unpaired" or not design.timed or design.covariates:
        return None
    slots: Floats = np.concatenate(design.slots)
    arm = np.repeat([0.0, 1.0], list(map(len, scaled)))
    columns = np.column_stack([np.ones(len(arm)), arm, slots - slots.mean()])
    fit = fitted(np.concatenate(scaled), columns)
    if fit is None or fit[1][2] >= _DRIFTS:
        return None
    left = np.concatenate(scaled) - columns @ fit[0]
    degrees, runs = len(arm) - 3, min(map(len, scaled))
    error = math.sqrt(2 * float(left @ left) / degrees / runs)
    effect = Effect(np.asarray(fit[0][1]), np.asarray(error), np.asarray(float(degrees)))
    needed = max(8, runs_to_decide(effect, row.judged.margin, runs))
    if 2 * needed > int(row.reasons[0].facts["count"]):
        return None
    drift = row.metric.format_change(row.metric.unscaled(float(fit[0][2]) * (len(slots) - 1)))
    return circumstances.DRIFTING(doubts.pairs_of(needed), drift=drift)
