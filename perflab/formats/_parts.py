"""Sub-samples in a JMeter CSV: redirects and embedded resources, written as rows of their own after the sample they belong to.

JMeter names them after it ("Home-0", "Home-1", nested "Home-1-0"), in the same thread, within its time. A sampler that the user
called "Home-0" has a time of its own, so it stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perflab.formats._coded import Coded, joined

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBER = re.compile(r"-\d+\Z")
_NUMBERED = re.compile(r"(?:-\d+)+\Z")
_TAIL = 20_000
_CLOCK_MS = 1.0


@dataclass
class Parts:
    """Finds sub-samples in tables of a file one after the other; a sample may stand at the end of the table before."""

    _before: pa.Table | None = None

    def of(self, table: pa.Table) -> Any:
        """Which rows of a table (label, start, latency_ms, perhaps user) are sub-samples."""
        import pyarrow as pa

        columns = [name for name in ("label", "start", "latency_ms", "user") if name in table.column_names]
        table = table.select(columns)
        both = table if self._before is None else pa.concat_tables([self._before, table])
        self._before = table.slice(max(0, len(table) - _TAIL))
        if not _may_hold_parts(both["label"]):
            return np.zeros(len(table), dtype=bool)
        label = Coded.of(both["label"])
        numbered = label.test(lambda text: _NUMBERED.search(text) is not None)
        thread = Coded.of(both["user"]).codes if "user" in columns else np.zeros(len(both), dtype="int64")
        over = _outer(numbered, thread)
        start = both["start"].to_numpy().astype("int64") / 1e3
        end = start + both["latency_ms"].to_numpy()
        within = (start >= start[over] - _CLOCK_MS) & (end <= end[over] + _CLOCK_MS) & numbered & (over >= 0)
        named = joined(label, Coded(label.codes[over], label.values), lambda part, whole: str(_is_part(part, whole)))
        found: Any = within & named.test(lambda said: said == "True")
        return found[len(both) - len(table) :]


def _may_hold_parts(label: pa.ChunkedArray) -> bool:
    """Whether any name is another one with numbers behind it: a look at a few names, not at millions of rows."""
    names = {name or "" for chunk in label.chunks for name in chunk.dictionary.to_pylist()}
    return any(whole in names for name in names for whole in _wholes(name))


def _wholes(part: str) -> Iterator[str]:
    while found := _NUMBER.search(part):
        part = part[: found.start()]
        yield part


def _outer(numbered: Any, thread: Any) -> Any:
    """For each row the last one before it, in its thread, that has no number; -1 where there is none."""
    order = np.argsort(thread, kind="stable")
    places = np.arange(len(order))
    last = np.maximum.accumulate(np.where(~numbered[order], places, -1))
    same = (last >= 0) & (thread[order[np.maximum(last, 0)]] == thread[order])
    over = np.full(len(order), -1, dtype="int64")
    over[order] = np.where(same, order[np.maximum(last, 0)], -1)
    return over


def _is_part(part: str, whole: str) -> bool:
    return part.startswith(whole) and _NUMBERED.fullmatch(part[len(whole) :]) is not None
