"""The committed tables of what takes minutes to run: each row still says what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def rows(name: str) -> list[dict[str, str]]:
    lines = [line.strip("|\n ").split("|") for line in (BENCH / name).read_text().splitlines() if line.startswith("|")]
    head, _, *cells = [[cell.strip() for cell in line] for line in lines]
    return [dict(zip(head, row, strict=True)) for row in cells]


@pytest.mark.parametrize(("name", "cases"), [("kills.md", 56), ("reasons_shown.md", 6)])
def test_every_case_holds(name: str, cases: int) -> None:
    found = rows(name)
    assert len(found) >= cases
    assert {row["holds"] for row in found} <= {"yes", "True"}


def test_sound_runs_are_not_doubted() -> None:
    found = rows("sound_runs.md")
    assert len(found) == 5
    assert sum(int(row["runs"]) for row in found) * 20 >= 6 * 60
    assert [row["with a doubt"] for row in found] == ["0"] * 5
