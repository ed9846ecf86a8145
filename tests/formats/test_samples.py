"""Every sample: claimed by its own format alone under the name "unknown", conforming, equal to its golden files."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_files import SAMPLES, Sample, outcome, samples

from perflab import formats
from perflab.data import sources
from perflab.data.schemas import SCHEMAS, conform

ALL = samples()
WITHOUT_SAMPLES: set[str] = set()
"""Formats that have none here yet: take yours out when you add its folder."""


def _id(sample: Sample) -> str:
    return f"{sample.format}/{sample.path.name}"


@pytest.mark.parametrize("sample", ALL, ids=_id)
def test_exactly_its_own_format_claims_it(sample: Sample) -> None:
    expected = [] if sample.format == "unclaimed" else [sample.format]
    assert formats.claimants(sources.head(sample.path)) == expected


@pytest.mark.parametrize("sample", ALL, ids=_id)
def test_it_reads_as_its_golden_files_say(sample: Sample, tmp_path: Path) -> None:
    got, golden = outcome(sample, tmp_path), sample.golden()
    for name in got.keys() | golden.keys():
        left = sample.path.parent / f"{name}.got"
        if got.get(name) == golden.get(name):
            left.unlink(missing_ok=True)
        else:
            left.write_text(got.get(name, ""))
    differing = [name for name in got.keys() | golden.keys() if got.get(name) != golden.get(name)]
    assert not differing, f"these differ from what was read, left beside them as .got: {sorted(differing)}"


@pytest.mark.parametrize("sample", [s for s in ALL if s.format != "unclaimed"], ids=_id)
def test_its_tables_conform(sample: Sample) -> None:
    if len(sample.golden()) == 1:
        return  # refused, or nothing but warnings: the golden text says so
    tables = formats.named(sample.format).read(sample.path, **sample.options)
    assert tables
    assert set(tables) <= set(SCHEMAS)
    for name, frame in tables.items():
        conform(name, frame if "run" in frame.columns else frame.assign(run="r"))


@pytest.mark.parametrize("sample", [s for s in ALL if s.format != "unclaimed"], ids=_id)
def test_every_line_of_it_is_accounted_for(sample: Sample) -> None:
    if len(sample.golden()) == 1:
        return
    account = formats.tables_of(formats.named(sample.format).read(sample.path, **sample.options)).accounting
    assert account is not None
    assert account.balanced, account
    assert account.total
    if account.unit == "line":
        assert account.total == sum(1 for _ in sources.lines(sample.path))


def test_every_format_has_samples_that_say_where_they_are_from() -> None:
    folders = {sample.format for sample in ALL} - {"unclaimed"}
    assert folders == set(formats.NAMES) - WITHOUT_SAMPLES
    assert not [f for f in folders if not (SAMPLES / f / "README.md").is_file()]


def test_samples_are_small() -> None:
    assert not [s.path.name for s in ALL if s.path.stat().st_size > 200_000]
