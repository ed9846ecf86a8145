"""The heads of log lines by their form are those that the expression finds in each line."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from perflab.formats import _line_prefix, _log_heads

LINES = [
    "2026-03-01 10:00:{n:02d}.000 UTC [{pid}] app{n}@shop LOG:  duration: {n}.5 ms  statement: SELECT {n}",
    "2026-03-01 10:00:{n:02d}.000 UTC [{pid}] app@shöp7 LOG:  duration: 0.{n} ms  bind s{n}: SELECT 'ü'",
    "2026-03-01 10:00:{n:02d}.000 UTC [{pid}] LOG:  checkpoint starting",
    "pg14 2026-03-01 10:00:{n:02d}.000 UTC [{pid}] app@shop ERROR:  {n}",
    "pg15 2026-03-01 10:00:{n:02d}.000 UTC [{pid}] app@shop ERROR:  {n}",
    "something else {n}",
    "",
]


@pytest.mark.parametrize("few", [0.0, 1.0])
@pytest.mark.parametrize("prefix", ["%m [%p] %q%u@%d ", "pg14 %m [%p] %u@%d ", "[db1] %m [%p] "])
def test_heads_by_form_are_those_of_each_line(prefix: str, few: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_heads, "_FEW", few)
    lines = [line.format(n=n, pid=4000 + 37 * n).encode() + b"\n" for n in range(40) for line in LINES]
    chunk, starts = b"".join(lines), np.append(0, np.cumsum([*map(len, lines)]))[:-1]
    head = rf"\A(?P<head>{_line_prefix.tolerant(prefix)}{_line_prefix.LEVELS})(?P<begins>duration: [\d.]+ ms)?"
    found = _log_heads.heads(chunk, starts, head, 100)
    expected = _log_heads.matched(pa.array([line[:100] for line in lines], pa.large_binary()), head)
    assert found.is_valid().equals(expected.is_valid())
    assert 0 < found.null_count < len(lines) or prefix.startswith("[")
    for field in expected.type:
        mine, theirs = (pc.struct_field(one, field.name) for one in (found, expected))
        if field.name in ("head", "begins"):
            mine, theirs = (pc.replace_substring_regex(one, r"\d", "0") for one in (mine, theirs))
        assert mine.equals(theirs), field.name
