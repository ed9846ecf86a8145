"""Where a run stands in its experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perflab.stats import sequential


@dataclass(frozen=True)
class Slot:
    """The position of a run in its experiment."""

    experiment: str | None = None
    pair: int | None = None
    order: int | None = None
    looks: tuple[int, ...] = ()
    baseline: str | None = None

    @property
    def environment(self) -> dict[str, Any]:
        """What a run's environment holds of its experiment."""
        return sequential.environment(self.looks) | ({"baseline": self.baseline} if self.baseline else {})
