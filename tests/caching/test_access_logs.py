"""Access logs as servers write them, with what people append."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import perflab as lab
from perflab.errors import FormatError
from perflab.notes import codes

HEAD = '203.0.113.7 - - [29/Nov/2025:10:00:01 +0100] "GET /products/17?currency=EUR HTTP/1.1" 200 5120'
AGENT = '"https://shop.example/a 0.250 HIT" "Mozilla/5.0 (X11; 12.345) MISS 77"'


def log_of(folder: Path, *lines: str) -> Any:
    (folder / "access.log").write_text("\n".join(lines) + "\n")
    return lab.caching.access_log(folder / "access.log")


@pytest.mark.parametrize(
    ("rest", "latency_ms", "cached"),
    [
        ("", math.nan, None),
        (f" {AGENT}", math.nan, None),
        (f" {AGENT} 0.125", 125.0, None),
        (f' {AGENT} "0.125"', 125.0, None),
        (f" {AGENT} rt=0.125 uct=0.000 urt=0.120", 125.0, None),
        (f" {AGENT} 0.001 0.001 . HIT", 1.0, True),
        (f' {AGENT} "-" 0.004 MISS', 4.0, False),
        (f' {AGENT} 0.004 "EXPIRED"', 4.0, False),
        (f" {AGENT} 15342", 15.342, None),
        (" 15342", 15.342, None),
    ],
)
def test_what_follows_the_combined_format(rest: str, latency_ms: float, cached: bool | None, tmp_path: Path) -> None:
    row = log_of(tmp_path, HEAD + rest).iloc[0]
    assert row["latency_ms"] == pytest.approx(latency_ms, nan_ok=True)
    assert row.get("cached") == cached
    assert (row["endpoint"], row["url"], row["size_bytes"]) == ("GET /products/{}", "/products/17?currency=EUR", 5120)
    # The line is written when the response was sent; Apache's %D comes with the time of the request.
    begun = 1.0 if math.isnan(latency_ms) or latency_ms == 15.342 else 1.0 - latency_ms / 1e3
    assert row["start"].timestamp() == pytest.approx(1764406800 + begun)


@pytest.mark.parametrize(
    "line",
    [
        '{"time_iso8601": "2025-11-29T10:00:01+01:00", "request": "GET /a HTTP/2.0", "status": "200", "request_time": "0.125"}',
        '{"@timestamp": "2025-11-29T09:00:01Z", "method": "GET", "path": "/a", "status": 200, "duration": 0.125, "bytes": 3}',
        '{"msec": "1764406801.000", "request_method": "GET", "request_uri": "/a", "status": 200, "request_time": 0.125}',
    ],
)
def test_json(line: str, tmp_path: Path) -> None:
    row = log_of(tmp_path, line).iloc[0]
    assert (row["endpoint"], row["latency_ms"], row["status"]) == ("GET /a", 125.0, 200)
    assert row["start"].timestamp() == 1764406800.875


def test_odd_lines_are_counted(tmp_path: Path) -> None:
    lines = [
        HEAD, "", "# comment", r'198.51.100.1 - - [29/Nov/2025:10:00:02 +0100] "\x16\x03\x01" 400 150 "-" "-"',
        'shop.example:443 198.51.100.1 - Ann Lee [29/Nov/2025:10:00:02 +0100] "GET /b HTTP/1.1" 304 - "-" "s \\"hi\\""',
        "garbage",
        '{"broken": ', '::1 - - [31/Feb/2025:10:00:02 +0100] "GET /b HTTP/1.1" 200 1',
    ]  # fmt: skip
    found = log_of(tmp_path, *lines)
    assert found["url"].tolist() == ["/products/17?currency=EUR", "/b"]
    assert math.isnan(found["size_bytes"].iloc[1])
    assert codes(found.warnings) == ("skipped", "not-http", "whole-seconds")
    assert found.warnings[0].facts["skipped"] == 3
    with pytest.raises(FormatError, match="no known format"):
        log_of(tmp_path, "hello")


def test_a_curve_and_a_cache_from_a_log_without_durations(tmp_path: Path) -> None:
    lines = [HEAD.replace("10:00:01", f"10:00:{s:02d}").replace("/17", f"/{s % 7}") for s in range(60)]
    log = log_of(tmp_path, *lines)
    assert lab.miss_ratio_curve(log, "keys").miss_ratio(7) == pytest.approx(7 / 60)
    assert lab.miss_ratio_curve(log).weight == "bytes"
    found = lab.what_if_cache(log, ttl="20s")
    assert found.find()["hit_fraction"] > 0.6
    assert "mean" not in found.sentence
