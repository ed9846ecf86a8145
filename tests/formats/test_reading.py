"""`read` and `ingest`: what they take, how runs are named, what a store keeps, and that `compare` knows the generators."""

from __future__ import annotations

import gzip
import inspect
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import perflab as lab
from perflab import formats
from perflab.data import store
from perflab.data.accounting import Tally
from perflab.formats import _blocks, jmeter_csv, k6_csv, reading
from perflab.notes import codes

SAMPLES = Path(__file__).parent.parent / "samples"
K6, JTL, HEY = SAMPLES / "k6_csv/microseconds.csv", SAMPLES / "jmeter_csv/default.jtl", SAMPLES / "hey/flaky.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jtl", "b.jtl", "c.jtl"):
        shutil.copy(JTL, tmp_path / name)
    return tmp_path


def test_a_file_several_a_pattern_and_a_folder(folder: Path) -> None:
    assert lab.read(folder / "a.jtl").runs["run"].to_list() == ["a"]
    assert lab.read([folder / "b.jtl", str(folder / "a.jtl")]).runs["run"].to_list() == ["b", "a"]
    assert lab.read(str(folder / "[bc].jtl")).runs["run"].to_list() == ["b", "c"]
    whole = lab.read(folder)
    assert whole.runs["run"].to_list() == ["a", "b", "c"]
    assert whole.requests["run"].value_counts().to_dict() == {"a": 90, "b": 90, "c": 90}
    assert lab.read(folder / "a.jtl", run="mine").requests["run"].unique().tolist() == ["mine"]
    with pytest.raises(ValueError, match="run= names one run, but 3 files"):
        lab.read(folder, run="mine")
    assert lab.read([folder / "a.jtl", folder / "a.jtl"]).runs["run"].to_list() == ["a"]
    one = next(Path("datasets/shop_runs").glob("2*"))
    with pytest.raises(ValueError, match="more than one run of the same name"):
        lab.read(["datasets/shop_runs", one])
    with pytest.raises(lab.FormatError, match="found nothing"):
        lab.read(folder / "*.csv")


def test_started_is_given_for_each_file(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        shutil.copy(HEY, tmp_path / name)
    unknown = lab.read(tmp_path)
    assert unknown.runs["start"].isna().all()
    assert "no-start" in codes(unknown.warnings)
    times = ["2026-01-01T12:00:00Z", "2026-01-01T13:05:00+01:00"]
    known = lab.read(tmp_path, started=times)
    assert [t.floor("s") for t in known.runs["start"]] == [pd.Timestamp(t).tz_convert("UTC") for t in times]
    assert "no-start" not in codes(known.warnings)
    with pytest.raises(ValueError, match="started must have an instant for each of 2 files; got 1"):
        lab.read(tmp_path, started=times[0])
    with pytest.raises(ValueError, match="started must have a time zone"):
        lab.read(tmp_path / "one.csv", started="2026-01-01T12:00:00")
    with pytest.raises(ValueError, match="timezone must be a name"):
        lab.read(SAMPLES / "jmeter_csv/tab.jtl", timezone="Mars/Olympus")


def test_two_generators_are_not_compared(tmp_path: Path) -> None:
    def arm(source: Path, name: str) -> lab.Measurements:
        (tmp_path / name).mkdir()
        for i in range(3):
            shutil.copy(source, tmp_path / name / f"{name}{i}")
        return lab.read(tmp_path / name, arm=name)

    k6, jmeter = arm(K6, "k6"), arm(JTL, "jmeter")
    assert {e["generator"] for e in k6.runs["environment"]} == {"k6"}
    with pytest.raises(lab.ComparisonError, match=r'different generators \(JMeter, k6\).*allow="generator"'):
        lab.compare(k6, jmeter)
    allowed = lab.compare(k6, jmeter, allow=("generator",), order="ignore")
    assert "allowed" in {note.code for note in allowed.warnings}
    perflabs = lab.load(SAMPLES.parent.parent / "datasets/shop_runs").where(arm="eager")
    with pytest.raises(lab.ComparisonError, match=r"different generators \(k6, locust\)"):
        lab.compare(perflabs, k6)


def test_a_tool_that_tells_no_failures_gets_no_verdict_on_them(tmp_path: Path) -> None:
    """ab -g writes refusals as it writes answers: nought failed would be made up, in a file as in a store."""
    files = [SAMPLES / f"ab_requests/{name}.tsv" for name in ("orders", "flaky")]
    lab.ingest(files, tmp_path, arm="ab")
    for held in (lab.read(files), lab.load(tmp_path)):
        assert lab.summarize(held)[["errors", "error_fraction"]].isna().all(axis=None)
        assert lab.check(held, ["error rate < 1%"]).verdict == "inconclusive"
        for metric, why in (
            ("error_fraction", "does not record which requests failed"),
            ("throughput_per_s", "is unknown"),
        ):
            assert lab.stats.within(held, metric).table["reason"].str.contains(why).all(), metric
    rows = pd.read_csv(files[0], sep="\t")
    arms = []
    for arm in ("before", "after"):
        (tmp_path / arm).mkdir()
        for i in range(3):
            place = tmp_path / arm / f"{i}.tsv"
            rows.sample(frac=1, replace=True, random_state=i + 3 * len(arms)).to_csv(place, sep="\t", index=False)
        arms.append(lab.read(tmp_path / arm, arm=arm))
    change = lab.compare(*arms, metric="error_fraction")
    assert change.verdict == "inconclusive"
    assert set(change.table["reason"]) == {"the tool does not record which requests failed"}


def test_percentiles_alone_reach_no_comparison() -> None:
    wrk = lab.read(SAMPLES / "wrk/latency.txt")
    with pytest.raises(lab.MissingTableError, match="percentiles only"):
        wrk.requests
    assert "percentiles-only" in codes(wrk.warnings)
    assert "99" in "".join(wrk.summary["statistic"])


@pytest.mark.parametrize("sample", [K6, JTL, SAMPLES / "k6_json/requests.json.gz", SAMPLES / "jmeter_xml/results.xml"])
def test_a_store_keeps_what_read_reads(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = lab.read(sample)
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 4_000)
    monkeypatch.setattr(_blocks, "PIECE_BYTES", 4_000)
    monkeypatch.setattr(k6_csv, "_PART_ROWS", 1)
    monkeypatch.setattr(jmeter_csv, "_PART_ROWS", 1)
    (kept,) = lab.ingest(sample, tmp_path / "runs", arm="new")
    found = lab.load(tmp_path / "runs")
    for table in expected.tables.keys() - {"runs"}:
        pd.testing.assert_frame_equal(
            found.tables[table].drop(columns="run"), expected.tables[table].drop(columns="run"), check_dtype=False
        )
    run = found.runs.iloc[0]
    assert (run["run"], run["arm"], run["environment"]) == (kept.name, "new", dict(expected.runs["environment"][0]))
    assert run["start"] == expected.runs["start"][0]
    assert run["duration_ms"] == pytest.approx(expected.runs["duration_ms"][0])
    assert codes(found.warnings) == codes(expected.warnings)


def test_advice_where_names_clash_or_a_folder_holds_other_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"both hold a: rename the files, or ingest\(\) them into a store"):
        lab.read(folder / "a.jtl", arm="before") + lab.read(folder / "a.jtl", arm="after")
    (folder / "notes.txt").write_text("warm-up was long\n")
    with pytest.raises(
        lab.FormatError, match=r"notes\.txt: no known format .* a pattern like '\*\.csv' leaves such files out"
    ):
        lab.read(folder)
    assert len(lab.read(folder / "*.jtl").runs) == 3


def test_a_file_at_fault_leaves_no_run(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(K6.read_bytes().split(b"\n", 1)[0] + b"\n")
    with pytest.raises(lab.FormatError):
        lab.ingest(bad, tmp_path / "runs")
    assert not list((tmp_path / "runs").iterdir())
    with pytest.raises(ValueError, match="is a store already"):
        lab.ingest(SAMPLES.parent.parent / "datasets/shop_runs", tmp_path / "runs")


def test_blocks_hold_whole_records_and_lose_nothing(tmp_path: Path) -> None:
    record = 'a,"two\nlines, ""quoted""",1\n'
    (tmp_path / "x").write_text(record * 500)
    tally = Tally()
    parts = list(_blocks.blocks(tmp_path / "x", tally, quotes=True, size=1_000))
    assert len(parts) > 5
    assert b"".join(p.data for p in parts) == (record * 500).encode()
    assert all(p.data.count(b'"') % 2 == 0 and p.data.endswith(b"\n") for p in parts)
    assert [p.line for p in parts] == list(np.cumsum([1, *(p.data.count(b"\n") for p in parts[:-1])]))
    assert tally.total == 1_000


def test_progress_is_shown_for_big_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []

    class Spy:
        def __init__(self, total: float, label: str, *, shown: bool) -> None:
            self.total, self.shown = total, shown
            assert "results" in label

        def update(self, done: float, **facts: object) -> None:
            seen.append((done, self.total) if self.shown else (0, 0))

        def __enter__(self) -> Spy:
            return self

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(reading, "Progress", Spy)
    monkeypatch.setattr(_blocks, "PIECE_BYTES", 4_000)
    monkeypatch.setattr(k6_csv, "_PART_ROWS", 1)
    for name, data in (("results.csv", K6.read_bytes()), ("results.csv.gz", gzip.compress(K6.read_bytes()))):
        seen.clear()
        (tmp_path / name).write_bytes(data)
        monkeypatch.setattr(reading, "SHOWN_FROM_BYTES", 1_000)
        lab.read(tmp_path / name)
        assert len(seen) > 3, "several parts"
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][0] <= seen[-1][1] == len(data)
        monkeypatch.setattr(reading, "SHOWN_FROM_BYTES", 10**9)
        seen.clear()
        lab.read(tmp_path / name)
        assert set(seen) == {(0, 0)}, "a small file shows nothing"


def test_the_documentation_names_every_format() -> None:
    page = (SAMPLES.parent.parent / "docs" / "formats.md").read_text()
    table = page.partition("<!-- formats -->")[2].partition("<!-- /formats -->")[0]
    assert [name for name in formats.NAMES if f"`{name}`" not in table] == []


def test_an_option_that_no_format_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"options must be among endpoint, .*; got endpiont"):
        lab.read(HEY, endpiont="GET /orders")
    with pytest.raises(ValueError, match="options must be among"):
        lab.ingest(HEY, tmp_path, zone="UTC")
    taken = {
        name
        for module in map(formats.named, formats.NAMES)
        for reader in (module.read, getattr(module, "stream", module.read))
        for name, parameter in inspect.signature(reader).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert taken | {"started"} == formats.OPTIONS, "hey and oha hand started= on"


def test_a_readers_own_function_is_a_format(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("12.5\n80\n")

    def mine(path: Path) -> dict[str, pd.DataFrame]:
        latency = [float(line) for line in path.read_text().split()]
        start = pd.Timestamp("2026-01-01", tz="UTC")
        return {"requests": pd.DataFrame({"endpoint": "x", "start": start, "latency_ms": latency, "ok": True})}

    found = lab.read(tmp_path / "mine.txt", format=mine)
    assert found.requests["latency_ms"].to_list() == [12.5, 80.0]
    assert found.meta["format"] == "mine"


def test_appending_needs_the_first_rows_columns(tmp_path: Path, make_requests: object) -> None:
    draft = store.Draft(tmp_path, "x")
    rows = make_requests("r", count=10)  # type: ignore[operator]
    draft.append("requests", rows)
    with pytest.raises(lab.StoreError):
        draft.append("requests", rows.drop(columns="status"))
    draft.drop()


FIRST = [*range(1, 256), "::1", "2001:db8::1", "shop.example:443 10.0.0.7"]


def test_an_access_log_is_one_whatever_it_begins_with(tmp_path: Path) -> None:
    line = '{}.0.0.7 - - [29/Nov/2025:10:00:00 +0000] "GET /a?page=2 HTTP/1.1" 200 512 "-" "curl/8.5" 0.125\n'
    path = tmp_path / "access.log"
    for first in FIRST:
        path.write_text(line.format(first))
        assert formats.of_file(path) == "access_log", first
