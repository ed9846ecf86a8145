"""`gate`: whether a change may go in; `Gate`, the result."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perflab.data.tables import AGGREGATED, Measurements
from perflab.gates import gate_notes
from perflab.gates.machine_speed import AGAIN, LIMIT, same_speed
from perflab.gates.stored import StoredBaseline, busy_fraction
from perflab.loadtest.calibration import Calibration
from perflab.loadtest.plan import LoadPlan
from perflab.loadtest.run import run, run_pairs
from perflab.loadtest.target import Target
from perflab.metrics import Metric
from perflab.notes import PYTHON, Note, joined, listed, notes_of, written
from perflab.objectives.checking import Checked, check, stated
from perflab.objectives.objective import Objective, Objectives
from perflab.progress import Listener
from perflab.results import Result, Shown
from perflab.stats.change import Change
from perflab.stats.compare import compare
from perflab.stats.estimates import whose
from perflab.stats.mix import AS_OFFERED
from perflab.stats.rows import Row

PASSES, FAILS, INCONCLUSIVE = "passes", "fails", "inconclusive"
_ERRORS = "error_fraction"
_LEAST_NOISE = 0.01
"""A tolerance that is taken from the noise is at least this."""


@dataclass(frozen=True, repr=False, eq=False)
class Gate(Result):
    """The result of `gate`.

    Attributes
    ----------
    verdict : "passes", "fails" or "inconclusive".
    reasons : why, the first of which decided.
    changes : the comparison, and the one that was to confirm it; none where the machine was not the baseline's.
    checked : of the candidate's runs, where objectives were given.
    runs : the measurements of both sides of the last experiment, (baseline, candidate).
    primaries : the endpoints that the gate was declared for; empty for all of them.
    """

    verdict: str
    reasons: tuple[Note, ...]
    changes: tuple[Change, ...]
    checked: Checked | None
    runs: tuple[Measurements, Measurements] | None
    primaries: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = ()

    @property
    def change(self) -> Change | None:
        """The comparison that decided."""
        return self.changes[-1] if self.changes else None

    @property
    def gated(self) -> tuple[Row, ...]:
        """The rows of the comparison that the gate is about."""
        if self.change is None:
            return ()
        names = set(self.primaries) or {row.endpoint for row in self.change.rows} - {AS_OFFERED}
        return tuple(row for row in self.change.rows if row.endpoint in names)

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        return str(self.answer)

    @property
    def answer(self) -> Note:
        """The answer as a note, whose advice is written for the surface that shows it."""
        word = "is inconclusive" if self.verdict == INCONCLUSIVE else self.verdict
        return joined(f"The gate {word}", self.reasons[0], by=": ")

    @property
    def notes(self) -> tuple[Note, ...]:
        """The other reasons, the rule, and the warnings."""
        gated = listed(self.primaries) if self.primaries else "all requests together or of any endpoint"
        return (*self.reasons[1:], gate_notes.RULE(gated=gated), *self.warnings)

    @property
    def table(self) -> Any:
        """The rows of the comparison, as `Change.table` has them; None where nothing was compared."""
        return self.change.table if self.change is not None else None

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the comparison and the notes for a surface."""
        sentence = self.answer.written(surface)
        compared = self.change.show(surface) if self.change is not None else None
        notes = written(self.notes, surface)
        if compared is None:
            return Shown(sentence, None, notes)
        return Shown(sentence, compared.table, (*notes, *compared.notes), compared.doubtful, compared.ours)


def gate(
    plan: LoadPlan,
    baseline: Target | StoredBaseline,
    candidate: Target,
    *,
    pairs: int = 8,
    confirm: bool = False,
    metric: str = "p95",
    tolerance: float | str | Calibration = 0.05,
    primary: str | Sequence[str] = (),
    goals: Objectives | Sequence[Objectives | Objective | str] | Objective | str = (),
    allow: str | Collection[str] = (),
    seed: int | None = None,
    store: str | Path = "runs",
    progress: bool | Listener = True,
) -> Gate:
    """Decide whether a change may go in: by pairs of runs of both versions on this machine, or by a stored baseline.

    Parameters
    ----------
    plan : LoadPlan
        The load of each run.
    baseline : Target or StoredBaseline
        The version that is there, which is run in pairs with the candidate (the safer way); or runs that were kept
        (`set_baseline`), which one run of the candidate is held against if this machine is as fast as theirs.
    candidate : Target
        The version that is to go in (`checked_out` makes both of two commits).
    pairs : int
        How many; `plan_runs` says how many a regression of a size needs.
    confirm : bool
        Make the experiment once more where it finds a regression, and fail only if that finds one too.
    metric, tolerance, primary
        As in `compare`; a `calibrate` result as the tolerance is the run-to-run noise that it measured. The share of failed
        requests is gated too. A gate with ``primary`` is about those endpoints only, one without about all requests together
        and about each endpoint (corrected for their number).
    goals : objectives
        Checked on the candidate's runs; one that fails fails the gate, one that is inconclusive makes it so.
    allow
        As in `compare`.
    seed, store, progress
        As in `run_pairs`.

    Returns
    -------
    Gate
        "fails" where something gated regressed, "passes" where a regression beyond the tolerance is excluded (95 % sure),
        "inconclusive" otherwise.

    Raises
    ------
    As `run_pairs` and `compare`.
    """
    primaries = (primary,) if isinstance(primary, str) else tuple(primary)
    Metric.of(metric)
    metrics = tuple(dict.fromkeys((metric, _ERRORS)))
    documents = [goals] if isinstance(goals, (Objectives, Objective, str)) else list(goals)
    if documents:
        stated(documents)
    warnings: list[Note] = []
    if isinstance(tolerance, Calibration):
        noise = max(_LEAST_NOISE, tolerance.sd)
        warnings.append(gate_notes.NOISE(noise_fraction=noise, runs=len(tolerance.values)))
        tolerance = noise
    how = {"metric": metrics, "tolerance": tolerance, "primary": primaries, "allow": allow}
    changes: list[Change] = []
    sides: tuple[Measurements, Measurements] | None = None
    for attempt in range(2 if confirm else 1):
        if isinstance(baseline, StoredBaseline):
            measured, refusal, more = _one_run(plan, baseline, candidate, store, progress)
            warnings += [*more, *(() if attempt else baseline.notes)]
            if refusal is not None:
                lines = [note for part in documents if isinstance(part, Objectives) for note in part.notes]
                return Gate(INCONCLUSIVE, (refusal,), (), None, None, primaries, notes_of([*warnings, *lines]))
            assert measured is not None
            sides = baseline.runs, measured
            changes.append(compare(*sides, order="ignore", **how))  # type: ignore[arg-type]
        else:
            own = None if seed is None else seed + attempt
            sides = run_pairs(
                plan, baseline, candidate, pairs=pairs, metric=metric, seed=own, store=store, progress=progress
            )
            changes.append(compare(*sides, **how))  # type: ignore[arg-type]
        if judged(changes[-1], primaries)[0] != FAILS:
            break
    assert sides is not None
    checked = check(sides[1], documents) if documents else None
    return decided(changes, checked, sides, primaries, warnings)


def decided(
    changes: Sequence[Change],
    checked: Checked | None,
    sides: tuple[Measurements, Measurements] | None,
    primaries: tuple[str, ...] = (),
    warnings: Sequence[Note] = (),
) -> Gate:
    """The gate's verdict on what was measured: one comparison, or two where the second was to confirm the first."""
    verdict, reasons = judged(changes[-1], primaries)
    if len(changes) > 1:
        first = judged(changes[0], primaries)[1][0]
        if verdict == FAILS:
            reasons = [first, gate_notes.CONFIRMED(sentence=reasons[0]), *reasons[1:]]
        else:
            verdict = INCONCLUSIVE
            reasons = [gate_notes.NOT_CONFIRMED(first=first, sentence=changes[-1].answer)]
    if checked is not None:
        said = gate_notes.OBJECTIVES(sentence=checked.answer)
        worse = {"fails": FAILS, "inconclusive": INCONCLUSIVE}.get(checked.verdict, PASSES)
        order = (FAILS, INCONCLUSIVE, PASSES)
        leads = order.index(worse) < order.index(verdict)
        verdict, reasons = min(verdict, worse, key=order.index), [said, *reasons] if leads else [*reasons, said]
    return Gate(verdict, tuple(reasons), tuple(changes), checked, sides, primaries, notes_of(warnings))


def judged(change: Change, primaries: tuple[str, ...]) -> tuple[str, list[Note]]:
    """What one comparison means to a gate, and why."""
    rows = [row for row in change.rows if row.endpoint != AS_OFFERED]
    deciding = [row for row in rows if row.endpoint in (primaries or (AGGREGATED,))]
    regressed = [row for row in rows if row.verdict == "regressed"]
    gated = [row for row in regressed if not primaries or row.endpoint in primaries]
    elsewhere = tuple(dict.fromkeys(row.endpoint for row in regressed if row not in gated))
    beside = [gate_notes.NOT_GATED(primary=listed(primaries), endpoints=elsewhere)] if elsewhere else []
    if gated:
        gated.sort(key=lambda row: row not in deciding)
        said = [gate_notes.REGRESSED(sentence=change.answer_of(r.endpoint, r.metric.name)) for r in gated]
        return FAILS, [*said, *beside]
    open_ones = [row for row in deciding if row.verdict == INCONCLUSIVE and not row.not_worse]
    if open_ones:
        row = open_ones[0]
        return INCONCLUSIVE, [gate_notes.UNDECIDED(sentence=change.answer_of(row.endpoint, row.metric.name)), *beside]
    own = change.find()
    if own.verdict == INCONCLUSIVE:
        what = f"{own.metric.label} of {whose(own.endpoint, own.metric)}"
        worst = own.metric.format_size(max(0.0, own.worst))
        return PASSES, [gate_notes.NOT_WORSE(what=what, worst=worst, margin=own.asked.margin(own.metric)), *beside]
    return PASSES, [gate_notes.DECIDED(sentence=change.answer), *beside]


def _one_run(
    plan: LoadPlan, baseline: StoredBaseline, candidate: Target, store: str | Path, progress: bool | Listener
) -> tuple[Measurements | None, Note | None, list[Note]]:
    """One run of the candidate on a machine that is as fast as the baseline's; or why it is not."""
    notes: list[Note] = []
    now, refusal = same_speed(baseline.speed, baseline.speed_limit)
    if refusal is not None:
        return None, refusal, notes
    if now.cpu_model != baseline.speed.cpu_model:
        notes.append(gate_notes.OTHER_MODEL(now=now.cpu_model, before=baseline.speed.cpu_model))
    measured = run(plan, candidate, store=store, progress=progress)
    _, refusal = same_speed(baseline.speed, baseline.speed_limit)
    busy, before = busy_fraction(measured), busy_fraction(baseline.runs)
    if refusal is None and abs(busy - before) > LIMIT:
        kind = gate_notes.BUSIER if busy > before else gate_notes.QUIETER
        refusal = kind(AGAIN, now_fraction=busy, before_fraction=before)
    _, partly, enough = baseline.coverage(measured)
    if not enough and refusal is None:
        refusal = partly
    elif partly is not None:
        notes.append(partly)
    return measured, refusal, notes
