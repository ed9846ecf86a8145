"""Where every line of an input went: a row, a continuation of a row, known and without meaning, or skipped.

A reader counts as it reads; the four must add up to what the input holds. Beside them stand markers: bytes that a file of
that kind holds once for each row, counted by somebody who does not read the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from perflab.notes import DATA, RECORDER, Kind, Note

SKIPPED = Kind(
    "skipped",
    DATA,
    "{source:raw}: skipped {skipped} of {total} {unit:raw}s, the first at {unit:raw} {first:raw}{why:raw}",
)
UNBALANCED = Kind(
    "unbalanced",
    RECORDER,
    "{source:raw}: {lost} of {total} {unit:raw}s are unaccounted for, a fault of this reader: please report it, and do not "
    "rely on counts from this file",
)
MARKERS_DIFFER = Kind(
    "markers-differ",
    DATA,
    "{source:raw}: holds {marker:raw} {found} times, but {rows} rows were read from it: rows are missing or were read twice",
)


@dataclass(frozen=True)
class Accounting:
    """The account of one input, or of a block of it; blocks are added up.

    ``total`` lines (or records: ``unit``) were seen by who splits the input, and each is one of ``rows`` (the line that
    makes a row), ``continued`` (more of the row before), ``known`` (understood, and no row: a header, a comment, a
    checkpoint) or ``skipped``. ``first`` is the number of the first line that was skipped, ``why`` says what was wrong with
    it. ``markers`` holds by name how often a marker stands in the input, and how many rows it should have made.

    >>> account = Accounting("line", total=10, rows=7, known=2, skipped=1, first=4)
    >>> account.balanced, [str(note) for note in account.notes("a.log")]
    (True, ['a.log: skipped 1 of 10 lines, the first at line 4'])
    """

    unit: str = "line"
    total: int = 0
    rows: int = 0
    continued: int = 0
    known: int = 0
    skipped: int = 0
    first: int = 0
    why: str = ""
    markers: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Lines that are none of the four; negative where lines were counted twice."""
        return self.total - self.rows - self.continued - self.known - self.skipped

    @property
    def balanced(self) -> bool:
        """Whether every line is accounted for, and every marker agrees with its rows."""
        return not self.lost and all(found == rows for found, rows in self.markers.values())

    def __add__(self, later: Accounting) -> Accounting:
        """This block and the one after it. ``first`` counts from the start of the whole input."""
        first = self.first or (later.first + self.total if later.first else 0)
        names = dict.fromkeys((*self.markers, *later.markers))
        none = (0, 0)
        markers = {
            n: (self.markers.get(n, none)[0] + later.markers.get(n, none)[0],
                self.markers.get(n, none)[1] + later.markers.get(n, none)[1])
            for n in names
        }  # fmt: skip
        return replace(
            self,
            total=self.total + later.total,
            rows=self.rows + later.rows,
            continued=self.continued + later.continued,
            known=self.known + later.known,
            skipped=self.skipped + later.skipped,
            first=first,
            why=self.why if self.first else later.why,
            markers=markers,
        )

    def notes(self, source: str) -> tuple[Note, ...]:
        """What a reader of the tables must know: lines that were skipped, lines that are lost, markers without rows."""
        found = []
        if self.skipped:
            why = f" ({self.why})" if self.why else ""
            found.append(
                SKIPPED(
                    source=source,
                    skipped=self.skipped,
                    total=self.total,
                    unit=self.unit,
                    first=f"{self.first:,}",
                    why=why,
                )
            )
        if self.lost:
            found.append(UNBALANCED(source=source, lost=abs(self.lost), total=self.total, unit=self.unit))
        found += [
            MARKERS_DIFFER(source=source, marker=repr(name), found=count, rows=rows)
            for name, (count, rows) in self.markers.items()
            if count != rows
        ]
        return tuple(found)


def count_marker(blocks: Iterable[bytes], marker: bytes) -> int:
    """How often the marker stands in an input given as blocks of bytes, across their edges too.

    >>> count_marker([b"duration: 1 dura", b"tion: 2"], b"duration: ")
    2
    """
    found, tail = 0, b""
    keep = len(marker) - 1
    for block in blocks:
        both = tail + block
        found += both.count(marker)
        tail = both[len(both) - keep :] if keep else b""
    return found
