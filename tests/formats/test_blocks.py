"""Reading a file in blocks that are parsed side by side: their order, what is counted, and what goes wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import _blocks
from perflab.notes import DATA, Kind

BLOCKS = Kind("blocks", DATA, "{count:block}")


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.txt"
    path.write_text("".join(f"{number}\n" for number in range(20_000)))
    return path


def test_blocks_come_in_the_order_of_the_file_whoever_is_done_first(numbers: Path) -> None:
    def parse(block: _blocks.Block, tally: Tally) -> list[int]:
        found = [int(line) for line in block.data.split()]
        time.sleep(0.002 * (found[0] % 3))
        tally.skip(block.line)
        tally.note(BLOCKS)
        return found

    tally = Tally()
    read = list(_blocks.ahead(numbers, tally, parse, quotes=False, size=1_000))

    assert len(read) > 50
    assert [number for _, found in read for number in found] == list(range(20_000))
    assert all(block.line == found[0] + 1 for block, found in read)
    assert (tally.total, tally.skipped, tally.first) == (20_000, len(read), 1)
    assert [note.facts["count"] for note in tally.notes("x")] == [len(read)]


def test_what_a_parser_raises_comes_out_and_so_does_a_damaged_archive(numbers: Path, tmp_path: Path) -> None:
    def refuse(block: _blocks.Block, _: Tally) -> int:
        if block.line > 5_000:
            raise ValueError(block.line)
        return block.line

    with pytest.raises(ValueError, match=r"\d+"):
        list(_blocks.ahead(numbers, Tally(), refuse, quotes=False, size=1_000))

    import gzip

    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(numbers.read_bytes())[:-200])
    with pytest.raises(FormatError, match=r"cut\.gz.*decompress what is left of it"):
        list(_blocks.ahead(cut, Tally(), lambda block, _: block.line, quotes=False, size=1_000))


def test_a_reader_that_is_left_early_does_not_read_on(numbers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 4_000)
    parsed: list[int] = []

    def parse(block: _blocks.Block, _: Tally) -> int:
        parsed.append(block.line)
        return block.line

    pieces = _blocks.ahead(numbers, Tally(), parse, quotes=False, size=1_000)
    first, _ = next(pieces)
    pieces.close()  # type: ignore[attr-defined]

    assert first.line == 1
    assert len(parsed) <= 5


def test_who_is_interrupted_waits_for_no_block_that_was_not_begun(numbers: Path) -> None:
    parsed: list[int] = []

    def parse(block: _blocks.Block, _: Tally) -> int:
        parsed.append(block.line)
        if len(parsed) > 1:
            time.sleep(0.2)
        return block.line

    pieces = _blocks.ahead(numbers, Tally(), parse, quotes=False, size=1_000)
    next(pieces)
    with pytest.raises(KeyboardInterrupt):
        pieces.throw(KeyboardInterrupt)  # type: ignore[attr-defined]

    assert len(parsed) < 50, "the two that were begun, and what they did meanwhile; hundreds are waiting"
