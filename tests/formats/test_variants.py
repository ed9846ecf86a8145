"""The same results written otherwise (CRLF, byte-order mark, UTF-16, compressed, under a false name), and cut off."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from golden_files import Sample, note, samples

import perflab as lab
from perflab import formats
from perflab.notes import codes

LOAD_TOOLS = (
    *("ab_percentiles", "ab_requests", "artillery", "autocannon", "gatling", "hey", "hey_text", "jmeter_csv", "jmeter_xml"),
    *("k6_csv", "k6_json", "k6_summary", "k6_text", "locust_history", "locust_html", "locust_json", "locust_requests"),
    *("locust_stats", "oha_csv", "oha_json", "vegeta_csv", "vegeta_json", "wrk"),
)  # fmt: skip
OTHERS = ("binary_3.13.log", "bare.jtl")  # refused; without a header
ONE_EACH = {name: next(s for s in samples() if s.format == name and s.path.name not in OTHERS) for name in LOAD_TOOLS}


def text(sample: Sample) -> bytes:
    data = sample.path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def tables(path: Path, sample: Sample) -> dict[str, pd.DataFrame]:
    return dict(lab.read(path, run="r", **sample.options).tables)


VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "utf16": lambda data: data.decode().encode("utf-16"),
    "gzip": lambda data: gzip.compress(data, 1),
    "bz2": bz2.compress,
    "zstd": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", LOAD_TOOLS)
def test_written_otherwise_it_reads_the_same(name: str, variant: str, tmp_path: Path) -> None:
    sample = ONE_EACH[name]
    data = text(sample)
    if name == "jmeter_xml" and variant == "utf16":
        data = data.replace(b'encoding="UTF-8"', b'encoding="UTF-16"')
    other = tmp_path / "liar.jpeg"
    other.write_bytes(VARIANTS[variant](data))
    expected, found = tables(sample.path, sample), tables(other, sample)
    assert expected.keys() == found.keys()
    for table in expected.keys() - {"runs"}:
        pd.testing.assert_frame_equal(found[table], expected[table])


RAW = tuple(name for name in LOAD_TOOLS if hasattr(formats.named(name), "stream") and name != "jmeter_xml")


@pytest.mark.parametrize("name", RAW)
def test_a_line_that_is_cut_off_is_counted_or_pointed_at(name: str, tmp_path: Path) -> None:
    sample, cut = ONE_EACH[name], tmp_path / "cut"
    data = text(sample).rstrip(b"\n")
    whole = tables(sample.path, sample)["requests"]
    for lost in (0, 1, 25):
        cut.write_bytes(data[: len(data) - lost])
        found = lab.read(cut, run="r", **sample.options)
        assert len(whole) - 1 <= len(found.requests) <= len(whole)
        assert "cut-off" in codes(found.warnings) or note(found, "skipped")["skipped"] == 1, found.warnings


def test_a_cut_off_xml_says_where(tmp_path: Path) -> None:
    sample, cut = ONE_EACH["jmeter_xml"], tmp_path / "cut"
    cut.write_bytes(text(sample)[:-400])
    found = lab.read(cut)
    assert 0 < len(found.requests) < len(lab.read(sample.path).requests)
    assert "broken-xml" in codes(found.warnings)


@pytest.mark.parametrize("name", RAW)
def test_a_header_without_rows_is_refused(name: str, tmp_path: Path) -> None:
    first = text(ONE_EACH[name]).split(b"\n", 1)[0]
    if name.startswith("vegeta"):
        first = first[:34]
    (tmp_path / "only").write_bytes(first + b"\n")
    with pytest.raises(lab.FormatError, match="expected"):
        lab.read(tmp_path / "only", format=name, **ONE_EACH[name].options)


def test_a_bad_value_costs_its_row_and_is_counted(tmp_path: Path) -> None:
    jtl = text(Sample(ONE_EACH["jmeter_csv"].path.with_name("five.jtl"))).decode()
    place = tmp_path / "x.jtl"
    for bad in ("NaN", "-5", "", "1e99", "abc", "inf"):
        place.write_text(jtl.replace("1764000000400,31,", f"1764000000400,{bad},"))
        found = lab.read(place)
        assert found.requests["latency_ms"].to_list() == [120.0, 98.0], bad
        assert (note(found, "skipped")["skipped"], note(found, "skipped")["total"]) == (1, 6), found.warnings
    place.write_text(jtl.replace("127.0.0.1/cart,30,0,0", "127.0.0.1/cart,30"))
    assert note(lab.read(place), "skipped")["first"] == 6


def test_an_opened_quote_swallows_no_rows_in_silence(tmp_path: Path) -> None:
    lines = text(ONE_EACH["k6_csv"]).decode().splitlines(keepends=True)
    header, rows = lines[0], [line for line in lines if line.startswith("http_req_duration,")]
    place = tmp_path / "k6.csv"
    for damaged in (2, 10, len(rows) - 1):
        broken = [row.replace("GET,", 'GET,"', 1) if i == damaged else row for i, row in enumerate(rows)]
        place.write_text(header + "".join(broken))
        found = lab.read(place)
        skipped = len(rows) - len(found.requests)
        assert skipped >= 0
        assert note(found, "skipped").get("skipped", 0) == skipped, found.warnings


def test_a_quote_opened_in_one_message_costs_its_own_row(tmp_path: Path) -> None:
    """The columns fit, as the next quote closes it: only that records follow shows that it was opened by mistake."""
    row = "17640000{:05d},{},GET x,200,OK,Users 1-1,text,true,{},100,10,1,1,http://x/,5,0,0\n"
    header = text(Sample(ONE_EACH["jmeter_csv"].path.with_name("five.jtl"))).split(b"\n")[0].decode() + "\n"
    rows = [row.format(i, 10 + i, {3: '"said', 7: '"said, again"'}.get(i, "")) for i in range(10)]
    (tmp_path / "x.jtl").write_text(header + "".join(rows))
    found = lab.read(tmp_path / "x.jtl")
    assert found.requests["latency_ms"].to_list() == [10.0, 11.0, 12.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0]
    assert (note(found, "skipped")["skipped"], note(found, "skipped")["first"]) == (1, 5)


def test_a_name_of_two_lines_costs_no_row(tmp_path: Path) -> None:
    """k6, JMeter and Locust write them, in quotes; perflab's names are of one line."""
    name, one_line = '"the ""cart""\nof all, and 17 more"', 'the "cart" of all, and 17 more'
    jtl = text(Sample(ONE_EACH["jmeter_csv"].path.with_name("five.jtl"))).split(b"\n")[0].decode()
    row = f"1764000000000,31,{name},200,OK,Users 1-1,text,true,,100,10,1,1,http://x/,5,0,0"
    locust = "timestamp,request_type,name,response_time_ms,response_length,status_code,exception"
    k6 = "metric_name,timestamp,metric_value,check,error,expected_response,method,name,status"
    point = {"time": "2026-01-01T00:00:00Z", "value": 31, "tags": {"name": 'the "cart"\nof all, and 17 more'}}
    for written in (
        f"{jtl}\n{row}\n{row}\n",
        f"{locust}\n" + f"1764000000.5,,{name},31,10,200,\n" * 2,
        f"{k6}\n" + f"http_req_duration,1764000000,31,,,true,,{name},200\n" * 2,
        (json.dumps({"metric": "http_req_duration", "type": "Point", "data": point}) + "\n") * 2,
    ):
        (tmp_path / "x").write_text(written)
        found = lab.read(tmp_path / "x")
        assert found.requests["endpoint"].to_list() == [one_line, one_line], written
        assert "skipped" not in codes(found.warnings), found.warnings


def test_a_quote_opened_in_one_name_and_closed_in_another(tmp_path: Path) -> None:
    row = "1764000{:06d},{},{},200,OK,Users 1-1,text,true,,100,10,1,1,http://x/,5,0,0\n"
    header = text(Sample(ONE_EACH["jmeter_csv"].path.with_name("five.jtl"))).split(b"\n")[0].decode() + "\n"
    rows = [row.format(i, 10 + i, {3: '"GET x', 7: 'GET y"'}.get(i, "GET x")) for i in range(10)]
    (tmp_path / "x.jtl").write_text(header + "".join(rows))
    found = lab.read(tmp_path / "x.jtl")
    assert note(found, "skipped")["skipped"] == 10 - len(found.requests) == 2, found.warnings
    assert set(found.requests["endpoint"]) == {"GET x"}


@pytest.mark.parametrize("name", ["vegeta_csv", "k6_csv", "locust_requests", "jmeter_csv"])
@pytest.mark.parametrize("damaged", [(3, 40), (3, 40, 41, 60), (50,), (-1,)])
def test_stray_quotes_cost_their_own_rows_only(name: str, damaged: tuple[int, ...], tmp_path: Path) -> None:
    """In a column that is read or in one that is not, at any distance, an even or an odd number of them."""
    sample = ONE_EACH[name]
    lines = text(sample).decode().splitlines(keepends=True)
    header = [] if name == "vegeta_csv" else lines[:1]
    rows = [line for line in lines[len(header) :] if name != "k6_csv" or line.startswith("http_req_duration,")]
    rows = [row for row in rows * 20 if row.count('"') == 0][:100]
    place = tmp_path / "x"
    place.write_text("".join([*header, *rows]))
    whole = lab.read(place, format=name, **sample.options).requests
    for column in (-2, -4):
        broken = list(rows)
        for at in damaged:
            cells = rows[at].split(",")
            cells[column] = '"' + cells[column]
            broken[at] = ",".join(cells)
        place.write_text("".join([*header, *broken]))
        found = lab.read(place, format=name, **sample.options)
        assert note(found, "skipped")["skipped"] == len(damaged), (column, found.warnings)
        assert len(found.requests) == len(whole) - len(damaged)
        assert not found.requests["endpoint"].str.contains("\n").any()


def test_metrics_of_ones_own_are_no_requests_of_k6(tmp_path: Path) -> None:
    header = "metric_name,timestamp,metric_value,method,name,status\n"
    own = "".join(f"{name},1764000000,1,,,\n" for name in ("home_hits", "hits_was_daily", "http_resd"))
    (tmp_path / "x").write_text(
        header + own + "http_reqs,1764000000,1,GET,/,200\nhttp_req_duration,1764000000,31,GET,/,200\n"
    )
    found = lab.read(tmp_path / "x")
    assert found.requests["latency_ms"].to_list() == [31.0]
    assert "counts-differ" not in codes(found.warnings), found.warnings


def test_a_swallowed_row_in_an_error_is_counted(tmp_path: Path) -> None:
    header = "timestamp,request_type,name,response_time_ms,response_length,status_code,exception\n"
    lines = [f"176400000{i}.5,GET,/x,{i + 1}.25,10,200,{'' if i != 2 else chr(34)}\n" for i in range(5)]
    (tmp_path / "x.csv").write_text(header + "".join(lines) + '1764000009.5,GET,/x,9.0,10,0,"late"\n')
    found = lab.read(tmp_path / "x.csv")
    assert note(found, "skipped")["skipped"] == 1, found.warnings
    assert found.requests["latency_ms"].to_list() == [1.25, 2.25, 4.25, 5.25, 9.0]


def test_two_claimants_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.named("hey"), "sniff", lambda head: True)
    with pytest.raises(lab.FormatError, match="hey and jmeter_csv; name the right one with read"):
        lab.read(ONE_EACH["jmeter_csv"].path)


def test_xml_expands_no_entity(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.xml"
    bomb.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE testResults [<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;&a;&a;">]>\n'
        '<testResults version="1.2"><httpSample t="1" ts="1764000000000" s="true" lb="&b;"/></testResults>\n'
    )
    with pytest.raises(lab.FormatError, match=r"bomb.xml:2: expected JMeter's XML, found a document type declaration"):
        lab.read(bomb, format="jmeter_xml")
