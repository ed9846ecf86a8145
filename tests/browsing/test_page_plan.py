"""Plans of pages: what is accepted, what is refused by name, and what a record holds."""

from __future__ import annotations

import json

import pytest

import perflab as lab

BAD = [
    ({"pages": []}, "at least one page"),
    ({"pages": "offers"}, "must be paths"),
    ({"pages": "http://bob:hunter2@h/offers?token=1"}, "must be paths"),
    ({"pages": "/", "visits": 0}, "visits"),
    ({"pages": "/", "visits": True}, "visits"),
    ({"pages": "/", "cpu": 0.5}, "cpu"),
    ({"pages": "/", "cpu": float("nan")}, "cpu"),
    ({"pages": "/", "viewport": (0, 800)}, "viewport"),
    ({"pages": "/", "network": "5g"}, "network must be one of"),
    ({"pages": "/", "network": {"speed": 1}}, "network must be one of"),
    ({"pages": "/", "network": {}}, "network"),
    ({"pages": "/", "network": {"latency_ms": -1}}, "network"),
    ({"pages": "/", "timeout": 0}, "timeout"),
    ({"pages": {"/": ("click", "#buy")}}, "must be a list of pairs"),
    ({"pages": {"/": [("tap", "#buy")]}}, "must be one of"),
    ({"pages": {"/": [("click",)]}}, 'must be \\("click"'),
    ({"pages": {"/": [("fill", "#name")]}}, 'must be \\("fill"'),
    ({"pages": {"/": [("wait", "5 parsecs")]}}, "wait"),
    ({"pages": {"/": [("scroll", "far")]}}, "scroll"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_a_bad_plan_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=f"PagePlan: .*{message}") as caught:
        lab.PagePlan(**given)
    assert "hunter2" not in str(caught.value)


def test_paths_alone_are_a_plan():
    assert lab.PagePlan("/").steps == lab.PagePlan(["/"]).steps == lab.PagePlan({"/": []}).steps == {"/": ()}


def test_a_record_tells_plans_apart_and_holds_no_secret():
    def plan(text, token="hunter2-1", **more):
        steps = {"/": [("fill", "#pin", text)], "/reset?token=hunter2": []}
        return lab.PagePlan(steps, headers={"Authorization": token}, **more)

    first = plan("hunter2-1")
    assert first.record() == plan("hunter2-1").record()
    for other in (
        plan("else"),
        plan("hunter2-1", "hunter2-2"),
        plan("hunter2-1", cpu=4),
        plan("hunter2-1", network="3g"),
    ):
        assert first.record() != other.record()
    assert "hunter2" not in json.dumps(first.record()) + repr(first) + str(first)
    assert {"hunter2-1"} <= set(first.secrets())


@pytest.mark.parametrize(
    ("plan", "throttling"),
    [
        (lab.PagePlan("/"), "unthrottled/cpu-1"),
        (lab.PagePlan("/", network="slow 4g", cpu=4), "562.5-1440-675/cpu-4"),
        (lab.PagePlan("/", network={"latency_ms": 40, "download_kbit_per_s": 1e4}), "40-10000-10000/cpu-1"),
    ],
)
def test_throttling_is_part_of_the_generators_name(plan, throttling):
    assert plan.throttling == throttling and " " not in throttling
