"""Production's traffic: plans from access logs and HAR files, its mix and its peak against load tests."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
import math
import re
from collections import Counter
from datetime import timedelta

import access_lines
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency, chisquare

import perflab as lab
from perflab.loadtest import compare_mix, compare_with_peak, read_traffic
from perflab.loadtest.capacity import Capacity
from perflab.loadtest.due import due_times
from perflab.loadtest.traffic_counts import harmless
from perflab.notes import codes
from perflab.objectives import Objective

COUNT = 4000


@pytest.fixture(scope="module", params=sorted(access_lines.DIALECTS))
def logged(request, tmp_path_factory):
    """(the requests, the path of their log) in one dialect."""
    seed = sorted(access_lines.DIALECTS).index(request.param)
    asked = list(access_lines.traffic(COUNT, seed, per_s=7.0))
    path = tmp_path_factory.mktemp("logs") / "access.log"
    path.write_text("".join(access_lines.DIALECTS[request.param](r) + "\n" for r in asked))
    return asked, path


def route_of(target: str) -> str:
    path = target.partition("?")[0]
    for pattern, route in (
        (r"/orders/\d+", "/orders/{}"), (r"/products/\d+/offer", "/products/{}/offer"), (r"/carts/\w+", "/carts/{}"),
        (r"/users/\w+/avatar.png", "/users/{}/avatar.png"), (r"/blog/[\w-]+", "/blog/{}"),
    ):  # fmt: skip
        if re.fullmatch(pattern, path):
            return route
    return path


def tasks_of(source: str) -> dict[str, int]:
    """The weight of each endpoint in a locustfile that perflab wrote."""
    found: Counter[str] = Counter()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.decorator_list and isinstance(node.decorator_list[0], ast.Call):
            weight = node.decorator_list[0].args[0].value
            for call in ast.walk(node):
                if (
                    isinstance(call, ast.Call)
                    and getattr(call.func, "attr", "") == "send"
                    and call.args[0].__class__ is ast.Constant
                ):
                    found[f"{call.args[0].value} {call.args[1].value}"] += weight
    return found


SAFE = ("GET", "HEAD", "OPTIONS")


def test_a_plan_repeats_the_mix_and_the_arrivals_of_its_log(logged, tmp_path):
    asked, path = logged
    plan = lab.LoadPlan.from_access_log(path, tmp_path / "production.py", seed=5)
    truth = Counter(f"{r.method} {route_of(r.target)}" for r in asked if r.method in SAFE)
    weights = tasks_of((tmp_path / "production.py").read_text())
    assert weights.keys() == truth.keys()
    for endpoint, count in truth.items():
        assert abs(weights[endpoint] / sum(weights.values()) - count / truth.total()) < 0.02, endpoint
    first = min(r.at for r in asked).replace(second=0, microsecond=0)
    minutes = Counter((r.at - first) // timedelta(minutes=1) for r in asked if r.method in SAFE)
    made = Counter(int(t // 60) for t in due_times(plan.record()["stages"], poisson=plan.arrivals == "poisson", seed=5))
    whole = sorted(minutes)
    assert sorted(made) == whole
    log, load = np.array([minutes[m] for m in whole]), np.array([made[m] for m in whole])
    # The log and the plan's arrivals are two samples of the same rates.
    assert chi2_contingency([log, load]).pvalue > 0.01
    assert abs(plan.expected_arrivals - truth.total()) < 0.02 * truth.total()
    expected = log.sum() * np.array([s.amount * s.duration_s for s in plan.all_stages]) / plan.expected_arrivals
    assert chisquare(log, expected).pvalue > 0.01


def test_only_what_changes_nothing_is_repeated_unless_allowed(logged, tmp_path):
    asked, path = logged
    safe = lab.LoadPlan.from_access_log(path, tmp_path / "safe.py")
    assert "methods-left-out" in codes(safe.not_taken)
    assert not {"POST", "DELETE"} & {e.split()[0] for e in tasks_of((tmp_path / "safe.py").read_text())}
    allowed = lab.LoadPlan.from_access_log(path, tmp_path / "all.py", methods=("GET", "HEAD", "POST", "DELETE"))
    assert "methods-left-out" not in codes(allowed.not_taken)
    assert "POST /carts/{}" in tasks_of((tmp_path / "all.py").read_text())
    assert allowed.expected_arrivals == pytest.approx(len(asked))


def test_no_secret_and_no_client_gets_into_the_locustfile(logged, tmp_path):
    _, path = logged
    plan = lab.LoadPlan.from_access_log(path, tmp_path / "production.py")
    text = (tmp_path / "production.py").read_text() + repr(plan) + json.dumps(plan.record(), default=str)
    assert "T0k" not in text
    assert "203.0.113" not in text
    assert "/login?user=" in text
    plan.found_locustfile()


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/a?page=2", "/a?page=2"),
        ("/a?page=2&api_key=1", "/a?page=2"),
        ("/a?email=anna%40example.org", "/a"),
        ("/a?state=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0", "/a"),
        ("/a?code=4/0Adeu5BXhR7qq9sZ", "/a"),
        ("/a?q=" + "x" * 80, "/a"),
        ("/reset/password/k3J9sLq2", None),
        ("/verify-email/MTIz/c8k2d1-0123", None),
        ("/invite/Ab3dEf6hIj9kLm2n", None),
        ("/users/anna@example.org", None),
        ("/users/anna%40example.org/orders", None),
        ("/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u/send", None),
        ("/a?h=9f86d081884c7d659a2feaa0c55ad015", "/a"),
        ("/a?code=abcdef&ticket=ST-1&nonce=1&mobile=1", "/a"),
        ("/a?filter[token]=hunter2&user%5Bpassword%5D=hunter2&filter[size]=3", "/a?filter[size]=3"),
        (
            "/a?id=3f2a9c81-de0b-4f6a-9c81-de0b4f6a9c81&country_code=DE",
            "/a?id=3f2a9c81-de0b-4f6a-9c81-de0b4f6a9c81&country_code=DE",
        ),
        ("/reset/jquery-3.6.0.min.js", "/reset/jquery-3.6.0.min.js"),
        ("/npm/react@18.2.0/react.js", "/npm/react@18.2.0/react.js"),
        ("/orders/17/confirm", "/orders/17/confirm"),
        ("https://shop.example:443/a?b=1", "/a?b=1"),
        ("/a b?c=d e", "/a%20b?c=d%20e"),
        ("/caf\\xC3\\xA9", "/caf%C3%A9"),
        ("*", None),
    ],
)
def test_addresses_lose_their_secrets(target, kept):
    assert harmless(target) == kept


def log(tmp_path, lines, name="access.log"):
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def line(at, target="/a", method="GET", status=200, client="203.0.113.9"):
    moment = access_lines.BEGIN + timedelta(seconds=at)
    return access_lines.combined(access_lines.Request(moment, method, target, status, 100, 10.0, client))


def test_quiet_minutes_and_rotated_logs_are_counted(tmp_path):
    log(tmp_path, [line(0), line(1), line(301)], "a.log.1")
    log(tmp_path, [line(480)], "a.log")
    found = read_traffic(sorted(tmp_path.glob("a.log*")))
    assert found.arrivals["requests"].to_list() == [2, 0, 0, 0, 0, 1, 0, 0, 1]
    assert found.peak_per_s == pytest.approx(2 / 60)


def test_an_hour_of_another_year_costs_no_memory_and_is_named(tmp_path):
    lines = [line(n) for n in range(40)] + [line(n).replace("2026", "1999") for n in range(3)]
    found = read_traffic(log(tmp_path, lines))
    assert found.arrivals["requests"].sum() == 40
    assert "stray-times" in codes(found.warnings)


@pytest.mark.parametrize(("even", "arrivals"), [(True, "constant"), (False, "poisson")])
def test_arrivals_are_as_even_as_the_logs(even, arrivals, tmp_path):
    at = np.arange(0, 600, 0.1) if even else np.sort(np.random.default_rng(1).uniform(0, 600, 6000))
    plan = lab.LoadPlan.from_access_log(log(tmp_path, [line(float(t)) for t in at]), tmp_path / "p.py")
    assert plan.arrivals == arrivals


def test_think_times_are_those_between_requests_of_one_client(tmp_path):
    visits = [line(10 * n + c * 1000, client=f"203.0.113.{c}") for c in range(4) for n in range(20)]
    found = read_traffic(log(tmp_path, visits))
    assert found.clients == 4
    assert found.think_ms == (10_000, 10_000, 10_000)
    lab.LoadPlan.from_access_log(found, tmp_path / "p.py")
    mean = float(re.search(r"lognormvariate\(([\d.]+)", (tmp_path / "p.py").read_text())[1])
    assert math.exp(mean) == pytest.approx(10, rel=0.01)


def test_the_busiest_part_and_a_scale(tmp_path):
    lines = [line(60 * m + s * 60 / n) for m, n in enumerate([5, 5, 20, 40, 10, 5, 5]) for s in range(n)]
    plan = lab.LoadPlan.from_access_log(log(tmp_path, lines), tmp_path / "p.py", length="2m", scale=3)
    assert [stage.amount for stage in plan.all_stages] == pytest.approx([1.0, 2.0])


def test_usual_errors_count_as_expected_and_rare_endpoints_stay(tmp_path):
    lines = [line(n, f"/{a}{b}{c}") for n, (a, b, c) in enumerate(itertools.product("abcd", repeat=3))]
    lines += [line(n, "/gone", status=404) for n in range(300)]
    lab.LoadPlan.from_access_log(log(tmp_path, lines), tmp_path / "p.py")
    text = (tmp_path / "p.py").read_text()
    assert "expected=(404,)" in text
    assert "'/ddd'" in text
    compile(text, "p.py", "exec")


@pytest.mark.parametrize("status", [408, 429, 499, 500, 503, 504])
def test_errors_of_an_overloaded_server_stay_failures(status, tmp_path):
    """A plan that expects them would find a capacity at which every request fails."""
    lines = [line(n, "/a", status=status if n % 10 == 0 else 200) for n in range(100)]
    lab.LoadPlan.from_access_log(log(tmp_path, lines), tmp_path / "p.py")
    assert "expected=(" not in (tmp_path / "p.py").read_text()


def test_every_endpoint_has_a_task_of_its_own(tmp_path):
    paths = ("/v1/items", "/v1-items", "/v1_items", "/v1/items-2", "/v1/items-3", "/V1/items", "/v1/items_2")
    lab.LoadPlan.from_access_log(log(tmp_path, [line(n, p) for n in range(30) for p in paths]), tmp_path / "p.py")
    names = re.findall(r"def (get_\w+)\(", (tmp_path / "p.py").read_text())
    assert len(names) == len(set(names)) == len(paths)


def test_an_edited_locustfile_is_not_replaced(tmp_path):
    path = log(tmp_path, [line(0)])
    lab.LoadPlan.from_access_log(path, tmp_path / "p.py")
    lab.LoadPlan.from_access_log(path, tmp_path / "p.py")
    (tmp_path / "p.py").write_text("# mine")
    with pytest.raises(ValueError, match="exists already"):
        lab.LoadPlan.from_access_log(path, tmp_path / "p.py")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scale": 0}, ValueError),
        ({"methods": ("PATCH",)}, ValueError),
        ({"length": "x"}, ValueError),
        ({"length": -5}, ValueError),
        ({"length": "0s"}, ValueError),
        ({"routes": ["a"]}, ValueError),
    ],
)
def test_bad_arguments_are_refused(tmp_path, change, error):
    with pytest.raises(error):
        lab.LoadPlan.from_access_log(log(tmp_path, [line(0)]), tmp_path / "p.py", **change)


def test_what_is_no_access_log_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n0.1,0,0,0,0,0,200,0\n"
    )
    with pytest.raises(lab.FormatError, match="access log"):
        read_traffic(path)


def test_routes_that_are_given_come_first(tmp_path):
    found = read_traffic(log(tmp_path, [line(0, "/blog/a-post"), line(1, "/blog/another")]), routes=["/blog/{slug}"])
    assert found.table["endpoint"].to_list() == ["GET /blog/{slug}"]


def test_a_log_without_durations_has_no_latencies_and_says_so(tmp_path):
    path = log(tmp_path, [line(n) for n in range(5)])
    with pytest.raises(lab.FormatError) as refused:
        lab.read(path)
    assert refused.value.args[0].code == "no-durations"


def test_production_before_and_after_a_deploy(tmp_path):
    rows = list(access_lines.traffic(3000, 3))
    late = timedelta(days=1)
    slower = [dataclasses.replace(r, at=r.at + late, ms=1.5 * r.ms) for r in rows]
    before = lab.read(log(tmp_path, map(access_lines.nginx_json, rows), "before.log"), arm="before")
    after = lab.read(log(tmp_path, map(access_lines.nginx_json, slower), "after.log"), arm="after")
    assert "observational" in codes(before.warnings)
    change = lab.compare(before, after, metric="p50")
    assert change.verdict == "inconclusive"
    assert "observational" in codes(change.warnings)
    row = change.table.set_index("endpoint").loc["GET /orders"]
    assert row["change"] == pytest.approx(0.5, abs=0.02)


def requests(shares, count=2000):
    names = [name for name, share in shares.items() for _ in range(round(share * count))]
    start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(names)) / 10, unit="s")
    return lab.Measurements.of(
        requests=pd.DataFrame({"run": "r", "endpoint": names, "start": start, "latency_ms": 1.0, "ok": True})
    )


def test_the_mix_of_a_run_beside_productions(tmp_path):
    lines = (
        [line(n, "/a") for n in range(60)]
        + [line(n, f"/b/{n}") for n in range(40)]
        + [line(n, method="POST") for n in range(10)]
    )
    traffic = read_traffic(log(tmp_path, lines))
    same = compare_mix(requests({"GET /a": 0.6, "GET /b/[id]": 0.4}), traffic)
    assert same.largest < 1e-9
    assert same.p_value > 0.99
    assert codes(same.warnings) == ("other-methods",)
    other = compare_mix(requests({"GET /a": 0.9, "GET /c": 0.1}), traffic)
    assert other.largest == pytest.approx(0.4)
    assert other.p_value < 1e-6
    assert {"not-sent", "not-in-production"} <= set(codes(other.warnings))


@pytest.mark.parametrize(
    "name", ["/b/17", "/b/[id]", "/b/<int:id>", "/b/:id", "/b/{id}/", "/b/17?full=1", "http://127.0.0.1:8001/b/3"]
)
def test_endpoints_of_a_run_are_named_like_productions(name, tmp_path):
    traffic = read_traffic(log(tmp_path, [line(n, f"/b/{n}?page={n}") for n in range(60)]))
    assert compare_mix(requests({f"GET {name}": 1.0}), traffic).largest == 0.0


def test_production_peaks_at_a_share_of_capacity(tmp_path):
    traffic = read_traffic(log(tmp_path, [line(n / 10) for n in range(6000)]))
    goals = (Objective("p95", "<", "200ms"),)
    found = compare_with_peak(Capacity(20.0, 24.0, pd.DataFrame(), goals, None, "", ""), traffic)
    assert found.fraction == pytest.approx(0.5, rel=0.01)
    bound = compare_with_peak(Capacity(20.0, math.inf, pd.DataFrame(), goals, None, "", ""), traffic)
    assert "capacity-not-bracketed" in codes(bound.warnings)
    assert compare_with_peak(Capacity(0.0, 10.0, pd.DataFrame(), goals, None, "", ""), traffic).fraction == math.inf
    soak = requests({"GET /a": 1.0}, 4000)
    assert compare_with_peak(lab.stats.growth(soak), traffic).rate_per_s == pytest.approx(10, rel=0.01)


# HAR


def entry(at_ms, url, method="GET", took_ms=50.0, body=None):
    moment = access_lines.BEGIN + timedelta(milliseconds=at_ms)
    asked = {"method": method, "url": url, "headers": [{"name": "Cookie", "value": "sid=hunter2"}]}
    asked |= {"postData": {"mimeType": "application/json", "text": body}} if body else {}
    return {"startedDateTime": moment.isoformat(), "time": took_ms, "request": asked, "response": {"status": 200}}


def har(tmp_path, *entries):
    path = tmp_path / "visit.har"
    path.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": list(entries)}}))
    return path


VISIT = (
    entry(0, "https://shop.example/orders?page=2&token=hunter2"),
    entry(60, "https://shop.example/app.js"),
    entry(61, "https://shop.example/app.css"),
    entry(62, "https://cdn.example/font.woff"),
    entry(63, "data:image/png;base64,AAAA"),
    entry(4000, "https://shop.example/carts/17", "POST", body='{"product": 3}'),
    entry(9000, "https://shop.example/orders/17"),
)


def test_a_recorded_visit_keeps_its_pauses_and_parallel_requests(tmp_path):
    plan = lab.LoadPlan.from_har(har(tmp_path, *VISIT), tmp_path / "visit.py", stages=lab.Stage("10s", users=2))
    text = (tmp_path / "visit.py").read_text()
    plan.found_locustfile()
    assert codes(plan.not_taken) == ("other-hosts", "methods-left-out")
    assert "hunter2" not in text
    assert "cdn.example" not in text.split('"""')[2]
    assert text.count("gevent.spawn") == 2
    assert "gevent.sleep(8.9)" in text
    assert "name='/orders/{}'" in text


def test_a_visit_that_may_change_data_sends_its_bodies(tmp_path):
    plan = lab.LoadPlan.from_har(
        har(tmp_path, *VISIT), tmp_path / "visit.py", stages=lab.Stage("10s", users=2), methods=("GET", "POST")
    )
    assert codes(plan.not_taken) == ("other-hosts",)
    assert "data='{\"product\": 3}'" in (tmp_path / "visit.py").read_text()


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ('{"product": 3}', True),
        ("user=anna&password=hunter2", False),
        ('{"user": "anna", "pin": "hunter2"}', False),
        ('--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--x--', False),
        ('--x\r\nContent-Disposition: form-data; name="size"\r\n\r\n3\r\n--x--', True),
        ('{"to": "anna@example.org"}', False),
    ],
)
def test_bodies_and_paths_with_secrets_are_left_out_and_counted(body, kept, tmp_path):
    recorded = har(
        tmp_path,
        entry(0, "https://shop.example/a", "POST", body=body),
        entry(500, "https://shop.example/reset/hunter2abc"),
    )
    plan = lab.LoadPlan.from_har(
        recorded, tmp_path / "visit.py", stages=lab.Stage("10s", users=2), methods=("GET", "POST")
    )
    text = (tmp_path / "visit.py").read_text()
    plan.found_locustfile()
    assert "hunter2" not in text and "anna@" not in text
    assert ("data=" in text) == kept
    (note,) = plan.not_taken
    assert (note.code, note.facts["addresses"], note.facts["bodies"]) == ("secrets-left-out", 1, int(not kept))


def test_fields_of_a_form_are_its_body(tmp_path):
    posted = entry(0, "https://shop.example/a", "POST")
    posted["request"]["postData"] = {
        "mimeType": "application/x-www-form-urlencoded", "params": [{"name": "size", "value": "3 4"}],
    }  # fmt: skip
    lab.LoadPlan.from_har(
        har(tmp_path, posted), tmp_path / "visit.py", stages=lab.Stage("10s", users=2), methods="POST"
    )
    assert "data='size=3+4'" in (tmp_path / "visit.py").read_text()


def test_requests_without_a_readable_time_are_counted(tmp_path):
    row = '{"time": TIME, "method": "get", "path": "/a", "status": 200}'
    times = ["1764410400000000000", "1764410401000000000", '"soon"', "1764410402000000000"]
    (tmp_path / "a.log").write_text("".join(row.replace("TIME", time) + "\n" for time in times))
    found = read_traffic(tmp_path / "a.log")
    assert (found.requests, found.table["endpoint"].to_list()) == (3, ["GET /a"])
    assert found.arrivals["start"].iloc[0].isoformat() == "2025-11-29T10:00:00+00:00"
    assert codes(found.warnings) == ("skipped",)


def test_what_is_no_har_is_refused(tmp_path):
    for text in ("{}", "[]", "x", '{"log": {"entries": []}}'):
        (tmp_path / "x.har").write_text(text)
        with pytest.raises(lab.FormatError):
            lab.LoadPlan.from_har(tmp_path / "x.har", tmp_path / "v.py", stages=lab.Stage("1s", users=1))
