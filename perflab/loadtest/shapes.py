"""The standard types of load test, as stages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perflab.errors import one_of
from perflab.loadtest.stages import Stage
from perflab.units import parse_duration

SHAPES: Mapping[str, tuple[float, tuple[tuple[float, float, bool], ...]]] = MappingProxyType(
    {
        "smoke": (60.0, ((1.0, 1.0, False),)),
        "average load": (2400.0, ((5 / 40, 1.0, True), (30 / 40, 1.0, False), (5 / 40, 0.0, True))),
        "stress": (2700.0, ((10 / 45, 1.0, True), (30 / 45, 1.0, False), (5 / 45, 0.0, True))),
        "spike": (180.0, ((2 / 3, 1.0, True), (1 / 3, 0.0, True))),
        "soak": (29_400.0, ((5 / 490, 1.0, True), (480 / 490, 1.0, False), (5 / 490, 0.0, True))),
        "breakpoint": (7200.0, ((1.0, 1.0, True),)),
    }
)
"""Name -> usual length in seconds, and for each stage its share of the length, its share of the load, and whether it ramps."""


def shape(
    name: str, *, users: int | None = None, rate: float | None = None, duration: str | float | None = None
) -> tuple[Stage, ...]:
    """Make the stages of a standard type of load test.

    Parameters
    ----------
    name : str
        "smoke" (a few users: does it work?), "average load" (up, hold, down), "stress" (the same with more load than
        usual), "spike" (up and straight down), "soak" (hold for hours) or "breakpoint" (up until it breaks).
    users, rate
        The peak load: users (closed model; 3 by default for a smoke test), or arrivals a second (open model; the better
        choice for a breakpoint test, where slow responses must not slow the load).
    duration : str | float | None
        The total length; the parts keep their proportions. The usual lengths are 1 min, 40 min, 45 min, 3 min, 8 h 10 min
        and 2 h.

    Returns
    -------
    tuple[Stage, ...]
        Stages for `LoadPlan`. The names and proportions are those of Grafana's "Load test types" (k6 documentation).

    Raises
    ------
    ValueError
        The name is unknown, or there is no load.

    >>> for stage in lab.shape("average load", users=100, duration="8m"):
    ...     print(stage)
    to 100 users over 1 min
    100 users for 6 min
    to 0 users over 1 min
    """
    if name not in SHAPES:
        raise one_of("shape: name", name, SHAPES)
    usual_s, parts = SHAPES[name]
    if users is None and rate is None:
        if name != "smoke":
            raise ValueError(f"shape: give the peak load of a {name!r} test: users=100 or rate=200")
        users = 3
    length = usual_s if duration is None else parse_duration(duration, parameter="shape: duration") / 1e3
    return tuple(
        Stage(
            share * length,
            users=None if users is None else round(users * load),
            rate=None if rate is None else rate * load,
            ramp=ramp,
        )
        for share, load, ramp in parts
    )
