"""`Stage`: a period of constant or ramping load, of which plans consist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from perflab.units import format_ms, format_number, parse_duration

_MOST_WRITTEN = 8


@dataclass(frozen=True)
class Stage:
    """A period of load: a number of users (closed model) or a rate of arrivals (open model).

    Parameters
    ----------
    duration : str | float
        ``"30s"``, ``"2m"``, or a number of seconds.
    users : int | None
        Simulated users at its end. Each waits for a response before it continues, so a slow target slows them.
    rate : float | None
        Arrivals (executions of a task) a second at its end, whatever the target does; latency counts from the due time
        of an arrival.
    ramp : bool
        Ramp linearly to ``users`` or ``rate`` from the previous stage (from zero, if it is the first), as k6's stages do;
        otherwise hold the value from the start.
    spawn_rate : float | None
        Users started a second at the start of a hold; by default all within the first second.

    >>> Stage("30s", users=50).duration_s, Stage("1m", rate=200).amount
    (30.0, 200.0)
    """

    duration: str | float
    users: int | None = None
    rate: float | None = None
    ramp: bool = False
    spawn_rate: float | None = None

    def __post_init__(self) -> None:
        if self.duration_s <= 0:
            raise ValueError(f"Stage: duration must be longer than zero; got {self.duration!r}")
        if (self.users is None) == (self.rate is None):
            both = "both" if self.users is not None else "neither"
            raise ValueError(f"Stage: give either users=50 (closed model) or rate=200 (open model); got {both}")
        if self.users is not None and (
            isinstance(self.users, bool) or not isinstance(self.users, int) or self.users < 0
        ):
            raise ValueError(f"Stage: users must be a whole number, 0 or more; got {self.users!r}")
        if self.rate is not None and not (is_number(self.rate) and 0 <= self.rate < math.inf):
            raise ValueError(f"Stage: rate must be 0 or more arrivals a second; got {self.rate!r}")
        if self.spawn_rate is not None:
            if not (is_number(self.spawn_rate) and 0 < self.spawn_rate < math.inf):
                raise ValueError(f"Stage: spawn_rate must be above 0 users a second; got {self.spawn_rate!r}")
            if self.users is not None and self.users / self.spawn_rate > self.duration_s:
                raise ValueError(
                    f"Stage: {self.users} users at a spawn_rate of {self.spawn_rate!r} a second take longer than the "
                    f"stage ({self.duration!r}); use ramp=True, or a higher spawn_rate"
                )
            if self.ramp or self.rate is not None:
                raise ValueError("Stage: spawn_rate applies to held users only; a ramp and a rate set their own pace")

    @cached_property
    def duration_s(self) -> float:
        return parse_duration(self.duration, parameter="Stage: duration") / 1e3

    @property
    def amount(self) -> float:
        """The users, or the rate."""
        return self.users if self.users is not None else float(self.rate or 0)

    def __str__(self) -> str:
        took = format_ms(self.duration_s * 1e3)
        what = f"{format_number(self.amount)} " + ("user" if self.users is not None else "arrival")
        what += ("s" if self.amount != 1 else "") + ("" if self.users is not None else " a second")
        return f"to {what} over {took}" if self.ramp else f"{what} for {took}"


def written_stages(stages: Sequence[Stage]) -> str:
    """Stages for people: one after the other, or their range if there are many.

    >>> written_stages([Stage(60, rate=1 + n) for n in range(30)])
    '30 stages of 1 to 30 arrivals a second over 30 min'
    """
    if len(stages) <= _MOST_WRITTEN:
        return ", then ".join(map(str, stages))
    amounts = [stage.amount for stage in stages]
    what = "users" if stages[0].users is not None else "arrivals a second"
    took = format_ms(sum(stage.duration_s for stage in stages) * 1e3)
    return f"{len(stages)} stages of {format_number(min(amounts))} to {format_number(max(amounts))} {what} over {took}"


def is_number(value: object) -> bool:
    """Whether it is a number; True and False are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
