"""Out of perflab and back: Parquet, CSV without formulas, JMeter's JTL and k6's CSV."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import perflab as lab

SHOP = Path(__file__).parent.parent.parent / "datasets/shop_runs"


@pytest.fixture(scope="module")
def one() -> lab.Measurements:
    runs = lab.load(SHOP)
    return runs.where(run=runs.runs["run"][0])


def test_parquet_holds_every_table_exactly(one: lab.Measurements, tmp_path: Path) -> None:
    files = one.to_parquet(tmp_path / "out")
    assert {f.stem for f in files} == set(one.tables)
    back = pd.read_parquet(tmp_path / "out/requests.parquet")
    pd.testing.assert_frame_equal(back, one.requests)
    runs = pd.read_parquet(tmp_path / "out/runs.parquet")
    assert json.loads(runs["environment"][0])["generator"].startswith("locust")
    again = lab.Measurements.of(**{f.stem: pd.read_parquet(f) for f in files if f.stem != "runs"})
    assert len(again.requests) == len(one.requests)


def test_csv_runs_no_formula(tmp_path: Path, make_requests: object) -> None:
    rows = make_requests("r", count=6)  # type: ignore[operator]
    evil = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "GET /plain"]
    data = lab.Measurements.of(requests=rows.assign(endpoint=evil, error='=HYPERLINK("x")'))
    data.to_csv(tmp_path)
    with (tmp_path / "requests.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [r["endpoint"] for r in found] == [f"'{e}" for e in evil[:5]] + ["GET /plain"]
    assert not [v for r in found for v in r.values() if v and re.match(r"[=+@\t\r]", v)]
    assert [float(r["latency_ms"]) for r in found] == data.requests["latency_ms"].to_list()
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", r["start"]) for r in found)


def test_k6_csv_comes_back_as_it_was(one: lab.Measurements, tmp_path: Path) -> None:
    back = lab.read(lab.data.write_k6_csv(one, tmp_path / "k6.csv")).requests
    sent = one.requests
    assert back["endpoint"].to_list() == sent["endpoint"].to_list()
    assert back["ok"].to_list() == sent["ok"].to_list()
    np.testing.assert_allclose(back["latency_ms"], sent["latency_ms"], rtol=1e-12)
    assert (back["start"] - sent["start"]).abs().max() <= pd.Timedelta(1, "us")
    assert back["status"].to_list() == sent["status"].to_list()


def test_jtl_comes_back_in_whole_milliseconds(one: lab.Measurements, tmp_path: Path) -> None:
    back = lab.read(lab.data.write_jtl(one, tmp_path / "run.jtl")).requests
    sent = one.requests
    assert back["endpoint"].to_list() == sent["endpoint"].to_list()
    assert back["ok"].to_list() == sent["ok"].to_list()
    assert (back["latency_ms"] - sent["latency_ms"]).abs().max() <= 0.5
    late = sent["start"] - back["start"]
    assert late.min() >= pd.Timedelta(0)
    assert late.max() < pd.Timedelta(1, "ms")
    assert back["size_bytes"].to_list() == sent["size_bytes"].to_list()


HOSTILE = [
    'GET /a,"b"',
    "GET /=1+1",
    "POST x\ny",
    "no method",
    "GET http",
    "Ünï ✓",
    "-5",
    "'quoted'",
    "GET  two  spaces",
]


def test_hostile_names_and_failures_survive(tmp_path: Path, make_requests: object) -> None:
    rows = make_requests("r", count=len(HOSTILE))  # type: ignore[operator]
    ok = [i % 2 == 0 for i in range(len(HOSTILE))]
    error = [None if fine else 'timed out, "slow"\nread' for fine in ok]
    data = lab.Measurements.of(requests=rows.assign(endpoint=HOSTILE, ok=ok, error=error))
    expected = [name.replace("\n", " ") for name in HOSTILE]
    for write in (lab.data.write_jtl, lab.data.write_k6_csv):
        back = lab.read(write(data, tmp_path / "out")).requests
        assert back["endpoint"].to_list() == expected, write
        assert back["ok"].to_list() == ok
        assert back.loc[~back["ok"], "error"].unique().tolist() == ['timed out, "slow"\nread']


def test_one_file_holds_one_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data must be the requests of one run"):
        lab.data.write_jtl(lab.load(SHOP), tmp_path / "x.jtl")
    with pytest.raises(ValueError, match="got 0 runs"):
        lab.data.write_k6_csv(lab.load(SHOP).requests.head(0), tmp_path / "x.csv")


def test_hostile_names_break_no_row_and_run_no_formula(
    tmp_path: Path, make_requests: Callable[..., pd.DataFrame]
) -> None:
    names = ["a\rb", "c\nd", "e\r\nf", " =1+1", "＝1+1", "\u00a0@x", "x\0y", 'GET /a,b"q"']
    requests = make_requests("r", count=80, errors=0.5)
    requests["endpoint"] = names * 10
    requests["error"] = requests["error"].where(requests["ok"], "first\rsecond\0")
    data = lab.Measurements.of(requests=requests)
    data.to_csv(tmp_path)
    with (tmp_path / "requests.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {len(requests.columns)}
    assert len(rows) == 81
    assert not any(cell.lstrip().startswith(("=", "@", "＝")) or "\0" in cell for row in rows for cell in row)
    for write in (lab.data.write_jtl, lab.data.write_k6_csv):
        assert len(lab.read(write(data, tmp_path / "out.csv")).requests) == 80
