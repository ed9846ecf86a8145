"""k6's CSV output (``k6 run --out csv=...``): https://grafana.com/docs/k6/latest/results-output/real-time/csv/"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perflab.data.accounting import Tally
from perflab.errors import FormatError
from perflab.formats import Tables, _block_tables, _blocks, _k6, join
from perflab.formats import _caveats as caveats
from perflab.formats import _requests as common
from perflab.formats._coded import Coded

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST = ("metric_name", "timestamp", "metric_value")
_SETTING = "K6_CSV_TIME_FORMAT=unix_micro"

_PART_ROWS = 150_000
_SEARCHED_BYTES = 256 * 1024
_COUNTED = "http_reqs"


def sniff(head: bytes) -> bool:
    return head.startswith(",".join(_FIRST).encode() + b",")


def read(path: Path, **options: Any) -> Tables:
    return join(stream(path, **options))


def stream(path: Path, **_: Any) -> Iterator[Tables]:
    names, unit_us = _header(path)
    (header,) = _blocks.first_lines(path)
    tags = [tag for tag in _k6.TAGS if tag in names]
    wanted = {
        "metric_name": "code",
        "timestamp": "float" if unit_us else "text",
        "metric_value": "float",
        # Errors are few: as texts, blocks without any cost no look-up of each row's.
        **{tag: "text" if tag in ("error", "error_code") else "code" for tag in tags},
    }

    width = _width(path) if unit_us else 0
    failures = "expected_response" not in tags

    def parse(block: _blocks.Block, own: Tally) -> pa.Table:
        block = _blocks.without_header(path, block, header, own, "k6", once=True)
        unread = partial(_blocks.refuse_second, path, block, header, "k6")
        matter, lines = _matter(block, width, own, failures)
        bad = Tally()
        found, rows = _block_tables.csv_table(matter, names, wanted, bad, threads=False, unread=unread)
        if bad.skipped:
            bad.first = int(lines[bad.first - matter.line])
        own.add(bad)
        return found.append_column("line", [lines[rows]])

    points = _k6.Points()
    pieces = _blocks.ahead(path, points.tally, parse, quotes=True, size=_blocks.PIECE_BYTES)
    for done, found in _blocks.gathered(pieces, _PART_ROWS):
        times = found["timestamp"]
        end_us = common.microseconds(times.to_numpy(), unit_us) if unit_us else common.iso_microseconds(times)
        coded = {tag: Coded.of(found[tag]) for tag in tags}
        metric = Coded.of(found["metric_name"])
        value = found["metric_value"].to_numpy()
        yield points.tables(metric, value, coded, end_us, found["line"].to_numpy(), done)
    points.counted += points.tally.markers.pop(_COUNTED, (0, 0))[0]
    coarse = unit_us == 1e6
    known = {"clock_ms": common.SECONDS_MS} if coarse else {}
    notes = [caveats.whole_seconds("k6", _SETTING)] if coarse else []
    yield from points.finish(path, "points of http_req_duration or grpc_req_duration in k6's CSV", notes, **known)


def _matter(block: _blocks.Block, width: int, tally: Tally, failures: bool) -> tuple[_blocks.Block, Any]:
    """The lines of the block whose metrics may matter, and their numbers; lines of http_reqs are left out and counted, those of
    http_req_failed are kept where no tag says which ``failures`` there were.

    Most of k6's lines are of other metrics: leaving them out by a look at a few of their bytes is faster than parsing them.
    It is all of the block where a field may hold a line end. ``width`` is that of the times where it never changes, else 0.
    """
    data = np.frombuffer(block.data, dtype=np.uint8)
    marks = _places(data, b'\n"')
    is_end = data[marks] == ord("\n")
    ends = marks[is_end]
    if len(data) < 8 or not len(ends) or (len(ends) < len(marks) and _open_quotes(is_end)):
        return block, np.arange(len(ends) + 1) + block.line
    starts = np.concatenate([[0], ends[:-1] + 1])
    # Names are distinguished by these letters; those that look alike are sorted out after parsing.
    first, second, ninth, tenth = (data.take(starts + at, mode="clip") for at in (0, 1, 8, 9))
    http = first == ord("h")
    kept = (http | (first == ord("g"))) & (tenth == ord("d"))
    kept |= (first == ord("m")) & (ninth == ord("a")) & (tenth == ord("m"))  # a second header, which is refused
    kept |= (first == ord("c")) | (first == ord("v")) | ((first == ord("d")) & (second == ord("r")))
    if failures:
        kept |= http & (tenth == ord("f"))
    for letter, name in (("c", "http_req_connecting"), ("t", "http_req_tls_handshaking")):
        lines = np.flatnonzero(http & (tenth == ord(letter)))
        kept[lines] |= _not_zero(data, starts[lines] + len(name) + width + 2) if width else True
    chosen = np.flatnonzero(kept)
    counted = starts[http & (ninth == ord("s")) & (tenth == ord(","))]
    tally.mark(_COUNTED, int(np.count_nonzero(_words(data, counted) == _word(b"http_req"))), 0)
    tally.known += len(ends) - len(chosen)
    matter, chosen = _blocks.chosen_lines(block, chosen, ends)
    return matter, chosen + block.line


def _not_zero(data: Any, places: Any) -> Any:
    """Whether anything but "0.000000" stands at the places: most connections are kept, and took no time."""
    return _words(data, places) != _word(b"0.000000")


def _words(data: Any, places: Any) -> Any:
    """The eight bytes at each of the places as a number."""
    words = np.ndarray(len(data) - 7, dtype="<u8", buffer=data, strides=(1,))
    return words[np.minimum(places, len(words) - 1)]


def _word(text: bytes) -> int:
    return int.from_bytes(text, "little")


def _places(data: Any, letters: bytes) -> Any:
    """Where any of the letters stands: searched in parts that stay in a core's cache, as the letters are few."""
    found = []
    for at in range(0, len(data), _SEARCHED_BYTES):
        part = data[at : at + _SEARCHED_BYTES]
        is_one = part == letters[0]
        for letter in letters[1:]:
            is_one |= part == letter
        found.append(np.flatnonzero(is_one) + at)
    return np.concatenate(found) if found else np.zeros(0, dtype="int64")


def _open_quotes(is_end: Any) -> bool:
    """Whether a quoted field is open at any of the line ends, distinguished here from the quotes around them."""
    return bool((np.cumsum(~is_end)[is_end] & 1).any())


def _width(path: Path) -> int:
    _, first = _blocks.first_lines(path, 2)
    return len((first or ",").split(",", 2)[1])


def _header(path: Path) -> tuple[list[str], float]:
    """The names of the columns, and the unit of the times in microseconds (0 for RFC 3339)."""
    header, first = _blocks.first_lines(path, 2)
    names = _blocks.fields(header)
    if tuple(names[:3]) != _FIRST or len(set(names)) != len(names):
        raise FormatError(
            f"{path}:1: expected the columns {', '.join(_FIRST)} and tags, found {', '.join(names)[:120]}"
        )
    time = first.split(",", 2)[1] if first.count(",") >= 2 else ""
    return names, {10: 1e6, 13: 1e3, 16: 1.0, 19: 1e-3}.get(len(time), 1e6) if time.isdecimal() else 0.0
