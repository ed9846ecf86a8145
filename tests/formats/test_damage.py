"""Damaged samples: cut off, with bytes changed, lines lost, doubled or swapped. Only perflab's errors may come out."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_files import Sample, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import perflab as lab
from perflab import formats

CLAIMED = [s for s in samples() if s.format != "unclaimed"]
BY_FORMAT: dict[str, list[Sample]] = defaultdict(list)
for _sample in CLAIMED:
    BY_FORMAT[_sample.format].append(_sample)


def attempt(path: Path, sample: Sample) -> lab.Measurements | None:
    """What comes out of reading it as that format; perflab's errors are an answer, everything else is a defect."""
    with contextlib.suppress(lab.PerflabError):
        return lab.read(path, format=sample.format, **sample.options)
    return None


@pytest.mark.parametrize("sample", CLAIMED, ids=lambda s: f"{s.format}/{s.path.name}")
def test_cut_off_anywhere(sample: Sample, tmp_path: Path) -> None:
    data, place = sample.path.read_bytes(), tmp_path / "unknown"
    for share in (0.03, 0.31, 0.67, 0.97):
        place.write_bytes(data[: int(len(data) * share)])
        with contextlib.suppress(lab.PerflabError):
            lab.read(place, **sample.options)
        attempt(place, sample)


@pytest.mark.parametrize("name", sorted(BY_FORMAT))
def test_no_format_claims_or_reads_garbage(name: str, tmp_path: Path) -> None:
    place = tmp_path / "unknown"
    for content in (b"\x00" * 300, random.Random(8).randbytes(2_000), b"{}\n", b"[]", b'{"a":', b"a,b\n1,2\n", b"<a/>"):
        place.write_bytes(content)
        assert not formats.named(name).sniff(content)
        with pytest.raises(lab.PerflabError):
            lab.read(place, format=name, **BY_FORMAT[name][0].options)


def _flip(data: bytearray, at: random.Random) -> bytearray:
    for _ in range(at.randint(1, 8)):
        data[at.randrange(len(data))] = at.choice([0, 9, 10, 34, 44, 45, 48, 57, 101, 123, 255, at.randrange(256)])
    return data


def _cut(data: bytearray, at: random.Random) -> bytearray:
    begin = at.randrange(len(data))
    return data[:begin] + data[begin + at.randint(1, 200) :]


def _lines(data: bytearray, at: random.Random) -> bytearray:
    lines = data.split(b"\n")
    first, second = at.randrange(len(lines)), at.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    if at.random() < 0.5:
        lines.insert(first, lines[second])
    return bytearray(b"\n".join(lines))


_NUMBERS = (
    b"NaN",
    b"-1",
    b"1e999",
    b"null",
    b"",
    b'""',
    b"99999999999999999999",
    b"-0.0",
    b"true",
    b"{}",
    b"[]",
    b"0x1F",
)


def _values(data: bytearray, at: random.Random) -> bytearray:
    """A number replaced by one that nobody expects."""
    import re

    found = list(re.finditer(rb"\d+(?:\.\d+)?", bytes(data)))
    for match in sorted(at.sample(found, min(len(found), at.randint(1, 4))), key=lambda m: -m.start()):
        data[match.start() : match.end()] = at.choice(_NUMBERS)
    return data


DAMAGES: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (_flip, _cut, _lines, _values)


@pytest.mark.parametrize("name", sorted(BY_FORMAT))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_damage_gives_perflabs_errors_only(name: str, seed: int, tmp_path: Path) -> None:
    at = random.Random(seed)
    sample = at.choice(BY_FORMAT[name])
    data = bytearray(sample.path.read_bytes())
    for damage in at.sample(DAMAGES, at.randint(1, 2)):
        data = damage(data, at) or bytearray(b"\n")
    place = tmp_path / "unknown"
    place.write_bytes(bytes(data))
    found = attempt(place, sample)
    if found is not None and "requests" in found.tables:
        assert (found.requests["latency_ms"] >= 0).all()
