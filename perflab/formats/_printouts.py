"""What tools print when they are done, as somebody saved it: behind a prompt, among other output, once in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from perflab.data import sources
from perflab.data.accounting import Tally
from perflab.errors import FormatError

_MOST_LINES = 50_000
_MOST_CHARACTERS = 10_000


@dataclass
class Printout:
    """The lines from where a result begins, and the account of them."""

    lines: list[str]
    tally: Tally
    first: int = 1
    _used: set[int] = field(default_factory=set)

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Where the pattern matches whole lines; those are the ones that make rows."""
        for number, line in enumerate(self.lines):
            if match := pattern.fullmatch(line):
                self._used.add(number)
                yield match

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return enumerate(self.lines)

    def used(self, number: int) -> None:
        """Count a line, from 0, as one that makes rows."""
        self._used.add(number)

    def closed(self, known: re.Pattern[str]) -> Tally:
        """The account: what comes before and after the result is other output, and lines within are used, known or skipped."""
        last = max(self._used, default=-1)
        for number, line in enumerate(self.lines):
            if number in self._used:
                self.tally.rows += 1
            elif number > last or not line.strip() or known.match(line):
                self.tally.known += 1
            else:
                self.tally.skip(self.first + number, why="not a line of this output")
        return self.tally


def printout(path: Path, begins: re.Pattern[str], expected: str, *, once: bool = True) -> Printout:
    """The output from its first line on; with ``once``, a second one in the file is refused.

    A result that follows another was measured in another run, and their counts and percentiles don't mix.
    """
    found = Printout([], Tally())
    for number, line in enumerate(sources.lines(path), start=1):
        found.tally.total = number
        begun = begins.match(line) is not None
        if begun and found.lines and once:
            raise FormatError(
                f"{path}:{number}: expected {expected}, found a second one (the first begins at line {found.first}): save each "
                "to its own file"
            )
        found.first = number if begun and not found.lines else found.first
        if (begun or found.lines) and len(found.lines) < _MOST_LINES:
            found.lines.append(line[:_MOST_CHARACTERS])
        else:
            found.tally.known += 1
    if not found.lines:
        raise FormatError(f"{path}: expected {expected}, found none")
    return found
