"""Monitoring rules: checked and unit-tested by promtool, evaluated by a real Prometheus that scrapes the shop."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

import perflab as lab
from perflab.loadtest import compare_mix, scrape
from perflab.notes import codes
from perflab.objectives import compare_shares, monitoring_rules
from perflab.objectives.indicators import indicator_of
from perflab.objectives.instruments import Instruments, instruments_of

GOALS = (
    lab.Objective("p95", "<", "250ms"),
    lab.Objective("p50", "<", "100ms", endpoint="GET /orders"),
    lab.Objective("p99", "<=", "1s", endpoint="GET /orders"),
    lab.Objective("p90", "<", "50ms", endpoint="GET /products/{id}"),
    lab.Objective("p99.9", "<", "2.5s"),
    lab.Objective("error_fraction", "<", "1%"),
    lab.Objective("error_fraction", "<", "0.1%", endpoint="POST /carts/[id]"),
    lab.Objective("error_fraction", "<", "20%"),
    lab.Objective("mean", "<", "80ms"),
    lab.Objective("max", "<", "2.5s", endpoint="GET /bestsellers"),
    lab.Objective("rss_bytes", "<", "512MB"),
    lab.Objective("cpu_cores", "<", "2"),
)


def page(bounds=("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5"), name="shop", method=True):
    """A /metrics page like the shop's."""
    rows = ["process_resident_memory_bytes 5e7", "process_cpu_seconds_total 3"]
    for verb, route in (
        ("GET", "/orders"),
        ("GET", "/products/<int:product_id>"),
        ("GET", "/bestsellers"),
        ("POST", "/carts/<cart>"),
    ):
        labels = f'method="{verb}",route="{route}"'
        rows.append(f'{name}_requests_total{{{labels},status="200"}} 100')
        own = labels if method else f'route="{route}"'
        rows += [
            f'{name}_request_duration_seconds_bucket{{{own},le="{b}"}} {50 + n}'
            for n, b in enumerate((*bounds, "+Inf"))
        ]
        rows += [
            f"{name}_request_duration_seconds_count{{{own}}} {50 + len(bounds)}",
            f"{name}_request_duration_seconds_sum{{{own}}} 5",
        ]
    return "\n".join(rows) + "\n"


def promtool(*arguments: str) -> str:
    if shutil.which("promtool") is None:
        if os.environ.get("CI"):
            raise AssertionError("promtool is missing (apt: prometheus)")
        pytest.skip("needs promtool (apt: prometheus)")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return monitoring_rules(GOALS, tmp_path_factory.mktemp("monitoring"), metrics=page(), service="shop")


def test_promtool_accepts_the_rules_and_passes_the_unit_tests(written):
    assert written.table["watched"].all(), written.table["reason"].to_list()
    rules, tests, _ = written.files
    assert "SUCCESS" in promtool("check", "rules", str(rules))
    made = yaml.safe_load(tests.read_text())
    assert len(made["tests"]) >= 2 * len(GOALS)
    assert "SUCCESS" in promtool("test", "rules", str(tests))


def test_the_unit_tests_can_fail(tmp_path):
    """A rule with another threshold does not pass them: the boundary is tested on both sides."""
    rules, tests, _ = monitoring_rules("p95 < 250ms", tmp_path, metrics=page()).files
    promtool("test", "rules", str(tests))
    text = rules.read_text()
    limit = re.search(r"> (0\.3)\b", text)[1]
    for wrong in ("0.36", "0.25"):
        (tmp_path / "rules.yml").write_text(text.replace(f"> {limit}", f"> {wrong}"))
        done = subprocess.run(["promtool", "test", "rules", str(tmp_path / tests.name)], capture_output=True, text=True)
        assert done.returncode != 0, wrong


def test_every_alert_can_fire(written):
    budgets = written.table.dropna(subset=["budget_fraction"])
    for row in budgets.itertuples():
        factors = [float(f) for f in re.findall(r"([\d.]+)x over", row.burn_rates)]
        assert factors and factors == sorted(factors, reverse=True)
        assert all(factor * row.budget_fraction < 1 for factor in factors), row.objective
        assert factors[-1] >= 1
    assert "burn-lowered" in codes(written.warnings)


def test_yaml_is_what_was_meant(written):
    held = yaml.safe_load(written.files[0].read_text())
    names = [rule["alert"] for group in held["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(names) == len(set(names))
    assert {"ShopDown", "ShopMetricsAbsent"} <= set(names)
    for name in ", ".join(written.table["alerts"]).split(", "):
        assert name in names


def test_the_dashboard_loads_by_grafanas_schema(written):
    held = json.loads(written.files[2].read_text())
    board = Dashboard.from_json(held)
    assert board.title == "Objectives of shop"
    assert len(board.panels) == len(GOALS) + 2
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in held["panels"]}
    assert len(places) == len(held["panels"])
    assert all(target["expr"] for panel in held["panels"] for target in panel["targets"])


@pytest.mark.parametrize(
    ("goal", "code"),
    [
        (lab.Objective("p95", "<", "200ms"), "missing-bound"),
        (lab.Objective("p95", "<", "9s"), "missing-bound"),
        (lab.Objective("throughput_per_s", ">", "100/s"), "not-monitored"),
        (lab.Objective("p95", ">", "100ms"), "not-monitored"),
        (lab.Objective("error_fraction", "<=", "0%"), "not-monitored"),
        (lab.Objective("min", "<", "10ms"), "not-monitored"),
        (lab.Objective("count", ">", "10"), "not-monitored"),
        (lab.Objective("size_bytes", "<", "64KB"), "not-monitored"),
        (lab.Objective("check_fraction", ">", "99%"), "not-monitored"),
        (lab.Objective("p95", "<", "100ms", endpoint="GET /nowhere"), "no-such-route"),
    ],
)
def test_what_cannot_be_watched_says_why(goal, code):
    found, notes = indicator_of(goal, instruments_of(page()), "exact")
    assert found is None
    assert code in codes(notes)


@pytest.mark.parametrize(("bounds", "expected"), [("stricter", "0.1"), ("looser", "0.25")])
def test_another_bucket_is_taken_on_demand(bounds, expected, tmp_path):
    found = monitoring_rules("p95 < 200ms", tmp_path, metrics=page(), bounds=bounds)
    assert "other-bound" in codes(found.warnings)
    assert f'le="{expected}"' in yaml.safe_load(found.files[0].read_text())["groups"][0]["rules"][0]["expr"]
    promtool("test", "rules", str(found.files[1]))


def test_no_lower_bucket_offers_the_higher_one(tmp_path):
    found = monitoring_rules("p95 < 2ms", tmp_path, metrics=page(), bounds="stricter")
    note = next(n for n in found.warnings if n.code == "missing-bound")
    assert note.remedy.arguments == {"bounds": "looser"}


def test_low_traffic_is_pointed_out(tmp_path):
    found = monitoring_rules(["error rate < 0.1%"], tmp_path, metrics=page(), rate_per_s=0.01)
    assert "low-traffic" in codes(found.warnings)
    assert "low-traffic" not in codes(
        monitoring_rules(["error rate < 1%"], tmp_path, metrics=page(), rate_per_s=100).warnings
    )


def test_objectives_that_read_alike_have_alerts_of_their_own(tmp_path):
    goals = [
        lab.Objective("p95", op, "250ms", endpoint=e)
        for op in ("<", "<=")
        for e in ("GET /a/b", "GET /a-b", "Aggregated")
    ]
    goals += [lab.Objective("p95", "<", "1s", only_ok=True)]
    found = monitoring_rules(goals, tmp_path, service="shop")
    names = ", ".join(found.table["alerts"]).split(", ")
    assert len(set(names)) == len(names) == 14
    assert "failures-count" in codes(found.warnings)


def test_one_objective_in_two_spellings_is_recorded_once(tmp_path):
    found = monitoring_rules(["p95 < 250ms", "p95 < 0.25s", "p95<250 ms"], tmp_path, metrics=page())
    assert len(found.table) == 1


@pytest.mark.parametrize("endpoint", ["GET {{host}}/orders", 'GET /a"b\\c', "GET /ü/日本", "GET /$x/${y}"])
def test_any_endpoint_makes_rules_that_load(endpoint, tmp_path):
    rules, tests, _ = monitoring_rules(lab.Objective("p95", "<", "1s", endpoint=endpoint), tmp_path).files
    promtool("check", "rules", str(rules))
    promtool("test", "rules", str(tests))


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, "5/s"])
def test_a_rate_is_above_0(rate, tmp_path):
    with pytest.raises(ValueError, match="rate_per_s"):
        monitoring_rules("p95 < 250ms", tmp_path, rate_per_s=rate)


def test_without_metrics_the_names_are_assumed_and_buckets_named(tmp_path):
    found = monitoring_rules(["p95 < 200ms", "error rate of GET /a < 1%"], tmp_path)
    note = next(n for n in found.warnings if n.code == "names-assumed")
    assert note.facts["bounds"] == "0.2 s"
    promtool("check", "rules", str(found.files[0]))
    promtool("test", "rules", str(found.files[1]))


def test_a_histogram_without_methods_counts_all_of_a_route(tmp_path):
    found = monitoring_rules(
        lab.Objective("p95", "<", "100ms", endpoint="GET /orders"), tmp_path, metrics=page(method=False)
    )
    assert codes(found.warnings) == ("method-unknown", "any-job")
    promtool("test", "rules", str(found.files[1]))


OTHERS = {
    "go": 'http_request_duration_seconds_bucket{handler="/a",code="200",method="get",le="1"} 3',
    "spring": 'http_server_requests_seconds_bucket{method="GET",uri="/a/{id}",status="200",le="1.0",} 3',
    "otel": "http_server_request_duration_seconds_bucket"
    '{http_route="/a",http_request_method="GET",http_response_status_code="200",le="1"} 3',
    "express": 'http_request_duration_ms_bucket{le="1000",route="/a",method="GET",code="200"} 3',
}


@pytest.mark.parametrize("library", OTHERS)
def test_other_libraries_names_are_found(library, tmp_path):
    meters = instruments_of(OTHERS[library])
    assert meters.has_bound(1000.0)
    assert meters.route and meters.method and meters.status
    found = monitoring_rules(["p95 < 1s", "error rate < 1%"], tmp_path, metrics=OTHERS[library])
    assert found.table["watched"].all()
    promtool("check", "rules", str(found.files[0]))
    promtool("test", "rules", str(found.files[1]))


def served(histogram, counter):
    """A page of a service whose histogram and counter have these labels."""
    return "\n".join([
        *(f'http_request_duration_seconds_bucket{{{histogram},le="{le}"}} 5' for le in ("1", "+Inf")),
        f"http_request_duration_seconds_count{{{histogram}}} 5",
        f"http_requests_total{{{counter}}} 5",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("histogram", "counter", "timed", "counted"),
    [
        ('method="get",route="/a"', 'method="get",route="/a",code="200"', ("get", "/a"), ("get", "/a")),
        ('method="GET",handler="/a"', 'verb="GET",path="/a",status="200"', ("GET", "/a"), ("GET", "/a")),
        ('method="GET",route="/a/"', 'method="GET",route="/a",status="200"', ("GET", "/a/"), ("GET", "/a")),
        ('method="GET",route="/a"', 'status="200"', ("GET", "/a"), None),
        ('method="GET"', 'method="GET",route="/a",status="200"', None, ("GET", "/a")),
        ('method="POST",route="/a"', 'method="POST",route="/a",status="200"', None, None),
        ('method="GET",route="/a",status="200"', 'status="200"', ("GET", "/a"), ("GET", "/a")),
    ],
)
def test_rules_select_series_that_the_page_has(histogram, counter, timed, counted, tmp_path):
    """Labels that no series has make an alert that never fires; histogram and counter may have different ones."""
    text = served(histogram, counter)
    for goal, series in (("p95 of GET /a < 1s", timed), ("error rate of GET /a < 1%", counted)):
        found = monitoring_rules(goal, tmp_path, metrics=text, service="shop")
        assert found.table["watched"].to_list() == [series is not None], goal
        assert ("no-such-route" in codes(found.warnings)) == (series is None)
        if series is not None:
            rules = found.files[0].read_text()
            assert all(f'=\\"{value}\\"' in rules for value in series), goal


def test_services_with_the_same_objectives_do_not_share_records(tmp_path):
    """Prometheus has one name space: what one service records must not make the other's alerts fire."""
    held = []
    for service in ("shop", "cart"):
        found = monitoring_rules("p95 < 250ms", tmp_path / service, metrics=page(), service=service)
        rules = yaml.safe_load(found.files[0].read_text())["groups"][0]["rules"]
        held.append({(r["record"], *r["labels"].items()) for r in rules if "record" in r})
        burning = [r["expr"] for r in rules if "Burns" in r.get("alert", "")]
        assert burning and all(e.count("{") == e.count(f'service="{service}"') for e in burning)
        panel = json.loads(found.files[2].read_text())["panels"][-1]
        assert all(f'service="{service}"' in target["expr"] for target in panel["targets"])
    assert not held[0] & held[1]


def test_metrics_without_a_histogram_are_refused(tmp_path):
    for metrics in ("up 1\n", "http://127.0.0.1:1/metrics", tmp_path / "none.txt"):
        with pytest.raises(lab.FormatError):
            monitoring_rules("p95 < 1s", tmp_path, metrics=metrics)
    (tmp_path / "page.txt").write_text(page())
    assert monitoring_rules("p95 < 1s", tmp_path, metrics=str(tmp_path / "page.txt")).table["watched"].all()
    with pytest.raises(ValueError, match="bounds"):
        monitoring_rules("p95 < 1s", tmp_path, bounds="near")


def test_a_health_page_of_the_requirements_is_watched(tmp_path):
    (tmp_path / "I.md").write_text("- p95 < 250 ms\n- Metrics: GET /metrics\n- Health: `GET /health`\n")
    goals = lab.read_objectives(tmp_path / "I.md")
    found = monitoring_rules(goals, tmp_path, metrics=page(), service="shop")
    assert ("ShopUnhealthy" in found.files[0].read_text()) == ("health" in goals.endpoints)
    promtool("test", "rules", str(found.files[1]))


# A load test against production


def of_histogram(counts, at=0.0):
    bounds = ("0.1", "0.25", "1.0", "+Inf")
    name = "shop_request_duration_seconds"
    rows = [(name + "_bucket", {"route": "/a", "le": b}, float(c)) for b, c in zip(bounds, counts, strict=True)]
    rows += [(name + "_count", {"route": "/a"}, float(counts[-1])), (name + "_sum", {"route": "/a"}, 0.1 * counts[-1])]
    frame = pd.DataFrame(rows, columns=["name", "labels", "value"])
    return frame.assign(run="p", time=pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(seconds=at))


def of_run(latencies):
    start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(latencies)), unit="s")
    frame = pd.DataFrame({"run": "r", "endpoint": "GET /a", "start": start, "latency_ms": latencies, "ok": True})
    return lab.Measurements.of(requests=frame)


def bucket(le, values, *, name="http_request_duration_seconds_bucket", **labels):
    return {
        "metric": {**({"__name__": name} if name else {}), "le": le, **labels},
        "values": [[1769860800 + 60 * n, str(value)] for n, value in enumerate(values) if value is not None],
    }


GROWING = bucket("0.25", (700, 790, 880)), bucket("+Inf", (1000, 1100, 1200))
ANSWERS = {
    "counts": (GROWING, 0.1, 200, False),
    "counts, summed": ([{**s, "metric": {"le": s["metric"]["le"]}} for s in GROWING], 0.1, 200, False),
    "rates": ((bucket("0.25", (0.9, 1.8), name=""), bucket("+Inf", (1.0, 2.0), name="")), 0.1, 3, True),
    "increases": ((bucket("0.25", (90, 45, 90), name=""), bucket("+Inf", (100, 50, 100), name="")), 0.1, 250, True),
    "other spellings": (
        (bucket("0.250", (0, 90), instance="a"), bucket("+Inf", (0, 100), instance="a"),
         bucket("0.25", (0, 70), instance="b"), bucket("+Inf", (0, 100), instance="b")), 0.2, 200, False),
    "a new instance": (
        (*GROWING, bucket("0.25", (None, None, 1), instance="b"), bucket("+Inf", (None, None, 9999), instance="b")),
        0.1, 200, False),
    "a new route": (
        (*GROWING, bucket("0.25", (None, 0, 0), route="/b"), bucket("+Inf", (None, 20, 50), route="/b")),
        70 / 250, 250, False),
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_shares_of_answers_are_those_of_their_time(answer, tmp_path):
    series, share, requests, unknown = ANSWERS[answer]
    held = {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}
    (tmp_path / "m.json").write_text(json.dumps(held, sort_keys=answer == "counts"))
    found = compare_shares(of_run([100.0, 300.0]), tmp_path / "m.json", "250ms", warmup=0)
    assert found.production_fraction == pytest.approx(share)
    assert found.production_requests == requests
    assert ("counts-unknown" in codes(found.warnings)) == unknown


def test_shares_are_compared_below_the_same_bound():
    run = of_run([50.0] * 90 + [300.0] * 10)
    metrics = pd.concat([of_histogram((100, 200, 300, 300)), of_histogram((900, 1000, 1300, 1300), 60)])
    found = compare_shares(run, lab.Measurements.of(metrics=metrics), "250ms", warmup=0)
    assert found.production_fraction == pytest.approx(0.2)
    assert found.run_fraction == pytest.approx(0.1)
    assert found.low < found.difference < found.high
    assert found.production_requests == 1000


def test_a_restart_of_production_and_a_single_page_are_understood():
    run = of_run([50.0] * 10)
    metrics = pd.concat(
        [of_histogram((100, 200, 300, 300)), of_histogram((0, 0, 50, 50), 60), of_histogram((0, 0, 150, 150), 120)]
    )
    assert compare_shares(run, lab.Measurements.of(metrics=metrics), 250, warmup=0).production_fraction == 1.0
    alone = lab.Measurements.of(metrics=of_histogram((1, 2, 4, 4)))
    assert compare_shares(run, alone, 250, warmup=0, endpoint="GET /a").production_fraction == 0.5


def test_a_late_generator_is_not_the_servers_time():
    run = of_run([300.0] * 4)
    due = run.requests.assign(due=run.requests["start"] - pd.Timedelta(milliseconds=200))
    found = compare_shares(due, lab.Measurements.of(metrics=of_histogram((1, 4, 4, 4))), 250, warmup=0)
    assert (found.run_fraction, found.overhead_ms) == (0.0, pytest.approx(0.0))


def test_a_bound_that_no_bucket_has_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="100 ms, 250 ms, 1 s"):
        compare_shares(of_run([1.0]), lab.Measurements.of(metrics=of_histogram((1, 1, 1, 1))), "200ms")


@pytest.fixture(scope="module", autouse=True)
def started(tmp_path_factory):
    """The addresses of a shop and of a Prometheus that scrapes it, from the first test on: it takes Prometheus 5 s to begin."""
    if shutil.which("prometheus") is None:
        yield None
        return
    folder = tmp_path_factory.mktemp("prometheus")
    shop, port = _free(), _free()
    rules = monitoring_rules(GOALS[:3], folder, metrics=page(), service="shop")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
        f'scrape_configs: [{{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{shop}"]}}]}}]\n'
    )
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", "perflab.demo.shop", "--port", str(shop)], stderr=log),
            subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log),
        ]
        try:
            yield f"http://127.0.0.1:{shop}", f"http://127.0.0.1:{port}", rules
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(10)


@pytest.fixture(scope="module")
def prometheus(started):
    """(the shop's address, Prometheus' address, the rules), once Prometheus has scraped each of the pages to be loaded."""
    if started is None and os.environ.get("CI"):
        raise AssertionError("prometheus is missing (apt: prometheus)")
    if started is None:
        pytest.skip("needs Prometheus (apt: prometheus)")
    host, server, _ = started
    for path in ("/health", "/orders?size=20", "/products/1/offer", "/bestsellers"):
        _until(lambda path=path: _get(host + path))
    counted = urllib.parse.urlencode(
        {"query": 'count(shop_request_duration_seconds_count{route!~"/metrics|/health"}) >= 3'}
    )
    _until(lambda: json.loads(_get(f"{server}/api/v1/query?{counted}"))["data"]["result"])
    return started


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as problem:
        problem.close()  # its socket would stay open: Prometheus answers 503 until it is ready
        raise


def _until(ask) -> None:
    end = time.monotonic() + 40
    while True:
        try:
            if ask():
                return
        except OSError:
            pass
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_real_prometheus_evaluates_the_rules_and_agrees_with_the_load_test(prometheus, tmp_path):
    host, server, rules = prometheus
    log = tmp_path / "access.log"
    paths = ("/orders?size=20", "/products/5/offer", "/bestsellers")
    line = '203.0.113.{} - - [31/Jan/2026:12:00:{:02d} +0000] "GET {} HTTP/1.1" 200 512 "-" "x"\n'
    log.write_text("".join(line.format(n, n // 25, paths[n % 3]) for n in range(125)))
    plan = lab.LoadPlan.from_access_log(log, tmp_path / "production.py", warmup=0, seed=3)
    assert plan.duration_s == 5
    # One user: nothing waits in a queue of the server, which its own clock does not see.
    plan = replace(plan, stages=[lab.Stage("5s", users=1)])
    begin = time.time()
    run = lab.run(plan, lab.Target("shop", host=host, metrics="/metrics"), store=tmp_path / "runs", progress=False)
    assert compare_mix(run, log).largest < 0.3
    assert run.requests["ok"].all()
    time.sleep(1.5)
    loaded = json.loads(_get(f"{server}/api/v1/rules"))["data"]["groups"]
    each = [rule for group in loaded for rule in group["rules"]]
    assert {rule["health"] for rule in each} <= {"ok", "unknown"}
    assert "ok" in {rule["health"] for rule in each}
    assert {rule["name"] for rule in each if rule["type"] == "alerting"} >= set(rules.table["alerts"][0].split(", "))
    query = urllib.parse.urlencode(
        {
            "query": '{__name__=~"shop_request_duration_seconds_.*",route!~"/metrics|/health"}',
            "start": begin,  # the value then is that of the scrape before the load
            "end": time.time(),
            "step": 1,
        }
    )
    (tmp_path / "range.json").write_text(_get(f"{server}/api/v1/query_range?{query}"))
    production = lab.read(tmp_path / "range.json")
    assert production.meta["format"] == "prometheus_json"
    found = compare_shares(run, production, "250ms", warmup=0)
    assert found.run_requests == found.production_requests
    # Half a point, what the two clocks leave open, and one request whose clocks differ by more than the mean.
    assert abs(found.difference) <= 0.005 + found.unsure_fraction + 1 / found.run_requests, found
    text = lab.read(_saved(tmp_path, host), started="2026-01-01T00:00:00Z")
    assert set(text.metrics["name"]) >= {"shop_requests_total", "shop_request_duration_seconds_bucket"}


def _saved(folder: Path, host: str) -> Path:
    path = folder / "metrics.txt"
    path.write_text(_get(f"{host}/metrics"))
    return path


# The recipes of the documentation


RECIPES = re.findall(
    r"```python\n(.*?)```", Path(__file__).parents[2].joinpath("docs/monitoring.md").read_text(), re.DOTALL
)


def test_the_wsgi_recipe_measures_what_the_rules_ask_for():
    import flask
    from prometheus_client import REGISTRY

    app = flask.Flask("recipe")
    app.add_url_rule("/orders/<int:number>", view_func=lambda number: f"{1 // number}", endpoint="orders")
    space: dict = {}
    _without_collectors(REGISTRY, lambda: exec(RECIPES[0] + RECIPES[1], space))
    app.wsgi_app = space["measured"](app.wsgi_app, space["flask_routes"](app))
    client = app.test_client()
    assert [client.get(p).status_code for p in ("/orders/1", "/orders/0", "/nowhere", "/health")] == [
        200,
        500,
        404,
        200,
    ]
    _matches_the_rules(client.get("/metrics").text)


def test_the_asgi_recipe_measures_what_the_rules_ask_for():
    import asyncio
    from types import SimpleNamespace

    from prometheus_client import REGISTRY

    async def app(scope, receive, send):
        if scope["path"] != "/orders/1":
            raise ZeroDivisionError
        scope["route"] = SimpleNamespace(path="/orders/{number}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1"})

    space: dict = {}
    _without_collectors(REGISTRY, lambda: exec(RECIPES[2], space))
    sent = []

    async def send(message):
        sent.append(message)

    async def ask(path):
        await space["measured"](app)({"type": "http", "path": path, "method": "GET"}, None, send)

    asyncio.run(ask("/orders/1"))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask("/orders/0"))
    asyncio.run(ask("/health"))
    asyncio.run(ask("/metrics"))
    text = sent[-1]["body"].decode()
    assert 'http_requests_total{method="GET",route="(none)",status="500"} 1.0' in text
    _matches_the_rules(text)


def test_the_asgi_recipe_finds_the_routes_of_starlette():
    """The scope of old versions holds the application and what was called, but no route."""
    from types import SimpleNamespace as Made

    from prometheus_client import REGISTRY

    space: dict = {}
    _without_collectors(REGISTRY, lambda: exec(RECIPES[2], space))
    orders, items = object(), object()
    inner = Made(path="/shop", routes=[Made(path="/items/{number}", endpoint=items)])
    app = Made(routes=[Made(path="/orders", endpoint=orders), inner])
    for called, route in ((orders, "/orders"), (items, "/shop/items/{number}"), (None, "(none)"), (object(), "(none)")):
        assert space["route_of"]({"app": app, **({"endpoint": called} if called else {})}) == route
    assert space["route_of"]({}) == "(none)"
    mounted = {"route": Made(path="/items/{number}"), "root_path": "/proxy/shop", "app_root_path": "/proxy"}
    assert space["route_of"](mounted) == "/shop/items/{number}"


def _without_collectors(registry, make):
    """Let recipes register the same names again."""
    for collector in list(registry._collector_to_names):
        if any(name.startswith("http_request") for name in registry._collector_to_names[collector]):
            registry.unregister(collector)
    make()


def _matches_the_rules(text):
    assumed, meters = Instruments(), instruments_of(text)
    assert (meters.histogram, meters.counter) == (assumed.histogram, assumed.counter)
    assert (meters.route, meters.method, meters.status) == (assumed.route, assumed.method, assumed.status)
    assert meters.has_bound(250.0)
    assert scrape.parse(text)[1] == 0
