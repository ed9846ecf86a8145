"""Limits that would hold: they are where `check` changes its mind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import perflab as lab

Make = Callable[..., lab.Measurements]


@pytest.fixture
def eager(make_measurements: Make) -> lab.Measurements:
    return make_measurements(pairs=5, count=900, seed=11).where(arm="eager")


def verdict(runs: lab.Measurements, metric: str, operator: str, limit: float, endpoint: str) -> str:
    return lab.check(runs, lab.Objective(metric, operator, limit, endpoint=endpoint)).verdict


@pytest.mark.parametrize("metric", ["p50", "p95", "mean", "error_fraction"])
@pytest.mark.parametrize("endpoint", ["Aggregated", "GET /orders"])
def test_check_changes_its_mind_at_the_limits(eager: lab.Measurements, metric: str, endpoint: str) -> None:
    fails, holds = lab.objectives.attainable(eager, metric, endpoint, confidences=[0.025, 0.975])["limit"]
    assert fails < holds
    judged = [verdict(eager, metric, "<", limit, endpoint) for limit in (fails * 0.999, fails * 1.001, holds * 0.999)]
    assert judged == ["fails", "inconclusive", "inconclusive"]
    assert verdict(eager, metric, "<", holds * 1.001, endpoint) == "holds"


def test_throughput_is_a_floor(eager: lab.Measurements) -> None:
    table = lab.objectives.attainable(eager, "throughput_per_s")
    assert table["limit"].is_monotonic_decreasing
    limit = table.set_index("confidence")["limit"][0.975]
    assert verdict(eager, "throughput_per_s", ">", limit * 0.999, "Aggregated") == "holds"
    assert verdict(eager, "throughput_per_s", ">", limit * 1.001, "Aggregated") == "inconclusive"


def test_one_run_alone_can_name_a_limit_of_latency(eager: lab.Measurements) -> None:
    one = eager.where(run=eager.runs["run"][0])
    limit = lab.objectives.attainable(one, "p90", confidences=[0.975])["limit"][0]
    assert verdict(one, "p90", "<", limit * 1.001, "Aggregated") == "holds"
    assert verdict(one, "p90", "<", limit * 0.98, "Aggregated") == "inconclusive"
    errors = lab.objectives.attainable(one, "error_fraction")
    assert errors["limit"].isna().all() and errors["reason"].str.len().gt(0).all()


def test_too_few_requests_are_said_to_be_too_few(eager: lab.Measurements) -> None:
    table = lab.objectives.attainable(eager, "p99.9", None, confidences=[0.95])
    assert table["endpoint"].tolist() == ["Aggregated", "GET /orders", "GET /products", "POST /cart"]
    assert table["limit"].isna().all() and table["reason"].str.contains("needs 10,000 requests").all()
    with pytest.raises(ValueError, match="needs 10,000 requests"):
        lab.plots.plot_attainable(eager, "p99.9")


def test_in_the_middle_it_is_the_estimate_and_units_do_not_matter(eager: lab.Measurements) -> None:
    table = lab.objectives.attainable(eager, "p95", confidences=[0.5, 0.9])
    assert table["limit"][0] == pytest.approx(table["measured"][0])
    slower = lab.Measurements.of(
        runs=eager.runs, requests=eager.requests.assign(latency_ms=eager.requests["latency_ms"] * 1000)
    )
    assert np.allclose(lab.objectives.attainable(slower, "p95", confidences=[0.5, 0.9])["limit"], table["limit"] * 1000)


@pytest.mark.parametrize("wrong", [[], [1.0], [0.5, 95]])
def test_confidences_are_shares(eager: lab.Measurements, wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="confidences must be between 0 and 1"):
        lab.objectives.attainable(eager, confidences=wrong)


def test_the_picture_names_the_limit_that_check_would_call_held(eager: lab.Measurements) -> None:
    limit = lab.objectives.attainable(eager, "p95", "GET /orders", confidences=[0.975])["limit"][0]
    ax = lab.plots.plot_attainable(eager, "p95", "GET /orders", limit=limit * 1.5)
    assert f"below {limit:.3g} ms would hold" in ax.get_title(loc="left").replace(".0 ms", " ms")
    assert any(np.isclose(line.get_xdata()[0], limit * 1.5) for line in ax.lines)
