"""The tools themselves, against a server that logs what it answers: as many requests, the same quantiles, the right starts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from logged import running

import perflab as lab

RECORDING = Path(__file__).parent / "recording"
K6 = Path(sys.executable).parent / "k6"


def tool(name: str, install: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: {install}")
    return found


def served(log: Path) -> pd.DataFrame:
    frame = pd.read_csv(log)
    return frame.assign(start=pd.to_datetime(frame["start_s"] * 1e9, unit="ns", utc=True))


def test_k6_three_times(tmp_path: Path) -> None:
    """JSON, CSV and summary of one run agree with each other, with the server's log, and with numpy."""
    assert K6.exists(), "k6 is a dev dependency"
    with running(tmp_path / "log") as port:
        subprocess.run(
            [K6, "run", "-q", "-e", f"PORT={port}", "-e", "ITERATIONS=5", "-e", f"SUMMARY={tmp_path}/summary.json", "--out",
             f"json={tmp_path}/k6.json", "--out", f"csv={tmp_path}/k6.csv", str(RECORDING / "shop.js")],
            capture_output=True, timeout=60, check=False, env={"K6_CSV_TIME_FORMAT": "unix_nano", "HOME": str(tmp_path)},
        )  # fmt: skip
    answered = served(tmp_path / "log")
    json, csv, summary = (lab.read(tmp_path / name) for name in ("k6.json", "k6.csv", "summary.json"))
    assert len(json.requests) == len(csv.requests) == len(answered) + 15
    np.testing.assert_allclose(json.requests["latency_ms"], csv.requests["latency_ms"], atol=1e-6)
    table = summary.summary.set_index(["endpoint", "statistic"])["value"]
    for share in (50, 95, 99):
        raw = np.percentile(json.requests["latency_ms"], share)
        assert table["Aggregated", f"p{share}"] == pytest.approx(raw, rel=1e-9)
    assert table["Aggregated", "count"] == len(answered) + 15
    assert (
        int((~json.requests["ok"]).sum())
        == int((answered["status"] >= 400).sum()) + 15
        == table["Aggregated", "errors"]
    )
    for found in (json, csv):
        # k6 stamps the end; the start that is computed from it lies before the server saw the request, and not by much.
        starts = found.requests.query("status.notna()")["start"].sort_values().to_numpy()
        early = answered["start"].sort_values().to_numpy() - starts
        assert np.median(early) > np.timedelta64(-2, "ms")
        assert np.median(early) < np.timedelta64(500, "ms")


def test_hey_and_ab(tmp_path: Path) -> None:
    hey, ab = tool("hey", "apt-get install hey"), tool("ab", "apt-get install apache2-utils")
    with running(tmp_path / "hey.log") as port:
        began = pd.Timestamp.now(tz="UTC")
        out = subprocess.run([hey, "-n", "60", "-c", "3", "-o", "csv", f"http://127.0.0.1:{port}/flaky"],
                             capture_output=True, timeout=30, check=True)  # fmt: skip
        (tmp_path / "hey.csv").write_bytes(out.stdout)
    by_hey = served(tmp_path / "hey.log")
    with running(tmp_path / "ab.log") as port:
        subprocess.run([ab, "-q", "-n", "60", "-c", "3", "-g", tmp_path / "ab.tsv", "-e", tmp_path / "ab.csv",
                        f"http://127.0.0.1:{port}/flaky"], capture_output=True, timeout=30, check=True)  # fmt: skip
    found = lab.read(tmp_path / "hey.csv", started=began, endpoint="GET /flaky").requests
    assert len(found) == len(by_hey) == 60
    assert sorted(found["status"]) == sorted(by_hey["status"])
    assert int((~found["ok"]).sum()) == int((by_hey["status"] >= 400).sum())
    # The offset is the start of a request: the server sees them in that order, a moment later.
    gaps = by_hey["start"].sort_values().to_numpy() - found["start"].sort_values().to_numpy()
    assert np.ptp(gaps) / np.timedelta64(1, "s") < 2
    requests, percentiles = lab.read(tmp_path / "ab.tsv").requests, lab.read(tmp_path / "ab.csv").summary
    assert len(requests) == len(served(tmp_path / "ab.log")) == 60
    p50 = percentiles.query("statistic == 'p50'")["value"].item()
    assert p50 == pytest.approx(np.percentile(requests["latency_ms"], 50), abs=2)


def test_wrk(tmp_path: Path) -> None:
    wrk = tool("wrk", "apt-get install wrk")
    with running(tmp_path / "log") as port:
        out = subprocess.run([wrk, "-t1", "-c2", "-d1", "--latency", f"http://127.0.0.1:{port}/flaky"],
                             capture_output=True, timeout=30, check=True)  # fmt: skip
    (tmp_path / "wrk").write_bytes(out.stdout)
    summary = lab.read(tmp_path / "wrk").summary
    table = summary[summary["endpoint"] == "GET /flaky"].set_index("statistic")["value"]
    answered = served(tmp_path / "log")
    assert 0 <= len(answered) - table["count"] <= 2
    assert abs((answered["status"] >= 400).sum() - table["errors"]) <= 2
    assert table["p50"] <= table["p90"] <= table["p99"] <= table["max"]
