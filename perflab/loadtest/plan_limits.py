"""What a `LoadPlan` must be to be run at all."""

from __future__ import annotations

import math

from perflab.errors import one_of
from perflab.loadtest.abort import can_be_watched
from perflab.loadtest.plan_settings import Settings
from perflab.loadtest.records import secret_of
from perflab.loadtest.stages import Stage, is_number
from perflab.units import format_ms

ARRIVALS = ("constant", "poisson")
_MOST = 1_000_000
"""Users, or arrivals per second: more are a slip ("1e9"), and take the generator's memory before they make a request."""


def must_be_possible(plan: Settings) -> None:
    """Raise a ValueError that names the first parameter which no run could follow."""
    stages = plan.all_stages
    if not stages or not all(isinstance(stage, Stage) for stage in stages):
        raise ValueError(f"LoadPlan: stages must be one Stage or more; got {plan.stages!r}")
    if len({stage.rate is None for stage in stages}) > 1:
        raise ValueError(
            "LoadPlan: stages must all have users (closed model) or all have a rate (open model); got both"
        )
    if max(stage.amount for stage in stages) == 0:
        raise ValueError("LoadPlan: every stage has 0 users or rate 0, so no request would be made")
    if (most := max(stage.amount for stage in stages)) > _MOST:
        raise ValueError(f"LoadPlan: a stage has at most {_MOST:,} users or arrivals per second; got {most!r}")
    if plan.arrivals not in ARRIVALS:
        raise one_of("LoadPlan: arrivals", plan.arrivals, ARRIVALS)
    for goal in plan.goals:
        if goal.abort and not can_be_watched(goal):
            raise ValueError(
                "LoadPlan: an objective that aborts a run must be about latency, errors or throughput of all "
                f"requests, and a bound; got {goal}"
            )
    for name, weight in plan.weights.items():
        if not (is_number(weight) and 0 < weight < math.inf):
            raise ValueError(f"LoadPlan: the weight of user class {name!r} must be above 0; got {weight!r}")
    for header in plan.headers.items():
        if not "".join(header).isprintable():
            raise ValueError(f"LoadPlan: headers must be single-line texts; {header[0]!r} is not")
    _workers_must_be_possible(plan)
    if not 0 < plan.timeout_s < plan.stop_timeout_s:
        raise ValueError(
            f"LoadPlan: stop_timeout ({plan.stop_timeout!r}) must be longer than timeout ({plan.timeout!r}), "
            "or the slowest requests are dropped at the end of the run"
        )
    if not 0 <= plan.warmup_fraction <= 0.9:
        raise ValueError(
            f"LoadPlan: warmup must be at most 90% of the run's {format_ms(plan.duration_s * 1e3)}; got {plan.warmup!r}"
        )


def _workers_must_be_possible(plan: Settings) -> None:
    for name, value in (("workers", plan.workers), ("remote_workers", plan.remote_workers)):
        least = int(name == "workers" and not plan.remote_workers)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"LoadPlan: {name} must be {least} or more; got {value!r}")
    host, colon, port = str(plan.master).rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65535):
        raise ValueError(f'LoadPlan: master must be an address and a port like "0.0.0.0:5557"; got {plan.master!r}')
    if plan.remote_workers and plan.urls:
        raise ValueError("LoadPlan: remote workers need a locustfile; a plan from URLs has none to hand to them")
    if plan.remote_workers:
        secret_of(plan.token, "LoadPlan: token")
    if plan.worker_timeout_s <= 0:
        raise ValueError(f"LoadPlan: worker_timeout must be longer than zero; got {plan.worker_timeout!r}")
