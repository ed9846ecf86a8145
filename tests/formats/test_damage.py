"""Damaged samples: cut off, with bytes changed, lines lost, doubled or swapped. Only perflab's errors may come out.

`make damage` does the same to every sample, and more often.
"""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from pathlib import Path

import pytest
from damages import damaged
from golden_files import Sample, samples

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
    for share in (0.03, 0.31, 0.67, 0.97) if sample is BY_FORMAT[sample.format][0] else (0.31, 0.97):
        place.write_bytes(data[: int(len(data) * share)])
        with contextlib.suppress(lab.PerflabError):
            if formats.of_file(place) != sample.format:
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


@pytest.mark.parametrize("name", sorted(BY_FORMAT))
def test_damage_gives_perflabs_errors_only(name: str, tmp_path: Path) -> None:
    place = tmp_path / "unknown"
    for number, sample in enumerate(BY_FORMAT[name]):
        # Each damage alone to the first sample; two at once, and other samples, take turns over the formats.
        kinds = list(damaged(sample.path.read_bytes(), 1))
        turn = (len(name) + number) % len(kinds)
        for _, data in [*kinds[:4], *kinds[4 + turn % 3 :: 3]] if number == 0 else kinds[turn : turn + 1]:
            place.write_bytes(data)
            found = attempt(place, sample)
            if found is not None and "requests" in found.tables:
                assert (found.requests["latency_ms"] >= 0).all()
