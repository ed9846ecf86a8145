"""Access logs as servers write them in practice: times, users, durations and envelopes."""

from __future__ import annotations

import json

import pytest

import perflab as lab
from perflab.formats import access_log
from perflab.loadtest import read_traffic
from perflab.notes import codes

CLF = '203.0.113.9 - - [31/Jan/2026:12:00:20 +0000] "GET /orders/7?page=2 HTTP/1.1" 200 512'
COMBINED = CLF + ' "https://shop.example/" "Mozilla/5.0 (X11; \\"x\\")"'

DURATIONS = {
    "nginx": (COMBINED + " 0.123 0.120", 123.0),
    "nginx quoted": (COMBINED + ' "0.123" "0.120"', 123.0),
    "nginx named": (COMBINED + ' rt=0.123 uct="0.001" urt="0.120"', 123.0),
    "nginx behind a proxy": (COMBINED + ' "198.51.100.1, 10.0.0.1" 0.123', 123.0),
    "ingress": (COMBINED + " 480 0.123 [default-shop-80] [] 10.0.0.7:80 512 0.120 200 9c2d", 123.0),
    "common and a time": (CLF + " 0.123", 123.0),
    "Apache %D": (COMBINED + " 123000", 123.0),
    "Apache %T/%D": (COMBINED + " 0/123000", 123.0),
    "Apache named": (COMBINED + " D=123000", 123.0),
    "Traefik": (COMBINED + ' 17 "shop@docker" "http://10.0.0.7:80" 123ms', 123.0),
    "with a unit": (COMBINED + ' duration="123.5ms"', 123.5),
    "request_time": (COMBINED + ' request_time=0.123 bytes="9"', 123.0),
}


def written(tmp_path, *lines):
    path = tmp_path / "unknown"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("layout", DURATIONS)
def test_the_duration_is_found_wherever_servers_put_it(layout, tmp_path):
    line, latency = DURATIONS[layout]
    found = lab.read(written(tmp_path, *[line] * 3)).requests
    assert found["latency_ms"].to_list() == pytest.approx([latency] * 3)
    assert set(found["endpoint"]) == {"GET /orders/{}"}


@pytest.mark.parametrize(
    "line",
    [
        CLF,
        COMBINED,
        "shop.example:443 " + COMBINED,
        CLF.replace("203.0.113.9 - -", "2001:db8::9 - anna b"),
        CLF.replace("203.0.113.9 - -", "203.0.113.9 - anna [x]"),
        CLF.replace("31/Jan/2026:12:00:20 +0000", "31/Jan/2026 12:00:20"),
        CLF.replace("31/Jan/2026:12:00:20 +0000", "2026-01-31T12:00:20+00:00"),
        CLF.replace(" 512", " -"),
        CLF.replace("/orders/7?page=2", "https://shop.example/orders/7"),
        CLF.replace(" HTTP/1.1", " HTTP/2.0"),
        CLF + ' "-" "-" 0 0',
    ],
)
def test_traffic_is_read_without_durations_too(line, tmp_path):
    path = written(tmp_path, line, line)
    found = read_traffic(path)
    assert found.table["endpoint"].to_list() == ["GET /orders/{}"]
    assert found.arrivals["start"].iloc[0].isoformat() == "2026-01-31T12:00:20+00:00"
    with pytest.raises(lab.FormatError) as refused:
        lab.read(path)
    assert refused.value.args[0].code == "no-durations"


RECORDS = {
    "Rails": ({"method": "GET", "path": "/orders/7", "status": 200, "duration": 123.4, "view": 3.0, "@timestamp": "T"},
              123.4, True),
    "pino": ({"level": 30, "time": 1769860820000, "req": {"method": "GET", "url": "/orders/7"}, "res": {"statusCode": 200},
              "responseTime": 123.4, "msg": "request completed"}, 123.4, False),
    "ECS": ({"@timestamp": "T", "http": {"request": {"method": "GET"}, "response": {"status_code": 200}},
             "url": {"path": "/orders/7"}, "event": {"duration": 123400000}}, 123.4, False),
    "Google Cloud": ({"timestamp": "T", "httpRequest": {"requestMethod": "GET", "requestUrl": "https://x.example/orders/7",
                      "status": 200, "latency": "0.1234s"}}, 123.4, False),
    "nginx": ({"time_local": "31/Jan/2026:12:00:20 +0000", "request_method": "GET", "request_uri": "/orders/7", "status": "200",
               "request_time": "0.1234"}, 123.4, False),
    "Echo": ({"time": "T", "method": "GET", "uri": "/orders/7", "status": 200, "latency": 123400000,
              "latency_human": "123.4ms"}, 123.4, False),
    "Go": ({"time": "T", "method": "GET", "path": "/orders/7", "status": 200, "duration": "1h2m3.5s"}, 3723500.0, False),
    "nanoseconds": ({"time": 1769860820500000000, "method": "get", "path": "/orders/7", "status": 200, "duration_ms": 123.4},
                    123.4, False),
    "seconds": ({"time": "T", "method": "GET", "path": "/orders/7", "status": 200, "elapsed": 0.1234}, 123.4, True),
}  # fmt: skip


@pytest.mark.parametrize("layout", RECORDS)
def test_json_of_many_makes_is_read_and_doubtful_units_are_named(layout, tmp_path):
    record, latency, doubtful = RECORDS[layout]
    text = json.dumps(record).replace('"T"', '"2026-01-31T12:00:20.500Z"')
    found = lab.read(written(tmp_path, text, text))
    assert found.requests["latency_ms"].to_list() == pytest.approx([latency] * 2)
    assert set(found.requests["endpoint"]) == {"GET /orders/{}"}
    assert ("unit-assumed" in codes(found.warnings)) == doubtful


def test_a_unit_that_is_given_is_taken(tmp_path):
    path = written(tmp_path, *[COMBINED + " 123"] * 3)
    found = lab.read(path, unit="ms")
    assert found.requests["latency_ms"].to_list() == [123.0] * 3
    assert "unit-assumed" not in codes(found.warnings)
    with pytest.raises(ValueError, match="unit"):
        lab.read(path, unit="minutes")


def test_instants_of_responses_become_those_of_requests(tmp_path):
    nginx = lab.read(written(tmp_path, COMBINED + " 0.250")).requests["start"].iloc[0]
    apache = lab.read(written(tmp_path, COMBINED + " 250000")).requests["start"].iloc[0]
    assert nginx.isoformat() == "2026-01-31T12:00:19.750000+00:00"
    assert apache.isoformat() == "2026-01-31T12:00:20+00:00"


def test_failures_are_the_servers(tmp_path):
    lines = [COMBINED.replace(" 200 ", f" {status} ") + " 0.010" for status in (200, 404, 499, 500, 503)]
    assert lab.read(written(tmp_path, *lines)).requests["ok"].to_list() == [True, True, False, False, False]


@pytest.mark.parametrize(
    "wrap", ["web-1  | {}", "2026-01-31T12:00:00.000000000Z stdout F {}", "Jan 31 12:00:00 web nginx: {}"]
)
def test_envelopes_of_collectors_are_taken_off(wrap, tmp_path):
    lines = [wrap.format(COMBINED + " 0.123")] * 3
    assert len(lab.read(written(tmp_path, *lines)).requests) == 3


@pytest.mark.parametrize(
    "text",
    [
        "main;work (in a.py) 12",
        "GET / HTTP/1.1",
        "200 OK",
        '{"status": 200, "time": "x"}',
        "10:00:00 INFO started [main] 200 5",
    ],
)
def test_what_is_no_access_log_is_not_claimed(text):
    assert not access_log.sniff(text.encode())
