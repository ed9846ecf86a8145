"""What is read in a hurry equals what is read line by line, whole block by whole block, text by text: on damaged files too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from damages import damaged
from golden_files import Sample, note, samples

import perflab as lab
from perflab.data.accounting import Tally
from perflab.formats import _block_tables, _blocks, k6_csv

SAMPLES = {name: [s for s in samples() if s.format == name] for name in ("k6_csv", "jmeter_csv")}


def outcome(path: Path, sample: Sample) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]] | str:
    try:
        found = lab.read(path, run="r", format=sample.format, **sample.options)
    except lab.FormatError as problem:
        return str(problem)
    return dict(found.tables), found.warnings


def assert_same_tables(got: Any, expected: Any) -> None:
    assert isinstance(got, str) == isinstance(expected, str), (got, expected)
    if isinstance(got, str):
        return
    assert got[0].keys() == expected[0].keys()
    for name, frame in expected[0].items():
        pd.testing.assert_frame_equal(got[0][name], frame)


def every_line(block: _blocks.Block, width: int, tally: Tally, failures: bool) -> tuple[_blocks.Block, Any]:
    return block, np.arange(block.lines) + block.line


def as_texts(parsed: Callable[..., Any]) -> Callable[..., Any]:
    """The engine as if it could turn no text into a number, a truth or a code."""

    def refusing(block: Any, names: Any, types: Any, *rest: Any) -> Any:
        if any(not pa.types.is_string(kind) and not pa.types.is_large_string(kind) for kind in types.values()):
            raise pa.ArrowInvalid("not this time")
        return parsed(block, names, types, *rest)

    return refusing


def differs_slowly(path: Path, sample: Sample) -> str:
    """How what is read in a hurry differs from what is read slowly; empty where it does not."""
    fast = outcome(path, sample)
    slow: list[tuple[Any, str, Any]] = [(_block_tables, "_parsed", as_texts(_block_tables._parsed))]
    slow += [(k6_csv, "_matter", every_line)] if sample.format == "k6_csv" else []
    for module, name, instead in slow:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, name, instead)
            try:
                assert_same_tables(fast, outcome(path, sample))
            except AssertionError as problem:
                return f"{name}: {problem}"
    return ""


@pytest.mark.parametrize("sample", [s for found in SAMPLES.values() for s in found], ids=lambda s: s.path.name)
def test_damaged_files_read_the_same_slowly(sample: Sample, tmp_path: Path) -> None:
    place = tmp_path / "unknown"
    for kind, data in damaged(sample.path.read_bytes(), 1):
        place.write_bytes(data)
        assert not differs_slowly(place, sample), kind


@pytest.mark.parametrize("size", [300, 7_000])
@pytest.mark.parametrize("sample", [s for found in SAMPLES.values() for s in found], ids=lambda s: s.path.name)
def test_small_pieces_make_no_difference(sample: Sample, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = outcome(sample.path, sample)
    monkeypatch.setattr(_blocks, "PIECE_BYTES", size)
    got = outcome(sample.path, sample)
    assert_same_tables(got, expected)
    assert got[1] == expected[1]


@pytest.mark.parametrize("size", [2_000, _blocks.PIECE_BYTES])
def test_a_bad_line_of_k6_is_named_by_its_number_in_the_file(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_blocks, "PIECE_BYTES", size)
    lines = SAMPLES["k6_csv"][0].path.read_text().splitlines(keepends=True)
    (tmp_path / "k6.csv").write_text("".join(lines))
    before = lab.read(tmp_path / "k6.csv")
    timed = [i for i, line in enumerate(lines) if line.startswith("http_req_duration,")]
    for number in (timed[1], timed[len(timed) // 2], timed[-1]):
        for broken in (lines[number].replace(",", ",more,", 1), lines[number].replace(".", "x", 1)):
            (tmp_path / "k6.csv").write_text("".join([*lines[:number], broken, *lines[number + 1 :]]))
            found = lab.read(tmp_path / "k6.csv")
            assert len(found.requests) == len(before.requests) - 1
            facts = note(found, "skipped")
            assert (facts["skipped"], facts["total"], facts["first"]) == (1, len(lines), number + 1)


@pytest.mark.parametrize(
    ("said", "ok"), [("TRUE", True), ("tRue", True), ("False", False), ("1", None), ("", None), ("NA", None)]
)
def test_what_counts_as_true_in_a_jtl(said: str, ok: bool | None, tmp_path: Path) -> None:
    text = next(s for s in SAMPLES["jmeter_csv"] if s.path.name == "five.jtl").path.read_text()
    (tmp_path / "x.jtl").write_text(text.replace("Users 1-1,text,true", f"Users 1-1,text,{said}", 1))
    found = lab.read(tmp_path / "x.jtl")
    assert found.requests["ok"].to_list() == ([ok] if ok is not None else []) + [False, False]
    facts = note(found, "skipped")
    assert (facts.get("skipped"), facts.get("total"), facts.get("first")) == (
        (None,) * 3 if ok is not None else (1, 6, 2)
    )


def test_a_time_of_another_age_costs_its_row(tmp_path: Path) -> None:
    sample = next(s for s in SAMPLES["jmeter_csv"] if s.path.name == "semicolon.jtl")
    lines = sample.path.read_text().splitlines(keepends=True)
    whole = lab.read(sample.path, **sample.options)
    lines[2] = lines[2].replace("2026/", "0026/")
    (tmp_path / "x.jtl").write_text("".join(lines))
    found = lab.read(tmp_path / "x.jtl", **sample.options)
    assert len(found.requests) == len(whole.requests) - 1
    assert (note(found, "skipped")["skipped"], note(found, "skipped")["first"]) == (1, 3)
    assert found.runs["duration_ms"].item() < 60_000
