"""Quantiles, starts, errors and counts against the tools' raw rows, read here by the plainest of means."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from golden_files import SAMPLES, note

import perflab as lab
from perflab.notes import codes

Rows = list[tuple[float, float, bool]]
"""Start in s since 1970 (or since the run's start), latency in ms, whether it succeeded."""


def cells(path: str, **options: str) -> list[dict[str, str]]:
    with (SAMPLES / path).open(newline="") as file:
        return list(csv.DictReader(file, **options))


def k6_csv(path: str, unit: float) -> Rows:
    rows = [r for r in cells(path) if r["metric_name"] == "http_req_duration"]
    times = [float(r["timestamp"]) / unit if unit else pd.Timestamp(r["timestamp"]).timestamp() for r in rows]
    took = [float(r["metric_value"]) for r in rows]
    return [(t - d / 1e3, d, r["expected_response"] == "true") for t, d, r in zip(times, took, rows, strict=True)]


def k6_json() -> Rows:
    lines = gzip.decompress((SAMPLES / "k6_json/requests.json.gz").read_bytes()).splitlines()
    points = [p for p in map(json.loads, lines) if p["type"] == "Point" and p["metric"] == "http_req_duration"]
    return [
        (
            pd.Timestamp(p["data"]["time"]).timestamp() - p["data"]["value"] / 1e3,
            p["data"]["value"],
            p["data"]["tags"]["expected_response"] == "true",
        )
        for p in points
    ]


def jtl(path: str, zone: float = 0.0, time: str = "", **options: str) -> Rows:
    rows = [r for r in cells(path, **options) if not r["responseMessage"].startswith("Number of samples")]
    begun = [
        pd.to_datetime(r["timeStamp"], format=time).timestamp() - zone if time else float(r["timeStamp"]) / 1e3
        for r in rows
    ]
    return [(s, float(r["elapsed"]), r["success"] == "true") for s, r in zip(begun, rows, strict=True)]


def xml(path: str) -> Rows:
    found = ElementTree.parse(SAMPLES / path).getroot().iter("httpSample")
    return [(float(e.get("ts")) / 1e3, float(e.get("t")), e.get("s") == "true") for e in found]


def vegeta() -> Rows:
    rows = [json.loads(line) for line in (SAMPLES / "vegeta_json/results.json").read_text().splitlines()]
    return [(pd.Timestamp(r["timestamp"]).timestamp(), r["latency"] / 1e6, r["code"] == 200) for r in rows]


CASES: dict[str, Rows] = {
    "k6_csv/seconds.csv": k6_csv("k6_csv/seconds.csv", 1),
    "k6_csv/microseconds.csv": k6_csv("k6_csv/microseconds.csv", 1e6),
    "k6_csv/rfc3339.csv": k6_csv("k6_csv/rfc3339.csv", 0),
    "k6_json/requests.json.gz": k6_json(),
    "jmeter_csv/default.jtl": jtl("jmeter_csv/default.jtl"),
    "jmeter_csv/semicolon.jtl": jtl("jmeter_csv/semicolon.jtl", 3600, "%Y/%m/%d %H:%M:%S.%f", delimiter=";"),
    "jmeter_csv/tab.jtl": jtl("jmeter_csv/tab.jtl", 0, "%m/%d/%y %H:%M:%S", delimiter="\t"),
    "jmeter_xml/results.xml": xml("jmeter_xml/results.xml"),
    "jmeter_xml/nested.xml": xml("jmeter_xml/nested.xml"),
    "hey/flaky.csv": [
        (1795568980.0 + float(r["offset"]), float(r["response-time"]) * 1e3, r["status-code"] == "200")
        for r in cells("hey/flaky.csv")
    ],
    "oha_csv/flaky.csv": [
        (1795568400.0 + float(r["request-start"]), float(r["request-duration"]) * 1e3, r["status"] == "200")
        for r in cells("oha_csv/flaky.csv")
    ],
    "vegeta_csv/results.csv": vegeta(),
    "vegeta_json/results.json": vegeta(),
    "ab_requests/orders.tsv": [
        (float(r["seconds"]), float(r["ttime"]), True) for r in cells("ab_requests/orders.tsv", delimiter="\t")
    ],
    "locust_requests/requests.csv": [
        (float(r["timestamp"]), float(r["response_time_ms"]), not r["exception"])
        for r in cells("locust_requests/requests.csv")
    ],
}


def options(path: str) -> dict[str, str]:
    beside = SAMPLES / f"{path}.options.json"
    return json.loads(beside.read_text()) if beside.exists() else {}


@pytest.mark.parametrize("path", CASES)
def test_row_for_row_as_the_tool_wrote_them(path: str) -> None:
    found = lab.read(SAMPLES / path, **options(path)).requests
    start, latency, ok = (np.array(column) for column in zip(*CASES[path], strict=True))
    np.testing.assert_allclose(found["latency_ms"], latency, rtol=1e-12, atol=1e-9)
    for share in (50, 95, 99):
        assert np.percentile(found["latency_ms"], share) == pytest.approx(np.percentile(latency, share), rel=1e-12)
    assert found["ok"].to_list() == ok.tolist()
    off = found["start"].astype("int64").to_numpy() / 1e6 - start
    assert np.abs(off).max() < 2e-6, off
    assert str(found["start"].dt.tz) == "UTC"


SERVED = {
    # sample: requests that the server answered, requests to a port where nobody listens
    "k6_csv/seconds.csv": (50, 9),
    "k6_csv/microseconds.csv": (38, 6),
    "k6_csv/rfc3339.csv": (26, 3),
    "k6_json/requests.json.gz": (50, 9),
    "jmeter_csv/default.jtl": (60, 30),
    "jmeter_csv/bare.jtl": (24, 12),
    "jmeter_csv/semicolon.jtl": (24, 12),
    "jmeter_csv/tab.jtl": (24, 12),
    "jmeter_xml/results.xml": (30, 15),
    "jmeter_xml/nested.xml": (18, 9),
    "hey/flaky.csv": (300, 0),
    "ab_requests/orders.tsv": (300, 0),
    "ab_requests/flaky.tsv": (300, 0),
    "locust_requests/requests.csv": (445, 76),
}


@pytest.mark.parametrize("path", SERVED)
def test_as_many_as_the_server_logged(path: str) -> None:
    found = lab.read(SAMPLES / path, **options(path)).requests
    answered, refused = SERVED[path]
    assert len(found) == answered + refused
    if "status" in found and not path.startswith("locust"):
        assert int(found["status"].isna().sum()) == refused
        assert not found.loc[found["status"].isna() | (found["status"] >= 400), "ok"].any()
    assert found.loc[~found["ok"], "error"].notna().all() if "error" in found else True


def statistic(path: str, name: str, endpoint: str = "Aggregated") -> float:
    table = lab.read(SAMPLES / path).summary
    return float(table.query("endpoint == @endpoint and statistic == @name")["value"].item())


def test_summaries_count_as_the_server_did() -> None:
    assert statistic("k6_summary/export.json", "count") == 110 + 24
    assert statistic("k6_summary/handle_summary.json", "count") == 50 + 9
    assert statistic("artillery/report.json", "count") == 120
    assert statistic("k6_text/console.txt", "count") == 2068
    assert statistic("k6_text/console.txt", "errors") == 1034
    assert statistic("k6_text/console.txt", "min") == pytest.approx(0.12963)
    assert statistic("hey_text/flaky.txt", "count") == 300
    assert statistic("hey_text/flaky.txt", "errors") == 75
    assert statistic("locust_json/file.json", "count") == 445 + 76
    assert statistic("locust_html/report.html", "count") == 445 + 76
    # wrk and autocannon stop without waiting for what is under way.
    assert 0 <= 1360 - statistic("wrk/latency.txt", "count") <= 4
    assert 0 <= 1354 - statistic("autocannon/flaky.json", "count") <= 4
    # Locust's CSV is not written again at the end.
    assert statistic("locust_stats/stats.csv", "count") < 445 + 76


def test_two_outputs_of_one_run_agree() -> None:
    one, two = (lab.read(SAMPLES / p).requests for p in ("k6_csv/seconds.csv", "k6_json/requests.json.gz"))
    pd.testing.assert_frame_equal(
        one.drop(columns=["start", "run"]), two.drop(columns=["start", "run"]), check_exact=False, rtol=1e-6
    )
    late = two["start"] - one["start"]
    assert (late >= pd.Timedelta(-1, "us")).all()
    assert (late < pd.Timedelta(1, "s")).all()
    summary = "k6_summary/handle_summary.json"
    assert statistic(summary, "p95") == pytest.approx(np.percentile(two["latency_ms"], 95), rel=1e-9)
    assert statistic(summary, "errors") == (~two["ok"]).sum()
    raw = lab.read(SAMPLES / "locust_requests/requests.csv").requests
    assert statistic("locust_json/file.json", "mean") == pytest.approx(raw["latency_ms"].mean(), rel=1e-3)
    assert statistic("locust_json/file.json", "p95") == pytest.approx(np.percentile(raw["latency_ms"], 95), rel=0.1)


def test_dropped_iterations_and_failed_thresholds_are_said() -> None:
    found = lab.read(SAMPLES / "k6_summary/export.json")
    assert found.meta["thresholds"] == {
        "http_req_failed rate<0.9": True,
        "http_req_duration p(95)<500": True,
        "http_req_duration p(99)<1": False,
    }
    assert note(found, "thresholds-failed") == {"failed": 1, "total": 3, "names": "http_req_duration p(99)<1"}
    told = ("k6_summary/handle_summary.json", "k6_csv/seconds.csv", "k6_json/requests.json.gz")
    for path in told:
        assert note(lab.read(SAMPLES / path), "dropped-iterations") == {"iterations": 27}, path
    assert lab.read(SAMPLES / told[0]).meta["thresholds"]["http_req_duration p(99)<1"] is False


def test_what_k6_prints_tells_of_them_too(tmp_path: Path) -> None:
    console = SAMPLES / "k6_text/console.txt"
    assert lab.read(console).meta["thresholds"] == {"http_req_failed rate<0.1": False}
    dropped = "    dropped_iterations......................: 180    29.744297/s\n"
    (tmp_path / "x").write_text(console.read_text().replace("    http_reqs.", f"{dropped}    http_reqs."))
    found = lab.read(tmp_path / "x")
    assert note(found, "thresholds-failed")["names"] == "http_req_failed rate<0.1"
    assert note(found, "dropped-iterations") == {"iterations": 180}


@pytest.mark.parametrize("path", ["hey_text/refused.txt", "wrk/timeouts.txt", "autocannon/refused.json"])
def test_requests_without_an_answer_make_no_latency_of_nought(path: str) -> None:
    found = lab.read(SAMPLES / path)
    assert set(found.summary["unit"]) == {"requests", "1/s"}
    assert "nothing-answered" in codes(found.warnings)


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("ab_requests/orders.tsv", "Wed Nov 25 01:09:44 2026\t{}\t0\t5\t5\t5\n"),
        ("k6_csv/seconds.csv", "http_req_duration,{},5,,,,true,,GET,/orders,,,,200,,,,,\n"),
        ("jmeter_csv/tab.jtl", ""),
    ],
)
def test_a_clock_of_seconds_tells_no_throughput_of_short_runs(path: str, row: str, tmp_path: Path) -> None:
    """All of ab's requests of a quick run carry the same second: 200 of them would make 30,000 a second."""
    short = lab.read(SAMPLES / path)
    assert short.runs["duration_ms"].item() == 0
    assert lab.summarize(short)["throughput_per_s"].isna().all()
    lab.ingest(SAMPLES / path, tmp_path / "runs")
    assert lab.load(tmp_path / "runs").runs["duration_ms"].item() == 0
    if row:
        header = (SAMPLES / path).read_text().splitlines(keepends=True)[0]
        (tmp_path / "long").write_text(header + "".join(row.format(1_764_000_000 + i // 100) for i in range(6_000)))
        throughput = lab.summarize(lab.read(tmp_path / "long"), warmup=0)["throughput_per_s"]
        assert throughput.to_numpy() == pytest.approx(100, rel=0.02)


def test_an_overcorrected_autocannon_is_told_from_a_sound_one() -> None:
    loud = lab.read(SAMPLES / "autocannon/corrected.json")
    assert note(loud, "corrected") == {"requests": 200, "latencies": 1162}
    assert not note(lab.read(SAMPLES / "autocannon/flaky.json"), "corrected")


def test_every_warning_that_a_tool_needs(tmp_path: Path) -> None:
    expected = {
        "hey/flaky.csv": "coarse",
        "k6_csv/seconds.csv": "whole-seconds",
        "k6_csv/microseconds.csv": "no-connecting",
        "jmeter_csv/default.jtl": "transactions-left-out",
        "jmeter_csv/tab.jtl": "whole-seconds",
        "jmeter_xml/nested.xml": "transactions-left-out",
        "jmeter_xml/resources.xml": "inner-left-out",
        "locust_stats/stats.csv": "rounded",
        "artillery/report.json": "sketch",
        "ab_requests/orders.tsv": "no-failures",
    }
    for path, code in expected.items():
        assert code in codes(lab.read(SAMPLES / path).warnings), path


def test_transactions_on_demand() -> None:
    found = lab.read(SAMPLES / "jmeter_csv/default.jtl", transactions=True)
    assert found.requests["endpoint"].unique().tolist() == ["Buy"]
    assert len(found.requests) == 30
