"""A table of findings: a DataFrame that begins with its sentence when it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from perflab import rendering


class Findings(pd.DataFrame):  # type: ignore[misc]  # pandas comes without types
    """A plain DataFrame to every function; ``attrs`` holds ``sentence`` and ``warnings``, shown before the rows, and
    ``shown``, the columns that people read (all of them if empty), and ``doubtful``, by column which values to mark.

    What is derived from it (a selection, a sort) is a plain DataFrame, for which the sentence would not be true.
    """

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def __repr__(self) -> str:
        return rendering.text(self._sentence(), self._shown(), self._notes(), doubtful=self.doubtful)

    def _repr_html_(self) -> str:
        return rendering.html(self._sentence(), self._shown(), self._notes(), doubtful=self.doubtful)

    def _sentence(self) -> str:
        return str(self.attrs.get("sentence", ""))

    @property
    def doubtful(self) -> Mapping[str, Sequence[bool]]:
        """By column which values are marked when it is shown."""
        found: Mapping[str, Sequence[bool]] = self.attrs.get("doubtful", {})
        return found

    def _shown(self) -> pd.DataFrame | None:
        people = [c for c in self.attrs.get("shown", ()) if c in self.columns]
        return (self[people] if people else self) if len(self) else None

    def _notes(self) -> tuple[str, ...]:
        return tuple(self.attrs.get("warnings", ()))


def findings(frame: pd.DataFrame, sentence: str, warnings: Sequence[str] = (), **attrs: Any) -> Findings:
    """The frame with its sentence and warnings."""
    table = Findings(frame.reset_index(drop=True))
    table.attrs = {"sentence": sentence, "warnings": tuple(warnings), **attrs}
    return table


def count(number: int, noun: str) -> str:
    """``1 unit``, ``1,204 statements``."""
    return f"{number:,} {noun}" if number == 1 or noun.endswith("s") else f"{number:,} {noun}s"
