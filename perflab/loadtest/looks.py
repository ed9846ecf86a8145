"""Registered looks at a running experiment: when to look, what decides, and what each look spends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perflab.data.tables import Measurements
from perflab.errors import ComparisonError
from perflab.loadtest import reasons
from perflab.stats import sequential
from perflab.stats.change import Change
from perflab.stats.compare import compare


@dataclass(frozen=True)
class Looks:
    """After which pairs to look, and the question asked there; fixed before the first run.

    ``at`` is empty where the end is the only look.
    """

    at: tuple[int, ...] = ()
    metric: str = "p95"
    tolerance: float | str = 0.05
    primary: str | Sequence[str] = ()

    @classmethod
    def registered(
        cls, looks: Sequence[int], pairs: int, metric: str, tolerance: float | str, primary: str | Sequence[str]
    ) -> Looks:
        """Checked looks: increasing, the first at three pairs or more, the last at the end."""
        return cls(sequential.checked_looks(looks, pairs) if looks else (), metric, tolerance, primary)

    def look(self, pairs: int, before: Measurements, after: Measurements) -> Change | None:
        """The change at a registered look, if this is one; invalid runs are left out."""
        sides = (before.where(valid=True), after.where(valid=True))
        if pairs not in self.at or not all(len(side.runs) for side in sides):
            return None
        try:
            return compare(*sides, metric=self.metric, tolerance=self.tolerance, primary=self.primary)
        except ComparisonError:
            if pairs == self.at[-1]:  # nothing is decided here, and the caller compares
                return None
            raise

    def ends(self, pairs: int, change: Change | None) -> bool:
        """Whether the change at an interim look ends the experiment."""
        return change is not None and pairs < self.at[-1] and change.verdict != "inconclusive"

    def noted(self, pairs: int, before: Measurements, after: Measurements) -> tuple[Measurements, Measurements]:
        """Both sides with a note on when the experiment ended and what its looks spent."""
        if not self.at:
            return before, after
        look = sequential.look(self.at, min(pairs, self.at[-1]))
        kind = reasons.ENDED_BY_LOOK if pairs < self.at[-1] else reasons.ALL_LOOKS
        note = kind(pairs=pairs, planned=self.at[-1], metric=self.metric, look=look.note)
        return replace(before, warnings=(*before.warnings, note)), replace(after, warnings=(*after.warnings, note))


ONLY_THE_END = Looks()
