"""Result files as people have them: reduced tags, trimmed lines, two results in one file, rows that are no requests, bombs."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from golden_files import SAMPLES, note

import perflab as lab
from perflab import formats
from perflab.data import sources
from perflab.formats import _blocks
from perflab.notes import codes

TAGS = ("all", "status", "expected", "name", "codes", "scenario")
GRPC_FAILED, HTTP_FAILED = 4, 12
"""As the script's checks of the calls' status, and k6's own http_req_failed, counted them."""


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("size", [3_000, _blocks.PIECE_BYTES])
def test_k6_failures_whatever_tags_a_script_keeps(tags: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "PIECE_BYTES", size)
    monkeypatch.setattr("perflab.formats.k6_csv._PART_ROWS", 1)
    found = lab.read(SAMPLES / f"k6_csv/tags_{tags}.csv")
    failed, unknown = int((~found.requests["ok"]).sum()), note(found, "failures-unknown").get("unknown", 0)
    assert len(found.requests) == 48
    assert (failed, unknown) == ((HTTP_FAILED, 12) if tags in ("expected", "name", "scenario") else (16, 0))
    environment = found.runs["environment"].item()
    assert environment.get("failures") == ("unknown" if unknown else None)
    if tags == "all":
        refused = found.requests["endpoint"].str.contains("refused")
        assert not found.requests.loc[refused, "ok"].any()
        assert found.requests.loc[found.requests["endpoint"].str.contains("expected"), "ok"].all()
        assert set(found.requests.loc[~found.requests["ok"] & ~refused, "error"]) == {"gRPC 14"}


def test_k6_json_and_csv_of_reduced_tags_agree() -> None:
    one, two = (lab.read(SAMPLES / f).requests for f in ("k6_csv/tags_status.csv", "k6_json/tags_status.json.gz"))
    assert one["ok"].to_list() == two["ok"].to_list()
    assert one["endpoint"].to_list() == two["endpoint"].to_list()


def test_k6_sections_are_endpoints_of_their_own() -> None:
    table = lab.read(SAMPLES / "k6_text/full.txt").summary
    counts = table[table["statistic"] == "count"].set_index("endpoint")["value"].to_dict()
    assert counts == {
        "Aggregated": 21, "scenario browse": 16, "scenario browse / catalogue": 8, "scenario browse / catalogue / deep": 8,
        "scenario buy": 5,
    }  # fmt: skip
    assert not table.duplicated(["endpoint", "statistic"]).any()


def test_gatling_as_written_and_trimmed_are_the_same() -> None:
    whole, trimmed = (lab.read(SAMPLES / f"gatling/{f}.log").requests for f in ("simulation_3.11", "trimmed"))
    assert whole.drop(columns="run").equals(trimmed.drop(columns="run"))


def test_only_failures_left_of_a_damaged_log_are_refused(tmp_path: Path) -> None:
    lines = (SAMPLES / "gatling/simulation_3.11.log").read_text().splitlines()
    damaged = [line.replace("\tOK", "") if line.startswith("REQUEST") else line for line in lines]
    (tmp_path / "x.log").write_text("\n".join(damaged) + "\n")
    with pytest.raises(lab.FormatError, match="no picture of the run"):
        lab.read(tmp_path / "x.log")


TWICE = (
    "wrk/latency.txt", "hey_text/flaky.txt", "ab_text/flaky.txt", "oha_text/flaky.txt", "vegeta_report/report.txt",
    "k6_text/console.txt", "k6_text/full.txt", "k6_csv/seconds.csv", "k6_json/requests.json.gz", "jmeter_csv/default.jtl",
    "jmeter_csv/semicolon.jtl", "k6_csv/rfc3339.csv",
    "gatling/simulation_3.11.log", "gatling_binary/simulation_3.13.log", "locust_stats/stats.csv",
    "locust_history/full_history.csv", "locust_requests/requests.csv", "hey/flaky.csv", "oha_csv/flaky.csv",
    "ab_requests/orders.tsv", "ab_percentiles/orders.csv", "jmeter_report/aggregate.csv", "jmeter_xml/results.xml",
)  # fmt: skip


@pytest.mark.parametrize("path", TWICE)
def test_two_results_in_one_file_are_refused(path: str, tmp_path: Path) -> None:
    data = (SAMPLES / path).read_bytes()
    data = gzip.decompress(data) if path.endswith(".gz") else data
    (tmp_path / "x").write_bytes(data + data)
    if path == "jmeter_xml/results.xml":
        found = lab.read(tmp_path / "x")
        assert "broken-xml" in codes(found.warnings)
        assert len(found.requests) == len(lab.read(SAMPLES / path).requests)
        return
    with pytest.raises(lab.FormatError):
        lab.read(tmp_path / "x", format=path.split("/")[0])


@pytest.mark.parametrize(
    ("errors", "count"), [('"errors.ETIMEDOUT": 600, "http.codes.404": 100,', 1000), ('"errors.ECONNREFUSED": 10,', 10)]
)
def test_artillery_counts_what_it_sent(errors: str, count: int, tmp_path: Path) -> None:
    times = '"http.response_time": {"min": 1, "max": 9, "mean": 4, "p50": 4, "p95": 8, "p99": 9, "count": 400}'
    summaries = times if count == 1000 else ""
    text = f'{{"aggregate": {{"counters": {{{errors} "http.requests": {count}}}, "rates": {{}}, "summaries": {{{summaries}}}}}}}'
    (tmp_path / "x.json").write_text(text)
    table = lab.read(tmp_path / "x.json").summary.set_index("statistic")["value"]
    assert (table["count"], table["errors"]) == (count, 700 if count == 1000 else 10)


def test_more_errors_than_requests_are_refused(tmp_path: Path) -> None:
    text = (SAMPLES / "jmeter_report/statistics.json").read_text().replace('"errorCount" : 4', '"errorCount" : 400')
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(lab.FormatError, match="400 errors among 200 requests"):
        lab.read(tmp_path / "x.json")


HEADER = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,bytes\n"


@pytest.mark.parametrize("size", [1_000, _blocks.PIECE_BYTES])
@pytest.mark.parametrize("parts", [1, 7])
def test_sub_samples_of_jmeter_are_part_of_theirs(
    parts: int, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_blocks, "PIECE_BYTES", size)
    monkeypatch.setattr("perflab.formats.jmeter_csv._PART_ROWS", parts)
    rows = []
    for i in range(12):
        at = 1_764_000_000_000 + i * 1_000
        names = [
            ("Home", at, 100),
            ("Home-0", at, 60),
            ("Home-0-0", at, 20),
            ("Home-1", at + 60, 40),
            ("Cart-1", at + 200, 9),
        ]
        rows += [f"{start},{took},{name},200,OK,TG 1-{i % 3},text,true,1\n" for name, start, took in names]
        # A sampler of that name, in its own time.
        rows.append(f"{at + 300},50,Home-0,200,OK,TG 1-{i % 3},text,true,1\n")
    (tmp_path / "x.jtl").write_text(HEADER + "".join(rows))
    found = lab.read(tmp_path / "x.jtl")
    assert found.requests["endpoint"].value_counts().to_dict() == {"Home": 12, "Cart-1": 12, "Home-0": 12}
    assert set(found.requests.loc[found.requests["endpoint"] == "Home-0", "latency_ms"]) == {50.0}
    assert note(found, "inner-left-out")["count"] == 36


def test_rows_that_sum_up_samples_are_a_summary(tmp_path: Path) -> None:
    header = HEADER.rstrip() + ",SampleCount,ErrorCount\n"
    row = "1764000000000,{},{},200,OK,TG 1-1,text,true,1,{},{}\n"
    (tmp_path / "one.jtl").write_text(header + row.format(20, "GET /a", 1, 0) * 3)
    assert len(lab.read(tmp_path / "one.jtl").requests) == 3
    # Three rows of one sample stand before those of ten, as when a batch is cut short.
    rows = (
        row.format(20, "GET /a", 1, 0) * 3
        + row.format(2000, "GET /a", 10, 1) * 5
        + row.format(900, "Home", 3, 3)
        + "x,y\n"
    )
    (tmp_path / "ten.jtl").write_text(header + rows)
    found = lab.read(tmp_path / "ten.jtl")
    table = found.summary.pivot(index="endpoint", columns="statistic", values="value")
    assert table.loc["GET /a", ["count", "errors", "mean"]].tolist() == [53, 5, 10_060 / 53]
    assert table.loc["Home", ["count", "errors", "mean"]].tolist() == [3, 3, 300]
    assert table.loc["Aggregated", ["count", "errors"]].tolist() == [56, 8]
    assert {"summed-up", "skipped"} <= set(codes(found.warnings))
    with pytest.raises(lab.MissingTableError):
        _ = found.requests


def test_rows_that_sum_up_samples_far_into_a_file_make_it_a_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_blocks, "PIECE_BYTES", 1_000)
    monkeypatch.setattr("perflab.formats.jmeter_csv._PART_ROWS", 20)
    rows = "1764000000000,20,GET /a,200,OK,TG 1-1,text,true,1,1\n" * 200
    (tmp_path / "x.jtl").write_text(
        f"{HEADER.rstrip()},SampleCount\n{rows}1764000000000,900,GET /a,200,OK,TG 1-1,text,true,1,1e30\n"
    )
    assert len(lab.read(tmp_path / "x.jtl").requests) == 201  # no row stands for so many
    with (tmp_path / "x.jtl").open("a") as file:
        file.write("1764000000000,900,GET /a,200,OK,TG 1-1,text,true,1,9\n")
    (run,) = lab.ingest(tmp_path / "x.jtl", tmp_path / "store")
    for found in (lab.read(tmp_path / "x.jtl"), lab.load(run)):
        assert set(found.tables) == {"runs", "summary"}
        table = found.summary[found.summary["endpoint"] == "GET /a"].set_index("statistic")["value"]
        assert (table["count"], table["mean"]) == (209, 4_900 / 209)
        assert {"summed-up", "skipped"} <= set(codes(found.warnings))
    assert [p.name for p in (tmp_path / "store").iterdir() if p.is_dir()] == [run.name]


def test_gatling_binary_holds_what_was_written(tmp_path: Path) -> None:
    sample = SAMPLES / "gatling_binary/simulation_3.13.log"
    whole = lab.read(sample)
    assert (len(whole.requests), int((~whole.requests["ok"]).sum()), whole.meta["version"]) == (24, 3, "3.13.1")
    assert "Checkout / Zahlung – fällig / Pay" in set(whole.requests["endpoint"])
    assert whole.warnings == ()
    (tmp_path / "cut").write_bytes(sample.read_bytes()[:-300])
    cut = lab.read(tmp_path / "cut")
    assert 0 < len(cut.requests) < 24
    assert {"skipped", "cut-off"} <= set(codes(cut.warnings))


BOMBS = {
    "k6.csv": b"metric_name,timestamp,metric_value,name\nhttp_req_duration,1764000000,5,",
    "k6.json": b'{"metric":"http_reqs","type":"Point","data":{"time":"',
    "jmeter.jtl": HEADER.encode() + b"1764000000000,5,",
    "jmeter.xml": b'<?xml version="1.0"?><testResults version="1.2"><httpSample t="1" ts="1764000000000" s="true" lb="',
    "gatling.log": b"RUN\tshop\tshop\t1764000000000\t\t3.9\nREQUEST\t\t",
    "vegeta.csv": b"1764000000000000000,200,5,0,0,,",
    "wrk.txt": b"Running 1s test @ http://x/\n  1 threads and 1 connections\n",
    "gatling.bin": b"\x00\x00\x00\x00\x063.13.1\x00\x00\x00\x00\x12",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_line_without_an_end_is_refused_in_seconds(name: str, tmp_path: Path) -> None:
    packed = tmp_path / f"{name}.zst"
    with pyarrow.output_stream(packed, compression="zstd") as bomb:
        bomb.write(BOMBS[name])
        for _ in range(16):
            bomb.write((b"\x00" if name == "k6.csv" else b"a") * (8 << 20))
    begun = time.process_time()
    with pytest.raises(lab.PerflabError):
        lab.read(packed)
    assert time.process_time() - begun < 8


def test_a_long_line_is_skipped_and_counted(tmp_path: Path) -> None:
    rows = [f"176400000000{i},5,GET /a,200,OK,TG,text,true,1\n" for i in range(5)]
    long = b"1764000000000,5," + b"a" * (60 << 20) + b"\n"
    (tmp_path / "x.jtl").write_bytes((HEADER + "".join(rows)).encode() + long + "".join(rows).encode())
    found = lab.read(tmp_path / "x.jtl")
    assert len(found.requests) == 10
    assert (note(found, "skipped")["skipped"], note(found, "skipped")["first"]) == (1, 7)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("late", [False, True], ids=["at once", "after an innocent beginning"])
@pytest.mark.parametrize(
    ("sample", "more", "codec"),
    [
        ("k6_csv/seconds.csv", b"\n", "gzip"), ("jmeter_xml/nested.xml", b" ", "zstd"), ("hey_text/flaky.txt", b"x\n", "bz2"),
        ("collapsed/traps_crlf.txt", b"a;b 1\n", "gzip"),
    ],
)  # fmt: skip
def test_what_unpacks_to_too_much_is_refused(
    sample: str, more: bytes, codec: str, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_ALWAYS_UNPACKED", 1 << 20)
    monkeypatch.setattr(sources, "_LOOKED_AT", 0 if late else 1 << 20)
    path = tmp_path / "bomb"
    with pyarrow.output_stream(path, compression=codec) as stream:
        stream.write((SAMPLES / sample).read_bytes() + more * (1_500_000 // len(more)))
    with pytest.raises(lab.FormatError, match="decompress it"):
        lab.read(path)


def test_blank_lines_are_known_wherever_they_are(tmp_path: Path) -> None:
    whole = lab.read(SAMPLES / "k6_csv/seconds.csv")
    header, *rows = (SAMPLES / "k6_csv/seconds.csv").read_bytes().splitlines(keepends=True)
    (tmp_path / "blank.csv").write_bytes(b"".join([header, b"\n" * 40_000, *rows[:50], b"\n", *rows[50:], b"\n\n"]))
    found = lab.read(tmp_path / "blank.csv")
    assert found.requests["latency_ms"].tolist() == whole.requests["latency_ms"].tolist()
    assert codes(found.warnings) == codes(whole.warnings)


@pytest.mark.parametrize("head", [b"\n", b" ", b"\t", b"a", b"{", b"0", b'"', b";", b"a;b ", b"Summary:\n", b"# "])
def test_no_head_takes_a_sniffer_long(head: bytes) -> None:
    start = time.process_time()
    formats.claimants((head * sources.HEAD_BYTES)[: sources.HEAD_BYTES])
    assert time.process_time() - start < 3


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(lab.FormatError, match="named pipe"):
        lab.read(tmp_path / "pipe")


def test_companions_of_locusts_csv_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "r_stats.csv").write_bytes((SAMPLES / "locust_stats/stats.csv").read_bytes())
    (tmp_path / "r_exceptions.csv").write_text("Count,Message,Traceback,Nodes\n")
    (tmp_path / "r_failures.csv").write_text("Method,Name,Error,Occurrences\nGET,/flaky,500,3\n")
    found = lab.read(tmp_path)
    assert found.runs["run"].to_list() == ["r_stats"]
    assert note(found, "passed-over")["files"] == ["r_exceptions.csv", "r_failures.csv"]
    with pytest.raises(lab.FormatError, match=r"r_failures\.csv"):
        lab.read(tmp_path / "r_failures.csv")


@pytest.mark.parametrize("path", ["wrk/latency.txt", "ab_text/flaky.txt", "autocannon/flaky.json"])
def test_a_tool_that_knows_its_url_names_the_endpoint(path: str) -> None:
    table = lab.read(SAMPLES / path).summary
    one, all_ = (table[table["endpoint"] == e].set_index("statistic")["value"] for e in ("GET /flaky", "Aggregated"))
    assert np.array_equal(one.sort_index(), all_.sort_index())


@pytest.mark.parametrize(
    ("head", "instead"),
    [
        (b"Running 2s test @ http://127.0.0.1:8702/orders\n2 connections\n\n", "--json"),
        (b"$ autocannon http://127.0.0.1:8702/\nRunning 10s test @ http://127.0.0.1:8702/\n10 connections\n", "--json"),
        (b'{"RunType":"HTTP","DurationHistogram":{"Count":3}}', "vegeta"),
        (b"summary =    100 in 00:00:05 =   20.0/s Avg:    31\n", "jmeter -l"),
        (b"Method,Name,Error,Occurrences\nGET,/flaky,500,3\n", "_stats.csv"),
        (
            b"All VUs finished. Total time: 4 minutes\n\n" + b"-" * 32 + b"\nSummary report @ 21:20:11(+0200)\n",
            "--output",
        ),
        (b"Summary report @ 10:56:14(+0530) 2017-09-01\n  Scenarios launched:  10000\n", "--output"),
        (b"Bucket           #     %       Histogram\n[0s,     100ms]  6007  96.22%  ####\n", "encode"),
        (b"Value(ms)  Percentile  TotalCount  1/(1-Percentile)\n0.123      0.000000    0  1.000000\n", "encode"),
        (b'{"type": "GROUP",\n"name": "All Requests", "stats": {}}', "simulation.log"),
        (b'{\n    "name": "All Requests",\n    "numberOfRequests": {"total": 10}}', "simulation.log"),
        (b"Benchmarking http://127.0.0.1/ for 10s using 20 connection(s).\n\nSummary:\n", "every request"),
        (b"Summary:\n  Count:        200\n  Total:        181.57 ms\n", "--format json"),
        (b"PERFILE2h\x00\x00\x00\x00\x00", "perf script"),
        (b"# To display the perf.data header info, please use\n# Overhead  Command\n", "perf script"),
        (b"MOJ\x03\x02mode\x00wall\x00", "mojo2austin"),
        (
            b'<?xml version="1.0" standalone="no"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG"><svg version="1.1">',
            "--format raw",
        ),
        (b"         10 function calls in 0.421 seconds\n\n   Ordered by: cumulative time\n", "cProfile -o"),
        (
            b"Sun Nov 29 2026    a.pstats\n\n         30 function calls (10 primitive calls) in 0.4 seconds\n",
            "cProfile -o",
        ),
        (b"\n  _     ._   __/__   _ _  _  _ _/_   Recorded: 21:21:21  Samples:  8\n", "-r json"),
        (b"File: app\nType: cpu\nShowing nodes accounting for 10s, 100% of 10s total\n", "pb.gz"),
        (b'{"head":{"callFrame":{"functionName":"(root)","lineNumber":-1},"selfSize":0,"children":[]}}', "--cpu-prof"),
    ],
)
def test_what_is_not_read_says_what_to_save_instead(head: bytes, instead: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(head)
    with pytest.raises(lab.FormatError, match="no known format") as refused:
        lab.read(tmp_path / "x")
    assert instead in str(refused.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_memrays_recording_says_what_reads_it(compressed: bool, tmp_path: Path) -> None:
    recording = b"memray\x00\r\x00\x00\x00" + bytes(range(256)) * 8
    lz4 = pyarrow.compress(recording, codec="lz4", asbytes=True)  # as memray writes it, without --no-compress
    (tmp_path / "app.bin").write_bytes(lz4 if compressed else recording)
    with pytest.raises(lab.FormatError, match=r"memray's own format.*memray stats --json app\.bin"):
        lab.read(tmp_path / "app.bin")
