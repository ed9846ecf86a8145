"""Line accounting: every line of an input is a row, a continuation of a row, known and without meaning, or skipped.

A reader counts in a `Tally` as it reads; that gives the `Accounting`, whose four parts must add up to the total of the
input. Markers are a second, independent count: bytes that a file of that kind holds once per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from perflab.notes import DATA, RECORDER, Kind, Note

SKIPPED = Kind(
    "skipped",
    DATA,
    "{source:raw}: skipped {skipped} of {total} {unit:raw}s, the first at {unit:raw} {first}{why:raw}",
)
UNBALANCED = Kind(
    "unbalanced",
    RECORDER,
    "{source:raw}: {lost} of {total} {unit:raw}s are unaccounted for. This is a bug in the reader: please report it, and do not "
    "rely on counts from this file",
)
MARKERS_DIFFER = Kind(
    "markers-differ",
    DATA,
    "{source:raw}: holds {marker:raw} {found} times, but {rows} rows were read from it: rows are missing or were read twice",
)
CUT_OFF = Kind(
    "cut-off",
    DATA,
    "{source:raw}: the last line has no line end, so the file may have been cut off. Check the last row, or run again.",
)


_COUNTED = ("total", "rows", "continued", "known", "skipped")


@dataclass(frozen=True)
class Accounting:
    """The account of one input.

    ``total`` lines (or records, samples, documents: ``unit``) were counted where the input is split, and each is one of
    ``rows`` (the line that makes a row, or several), ``continued`` (more of the previous row), ``known`` (understood, but not
    a row: a header, a comment, a checkpoint) or ``skipped``. ``first`` is the number of the first skipped line, ``why`` what
    was wrong with it. ``markers`` maps each marker to its number of occurrences, and the rows that it should match.

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

    def __add__(self, other: Accounting) -> Accounting:
        """The account of an input that was read in two pieces, this one first."""
        markers = dict(self.markers)
        for name, (found, rows) in other.markers.items():
            before = markers.get(name, (0, 0))
            markers[name] = (before[0] + found, before[1] + rows)
        first = self.first or (self.total + other.first if other.first else 0)
        counted = {name: getattr(self, name) + getattr(other, name) for name in _COUNTED}
        return Accounting(self.unit, **counted, first=first, why=self.why or other.why, markers=markers)

    @property
    def lost(self) -> int:
        """Lines that are none of the four; negative where lines were counted twice."""
        return self.total - self.rows - self.continued - self.known - self.skipped

    @property
    def balanced(self) -> bool:
        """Whether every line is accounted for, and every marker matches its rows."""
        return not self.lost and all(found == rows for found, rows in self.markers.values())

    def notes(self, source: str) -> tuple[Note, ...]:
        """Notes on skipped lines, unaccounted lines, and markers that do not match the rows."""
        found = []
        if self.skipped:
            why = f" ({self.why})" if self.why else ""
            found.append(
                SKIPPED(
                    source=source,
                    skipped=self.skipped,
                    total=self.total,
                    unit=self.unit,
                    first=self.first,
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


@dataclass
class Tally:
    """The account of an input during reading. ``noted`` counts, by kind, what else users of the tables must know.

    >>> tally = Tally(total=3, known=1, rows=1)
    >>> tally.skip(3, why="not a number")
    >>> tally.account().balanced, [str(note) for note in tally.account().notes("a.csv")]
    (True, ['a.csv: skipped 1 of 3 lines, the first at line 3 (not a number)'])
    """

    unit: str = "line"
    total: int = 0
    rows: int = 0
    continued: int = 0
    known: int = 0
    skipped: int = 0
    first: int = 0
    why: str = ""
    cut_off: bool = False
    markers: dict[str, tuple[int, int]] = field(default_factory=dict)
    noted: dict[Kind, tuple[int, object]] = field(default_factory=dict)

    def skip(self, line: int, count: int = 1, why: str = "") -> None:
        """Count skipped lines, the first of them at ``line``."""
        if count:
            self.skipped += count
            if not self.first or line < self.first:
                self.first, self.why = line, why

    def note(self, kind: Kind, count: int = 1, first: object = None) -> None:
        """Count something other than lines; the note has the facts ``count``, ``first`` (its place) and ``source``."""
        if count:
            seen, place = self.noted.get(kind, (0, first))
            self.noted[kind] = (seen + count, place)

    def mark(self, marker: str, found: int, rows: int) -> None:
        """Add occurrences of a marker and the rows that it should match."""
        held = self.markers.get(marker, (0, 0))
        self.markers[marker] = (held[0] + found, held[1] + rows)

    def add(self, other: Tally) -> None:
        """Add another tally of other lines of the same input; line numbers are those of the input."""
        self.total += other.total
        self.rows += other.rows
        self.continued += other.continued
        self.known += other.known
        self.skip(other.first, other.skipped, other.why)
        self.cut_off |= other.cut_off
        for marker, (found, rows) in other.markers.items():
            self.mark(marker, found, rows)
        for kind, (count, first) in other.noted.items():
            self.note(kind, count, first)

    def account(self) -> Accounting:
        """The counts, for `Tables.accounting`."""
        counted = (self.total, self.rows, self.continued, self.known, self.skipped, self.first, self.why)
        return Accounting(self.unit, *counted, self.markers)

    def notes(self, source: str) -> tuple[Note, ...]:
        """The counted notes, without those on lines, which `Accounting.notes` makes."""
        found = [kind(source=source, count=count, first=first) for kind, (count, first) in self.noted.items()]
        return (*found, *([CUT_OFF(source=source)] if self.cut_off else []))


def count_marker(blocks: Iterable[bytes], marker: bytes) -> int:
    """Count a marker in an input given as blocks of bytes, including occurrences across their edges.

    >>> count_marker([b"duration: 1 dura", b"tion: 2"], b"duration: ")
    2
    """
    found, tail = 0, b""
    keep = len(marker) - 1
    for block in blocks:
        edge = tail + block[:keep]  # short, so that no block is copied
        found += block.count(marker) + edge.count(marker)
        ends = block if len(block) >= keep else tail + block
        tail = ends[len(ends) - min(keep, len(ends)) :]
    return found
