"""`Case`: one thing that a result decided, as continuous integration takes it: a name, an outcome, a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perflab.gates.gating import FAILS, INCONCLUSIVE, PASSES, Gate
from perflab.metrics import Metric
from perflab.notes import PYTHON, YOU, Note, joined
from perflab.objectives.cautions import NOT_UNDERSTOOD
from perflab.objectives.checking import Checked
from perflab.stats.change import Change
from perflab.stats.estimates import whose
from perflab.stats.rows import Row
from perflab.stats.several_arms import ArmsCompared

WARNS = "warns"
OUTCOMES = (PASSES, FAILS, INCONCLUSIVE, WARNS)
_OF_VERDICTS = {
    **dict.fromkeys(("improved", "equivalent", "holds"), PASSES),
    **dict.fromkeys(("regressed", "fails"), FAILS),
}


@dataclass(frozen=True)
class Case:
    """One thing that was decided.

    Attributes
    ----------
    group : what it is part of: the comparison, the objectives, the gate.
    name : "p95 of GET /orders", or an objective.
    outcome : "passes", "fails", "inconclusive", or "warns" of a regression that the result was not declared for.
    text : the sentence.
    decides : whether the exit code is about it.
    waivable : whether it may pass though it is inconclusive. A requirement that was not understood, or is about an endpoint
        that was not requested, may not.
    """

    group: str
    name: str
    outcome: str
    text: str
    decides: bool = True
    waivable: bool = True

    def under(self, inconclusive: str) -> str:
        """The outcome where what is inconclusive is to "pass" or to "fail"; as it is for ""."""
        if self.outcome != INCONCLUSIVE or not self.decides or (inconclusive == "pass" and not self.waivable):
            return self.outcome
        return {"pass": PASSES, "fail": FAILS}.get(inconclusive, INCONCLUSIVE)


def cases_of(result: object, surface: str = PYTHON) -> tuple[Case, ...]:
    """The cases of what `compare`, `compare_arms`, `check` or `gate` returned; none of another result."""
    if isinstance(result, Gate):
        return _of_gate(result, surface)
    if isinstance(result, Change):
        names = result.primaries or (result.endpoint,)
        deciding = [row for row in result.rows if row.endpoint in names and row.metric.name == result.metric]
        return tuple(_of_row(result, row, row in deciding, surface) for row in result.rows)
    if isinstance(result, ArmsCompared):
        return _of_arms(result, surface)
    return _of_checked(result, surface) if isinstance(result, Checked) else ()


def counted(cases: Sequence[Case], inconclusive: str = "") -> dict[str, int]:
    """How many have each outcome."""
    outcomes = [case.under(inconclusive) for case in cases]
    return {word: outcomes.count(word) for word in OUTCOMES}


def _of_gate(gate: Gate, surface: str) -> tuple[Case, ...]:
    # Without a check (another machine) the lines that were not understood are among the warnings.
    checked = _unread(gate.warnings, surface) if gate.checked is None else _of_checked(gate.checked, surface)
    waivable = all(case.waivable for case in checked)
    found = [Case("gate", "gate", gate.verdict, gate.show(surface).sentence, waivable=waivable)]
    if (change := gate.change) is not None:
        failing = [row for row in gate.gated if row.verdict == "regressed" and gate.verdict == FAILS]
        for row in change.rows:
            case = _of_row(change, row, row in failing, surface)
            # The gate itself is the case that can be inconclusive; its rows then say why.
            safe = row.verdict == INCONCLUSIVE and row.not_worse
            found.append(Case(case.group, case.name, PASSES, case.text, decides=False) if safe else case)
    return (*found, *checked)


def _of_row(change: Change, row: Row, decides: bool, surface: str) -> Case:
    outcome = _OF_VERDICTS.get(row.verdict, INCONCLUSIVE)
    group = f"{change.arms[1]} against {change.arms[0]}"
    text = change.answer_of(row.endpoint, row.metric.name).written(surface)
    return Case(
        group,
        f"{row.metric.label} of {whose(row.endpoint, row.metric)}",
        WARNS if outcome == FAILS and not decides else outcome,
        text,
        decides,
    )


def _of_arms(compared: ArmsCompared, surface: str) -> tuple[Case, ...]:
    """Several arms have no one verdict: the rows inform, corrected for all comparisons."""
    metric, found = Metric.of(compared.metric), []
    name = f"{metric.label} of {whose(compared.endpoint, metric)}"
    for row, reason in zip(compared.table.itertuples(), compared.reasons, strict=True):
        outcome = _OF_VERDICTS.get(str(row.verdict), INCONCLUSIVE)
        text = joined(f"{name} {metric.moved(row.change)}: {row.verdict}", reason).written(surface)
        outcome = WARNS if outcome == FAILS else outcome
        found.append(Case(f"{row.arm} against {row.against}", name, outcome, text, decides=False))
    return tuple(found)


def _of_checked(checked: Checked, surface: str) -> tuple[Case, ...]:
    rows = enumerate(checked.table.itertuples())
    found = [
        Case(
            "objectives",
            str(r.objective),
            _OF_VERDICTS.get(str(r.verdict), INCONCLUSIVE),
            checked.answer_of(at).written(surface),
            waivable=checked.reasons[at].about != YOU,
        )
        for at, r in rows
    ]
    return (*found, *_unread(checked.warnings, surface))


def _unread(notes: Sequence[Note], surface: str) -> list[Case]:
    """A case for each line that looks like a requirement and was not understood."""
    return [
        Case("objectives", f"{n.facts['where']}: {n.facts['text']}", INCONCLUSIVE, n.written(surface), waivable=False)
        for n in notes
        if n.code == NOT_UNDERSTOOD.code
    ]
