"""How every result shows itself: a sentence, a table and notes; the same in a notebook, a report, a shell and an explorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from perflab import rendering
from perflab.notes import PYTHON, Note, notes_of, written
from perflab.notes import count as count


@dataclass(frozen=True)
class Shown:
    """The visible form of a result: one description that all surfaces render.

    ``ours``: the table's columns are perflab's own names, which become headings ("p95, ms"). The columns of other tables
    are unchanged, since an arm may have any name.
    """

    sentence: str
    table: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    doubtful: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    ours: bool = False
    max_rows: int = rendering.MAX_ROWS

    def grid(self) -> rendering.Grid | None:
        """The table as texts; None if there is none."""
        if self.table is None:
            return None
        return rendering.grid(self.table, max_rows=self.max_rows, doubtful=self.doubtful, ours=self.ours)

    def text(self) -> str:
        """The text for a terminal."""
        return rendering.text(self.sentence, self.grid(), self.notes)

    def html(self) -> str:
        """The HTML for a notebook."""
        return rendering.html(self.sentence, self.grid(), self.notes)


class Result:
    """A result that is rendered from the return value of `show`."""

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the table and the notes for a surface ("python" or "shell")."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.show().text()

    def _repr_html_(self) -> str:
        return self.show().html()


class Findings(pd.DataFrame, Result):  # type: ignore[misc]  # pandas comes without types
    """A DataFrame with a sentence. ``attrs`` holds its ``sentence`` and ``warnings``; ``shown``, the columns to display (all
    if empty); and ``doubtful``, which maps columns to the values to mark.

    What is derived from it (a selection, a sort) is a plain DataFrame, for which the sentence would not be true.
    """

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    __repr__ = Result.__repr__

    def to_parquet(self, *args: Any, **options: Any) -> Any:
        """Like a DataFrame's, without sentence and notes, since a file stores attributes as JSON only."""
        plain = pd.DataFrame(self)
        plain.attrs = {}
        return plain.to_parquet(*args, **options)

    def _repr_html_(self) -> str:
        return self.show().html()

    def show(self, surface: str = PYTHON) -> Shown:
        """The sentence, the rows and the notes for a surface."""
        people = [c for c in self.attrs.get("shown", ()) if c in self.columns]
        table = (pd.DataFrame(self[people]) if people else pd.DataFrame(self)) if len(self) else None
        sentence = self.attrs.get("sentence", "")
        return Shown(
            sentence.written(surface) if isinstance(sentence, Note) else str(sentence),
            table,
            written(self.warnings, surface),
            self.doubtful,
            ours=True,
        )

    @property
    def warnings(self) -> tuple[Note, ...]:
        """What to be careful about."""
        return tuple(self.attrs.get("warnings", ()))

    @property
    def doubtful(self) -> Mapping[str, Sequence[bool]]:
        """Maps columns to the values to mark."""
        found: Mapping[str, Sequence[bool]] = self.attrs.get("doubtful", {})
        return found


def findings(frame: pd.DataFrame, sentence: str | Note, warnings: Sequence[object] = (), **attrs: Any) -> Findings:
    """The frame with its sentence and warnings."""
    table = Findings(frame.reset_index(drop=True))
    table.attrs = {"sentence": sentence, "warnings": notes_of(warnings), **attrs}
    return table
