"""Plans: what is possible, what is said of it, k6's options, the usual shapes, addresses instead of a locustfile."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from driving import USERS
from hypothesis import given
from hypothesis import strategies as st

import perflab as lab
from perflab.loadtest.due import due_times
from perflab.loadtest.histogram import Histogram
from perflab.loadtest.script_object import options_of
from perflab.loadtest.shapes import SHAPES


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: lab.Stage("-3s", users=1), "longer than zero; got '-3s'"),
        (lambda: lab.Stage(0, users=1), "longer than zero"),
        (lambda: lab.Stage("1s", users=1, rate=2), "either users=50 (closed model) or rate=200 (open model); got both"),
        (lambda: lab.Stage("1s"), "got neither"),
        (lambda: lab.Stage("1s", users=-1), "whole number, 0 or more; got -1"),
        (lambda: lab.Stage("1s", users=1.5), "whole number"),
        (lambda: lab.Stage("1s", rate=float("nan")), "0 or more arrivals"),
        (lambda: lab.Stage("10s", users=100, spawn_rate=1), "take longer than the stage"),
        (lambda: lab.Stage("1s", rate=1, spawn_rate=1), "set their own pace"),
        (lambda: plan(stages=[]), "one Stage or more"),
        (lambda: plan(stages=[lab.Stage(1, users=1), lab.Stage(1, rate=1)]), "all have users"),
        (lambda: plan(stages=lab.Stage(1, users=0)), "no request would be made"),
        (lambda: plan(workers=0), "workers must be 1 or more; got 0"),
        (lambda: plan(timeout="20s"), "must be longer than timeout"),
        (lambda: plan(warmup="1m"), "warmup must be at most 90%"),
        (lambda: plan(arrivals="random"), "must be one of 'constant', 'poisson'; got 'random'"),
        (lambda: plan(user_classes={"A": 0}), "weight of user class 'A' must be above 0"),
        (lambda: plan(headers={"A": "1\r\nB: 2"}), "headers must be single-line texts"),
        (lambda: plan(objectives="p95 is fine"), "p95 is fine"),
        (
            lambda: plan(objectives=lab.Objective("p95", "<", "1s", endpoint="GET /", abort=True)),
            "an objective that aborts a run must be about",
        ),
        (lambda: lab.Url("http://elsewhere/"), 'path must begin with "/"'),
        (lambda: lab.Url("//elsewhere/"), 'path must begin with "/"'),
        (lambda: lab.Url("/", weight=0), "whole number from 1 to 1000"),
        (lambda: lab.Url("/", status=42), "status must be from 100 to 599"),
        (lambda: lab.Url("/", method="BREW"), "method must be one of"),
        (lambda: lab.LoadPlan.from_urls([], stages=lab.Stage(1, users=1)), "one address or more"),
        (lambda: lab.shape("gentle", users=1), "must be one of 'smoke', 'average load'"),
        (lambda: lab.shape("stress"), "give the peak load of a 'stress' test"),
    ],
)
def test_an_impossible_plan_says_why(made: object, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        made()


def plan(**options: object) -> lab.LoadPlan:
    return lab.LoadPlan(USERS, **{"stages": lab.Stage("10s", users=2), **options})


def test_a_plan_is_a_sentence() -> None:
    mixed = plan(
        stages=lab.shape("spike", users=50, duration="3m"),
        user_classes={"Buyer": 1, "Visitor": 9},
        objectives=["error rate < 1%", lab.Objective("p95", "<", "1s", abort=True)],
    )
    assert str(mixed) == (
        "users.py (1 Buyer, 9 Visitor): to 50 users over 2 min, then to 0 users over 1 min; "
        "the first 10 % are warm-up; stops unless p95 of all requests < 1 s"
    )
    assert plan(user_classes="Visitor").user_classes == ("Visitor",)


def test_credentials_are_not_kept_with_the_plan() -> None:
    secret = lab.LoadPlan.from_urls(
        [lab.Url("/a?token=hunter2", body="password=hunter2", headers={"Authorization": "Bearer hunter2"})],
        stages=lab.Stage(1, users=1),
        headers={"Cookie": "session=hunter2"},
    )
    other = lab.LoadPlan.from_urls(
        [lab.Url("/a?token=hunter3")], stages=lab.Stage(1, users=1), headers={"Cookie": "session=hunter2"}
    )
    assert "hunter" not in json.dumps(secret.record())
    # Two plans that differ only in what is hidden are told apart all the same.
    assert secret.record() != other.record()


@pytest.mark.parametrize("name", SHAPES)
def test_usual_shapes(name: str) -> None:
    stages = lab.shape(name, users=60, duration="49m")
    assert sum(s.duration_s for s in stages) == pytest.approx(49 * 60)
    assert max(s.users for s in stages) == 60
    assert sum(s.duration_s for s in lab.shape(name, rate=10)) == pytest.approx(SHAPES[name][0])
    if name in ("average load", "stress", "spike", "soak"):
        assert stages[-1].users == 0


SCRIPT = """
import http from 'k6/http';
const text = "export const nothing = {";
// export let options = { vus: 1, duration: '1s' };
export const options = {
  /* up, hold,
     down */
  stages: [
    { duration: '2m', target: 100 }, // up
    { "duration": "5m", target: 100, },
    { duration: '0', target: 10 },
    { duration: `1m`, target: 0 },
  ],
  thresholds: {
    http_req_duration: ['p(95)<500', { threshold: 'avg < 2e2', abortOnFail: true, delayAbortEval: '10s' }],
    http_req_failed: ['rate<0.01'],
    'http_req_duration{name:GET /orders}': ['p(99.9)<=1_000'.length ? 'x' : 'y'],
  },
};
export default function () { http.get('https://test.k6.io'); }
"""


def test_a_script_is_read_and_never_run() -> None:
    plain = SCRIPT.replace("'p(99.9)<=1_000'.length ? 'x' : 'y'", "'p(99.9)<=1000'")
    found = lab.LoadPlan.from_k6(USERS, plain)
    assert [(s.duration_s, s.users, s.ramp) for s in found.stages] == [
        (120, 100, True),
        (300, 100, False),
        (0.001, 10, False),
        (60, 0, True),
    ]
    assert list(map(str, found.objectives)) == [
        "p95 (linear quantile) of all requests < 500 ms",
        "mean latency of all requests < 200 ms",
        "error rate of all requests < 1 %",
        "p99.9 (linear quantile) of GET /orders <= 1 s",
    ]
    assert [(o.abort, o.delay_ms, o.method) for o in found.objectives[:2]] == [
        (False, 0.0, "linear"),
        (True, 10_000.0, "linear"),
    ]
    computed = lab.LoadPlan.from_k6(USERS, SCRIPT)
    assert (computed.stages, computed.objectives) == (found.stages, found.objectives[:3])
    note, script = computed.not_taken
    assert (script.code, script.facts["requests"]) == ("k6-script-not-taken", 1)
    assert (note.code, note.facts["metric"]) == ("k6-threshold-not-taken", "http_req_duration{name:GET /orders}")
    assert "'p(99.9)<=1_000'.length" in str(note)
    assert "line 17" in str(note)


def scenario(**one: object) -> dict[str, object]:
    return {"scenarios": {"shop": one}}


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ({"vus": 5, "duration": "30s"}, [lab.Stage(30.0, users=5)]),
        ('{"duration": "90s"}', [lab.Stage(90.0, users=1)]),
        (scenario(executor="constant-vus", vus=7, duration="1m"), [lab.Stage(60.0, users=7)]),
        (
            scenario(executor="ramping-vus", startVUs=10, stages=[{"duration": "10s", "target": 20}]),
            [lab.Stage(0.001, users=10), lab.Stage(10.0, users=20, ramp=True)],
        ),
        (
            scenario(executor="ramping-vus", startVUs=10, stages=[{"duration": "10s", "target": 10}]),
            [lab.Stage(10.0, users=10)],
        ),
        (
            scenario(executor="constant-arrival-rate", rate=600, timeUnit="1m", duration="1m", preAllocatedVUs=9),
            [lab.Stage(60.0, rate=10.0)],
        ),
        (
            scenario(
                executor="ramping-arrival-rate",
                startRate=60,
                timeUnit="1m",
                preAllocatedVUs=1,
                stages=[{"duration": 1500, "target": 120}, {"duration": "1s", "target": 120}],
            ),
            [lab.Stage(0.001, rate=1.0), lab.Stage(1.5, rate=2.0, ramp=True), lab.Stage(1.0, rate=2.0)],
        ),
    ],
)
def test_executors_of_k6(options: object, stages: list[lab.Stage]) -> None:
    assert list(lab.LoadPlan.from_k6(USERS, options).stages) == stages


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"vus": 1, "iterations": 10}, "options.iterations: a plan has a duration, not 10 iterations"),
        ({"duration": "1s", "rps": 10}, "options.rps: not supported by a plan; got 10"),
        ({"duration": "1s", "stages": [{"duration": "1s", "target": 1}]}, "stages and duration both define the load"),
        ({"vus": 3}, "expected stages, scenarios, or duration"),
        (
            {"scenarios": {name: {"executor": "constant-vus", "duration": "1s"} for name in "ab"}},
            "options.scenarios: 'a', 'b' run concurrently in k6",
        ),
        (scenario(executor="shared-iterations", vus=1), "scenarios.shop.executor: perflab can do constant-vus"),
        (scenario(executor="constant-vus", vus=1), "constant-vus needs duration"),
        ({"duration": "-1s"}, "options.duration"),
        ({"duration": "1s", "vus": 1.5}, "options.vus: expected a whole number"),
        ({"stages": [{"duration": "1s"}]}, "stages[0]: expected {duration, target}"),
        (
            {"duration": "1s", "thresholds": {"checks": [{"threshold": "rate>0.9", "abortOnFail": True}]}},
            "an objective that aborts a run",
        ),
        ("export const options = { vus: 10 * 2, duration: '1s' };", "options.vus: can't resolve '10 * 2' (line 1)"),
        (
            "export const options = { vus: __ENV.VUS, duration: '1s' };",
            "options.vus: can't resolve '__ENV.VUS' (line 1)",
        ),
        ("export const options = { vus: `${x}`, duration: '1s' };", "options.vus: can't resolve '`${x}`' (line 1)"),
        ("export const options = { duration: '1s', rps: __ENV.R };", "got '__ENV.R' (line 1), which can't be resolved"),
        ("export const options = { vus: 1", "expected a comma or '}', found 'the end'"),
        ("export const options = " + "{a:" * 60, "at most 40 levels"),
        ("console.log(1)", "at its top level; found neither"),
        ("{} trailing", "expected the end of the options"),
    ],
)
def test_what_cannot_be_honoured_is_named(options: object, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        lab.LoadPlan.from_k6(USERS, options)


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (
            scenario(executor="constant-vus", vus=1, duration="1s", exec="buy"),
            "k6-option-not-taken",
            "scenarios.shop.exec was not taken: what the users do is in the locustfile",
        ),
        (
            scenario(executor="constant-vus", vus=1, duration="1s", startTime="5s"),
            "k6-option-not-taken",
            "scenarios.shop.startTime was not taken: a plan starts at once",
        ),
        (
            scenario(executor="constant-vus", vus=1, duration="1s", gracefulStop="0s"),
            "k6-option-not-taken",
            "scenarios.shop.gracefulStop was not taken: '0s' would cut off the slowest",
        ),
        (
            {"duration": "1s", "thresholds": {"my_trend": ["p(95)<1"]}},
            "k6-threshold-not-taken",
            "perflab does not measure my_trend",
        ),
        (
            {"duration": "1s", "thresholds": {"http_req_duration": ["p(95) is 1"]}},
            "k6-threshold-not-taken",
            "expected 'aggregation operator number'",
        ),
        (
            {"duration": "1s", "thresholds": {"http_req_duration{status:200}": ["avg<1"]}},
            "k6-threshold-not-taken",
            "perflab keeps no tag 'status'",
        ),
    ],
)
def test_what_is_not_taken_is_named_and_the_rest_is_a_plan(options: object, code: str, named: str) -> None:
    found = lab.LoadPlan.from_k6(USERS, options)
    assert (list(found.stages), found.objectives) == ([lab.Stage(1.0, users=1)], ())
    [note] = found.not_taken
    assert note.code == code
    assert named in str(note)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_json_is_read_as_json(value: dict[str, object]) -> None:
    assert options_of(json.dumps(value)) == value
    assert options_of("export const options = " + json.dumps(value, indent=1, ensure_ascii=False) + ";") == value


@given(st.text(alphabet="{}[]:,'\"`\\/*$aeopt ions=1.\n", max_size=60))
def test_any_text_is_an_object_or_a_clear_error(text: str) -> None:
    try:
        assert isinstance(options_of(text), dict)
    except ValueError as problem:
        assert str(problem).startswith("options: ")


def stage(duration: float, rate: float, ramp: bool) -> dict[str, object]:
    return {"duration_s": duration, "rate": rate, "ramp": ramp}


@given(st.lists(st.builds(stage, st.floats(0.1, 20), st.floats(0, 50), st.booleans()), min_size=1, max_size=4))
def test_constant_arrivals_follow_the_rate(stages: list[dict[str, float]]) -> None:
    """The number due by any time is the integral of the rate, to half an arrival."""
    times = np.array(list(due_times(stages, poisson=False, seed=None)))
    assert (np.diff(times) >= 0).all()
    begin = count = before = 0.0
    for one in stages:
        count += one["duration_s"] * ((before + one["rate"]) / 2 if one["ramp"] else one["rate"])
        begin, before = begin + one["duration_s"], one["rate"]
        assert abs((times < begin + 1e-9).sum() - count) <= 0.5 + 1e-6


def test_poisson_arrivals_are_poisson() -> None:
    """Gaps of a constant rate are exponential: mean and standard deviation alike; and a seed repeats them."""
    stages = [stage(2000.0, 10.0, False)]
    gaps = np.diff(list(due_times(stages, poisson=True, seed=4)))
    assert len(gaps) == pytest.approx(20_000, abs=4 * np.sqrt(20_000))
    assert gaps.mean() == pytest.approx(0.1, rel=0.03)
    assert gaps.std() == pytest.approx(0.1, rel=0.04)
    assert list(due_times(stages, poisson=True, seed=4))[:50] == list(due_times(stages, poisson=True, seed=4))[:50]


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=300), st.floats(0.01, 0.99))
def test_a_spread_knows_quantiles_to_a_per_cent(values: list[float], share: float) -> None:
    whole, parts = Histogram(), Histogram()
    array = np.array(values)
    whole.add(array)
    for part in np.array_split(array, 3):
        parts.add(part)
    found = whole.quantile(share)
    assert found == pytest.approx(parts.quantile(share), rel=1e-9)
    assert found == pytest.approx(np.quantile(array, share, method="inverted_cdf"), rel=0.011)
    assert whole.above(0.0, lambda v: v) == pytest.approx(array.sum(), rel=1e-9)
    assert whole.largest == array.max()


def test_the_plot_shows_the_corners_of_the_load() -> None:
    stages = [lab.Stage(20, users=50, spawn_rate=5), lab.Stage(30, users=80), lab.Stage(10, users=10, ramp=True)]
    drawn = lab.plot_load(plan(stages=stages, warmup="6s"))
    corners = [(0, 0), (0, 0), (10, 50), (20, 50), (20, 80), (50, 80), (60, 10)]
    assert drawn.lines[0].get_xydata().tolist() == [[float(x), float(y)] for x, y in corners]
    assert drawn.get_xlabel() == "Time since the run's start, s"
    open_model = lab.plot_load(plan(stages=lab.shape("breakpoint", rate=100, duration="2h")))
    assert (open_model.get_ylabel(), open_model.get_xlim()) == ("Arrivals/s", (0.0, 120.0))
    with pytest.raises(ValueError, match="must be a LoadPlan; got str"):
        lab.plot_load("users.py")
